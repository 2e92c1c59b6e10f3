//! What is held for one set of scopes at one audience, and what to do when somebody asks for it. Nothing here waits.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::Credential;
use crate::Error;

/// What came of an attempt, for all who waited for it.
pub(super) type Outcome = Result<Arc<Credential>, Arc<Error>>;
/// An attempt under way: its outcome, once it is there.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

/// What is held for one set of scopes.
#[derive(Default)]
pub(super) struct Wanted {
    held: Option<Arc<Credential>>,
    /// The attempt under way to have another: one at a time, however many want it.
    flight: Option<Flight>,
    /// How the last attempt failed, if it did.
    failed: Option<Failed>,
    /// When a relying party turned one down.
    turned_down: Option<TurnedDown>,
}

struct Failed {
    error: Arc<Error>,
    /// No attempt before this.
    again: Instant,
    times: u32,
}

#[derive(Clone, Copy)]
struct TurnedDown {
    at: Instant,
    times: u32,
}

/// What to answer to somebody who wants a credential.
pub(super) enum Answer {
    /// This one.
    Held(Arc<Credential>),
    /// This one, and see to the next.
    Replace(Arc<Credential>),
    /// The next one.
    Wait,
    /// None: it was tried a moment ago.
    Failed(Arc<Error>),
}

impl Wanted {
    pub(super) fn answer(&self) -> Answer {
        let resting = self.failed.as_ref().filter(|failed| Instant::now() < failed.again);
        let flying = self.flight().is_some();
        match (&self.held, resting) {
            (Some(held), _) if held.is_alive() => {
                let held = Arc::clone(held);
                if held.is_due() && resting.is_none() && !flying {
                    Answer::Replace(held)
                } else {
                    Answer::Held(held)
                }
            }
            (_, Some(failed)) if !flying => Answer::Failed(Arc::clone(&failed.error)),
            _ => Answer::Wait,
        }
    }

    /// The attempt under way. One whose task is gone, with its runtime, does not land any more.
    pub(super) fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }

    pub(super) fn took_off(&mut self, flight: Flight) {
        self.flight = Some(flight);
    }

    pub(super) fn landed(&mut self, outcome: &Outcome) {
        self.flight = None;
        match outcome {
            Ok(credential) => {
                self.held = Some(Arc::clone(credential));
                self.failed = None;
            }
            Err(error) => {
                let times = self.failed.as_ref().map_or(0, |failed| failed.times);
                let again = Instant::now() + doubled(FIRST_REST, times, LONGEST_REST);
                self.failed = Some(Failed { error: Arc::clone(error), again, times: times + 1 });
            }
        }
    }

    /// A relying party turned this one down. Is the next one to be another? It is if this one is not held any more; else
    /// it is given up, unless the one before was given up just now.
    pub(super) fn turned_down(&mut self, credential: &Credential) -> TurnDown {
        if self.held.as_ref().is_none_or(|held| held.token.revision != credential.token.revision) {
            return TurnDown::Replaced;
        }
        let Some(next) = TurnedDown::after(self.turned_down) else { return TurnDown::TooSoon };
        self.turned_down = Some(next);
        self.held = None;
        TurnDown::GivenUp
    }

    /// Is there nothing left to know about it?
    pub(super) fn is_over(&self) -> bool {
        let alive = self.held.as_ref().is_some_and(|held| held.is_alive());
        let recent = self.turned_down.is_some_and(|last| last.at.elapsed() < CALM);
        let resting = self.failed.as_ref().is_some_and(|failed| Instant::now() < failed.again);
        !alive && !recent && !resting && self.flight().is_none()
    }
}

/// What came of turning a credential down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnDown {
    /// There is another already.
    Replaced,
    /// It is held no more.
    GivenUp,
    /// It is held on: another one was given up just now.
    TooSoon,
}

impl TurnedDown {
    /// Another one, unless it comes too soon after the last.
    fn after(last: Option<Self>) -> Option<Self> {
        let Some(last) = last.filter(|last| last.at.elapsed() < CALM) else {
            return Some(Self { at: Instant::now(), times: 1 });
        };
        let pause = doubled(Duration::from_secs(1), last.times - 1, MINUTE);
        (last.at.elapsed() >= pause).then(|| Self { at: Instant::now(), times: last.times + 1 })
    }
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(most)
}

/// How long nothing is tried after a failure, at first and at most.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);
/// The longest pause between new credentials for ones that were turned down.
const MINUTE: Duration = Duration::from_secs(60);
/// Without another one turned down for so long, the last one is forgotten.
const CALM: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use daypass_credential::{Revision, Timestamp};
    use tokio::time::advance;

    use super::*;
    use crate::{
        ClientCertificate, Token,
        credentials::Certificate,
        entropy::Part,
        life::{Life, Moment},
    };

    /// A credential of 900 seconds from now on, due after 600.
    fn credential(revision: u64) -> Arc<Credential> {
        let (issued, over) = (Timestamp::from_secs(1000), Timestamp::from_secs(1900));
        let life = Life::new((issued, over), (Moment::now(), issued), Part(u32::MAX / 2));
        let certificate = ClientCertificate::sample(Revision::new(revision), over);
        Arc::new(Credential {
            audience: "billing".parse().unwrap(),
            scopes: "invoices.read".parse().unwrap(),
            certificate: Arc::new(Certificate { certificate, life }),
            token: Token::sample(Revision::new(revision + 1), over),
            life,
        })
    }

    fn failure() -> Outcome {
        Err(Arc::new(Error::Unable("do it")))
    }

    fn word(wanted: &Wanted) -> &'static str {
        match wanted.answer() {
            Answer::Held(_) => "held",
            Answer::Replace(_) => "replace",
            Answer::Wait => "wait",
            Answer::Failed(_) => "failed",
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_held_then_replaced_while_it_is_good_and_then_waited_for() {
        let mut wanted = Wanted::default();
        assert_eq!(word(&wanted), "wait");
        wanted.landed(&Ok(credential(7)));
        advance(Duration::from_secs(598)).await;
        assert_eq!(word(&wanted), "held");
        advance(Duration::from_secs(3)).await;
        assert_eq!(word(&wanted), "replace");
        let (_land, flight) = watch::channel(None);
        wanted.took_off(flight);
        assert_eq!(word(&wanted), "held", "one attempt at a time");
        advance(Duration::from_secs(296)).await;
        assert_eq!(word(&wanted), "held");
        advance(Duration::from_secs(2)).await;
        assert_eq!(word(&wanted), "wait", "it would be over when it arrives");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_whose_task_is_gone_holds_nobody_up() {
        let mut wanted = Wanted::default();
        let (land, flight) = watch::channel(None);
        wanted.took_off(flight);
        assert!(wanted.flight().is_some());
        drop(land);
        assert!(wanted.flight().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_old_one_is_handed_out_for_as_long_as_it_lives() {
        let mut wanted = Wanted::default();
        wanted.landed(&Ok(credential(7)));
        advance(Duration::from_secs(700)).await;
        wanted.landed(&failure());
        assert_eq!(word(&wanted), "held", "nothing is tried for a moment");
        advance(FIRST_REST).await;
        assert_eq!(word(&wanted), "replace");
        advance(Duration::from_secs(300)).await;
        assert_eq!(word(&wanted), "wait");
        wanted.landed(&failure());
        assert_eq!(word(&wanted), "failed", "and then there is the error");
        advance(FIRST_REST).await;
        assert_eq!(word(&wanted), "failed", "pauses double");
        advance(FIRST_REST).await;
        assert_eq!(word(&wanted), "wait");
        wanted.landed(&Ok(credential(9)));
        assert_eq!(word(&wanted), "held");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_turned_down_is_given_up_but_not_over_and_over() {
        let mut wanted = Wanted::default();
        let old = credential(1);
        let mut pauses = Vec::new();
        for n in 1..9 {
            let held = credential(10 * n);
            wanted.landed(&Ok(Arc::clone(&held)));
            assert_eq!(wanted.turned_down(&old), TurnDown::Replaced);
            let begun = Instant::now();
            while wanted.turned_down(&held) == TurnDown::TooSoon {
                assert_eq!(word(&wanted), "held");
                advance(Duration::from_secs(1)).await;
            }
            assert_eq!(word(&wanted), "wait");
            pauses.push(begun.elapsed().as_secs());
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60]);
        assert!(!wanted.is_over());
        advance(CALM).await;
        assert!(wanted.is_over());
        let held = credential(100);
        wanted.landed(&Ok(Arc::clone(&held)));
        assert_eq!(wanted.turned_down(&held), TurnDown::GivenUp, "it was calm for long enough");
    }
}
