//! The worker that keeps the summaries: it follows the durable log beside the requests, a bundle at a time, and nobody
//! waits for it.

use std::{io, sync::Arc, time::Duration};

use daypass_credential::Revision;
use daypass_store::{Lane, StoreError};

use super::{BUNDLE, Summaries, summary::Summary};
use crate::broker::Broker;

/// What keeps it from going on until its next look.
#[derive(Debug, thiserror::Error)]
pub(super) enum Hindrance {
    #[error("the file cannot be used: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an event of bundle {bundle} cannot be read: {source}")]
    Event { bundle: u64, source: serde_json::Error },
    #[error("it was broken off")]
    BrokenOff,
}

/// How many bundles are taken in at one look while the log grows by more than one between two looks: then others need the
/// processor, and a summary that is late only costs searches.
const WHILE_BUSY: u64 = 1;
/// How many looks pass between two such bundles.
const SELDOM: u32 = 10;

/// Keeps the summaries for as long as the broker lives, and looks this often whether a bundle is full: as often as the
/// notary signs.
pub(crate) async fn keep_summaries(broker: Arc<Broker>, pace: Duration) {
    if !broker.audit.summaries.is_kept() {
        return;
    }
    let (mut compared, mut told) = (false, false);
    let (mut seen, mut looks) = (full(&broker), 0_u32);
    loop {
        let now = full(&broker);
        let busy = now > seen + 1;
        (seen, looks) = (now, looks.wrapping_add(1));
        let most = match busy {
            false => u64::MAX,
            true if looks.is_multiple_of(SELDOM) => WHILE_BUSY,
            true => 0,
        };
        match go_on(&broker, &mut compared, most).await {
            Ok(()) => told = false,
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "searches of the log are slower: its summaries cannot be kept");
            }
            Err(_) => {}
        }
        tokio::time::sleep(pace).await;
    }
}

/// Takes in bundles that are full, so many at the most.
pub(super) async fn go_on(broker: &Broker, compared: &mut bool, most: u64) -> Result<(), Hindrance> {
    let summaries = &broker.audit.summaries;
    if !*compared || summaries.are_doubted() {
        compare(broker).await?;
        *compared = true;
    }
    let upto = full(broker).min(summaries.count().saturating_add(most));
    while summaries.count() < upto && broker.room_for(Lane::Background).is_ok() {
        let summary = summarise(broker, summaries.count()).await?;
        on_disk(summaries, move |summaries| summaries.append(&summary)).await?;
    }
    Ok(())
}

/// Keeps those in the file that are of this log: if the first and the last are, those between are as well, for a log only
/// grows, and no two logs have the same 256 events at one place after they went apart: each has an id drawn at random or
/// an instant of its own. A store that was put back, and another log, have other events there.
async fn compare(broker: &Broker) -> Result<(), Hindrance> {
    let summaries = &broker.audit.summaries;
    let standing = on_disk(summaries, |summaries| summaries.standing()).await?;
    let common = standing.min(full(broker));
    let mut kept = common;
    for bundle in [Some(0), common.checked_sub(1)].into_iter().flatten().filter(|bundle| *bundle < common) {
        let found = on_disk(summaries, move |summaries| summaries.at(bundle)).await?;
        if found != Some(summarise(broker, bundle).await?) {
            kept = 0;
        }
    }
    if kept < standing {
        tracing::info!(kept, dropped = standing - kept, "summaries that are not of this log are made anew");
    }
    on_disk(summaries, move |summaries| summaries.keep(kept)).await
}

/// How many bundles of the log are full.
fn full(broker: &Broker) -> u64 {
    broker.store.head().borrow().revision.get() / BUNDLE
}

async fn summarise(broker: &Broker, bundle: u64) -> Result<Summary, Hindrance> {
    let most = usize::try_from(BUNDLE).unwrap_or_default();
    let entries = broker.store.log(Revision::new(bundle * BUNDLE), most).await?;
    let made = tokio::task::spawn_blocking(move || Summary::of(bundle, &entries)).await;
    made.map_err(|_| Hindrance::BrokenOff)?.map_err(|source| Hindrance::Event { bundle, source })
}

async fn on_disk<T: Send + 'static>(
    summaries: &Arc<Summaries>,
    work: impl FnOnce(&Summaries) -> io::Result<T> + Send + 'static,
) -> Result<T, Hindrance> {
    let summaries = Arc::clone(summaries);
    let done = tokio::task::spawn_blocking(move || work(&summaries)).await;
    Ok(done.map_err(|_| Hindrance::BrokenOff)??)
}
