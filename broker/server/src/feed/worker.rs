//! The worker that follows the durable log for the feed.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use daypass_core::{Event, ledger::Misplaced};
use daypass_credential::{Revision, Timestamp, Ttl};
use daypass_log::Hash;
use daypass_store::StoreError;

use super::Tip;
use crate::broker::Broker;

/// How many entries are taken in at once.
const PAGE: usize = 1024;
/// How often the horizon is raised.
const HORIZON: Duration = Duration::from_secs(5);
/// How far the horizon stays behind the clock, so that a small step back of it meets no credential below.
const BEHIND: Ttl = Ttl::seconds(60);
/// How long to wait after something went wrong.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the log is not followed.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("event {0} cannot be read: {1}")]
    Event(Revision, serde_json::Error),
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
}

/// Follows the log for as long as the store lives.
pub(crate) async fn keep_feed(broker: Arc<Broker>) {
    let mut head = broker.store.head();
    let mut horizon = tokio::time::interval(HORIZON);
    loop {
        let done = head.borrow_and_update().revision;
        match follow(&broker, done).await {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%error, "verifiers are not told of anything: the log cannot be followed");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        }
        tokio::select! {
            biased;
            changed = head.changed() => if changed.is_err() { return },
            _ = horizon.tick() => forget(&broker),
        }
    }
}

/// Takes in everything up to a revision.
async fn follow(broker: &Broker, upto: Revision) -> Result<(), Hindrance> {
    let feed = &broker.feed;
    loop {
        let reached = feed.tip.borrow().revision;
        if reached >= upto {
            return Ok(());
        }
        let entries = broker.store.log(reached, PAGE).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        let tip = Tip { revision: last.revision, leaf: Hash::leaf(&last.event) };
        let read = |entry: &daypass_store::Entry| {
            let event = Event::from_bytes(&entry.event);
            event
                .map(|event| (entry.revision, event))
                .map_err(|error| Hindrance::Event(entry.revision, error))
        };
        let events = entries.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let now = broker.clock.now();
        events.iter().for_each(|(revision, event)| broker.receipts.notice(feed, now, *revision, event));
        {
            let mut ledger = feed.ledger.write().unwrap_or_else(PoisonError::into_inner);
            for (revision, event) in &events {
                ledger.take(*revision, event)?;
            }
        }
        feed.tip.send_replace(tip);
    }
}

/// Raises the horizon, by a clock that is believed alone.
fn forget(broker: &Broker) {
    let Ok(now) = broker.trusted_now() else { return };
    let most: Timestamp = broker.feed.horizon_at_most(now.before(BEHIND));
    broker.feed.ledger.write().unwrap_or_else(PoisonError::into_inner).forget(most);
}
