//! Snapshots of the cut set, shared by whoever needs one at about the same time: after a start of the broker all verifiers
//! come at once.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use daypass_core::ledger::Snapshot;
use daypass_credential::Revision;
use tokio::{sync::Mutex, time::Instant};

use super::{RETRY_AFTER, Tip};
use crate::{broker::Broker, refusal::Refusal};

/// For how long one is given to others as well.
const SHARED: Duration = Duration::from_secs(5);

/// A snapshot, and where in the log it was taken.
pub(super) struct Taken {
    pub(super) snapshot: Snapshot,
    pub(super) at: Tip,
}

/// The newest one. Whoever makes the next lets others wait for it.
///
/// INVARIANT (one at a time): the lock goes with the making and not with who waits for it, so that nobody has many made at
/// once by going away.
#[derive(Default)]
pub(super) struct Shelf(pub(super) Arc<Mutex<Option<Made>>>);

/// The newest, and when it was made.
pub(super) struct Made {
    at: Instant,
    taken: Arc<Taken>,
}

/// A snapshot at or after a revision up to which the log was followed.
pub(super) async fn take(broker: &Arc<Broker>, least: Revision) -> Result<Arc<Taken>, Refusal> {
    let mut shelf = broker.feed.snapshots.0.clone().lock_owned().await;
    if let Some(Made { at, taken }) = &*shelf
        && at.elapsed() < SHARED
        && taken.at.revision >= least
        && broker.feed.recent(|recent| recent.covers(taken.at.revision))
    {
        return Ok(taken.clone());
    }
    let making = broker.clone();
    // It looks at all that is kept.
    let made = tokio::task::spawn_blocking(move || {
        let taken = Arc::new(make(&making)?);
        *shelf = Some(Made { at: Instant::now(), taken: taken.clone() });
        Some(taken)
    });
    let made = made.await.map_err(Refusal::internal)?;
    // Nothing was followed yet.
    made.filter(|taken| taken.at.revision >= least).ok_or(Refusal::Busy { retry_after: RETRY_AFTER })
}

fn make(broker: &Broker) -> Option<Taken> {
    let book = broker.feed.book.read().unwrap_or_else(PoisonError::into_inner);
    Some(Taken { snapshot: book.ledger.snapshot()?, at: book.tip() })
}
