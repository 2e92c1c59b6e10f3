//! Keeping an identity fresh: its certificate is renewed in good time, and whoever holds the connection notices nothing.
//!
//! INVARIANT (stored before asked): the next key lies in the home before the broker hears of it, and is asked with again
//! after a crash (`home.rs`). Several programs on one home renew once: the others take what they find.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daypass_credential::{Revision, Timestamp};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    Connection, Error, Event, Home, Identity, Options,
    enrollment::{Next, renew_with},
    entropy::{self, Part},
    life::{self, Life, Moment},
};

/// How an identity stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// All is well.
    Fresh {
        /// When its certificate ends, if it is not renewed before.
        until: Timestamp,
    },
    /// It should have been renewed by now. It is still good, and the keeper goes on trying.
    Late {
        /// When its certificate ends, if it is not renewed before.
        until: Timestamp,
        /// Why the last attempt did not succeed.
        error: Arc<Error>,
    },
    /// It cannot be renewed any more: it takes a new enrolment.
    Over {
        /// Why.
        error: Arc<Error>,
    },
}

/// Keeps the identity in a home fresh, for as long as this value lives: renews it at two thirds of its life, and at once
/// if the broker asks for that, and switches the connection over. Calls under way finish with the old certificate.
pub struct Keeper {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

/// What the keeper and its connection share.
pub(crate) struct Inner {
    home: Home,
    connection: Connection,
    held: Mutex<Held>,
    /// One renewal at a time.
    renewing: tokio::sync::Mutex<()>,
    standing: watch::Sender<Standing>,
}

#[derive(Clone)]
struct Held {
    identity: Arc<Identity>,
    life: Life,
}

impl Keeper {
    /// Connects as whoever lives in this home, and keeps them fresh.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`] if nobody does; else see [`Connection::open`].
    pub async fn start(home: Home, options: &Options) -> Result<Self, Error> {
        let identity = home.identity()?;
        let held = Held { life: life_by_the_clock(&identity)?, identity: Arc::new(identity) };
        let connection = Connection::open_with(&held.identity, options).await?;
        let (standing, _) = watch::channel(Standing::Fresh { until: held.identity.expires_at() });
        let renewing = tokio::sync::Mutex::default();
        let inner = Arc::new(Inner { home, connection, held: Mutex::new(held), renewing, standing });
        inner.connection.keep(Arc::downgrade(&inner));
        let task = tokio::spawn(keep(Arc::clone(&inner)));
        Ok(Self { inner, task })
    }

    /// The connection. It stays the same over renewals, and so do its copies.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.inner.connection.clone()
    }

    /// The identity, with its newest certificate.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.inner.held().identity
    }

    /// How it stands, to look at or to wait on.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing.subscribe()
    }

    /// Renews now, whatever the time.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn renew(&self) -> Result<(), Error> {
        self.inner.renew(self.identity().revision()).await
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keeper({:?})", self.inner.connection)
    }
}

impl Inner {
    /// Replaces the certificate of this revision; whoever finds it replaced already is done.
    pub(crate) async fn renew(&self, past: Revision) -> Result<(), Error> {
        let _one = self.renewing.lock().await;
        let held = self.held();
        if held.identity.revision() != past {
            return Ok(());
        }
        let asked = Moment::now();
        let next = renew_with(&self.home, Some(&held.identity), self.connection.options()).await?;
        let (life, identity) = match next {
            Next::Renewed(identity) => (life_since(&identity, asked)?, identity),
            Next::Found(identity) => (life_by_the_clock(&identity)?, identity),
        };
        let identity = Arc::new(identity);
        self.connection.switch(&identity)?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) =
            Held { identity: Arc::clone(&identity), life };
        self.standing.send_replace(Standing::Fresh { until: identity.expires_at() });
        self.connection.options().observer.tell(&Event::Renewed { identity: &identity });
        Ok(())
    }

    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that a renewal failed, and when the next is to be tried: not any more if the broker says that the identity is
    /// over. This machine's clock alone does not decide that: it may be the one that is wrong.
    fn failed(&self, error: Error, held: &Held, tries: u32) -> Option<Duration> {
        let left = held.life.left();
        let left = if left.is_zero() { LONGEST_PAUSE.saturating_mul(10) } else { left };
        let pause = (!is_final(&error)).then(|| pause(left, tries, entropy::part()));
        self.connection.options().observer.tell(&Event::RenewalFailed { error: &error, pause });
        let (error, until) = (Arc::new(error), held.identity.expires_at());
        self.standing.send_replace(match pause {
            Some(_) => Standing::Late { until, error },
            None => Standing::Over { error },
        });
        pause
    }
}

/// Renews whenever it is due, until the identity is over.
async fn keep(inner: Arc<Inner>) {
    let mut tries = 0;
    loop {
        let held = inner.held();
        // A key that waits is from a renewal that was broken off: the broker may have its answer already.
        let broken_off = tries == 0 && inner.home.awaits_answer().unwrap_or_default();
        let wait = held.life.due_in();
        if !wait.is_zero() && !broken_off {
            // In short steps: a machine that slept wakes up late.
            tokio::time::sleep(wait.min(STEP)).await;
            continue;
        }
        match inner.renew(held.identity.revision()).await {
            Ok(()) => tries = 0,
            Err(error) => {
                let Some(pause) = inner.failed(error, &held, tries) else { return };
                tries += 1;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// The longest sleep without a look at the clock.
const STEP: Duration = Duration::from_secs(20);
/// The longest pause between attempts to renew.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait after an attempt that failed: longer each time, but there is to be time for some more.
fn pause(left: Duration, tries: u32, part: Part) -> Duration {
    let longest = Duration::from_secs(1).saturating_mul(1 << tries.min(6)).min(LONGEST_PAUSE).min(left / 10);
    longest.mul_f64(0.5 + part.fraction() / 2.0).max(Duration::from_millis(50))
}

/// Is this an answer that no waiting changes? An identity that is suspended may be resumed.
fn is_final(error: &Error) -> bool {
    matches!(
        error.reason(),
        Some(
            "caller-ended"
                | "caller-expired"
                | "caller-of-other-era"
                | "renewed-twice"
                | "certificate-not-ours"
        )
    )
}

/// For an identity from disk there is only this machine's clock to go by, which at least is not before its beginning.
fn life_by_the_clock(identity: &Identity) -> Result<Life, Error> {
    let issued = identity.issued_at()?;
    let then = life::wall_clock().max(issued);
    Ok(Life::new((issued, identity.expires_at()), (Moment::now(), then), entropy::part()))
}

/// For an identity that was asked for just now, which need not compare clocks.
fn life_since(identity: &Identity, asked: Moment) -> Result<Life, Error> {
    let issued = identity.issued_at()?;
    Ok(Life::new((issued, identity.expires_at()), (asked, issued), entropy::part()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_time_for_some_more_attempts() {
        let all = Part(u32::MAX);
        let day = Duration::from_secs(86_400);
        assert_eq!([0, 1, 5, 6, 60].map(|tries| pause(day, tries, all).as_secs()), [1, 2, 32, 60, 60]);
        assert_eq!(pause(day, 0, Part(0)), Duration::from_millis(500));
        assert_eq!(pause(Duration::from_secs(50), 9, all), Duration::from_secs(5));
        assert_eq!(pause(Duration::ZERO, 9, all), Duration::from_millis(50));
    }

    #[test]
    fn only_an_answer_that_nothing_changes_is_final() {
        let no = |reason: &str| {
            let class = crate::RefusalClass::Unauthenticated;
            let (reason, message) = (reason.to_owned(), "no".to_owned());
            is_final(&Error::Refused(crate::Refusal { reason, message, revision: None, class }))
        };
        assert!(no("caller-ended") && no("renewed-twice") && no("caller-of-other-era"));
        assert!(!no("caller-dead"), "what is suspended may be resumed");
        assert!(!is_final(&Error::Unreachable { broker: "b:1".into(), source: "x".into() }));
    }
}
