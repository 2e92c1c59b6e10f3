//! The worker that follows the durable log for the feed.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use daypass_core::{
    Event,
    ledger::{Misplaced, Reach},
};
use daypass_credential::{NodeId, NodeKind, Revision, Timestamp, Ttl};
use daypass_log::Hash;
use daypass_store::{Entry, Head, StoreError};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior},
};

use super::{Feed, Tip, kept::keep_if_due, own_ends::ends_its_own, recent::RecentCut, terms};
use crate::{broker::Broker, receipts::Seen};

/// How many entries are taken in at once.
const PAGE: usize = 1024;
/// So many entries to be followed at a start are worth a word.
const LONG: u64 = 100_000;
/// How often the horizon is raised.
const HORIZON: Duration = Duration::from_secs(5);
/// How far the horizon stays behind the clock, so that a small step back of it meets no credential below.
pub(super) const BEHIND: Ttl = Ttl::seconds(60);
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
    // Before anything is followed: what expired long ago takes no memory then.
    forget(&broker);
    if let Err(refusal) = terms::begin(&broker).await {
        let words = refusal.operator_words().unwrap_or_default();
        tracing::warn!(words, "receipts take no account of what verifiers were told before this start");
    }
    say_if_long(&broker, head.borrow().revision);
    let mut horizon = tokio::time::interval(HORIZON);
    horizon.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let upto = head.borrow_and_update().revision;
        if let Err(error) = follow(&broker, upto).await {
            tracing::error!(%error, "verifiers are not told of anything: the log cannot be followed");
            if head.has_changed().is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        keep_if_due(&broker);
        match next(&mut head, &mut horizon).await {
            Next::Events => {}
            Next::Horizon => forget(&broker),
            Next::Nothing => return,
        }
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Events,
    Horizon,
    /// The store is gone.
    Nothing,
}

/// The horizon goes first, since it comes seldom: a log that always has more would keep it where it is, and what expired
/// would never be forgotten.
async fn next(head: &mut watch::Receiver<Head>, horizon: &mut Interval) -> Next {
    tokio::select! {
        biased;
        _ = horizon.tick() => Next::Horizon,
        changed = head.changed() => if changed.is_ok() { Next::Events } else { Next::Nothing },
    }
}

fn say_if_long(broker: &Broker, upto: Revision) {
    let from = broker.feed.ledger(|ledger| ledger.head());
    if upto.get().saturating_sub(from.get()) > LONG {
        tracing::info!(%from, %upto, "the feed follows the log, which takes its time; verifiers are told once it has");
    }
}

/// Takes in everything up to a revision.
async fn follow(broker: &Broker, upto: Revision) -> Result<(), Hindrance> {
    loop {
        let reached = broker.feed.ledger(|ledger| ledger.head());
        if reached >= upto {
            return Ok(());
        }
        let entries = broker.store.log(reached, PAGE).await?;
        if entries.is_empty() {
            return Ok(());
        }
        let batch = entries.iter().map(Followed::read).collect::<Result<Vec<_>, _>>()?;
        let seen = Seen::now(broker);
        let (now, began) =
            (broker.clock.now().max(broker.store.head().borrow().at), broker.feed.attendance().began());
        let notice = |one: &Followed| {
            // Verifiers that this process told anything were told of what comes now, or go by what was before.
            let by = if one.event.at < began { one.event.at } else { now };
            broker.feed.terms().take(&one.event, by);
            broker.receipts.notice(&broker.feed, seen, one.revision, &one.event);
        };
        batch.iter().for_each(notice);
        broker.feed.take(&batch)?;
        // A long log leaves room for whoever else works here.
        tokio::task::yield_now().await;
    }
}

/// An entry of the log, read.
pub(super) struct Followed {
    revision: Revision,
    leaf: Hash,
    event: Event,
}

impl Followed {
    fn read(entry: &Entry) -> Result<Self, Hindrance> {
        let event =
            Event::from_bytes(&entry.event).map_err(|error| Hindrance::Event(entry.revision, error))?;
        Ok(Self { revision: entry.revision, leaf: Hash::leaf(&entry.event), event })
    }

    /// Does it change what verifiers check by?
    fn changes_keys(&self) -> bool {
        let kinds = [NodeKind::Key, NodeKind::Audience, NodeKind::Verifier];
        self.event.puts.iter().any(|put| kinds.contains(&put.node.id().kind))
    }

    /// What it cut of what a verifier's own standing may rest on. An application ends nothing but its own, and does so too
    /// often for everybody to hear of it.
    fn struck(&self) -> impl Iterator<Item = NodeId> {
        let kinds = [NodeKind::Verifier, NodeKind::Identity, NodeKind::Credential];
        let others = ends_its_own(&self.event).is_none();
        let cut = self.event.puts.iter().filter(move |put| others && put.cut).map(|put| put.node.id());
        cut.filter(move |id| kinds.contains(&id.kind))
    }
}

impl Feed {
    /// Takes in what came next, and says so.
    ///
    /// INVARIANT (news before place): whoever sees how far the log was followed finds all that there is to tell up to
    /// there, keys included, since an echo says that nothing is missing. Whoever waits is woken after both.
    fn take(&self, batch: &[Followed]) -> Result<(), Misplaced> {
        let (cuts, tip, taken) = self.write_down(batch);
        let batch = batch.iter().take_while(|one| one.revision <= tip.revision);
        let (mut keys, mut struck) = (None, Vec::new());
        for one in batch {
            keys = one.changes_keys().then_some(one.revision).or(keys);
            struck.extend(one.struck());
        }
        let cut = cuts.last().map(|last| last.cut.at);
        self.recent(|recent| recent.extend(cuts));
        self.news.send_if_modified(|news| {
            news.cut = cut.unwrap_or(news.cut);
            news.keys = keys.unwrap_or(news.keys);
            false
        });
        self.tip.send_replace(tip);
        self.news.send_if_modified(|_| cut.is_some() || keys.is_some());
        if !struck.is_empty() {
            // Without followers nobody hears it.
            let _heard = self.struck.send(struck.into());
        }
        taken
    }

    /// Takes in what came next: the cuts that verifiers have to hear of, and how far that is.
    fn write_down(&self, batch: &[Followed]) -> (Vec<Arc<RecentCut>>, Tip, Result<(), Misplaced>) {
        let mut cuts = Vec::new();
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        for one in batch {
            match book.ledger.take(one.revision, &one.event) {
                Ok(fallen) => {
                    book.leaf = one.leaf;
                    self.own_ends.take(&one.event, &fallen);
                    let relied = fallen.into_iter().filter(|fallen| fallen.reach == Reach::Relied);
                    cuts.extend(
                        relied.map(|one_cut| Arc::new(RecentCut { cut: one_cut.cut, leaf: one.leaf })),
                    );
                }
                Err(error) => return (cuts, book.tip(), Err(error)),
            }
        }
        (cuts, book.tip(), Ok(()))
    }

    /// Raises the horizon to this instant, or as far as nobody holds it back.
    fn raise_horizon(&self, to: Timestamp) {
        let to = self.horizon_at_most(to);
        let horizon = {
            let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
            book.ledger.forget(to);
            self.own_ends.forget(book.ledger.horizon());
            book.ledger.horizon()
        };
        self.news.send_if_modified(|news| {
            let rises = horizon > news.horizon;
            news.horizon = horizon;
            rises
        });
    }
}

/// Raises the horizon, by a clock that is believed alone.
pub(super) fn forget(broker: &Broker) {
    if let Ok(now) = broker.trusted_now() {
        broker.feed.raise_horizon(now.before(BEHIND));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_horizon_is_raised_however_fast_the_log_grows() {
        let (grows, mut head) = watch::channel(Head { revision: Revision::ZERO, at: Timestamp::ZERO });
        let mut horizon = tokio::time::interval(HORIZON);
        let mut came = Vec::new();
        for _ in 0..3 {
            grows.send_modify(|_| {});
            came.push(next(&mut head, &mut horizon).await);
            head.borrow_and_update();
        }
        assert_eq!(came, [Next::Horizon, Next::Events, Next::Events]);
        tokio::time::advance(HORIZON).await;
        grows.send_modify(|_| {});
        assert_eq!(next(&mut head, &mut horizon).await, Next::Horizon);
        drop(grows);
        assert_eq!(next(&mut head, &mut horizon).await, Next::Events, "the last of them");
        assert_eq!(next(&mut head, &mut horizon).await, Next::Nothing);
    }
}
