//! The task that follows the broker for a verifier: it opens a stream, puts in force what comes, says what is in force, and
//! begins again whenever the stream is over. It never decides whether anything is good; what it does not hear, the
//! verifier does not accept once it is stale.

use std::{sync::Arc, time::Duration};

use daypass_credential::Ttl;
use daypass_verifier::Feed;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    Inner, Lost, News, Watch,
    memory::{Kept, Place},
    stream::Stream,
    turn::Turn,
};
use crate::{
    Connection,
    entropy::{self, Part},
};

/// What follows for one verifier.
pub(super) struct Follower {
    pub(super) connection: Connection,
    pub(super) inner: Arc<Inner>,
    pub(super) feed: Feed,
    /// What this one is known by beside others under the same identity.
    pub(super) process: [u8; 16],
    pub(super) observing: bool,
    pub(super) watch: Watch,
    pub(super) keeping: Keeping,
}

/// Follows until nobody wants it any more, and writes down how far it came.
pub(super) async fn follow(mut follower: Follower, mut wanted: watch::Receiver<bool>) {
    tokio::select! {
        _ = wanted.wait_for(|wanted| !wanted) => {}
        () = follower.go_on() => {}
    }
    follower.feed.disconnected();
    follower.keep_last().await;
}

impl Follower {
    async fn go_on(&mut self) {
        let mut tries = 0;
        loop {
            let begun = Instant::now();
            let (why, proven) = self.stream().await;
            self.feed.disconnected();
            if proven && begun.elapsed() >= most(why.is_refusal()) {
                tries = 0;
            }
            let pause = pause(tries, why.is_refusal(), entropy::part());
            tries = tries.saturating_add(1);
            self.watch.tell(&News::Lost { why: &why, pause });
            self.keep();
            sleep(pause).await;
        }
    }

    /// Follows one stream to its end; also, whether it proved anything.
    async fn stream(&mut self) -> (Lost, bool) {
        let hello = self.feed.connected();
        match Stream::open(&self.connection, &hello, self.process, self.observing).await {
            Ok(stream) => {
                self.watch.tell(&News::Connected);
                Turn::new(self, stream).run().await
            }
            Err(error) => (error.into(), false),
        }
    }

    /// The strictest limit of the audiences, if they are known.
    pub(super) fn limit(&self) -> Option<Ttl> {
        self.inner.limit()
    }

    /// Has what is known written down, beside the stream, which does not wait for the disk.
    pub(super) fn keep(&mut self) {
        let Some(kept) = self.kept() else { return };
        if self.keeping.is_due() {
            self.keeping.begin(kept, self.watch.clone());
        }
    }

    async fn keep_last(&mut self) {
        self.keeping.finish().await;
        if let Some(kept) = self.kept() {
            self.keeping.begin(kept, self.watch.clone());
            self.keeping.finish().await;
        }
    }

    fn kept(&self) -> Option<Kept> {
        let view = self.inner.check.view()?;
        let memory = self.feed.memory()?;
        Some(Kept { memory, log_keys: view.bundle().log_keys().to_vec() })
    }
}

/// Writing down how far the log was followed: one at a time, and not at each event.
pub(super) struct Keeping {
    place: Place,
    task: Option<JoinHandle<()>>,
    since: Option<Instant>,
}

impl Keeping {
    pub(super) const fn at(place: Place) -> Self {
        Self { place, task: None, since: None }
    }

    fn is_due(&self) -> bool {
        let under_way = self.task.as_ref().is_some_and(|task| !task.is_finished());
        !under_way && self.since.is_none_or(|since| since.elapsed() >= KEEP_EVERY)
    }

    fn begin(&mut self, kept: Kept, watch: Watch) {
        let place = self.place.clone();
        self.since = Some(Instant::now());
        self.task = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = place.keep(kept) {
                watch.tell(&News::NotKept { error: &error });
            }
        }));
    }

    async fn finish(&mut self) {
        if let Some(task) = self.task.take() {
            // A runtime that ends takes it along.
            let _ended = task.await;
        }
    }
}

/// How long to wait before the next stream: longer each time, and spread by chance. A no that stays one is asked for less
/// often: each is an entry in the broker's log.
fn pause(tries: u32, refused: bool, part: Part) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(most(refused));
    longest.mul_f64(0.5 + part.fraction() / 2.0)
}

/// The longest pause; a stream that lasted less says nothing of how the next will fare. Some are ended each time as soon as
/// they have proven something: where more processes follow with one identity than may, they end each other's.
const fn most(refused: bool) -> Duration {
    if refused { REFUSED_PAUSE } else { LONGEST_PAUSE }
}

/// How often counters are sent.
pub(super) fn every(limit: Option<Ttl>) -> Duration {
    limit.map_or(COUNTER, |limit| COUNTER.min(millis(limit) / 5))
}

/// After how long without a word a stream is given up: early enough to be fresh again in time, and late enough for one
/// that is merely slow, but fresh. Pings at the connection find sooner that nobody is there.
pub(super) fn silence(limit: Option<Ttl>) -> Duration {
    limit.map_or(UNKNOWN_SILENCE, |limit| (millis(limit) / 2).clamp(LEAST_SILENCE, MOST_SILENCE))
}

const fn millis(limit: Ttl) -> Duration {
    Duration::from_millis(limit.as_millis())
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
const COUNTER: Duration = Duration::from_secs(1);
/// Three counters.
const LEAST_SILENCE: Duration = Duration::from_secs(3);
const MOST_SILENCE: Duration = Duration::from_secs(90);
/// Before a limit is known.
const UNKNOWN_SILENCE: Duration = Duration::from_secs(15);
const KEEP_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Part = Part(u32::MAX);

    #[test]
    fn pauses_grow_to_five_seconds_and_after_a_refusal_to_thirty() {
        let of = |refused| [0, 1, 5, 6, 9, 60].map(|tries| pause(tries, refused, ALL).as_millis());
        assert_eq!(of(false), [100, 200, 3_200, 5_000, 5_000, 5_000]);
        assert_eq!(of(true), [100, 200, 3_200, 6_400, 30_000, 30_000]);
        assert_eq!(pause(0, false, Part(0)), Duration::from_millis(50));
    }

    #[test]
    fn counters_and_silence_follow_the_strictest_limit() {
        let check = |limit: u16, every_millis, silence_secs| {
            let limit = Some(Ttl::seconds(limit));
            assert_eq!(every(limit), Duration::from_millis(every_millis));
            assert_eq!(silence(limit), Duration::from_secs(silence_secs));
        };
        check(1, 200, 3);
        check(5, 1_000, 3);
        check(30, 1_000, 15);
        check(900, 1_000, 90);
        assert_eq!((every(None), silence(None)), (Duration::from_secs(1), Duration::from_secs(15)));
    }
}
