//! What a verifier says over its stream: counters, and acknowledgements of what it has applied.

use std::time::Duration;

use daypass_credential::Timestamp;
use daypass_log::Acknowledgement;
use tokio::{sync::watch, time::Instant};
use tokio_stream::{Stream, StreamExt as _};

use super::{
    Acknowledged, Tip,
    attendance::Presence,
    follower::Over,
    hello::{Hello, leaf_at},
    proof::Heard,
};
use crate::{broker::Broker, call::Call, notary::log_name, refusal::Refusal};

/// A message of a verifier, read.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Hello(Box<Hello>),
    Counter(u64),
    Acknowledgement(Acked),
}

/// What a verifier says to have applied.
#[derive(Debug, Clone)]
pub(crate) struct Acked {
    pub(crate) at: Tip,
    /// Since when, by its own clock.
    pub(crate) applied_at: Timestamp,
    pub(crate) signature: Vec<u8>,
}

/// How much a verifier says a second in the long run.
const PER_SECOND: u32 = 50;
/// How much it may say at once, if it was quiet before.
const AT_ONCE: u32 = 200;

/// Hears one verifier.
pub(super) struct Ear<'a> {
    pub(super) broker: &'a Broker,
    pub(super) call: &'a Call,
    pub(super) presence: &'a Presence,
    pub(super) hello: &'a Hello,
    pub(super) heard: &'a watch::Sender<Option<Heard>>,
}

impl Ear<'_> {
    /// Hears until the verifier leaves, or says what cannot be.
    pub(super) async fn listen(&self, said: &mut (impl Stream<Item = Result<Said, Over>> + Unpin)) -> Over {
        let mut pace = Pace::new();
        while let Some(said) = said.next().await {
            let taken = match said {
                Ok(_) if !pace.allows() => Err(Refusal::TooMuchSaid.into()),
                Ok(said) => self.take(said).await.map_err(Over::from),
                Err(over) => Err(over),
            };
            if let Err(over) = taken {
                return over;
            }
        }
        Over::Left
    }

    async fn take(&self, said: Said) -> Result<(), Refusal> {
        match said {
            Said::Hello(_) => Err(Refusal::HelloOnce),
            Said::Counter(counter) => {
                let newest = self.heard.borrow().map(|heard| heard.counter);
                if newest.is_some_and(|newest| newest >= counter) {
                    return Err(Refusal::bad("counter", "it only rises"));
                }
                // Never before what the log knows: a clock that was set back must not let a receipt say that somebody
                // refuses earlier than it does.
                let came_at = self.broker.clock.now().max(self.broker.store.head().borrow().at);
                self.heard.send_replace(Some(Heard { counter, came_at }));
                Ok(())
            }
            Said::Acknowledgement(acked) => self.acknowledge(acked).await,
        }
    }

    /// INVARIANT (only what was told): nothing is taken as acknowledged that was not told over this very stream, of this
    /// very log, and signed with the key of the identity that it belongs to.
    async fn acknowledge(&self, acked: Acked) -> Result<(), Refusal> {
        if self.hello.observing {
            return Err(Refusal::bad("acknowledgement", "a stream that observes acknowledges nothing"));
        }
        let Tip { revision, leaf } = acked.at;
        if revision > self.presence.told_upto() {
            return Err(Refusal::AcknowledgedUnsent { revision });
        }
        if leaf_at(self.broker, revision).await? != Some(leaf) {
            return Err(Refusal::AcknowledgedOther { revision });
        }
        let (caller, keys) = (&self.call.caller, self.broker.keys.now());
        let text = Acknowledgement {
            log: &log_name(&keys.ring().realm().issuer),
            era: self.broker.era,
            verifier: &caller.subject.name,
            identity: &caller.identity,
            revision,
            leaf,
            applied_at: acked.applied_at,
        };
        if !text.is_signed(&self.hello.key, &acked.signature) {
            return Err(Refusal::AcknowledgedUnsigned);
        }
        self.presence.acknowledged(Acknowledged {
            revision,
            leaf,
            applied_at: acked.applied_at,
            came_at: self.broker.clock.now(),
            key: self.hello.key.clone(),
            signature: acked.signature,
        });
        Ok(())
    }
}

/// How fast somebody talks.
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { left: AT_ONCE, since: Instant::now() }
    }

    /// One more: is that still fine?
    fn allows(&mut self) -> bool {
        let each = Duration::from_secs(1) / PER_SECOND;
        let earned = self.since.elapsed().as_millis() / each.as_millis();
        match u32::try_from(earned).ok().filter(|earned| *earned < AT_ONCE) {
            Some(earned) => {
                self.since += each * earned;
                self.left = (self.left + earned).min(AT_ONCE);
            }
            None => *self = Self::new(),
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}
