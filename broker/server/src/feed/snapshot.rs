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
#[derive(Default)]
pub(super) struct Shelf(Mutex<Option<(Instant, Arc<Taken>)>>);

/// A snapshot at or after a revision up to which the log was followed.
pub(super) async fn take(broker: &Arc<Broker>, least: Revision) -> Result<Arc<Taken>, Refusal> {
    let mut shelf = broker.feed.snapshots.0.lock().await;
    if let Some((made, taken)) = &*shelf
        && made.elapsed() < SHARED
        && taken.at.revision >= least
        && broker.feed.recent(|recent| recent.covers(taken.at.revision))
    {
        return Ok(taken.clone());
    }
    let making = broker.clone();
    // It looks at all that is kept.
    let made = tokio::task::spawn_blocking(move || make(&making)).await.map_err(Refusal::internal)?;
    // Nothing was followed yet.
    let taken = made.filter(|taken| taken.at.revision >= least);
    let taken = Arc::new(taken.ok_or(Refusal::Busy { retry_after: RETRY_AFTER })?);
    *shelf = Some((Instant::now(), taken.clone()));
    Ok(taken)
}

fn make(broker: &Broker) -> Option<Taken> {
    let book = broker.feed.book.read().unwrap_or_else(PoisonError::into_inner);
    Some(Taken { snapshot: book.ledger.snapshot()?, at: book.tip() })
}
