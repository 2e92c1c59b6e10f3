//! The receipts of ended vendors: for every end that the log has, one is closed, once, however it was ended. What was alive
//! is listed first (`list.rs`), then everybody who follows is waited for, or their limit (`standing.rs`), then the statement
//! is signed and the log says so (`close.rs`). Nobody who ends anything waits for any of it.
//!
//! INVARIANT (one receipt an end): the list follows from the log alone, and a statement counts from the event on that has
//! its digest. Whatever a crash left before that is made anew; after it nothing is.

mod close;
mod files;
mod find;
mod list;
mod shown;
mod standing;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daypass_core::{Action, Event};
use daypass_credential::{Digest, Era, NodeId, NodeKind, Revision, Timestamp};
use tokio::sync::{Semaphore, mpsc, watch};

use self::files::Files;
pub(crate) use self::{
    shown::{Closed, End, Piece, Told},
    standing::{AudienceProgress, Progress, checkers, staleness},
    worker::keep_receipts,
};
use crate::{
    broker::Broker,
    feed::{Feed, HeldHorizon},
};

/// How many lists are made at once: each reads much.
const LISTS: usize = 2;

/// What those who make and ask for receipts share.
pub(crate) struct Receipts {
    files: Files,
    /// The ends that the log has told of, for the worker.
    noticed: mpsc::UnboundedSender<Ended>,
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Ended>>>,
    /// By the revision of the end. The worker knows of every end in the log once it has looked.
    known: Mutex<BTreeMap<Revision, State>>,
    /// Moves with whatever somebody may wait for.
    moved: watch::Sender<u64>,
    listing: Semaphore,
    /// One looks at a time, and rests before the next does: many may wait for the same silent verifier.
    looking: Semaphore,
    /// One at a time makes a list again that is gone.
    again: tokio::sync::Mutex<()>,
    closing: watch::Sender<bool>,
}

/// How far a receipt is.
enum State {
    Open(Progress),
    Closed(Closed),
}

/// The end of a vendor, as the log has it.
struct Ended {
    vendor: NodeId,
    revision: Revision,
    /// Its own instant.
    at: Timestamp,
    seen: Seen,
    /// Keeps what was alive then in memory until it is listed. Without it the log is read again.
    held: Option<HeldHorizon>,
}

/// By when an end was in the log: whoever was told later that nothing is missing was told of it before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// None under a clock that is not believed: it may be far behind what verifiers count by.
    at: Option<Timestamp>,
    /// By the steady clock.
    since: Duration,
}

impl Seen {
    /// It is there by now.
    pub(crate) fn now(broker: &Broker) -> Self {
        Self { since: broker.clock.steady(), at: broker.trusted_now().ok() }
    }
}

impl Receipts {
    /// Receipts of this era, in a folder of their own.
    pub(crate) fn at(folder: PathBuf, era: Era) -> Self {
        let (noticed, waiting) = mpsc::unbounded_channel();
        Self {
            files: Files::at(folder, era),
            noticed,
            waiting: Mutex::new(Some(waiting)),
            known: Mutex::default(),
            moved: watch::Sender::new(0),
            listing: Semaphore::new(LISTS),
            looking: Semaphore::new(1),
            again: tokio::sync::Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }

    /// Tells of what the log says, event by event, before the feed may forget what was alive then.
    pub(crate) fn notice(&self, feed: &Feed, seen: Seen, revision: Revision, event: &Event) {
        let Action::Ended { node, .. } = &event.action else { return };
        if node.kind != NodeKind::Vendor || self.known().contains_key(&revision) {
            return;
        }
        let ended = Ended {
            vendor: node.clone(),
            revision,
            at: event.at,
            seen,
            held: Some(feed.hold_horizon(event.at)),
        };
        // Without a worker nobody makes receipts, and the broker is about to end.
        let _told = self.noticed.send(ended);
    }

    /// Nobody waits for a receipt any longer: the broker stops.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Revision, State>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a receipt, unless it was begun before.
    fn begin(&self, ended: &Ended) -> bool {
        let mut known = self.known();
        let new = !known.contains_key(&ended.revision);
        if new {
            known.insert(ended.revision, State::Open(Progress::default()));
        }
        drop(known);
        self.moved.send_modify(|moved| *moved += 1);
        new
    }

    fn set(&self, ended: Revision, state: State) {
        self.known().insert(ended, state);
        self.moved.send_modify(|moved| *moved += 1);
    }
}

/// Why a receipt is not closed yet.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("{}", said(.0))]
    Refused(#[from] crate::refusal::Refusal),
    #[error("its files cannot be written: {0}")]
    Files(#[from] std::io::Error),
    #[error("the log cannot be read: {0}")]
    Store(#[from] daypass_store::StoreError),
    #[error("event {0} cannot be read: {1}")]
    Event(Revision, serde_json::Error),
    #[error(transparent)]
    Misplaced(#[from] daypass_core::ledger::Misplaced),
    #[error(transparent)]
    NotKept(#[from] daypass_core::ledger::NotKept),
    #[error("what is alive does not make a list: {0}")]
    List(#[from] daypass_log::receipt::ListFault),
    #[error("no audit key is in force")]
    NoKey,
    #[error("it was not signed: {0}")]
    NotSigned(String),
    #[error("what was signed does not hold: {0}")]
    Unsound(#[from] daypass_log::receipt::ReceiptError),
}

/// A refusal in its operator's words, where it has some.
fn said(refusal: &crate::refusal::Refusal) -> String {
    refusal.operator_words().map_or_else(|| refusal.to_string(), str::to_owned)
}

/// The digests of a closed receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digests {
    statement: Digest,
    list: Digest,
}
