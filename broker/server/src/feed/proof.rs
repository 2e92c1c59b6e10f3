//! Proof that nothing is missing: what a counter is answered with.

use daypass_credential::{Revision, Timestamp};
use tokio::sync::watch;

use super::{Tip, hello::leaf_at};
use crate::{broker::Broker, refusal::Refusal};

/// A counter, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) counter: u64,
    pub(super) came_at: Timestamp,
}

/// The head of the log, read after a counter had come, with everything up to it followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) heard: Heard,
    pub(super) head: Tip,
}

/// Answers the newest counter whenever there is one; those that were overtaken need no answer.
///
/// INVARIANT (read after it came): the head is read from the store once the counter is here. What cannot be read, or is not
/// followed in time, is not answered: the verifier refuses by itself when its time has come.
pub(super) async fn prove(
    broker: &Broker,
    mut heard: watch::Receiver<Option<Heard>>,
    proven: &watch::Sender<Option<Proven>>,
) {
    let mut silent = false;
    while heard.changed().await.is_ok() {
        let Some(newest) = *heard.borrow_and_update() else { continue };
        match head(broker).await {
            Ok(head) => {
                silent = false;
                proven.send_replace(Some(Proven { heard: newest, head }));
            }
            Err(refusal) if !silent => {
                silent = true;
                let words = refusal.operator_words().unwrap_or_default();
                tracing::warn!(reason = %refusal.reason(), words, "a verifier's counters are not answered");
            }
            Err(_) => {}
        }
    }
}

async fn head(broker: &Broker) -> Result<Tip, Refusal> {
    // A store that was put back has forgotten ends: what it holds proves nothing.
    broker.notary.sound()?;
    let revision: Revision = broker.store.head().borrow().revision;
    let leaf = leaf_at(broker, revision).await?;
    let leaf =
        leaf.ok_or_else(|| Refusal::Store { internal: format!("revision {revision} is not in the log") })?;
    broker.feed.followed(revision).await?;
    Ok(Tip { revision, leaf })
}
