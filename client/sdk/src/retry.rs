//! Which calls are tried again, when, and for how long: the one place that says so.
//!
//! | call | repeated | why that is safe |
//! |---|---|---|
//! | reads, pings, introspection | always | nothing changes |
//! | mints, writes, ends | with the same request id | the broker knows the repeat and gives its first answer |
//! | enrolment, renewal | with the same key | the broker answers the same key again |
//! | opening an enrolment | only if nothing was done | a second code would be made |
//!
//! INVARIANT (one wish, one id): what makes a repeat recognisable is made once, before the first attempt, and goes with
//! every attempt unchanged.

use std::{fmt::Write as _, time::Duration};

use tokio::time::Instant;

use crate::{
    Error, Event, Observer,
    entropy::{self, Part},
};

/// How patiently calls are tried again: after pauses that double from `first` up to `most`, each shortened by chance so
/// that many clients do not come back together.
///
/// Only what [`Error::may_retry`] allows is tried again, and a call that changes something only if the broker will know
/// the repeat. A pause that the broker asks for is kept. If what a lost answer gave is over by the time of the repeat, the
/// broker says so (`answer-over`), and the wish is to be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// No attempt begins later than this after the first. An attempt under way has its own limit of 30 seconds.
    pub patience: Duration,
    /// The longest first pause.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
}

impl RetryPolicy {
    /// For programs that run by themselves: half a minute, which a restart of the broker fits into.
    pub const PATIENT: Self = Self::new(Duration::from_secs(30));
    /// For programs that somebody waits for.
    pub const BRIEF: Self = Self::new(Duration::from_secs(3));
    /// Every call is tried once.
    pub const ONCE: Self = Self::new(Duration::ZERO);

    /// The usual pauses, for this long.
    #[must_use]
    pub const fn new(patience: Duration) -> Self {
        Self { patience, first: Duration::from_millis(50), most: Duration::from_secs(2) }
    }

    /// How long to wait before the next attempt, `spent` after the first began and after `tries` of them; none if there
    /// is to be no next one.
    fn pause(
        &self,
        error: &Error,
        repeat: Repeat,
        tries: u32,
        spent: Duration,
        part: Part,
    ) -> Option<Duration> {
        let harmless = match repeat {
            Repeat::Harmless | Repeat::Ending => true,
            Repeat::Unmarked => error.left_undone(),
        };
        if !harmless || !error.may_retry() {
            return None;
        }
        let longest = self.first.saturating_mul(1 << (tries - 1).min(20)).min(self.most);
        let pause = longest.mul_f64(part.fraction());
        let asked = match error {
            Error::Busy { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        // Chance comes on top of what is asked for: everybody was asked for the same.
        let pause = pause.saturating_add(asked);
        (spent.saturating_add(pause) < self.patience).then_some(pause)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::PATIENT
    }
}

/// What a repeat of a call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Nothing more than the first: it changes nothing, or the broker knows it for a repeat.
    Harmless,
    /// The same, of a call that ends something: it also goes out where the log cannot be looked at (law 8).
    Ending,
    /// The same again: the broker cannot tell a repeat from a second wish.
    Unmarked,
}

/// Tries until there is an answer, or none is to be hoped for.
pub(crate) async fn run<T, A, F>(
    policy: &RetryPolicy,
    observer: &Observer,
    repeat: Repeat,
    mut attempt: A,
) -> Result<T, Error>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, Error>>,
{
    let (begun, mut tries) = (Instant::now(), 0);
    loop {
        let error = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tries += 1;
        let Some(pause) = policy.pause(&error, repeat, tries, begun.elapsed(), entropy::part()) else {
            return Err(error);
        };
        observer.tell(&Event::Retrying { error: &error, pause });
        tokio::time::sleep(pause).await;
    }
}

/// A new name for one wish, that nobody else uses: 128 bits by chance.
pub(crate) fn request_id() -> Result<String, Error> {
    let mut id = String::with_capacity(32);
    for byte in entropy::bytes::<16>()? {
        // Writing to a string does not fail.
        let _written = write!(id, "{byte:02x}");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::Arc,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::{Refusal, RefusalClass, cause::Cause};

    const ALL: Part = Part(u32::MAX);
    const NOTHING: Part = Part(0);

    fn busy(retry_after: Option<Duration>) -> Error {
        Error::Busy { message: "x".into(), retry_after }
    }

    fn lost() -> Error {
        Error::Unreachable { broker: "b:1".into(), source: Box::new(Cause::said("x".into())) }
    }

    fn unsent() -> Error {
        let none = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Error::from_connecting("b:1", &none)
    }

    fn refused() -> Error {
        let (reason, message) = ("caller-dead".into(), "no".into());
        Error::Refused(Refusal { reason, message, revision: None, class: RefusalClass::Forbidden })
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_shortened_by_chance() {
        let policy = RetryPolicy::default();
        let at = |tries, part| {
            policy.pause(&lost(), Repeat::Harmless, tries, Duration::ZERO, part).unwrap().as_millis()
        };
        assert_eq!([1, 2, 3, 6, 7, 90].map(|tries| at(tries, ALL)), [50, 100, 200, 1600, 2000, 2000]);
        assert_eq!(at(90, NOTHING), 0);
        assert_eq!(at(7, Part(u32::MAX / 2)), 1000);
    }

    #[test]
    fn a_pause_that_the_broker_asks_for_is_kept_or_the_call_given_up() {
        let policy = RetryPolicy::new(Duration::from_secs(10));
        let pause = |secs, part| {
            let asked = busy(Some(Duration::from_secs(secs)));
            policy.pause(&asked, Repeat::Harmless, 1, Duration::from_secs(1), part)
        };
        assert_eq!(pause(5, NOTHING), Some(Duration::from_secs(5)));
        assert_eq!(pause(5, ALL), Some(Duration::from_millis(5050)));
        assert_eq!(pause(9, NOTHING), None, "no attempt begins when patience is over");
        assert!(pause(8, NOTHING).is_some());
    }

    #[test]
    fn what_may_not_be_done_twice_is_repeated_only_where_nothing_was_done() {
        let policy = RetryPolicy::default();
        let again = |error: &Error, repeat| policy.pause(error, repeat, 1, Duration::ZERO, ALL).is_some();
        for (error, harmless, unmarked) in [
            (busy(None), true, true),
            (unsent(), true, true),
            (lost(), true, false),
            (refused(), false, false),
        ] {
            assert_eq!(again(&error, Repeat::Harmless), harmless, "{error:?}");
            assert_eq!(again(&error, Repeat::Unmarked), unmarked, "{error:?}");
        }
    }

    /// How often a call is tried that fails like this, and how long that takes.
    async fn tried(policy: RetryPolicy, repeat: Repeat, error: impl Fn() -> Error) -> (u32, Duration) {
        let (tries, told) = (Cell::new(0), Arc::new(AtomicU32::new(0)));
        let observer = Observer::new({
            let told = told.clone();
            move |event| {
                assert!(matches!(event, Event::Retrying { .. }));
                told.fetch_add(1, Ordering::Relaxed);
            }
        });
        let begun = Instant::now();
        let attempt = || {
            tries.set(tries.get() + 1);
            std::future::ready(Err::<(), _>(error()))
        };
        run(&policy, &observer, repeat, attempt).await.unwrap_err();
        assert_eq!(told.load(Ordering::Relaxed), tries.get() - 1, "each repeat is told of");
        (tries.get(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let (tries, took) = tried(RetryPolicy::PATIENT, Repeat::Harmless, lost).await;
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert!(tries > 15, "only {tries} in {took:?}");
        let (tries, took) = tried(RetryPolicy::BRIEF, Repeat::Harmless, lost).await;
        assert!(tries > 3 && took < Duration::from_secs(3), "{tries} in {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn once_is_once_and_a_no_is_a_no() {
        assert_eq!(tried(RetryPolicy::ONCE, Repeat::Harmless, unsent).await.0, 1);
        assert_eq!(tried(RetryPolicy::PATIENT, Repeat::Harmless, refused).await.0, 1);
        assert_eq!(tried(RetryPolicy::PATIENT, Repeat::Unmarked, lost).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_ends_it() {
        let (tries, nobody) = (Cell::new(0), Observer::default());
        let answer = run(&RetryPolicy::PATIENT, &nobody, Repeat::Harmless, || {
            tries.set(tries.get() + 1);
            std::future::ready(if tries.get() < 4 { Err(unsent()) } else { Ok(tries.get()) })
        });
        assert_eq!(answer.await.unwrap(), 4);
    }

    #[test]
    fn every_wish_has_an_id_of_its_own() {
        let (one, other) = (request_id().unwrap(), request_id().unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    }
}
