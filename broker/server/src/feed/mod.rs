//! The feed: what the log says of credentials that may be alive, followed event by event, and told to verifiers.
//!
//! One worker follows the durable log (`worker.rs`). Each stream has a follower of its own, which begins with what the
//! hello asks for (`hello.rs`), tells what the log brings from its own place in it (`teller.rs`), proves that nothing is
//! missing (`proof.rs`), and hears what the verifier says (`ear.rs`). The wire is not known here.
//! What was followed is kept for the next process (`kept.rs`).
//!
//! INVARIANT (nobody is waited for): following the log waits for no verifier and for no question about what is alive. A
//! follower keeps its place in the log and not what lies between: what a verifier does not read is not kept for it.

mod attendance;
mod ear;
mod follower;
mod hello;
mod kept;
mod keys;
mod list;
mod openings;
mod own_ends;
mod proof;
mod recent;
mod snapshot;
mod teller;
mod terms;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daypass_core::ledger::Ledger;
use daypass_credential::{NodeId, Revision, Timestamp};
use daypass_log::Hash;
use tokio::sync::{broadcast, watch};

pub(crate) use self::{
    attendance::{Acknowledged, Attendance, Instance, Process},
    ear::{Acked, Said},
    follower::{Follower, Over, Told},
    hello::{Hello, Known},
    kept::keep as keep_ledger,
    keys::{Offer, PublishedKey},
    list::Standing,
    own_ends::OwnEnds,
    worker::keep_feed,
};
use self::{
    kept::Keeping, keys::Cupboard, openings::Openings, recent::Recent, snapshot::Shelf, terms::Terms,
};
use crate::refusal::Refusal;

/// How far the log was followed, or a verifier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The last revision whose event was taken in; zero at first.
    pub(crate) revision: Revision,
    /// The hash of its leaf.
    pub(crate) leaf: Hash,
}

/// What there is to tell. It changes only with what verifiers have to hear of: most of the log is nothing to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct News {
    /// The last revision that killed something which relying parties may have accepted.
    cut: Revision,
    /// The last that changed a key, an audience or a verifier.
    keys: Revision,
    horizon: Timestamp,
}

impl News {
    const NONE: Self = Self { cut: Revision::ZERO, keys: Revision::ZERO, horizon: Timestamp::ZERO };
}

/// What those who follow share.
pub(crate) struct Feed {
    book: RwLock<Book>,
    tip: watch::Sender<Tip>,
    news: watch::Sender<News>,
    /// What was cut that a verifier's own standing may rest on.
    struck: broadcast::Sender<Arc<[NodeId]>>,
    recent: Mutex<Recent>,
    snapshots: Shelf,
    keys: Cupboard,
    attendance: Attendance,
    openings: Openings,
    own_ends: OwnEnds,
    terms: Terms,
    /// Instants that the horizon must not pass yet, by a number of their own.
    held: Arc<Mutex<BTreeMap<u64, Timestamp>>>,
    next: AtomicU64,
    closing: watch::Sender<bool>,
    /// Nothing is kept for the next process without it.
    keeping: Option<Keeping>,
}

/// The ledger, and the hash of the last leaf in it.
struct Book {
    ledger: Ledger,
    leaf: Hash,
}

impl Book {
    fn tip(&self) -> Tip {
        Tip { revision: self.ledger.head(), leaf: self.leaf }
    }
}

/// Keeps the horizon at or before an instant, for as long as it lives: what was alive then can be told meanwhile.
pub(crate) struct HeldHorizon {
    number: u64,
    held: Arc<Mutex<BTreeMap<u64, Timestamp>>>,
}

/// How long somebody waits for the log to be followed that far.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to ask again if that was not enough: after a start, a long log takes its time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How many of the worker's words about cuts a follower may be behind before it has to look for itself.
const STRUCK: usize = 64;

impl Feed {
    /// Nothing followed yet. `began` is when this process did: verifiers that it has not heard of since then were last
    /// told something before.
    pub(crate) fn new(began: Timestamp) -> Self {
        let tip = Tip { revision: Revision::ZERO, leaf: Hash::empty() };
        Self {
            book: RwLock::new(Book { ledger: Ledger::default(), leaf: tip.leaf }),
            tip: watch::Sender::new(tip),
            news: watch::Sender::new(News::NONE),
            struck: broadcast::Sender::new(STRUCK),
            recent: Mutex::default(),
            snapshots: Shelf::default(),
            keys: Cupboard::default(),
            attendance: Attendance::new(began),
            openings: Openings::default(),
            own_ends: OwnEnds::default(),
            terms: Terms::default(),
            held: Arc::default(),
            next: AtomicU64::default(),
            closing: watch::Sender::new(false),
            keeping: None,
        }
    }

    /// Nobody follows any longer: the broker stops.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits a little until the log was followed up to a revision.
    pub(crate) async fn followed(&self, revision: Revision) -> Result<Tip, Refusal> {
        let mut tip = self.tip.subscribe();
        let reached = tokio::time::timeout(PATIENCE, tip.wait_for(|tip| tip.revision >= revision)).await;
        let reached = reached.ok().and_then(Result::ok).map(|tip| *tip);
        reached.ok_or(Refusal::Busy { retry_after: RETRY_AFTER })
    }

    /// Asks the ledger. Whoever asks for much asks for a page at a time: the log is not followed meanwhile.
    pub(crate) fn ledger<T>(&self, ask: impl FnOnce(&Ledger) -> T) -> T {
        ask(&self.book.read().unwrap_or_else(PoisonError::into_inner).ledger)
    }

    /// Who follows, and how far they are.
    pub(crate) const fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// Who opens streams, and how often.
    pub(crate) const fn openings(&self) -> &Openings {
        &self.openings
    }

    /// What partners ended of their own, and whether more may be opened for them.
    pub(crate) const fn own_ends(&self) -> &OwnEnds {
        &self.own_ends
    }

    /// By what verifiers checked before.
    pub(crate) const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Keeps the horizon at or before this instant.
    pub(crate) fn hold_horizon(&self, at: Timestamp) -> HeldHorizon {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(number, at);
        HeldHorizon { number, held: self.held.clone() }
    }

    /// How far the horizon may go: to `now`, or to the earliest instant that somebody still asks about.
    fn horizon_at_most(&self, now: Timestamp) -> Timestamp {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().copied().fold(now, Timestamp::min)
    }

    /// The cuts that came of late.
    fn recent<T>(&self, ask: impl FnOnce(&mut Recent) -> T) -> T {
        ask(&mut self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for HeldHorizon {
    fn drop(&mut self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
