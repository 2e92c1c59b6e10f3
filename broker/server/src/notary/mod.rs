//! The notary: keeps the tree over the durable log, beside the request path, and signs a checkpoint each second when there
//! is something new. What it signed once, it holds the log to: at each start, and whenever somebody shows a checkpoint.
//!
//! INVARIANT (one tree of a size): size and root are durable before they are signed, and a tree is signed only if the
//! one that is kept is a smaller one, or the same.
//! INVARIANT (anchored before seen): nobody gets a checkpoint before the anchor file holds it.

mod anchor;
mod check;
mod desk;
mod export;
mod hashes;
mod head;
mod judge;
mod key;
mod past;
mod prove;
#[cfg(test)]
mod tests;
mod tree;
mod worker;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use daypass_credential::Era;
use daypass_log::{Root, SignedCheckpoint, VerifierKey};
use daypass_store::Store;
use tokio::sync::{Semaphore, watch};

use self::{anchor::Anchor, desk::Desk, worker::Calls};
pub(crate) use self::{
    check::StartError,
    export::Export,
    hashes::Hashes,
    key::{all as every_log_key, log_key, origin as log_name, published as log_keys},
    past::{anchored, put_aside, trees},
    prove::Continued,
    worker::Worker,
};
use crate::refusal::Refusal;

/// Where the notary keeps what it knows.
pub(crate) struct Place {
    /// The folder of the hashes and the head.
    pub(crate) folder: PathBuf,
    /// The anchor's file.
    pub(crate) anchor: PathBuf,
}

/// The log that the notary is to keep, as its first event fixed it.
pub(crate) struct Subject<'a> {
    /// Its address, from which its name comes.
    pub(crate) issuer: &'a str,
    /// Its life.
    pub(crate) era: Era,
    /// The life that this one took the place of.
    pub(crate) previous: Option<Era>,
    /// The keys that sign its checkpoints.
    pub(crate) keys: &'a [VerifierKey],
}

/// A checkpoint that was signed and anchored, with the tree that it is of.
pub(crate) struct Noted {
    signed: SignedCheckpoint,
    key: VerifierKey,
    hashes: Arc<Hashes>,
}

impl Noted {
    pub(crate) const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// The key that signed it.
    pub(crate) const fn key(&self) -> &VerifierKey {
        &self.key
    }

    pub(crate) const fn root(&self) -> Root {
        self.signed.checkpoint().root()
    }
}

/// What the broker asks the notary.
pub(crate) struct Notary {
    newest: watch::Receiver<Option<Arc<Noted>>>,
    calls: Calls,
    older: Arc<Older>,
    anchor: Arc<Anchor>,
    /// One at a time reads the whole log to see whether it is the one that was signed.
    counting: Arc<Semaphore>,
    /// Places for exports.
    exports: Arc<Semaphore>,
}

/// The finding that the log is older than what was signed. It is never taken back.
#[derive(Default)]
struct Older {
    why: OnceLock<String>,
    /// True once the reason stands and what the next start has to find is kept.
    said: watch::Sender<bool>,
}

/// How many exports there may be at once: each reads the whole log.
const EXPORTS: usize = 2;
/// How long somebody waits for a checkpoint that covers a revision.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to ask again for one that did not come in time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Looks whether the log continues what was known of it, and writes nothing. The worker has to be run.
pub(crate) async fn open(
    place: Place,
    subject: &Subject<'_>,
    log: Arc<dyn Store>,
    interval: Duration,
) -> Result<(Notary, Worker), StartError> {
    let check::Start { head, tree, anchored } = check::check(&place, subject, &*log).await?;
    let anchor = Arc::new(Anchor::at(place.anchor));
    let desk = Desk { folder: place.folder, anchor: anchor.clone(), era: subject.era, head, tree };
    let (publish, newest) = watch::channel(anchored.map(Arc::new));
    let (calls, older) = (Calls::default(), Arc::new(Older::default()));
    let (exports, counting) = (Arc::new(Semaphore::new(EXPORTS)), Arc::new(Semaphore::new(1)));
    let worker = Worker::new(desk, log, publish, calls.clone(), older.clone(), interval);
    Ok((Notary { newest, calls, older, anchor, counting, exports }, worker))
}

impl Notary {
    /// The newest checkpoint; waits for the first one.
    pub(crate) async fn newest(&self) -> Result<Arc<Noted>, Refusal> {
        self.covering(0).await
    }

    /// The newest checkpoint, if there is one already.
    pub(crate) fn at_hand(&self) -> Option<Arc<Noted>> {
        self.newest.borrow().clone()
    }

    /// A checkpoint of a log that holds this revision, waiting a little for one.
    pub(crate) async fn covering(&self, revision: u64) -> Result<Arc<Noted>, Refusal> {
        let covers =
            |noted: &Option<Arc<Noted>>| noted.as_ref().is_some_and(|noted| noted.root().size >= revision);
        let mut newest = self.newest.clone();
        let now = newest.borrow().clone().filter(|noted| noted.root().size >= revision);
        if let Some(noted) = now {
            return Ok(noted);
        }
        self.calls.wanted.notify_one();
        let noted = tokio::time::timeout(PATIENCE, newest.wait_for(covers)).await;
        let noted = noted.ok().and_then(Result::ok).and_then(|noted| noted.clone());
        noted.ok_or(Refusal::Busy { retry_after: RETRY_AFTER })
    }

    /// The tree's files do not give what was signed. They are derived, so that this says nothing of the log: they are made
    /// anew, and whoever asks tries again.
    fn doubt(&self) -> Refusal {
        self.calls.doubted.notify_one();
        Refusal::Busy { retry_after: RETRY_AFTER }
    }

    /// Refuses everything once the log was found to be older than what was signed.
    pub(crate) fn sound(&self) -> Result<(), Refusal> {
        if self.older.why.get().is_some() { Err(Refusal::LogOlder) } else { Ok(()) }
    }

    /// Waits until the log was found to be older than what was signed, and tells why.
    pub(crate) async fn found_older(&self) -> String {
        let mut said = self.older.said.subscribe();
        let _told = said.wait_for(|said| *said).await;
        self.older.why.get().cloned().unwrap_or_default()
    }

    /// From now on everything is refused, because of this note of the log's own. The next start finds it.
    async fn refuse_for(&self, why: String, note: &str) {
        if self.older.why.set(why).is_err() {
            return;
        }
        let (anchor, note) = (self.anchor.clone(), note.to_owned());
        let kept = tokio::task::spawn_blocking(move || anchor.close(Some(&note))).await;
        let kept = kept.map_err(io::Error::other).and_then(|kept| kept);
        if let Err(error) = kept {
            tracing::error!(%error, "the checkpoint that shows it cannot be kept: do not start the broker again");
        }
        self.older.said.send_replace(true);
    }
}
