//! The feed: what the log says of credentials that may be alive, followed event by event, and told to verifiers.
//!
//! INVARIANT (nobody is waited for): following the log waits for no verifier and for no question about what is alive.

mod attendance;
mod own_ends;
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
use daypass_credential::{Revision, Timestamp};
use daypass_log::Hash;
use tokio::sync::watch;

pub(crate) use attendance::{Acknowledged, Attendance, Instance};
pub(crate) use own_ends::OwnEnds;
pub(crate) use worker::keep_feed;

use crate::refusal::Refusal;

/// How far the log was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The last revision whose event was taken in; zero at first.
    pub(crate) revision: Revision,
    /// The hash of its leaf.
    pub(crate) leaf: Hash,
}

/// What those who follow share.
pub(crate) struct Feed {
    ledger: RwLock<Ledger>,
    tip: watch::Sender<Tip>,
    attendance: Attendance,
    own_ends: OwnEnds,
    /// Instants that the horizon must not pass yet, by a number of their own.
    held: Arc<Mutex<BTreeMap<u64, Timestamp>>>,
    next: AtomicU64,
    closing: watch::Sender<bool>,
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

impl Feed {
    /// Nothing followed yet. `began` is when this process did: verifiers that it has not heard of since then were last
    /// told something before.
    pub(crate) fn new(began: Timestamp) -> Self {
        let tip = Tip { revision: Revision::ZERO, leaf: Hash::empty() };
        Self {
            ledger: RwLock::default(),
            tip: watch::Sender::new(tip),
            attendance: Attendance::new(began),
            own_ends: OwnEnds::default(),
            held: Arc::default(),
            next: AtomicU64::default(),
            closing: watch::Sender::new(false),
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
        ask(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who follows, and how far they are.
    pub(crate) const fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// What partners ended of their own, and whether more may be opened for them.
    pub(crate) const fn own_ends(&self) -> &OwnEnds {
        &self.own_ends
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
}

impl Drop for HeldHorizon {
    fn drop(&mut self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
