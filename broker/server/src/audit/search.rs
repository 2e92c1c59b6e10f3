//! A search through the log, bundle by bundle, in either direction. A bundle whose summary shows that it cannot match is
//! passed over unread.

use std::sync::Arc;

use daypass_core::Event;
use daypass_credential::Revision;
use daypass_store::{Entry, Store};

use super::{BUNDLE, Filter, Summaries, summaries::CHUNK, summary::Probe};
use crate::{broker::Broker, refusal::Refusal};

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Everything after a revision that fits, oldest first: for the broker itself, which looks for few things.
pub(crate) async fn search(broker: &Broker, filter: Filter, after: Revision) -> Result<Vec<Entry>, Refusal> {
    let head = broker.store.head().borrow().revision;
    let (mut search, mut found) = (Search::new(filter, Order::OldestFirst, after), Vec::new());
    while !search.is_through(head) {
        found.extend(search.step(&*broker.store, &broker.audit.summaries, head).await?);
    }
    Ok(found)
}

/// How far a search has come.
pub(super) struct Search {
    filter: Arc<Filter>,
    /// None where everything fits.
    probe: Option<Arc<Probe>>,
    order: Order,
    /// Oldest first: all up to this were looked at. Newest first: all down to this.
    reached: u64,
    /// What was last asked of the summaries: from which bundle on, and which of them may match.
    asked: (u64, Vec<bool>),
}

impl Search {
    /// A search that begins after (newest first: before) this revision.
    pub(super) fn new(filter: Filter, order: Order, reached: Revision) -> Self {
        let probe = (!filter.is_empty()).then(|| Arc::new(Probe::of(&filter)));
        Self { filter: Arc::new(filter), probe, order, reached: reached.get(), asked: (0, Vec::new()) }
    }

    pub(super) const fn reached(&self) -> Revision {
        Revision::new(self.reached)
    }

    /// Is everything looked at, up to this head?
    pub(super) const fn is_through(&self, head: Revision) -> bool {
        match self.order {
            Order::OldestFirst => self.reached >= head.get(),
            Order::NewestFirst => self.reached <= 1,
        }
    }

    /// Goes on by a bundle, or past some that cannot match: what fits there, in the order of the search.
    pub(super) async fn step(
        &mut self,
        store: &dyn Store,
        summaries: &Arc<Summaries>,
        head: Revision,
    ) -> Result<Vec<Entry>, Refusal> {
        let bundle = match self.order {
            Order::OldestFirst => self.reached / BUNDLE,
            Order::NewestFirst => self.reached.saturating_sub(2) / BUNDLE,
        };
        if !self.may_match(summaries, bundle).await? {
            self.pass(bundle, head);
            return Ok(Vec::new());
        }
        let (from, to) = match self.order {
            Order::OldestFirst => (self.reached, ((bundle + 1) * BUNDLE).min(head.get())),
            Order::NewestFirst => (bundle * BUNDLE, self.reached - 1),
        };
        let entries = read(store, from, to).await?;
        let mut fitting = self.fitting(entries).await?;
        if self.order == Order::NewestFirst {
            fitting.reverse();
        }
        self.reached = match self.order {
            Order::OldestFirst => to,
            Order::NewestFirst => from + 1,
        };
        Ok(fitting)
    }

    /// Passes over this bundle, and those next to it that are known not to match either.
    fn pass(&mut self, bundle: u64, head: Revision) {
        let (first, answers) = &self.asked;
        let cannot = |bundle: u64| {
            let place = bundle.checked_sub(*first).and_then(|at| usize::try_from(at).ok());
            place.and_then(|at| answers.get(at)) == Some(&false)
        };
        let mut last = bundle;
        match self.order {
            Order::OldestFirst => {
                while cannot(last + 1) {
                    last += 1;
                }
                self.reached = ((last + 1) * BUNDLE).min(head.get());
            }
            Order::NewestFirst => {
                while last.checked_sub(1).is_some_and(cannot) {
                    last -= 1;
                }
                self.reached = last * BUNDLE + 1;
            }
        }
    }

    /// May there be something in this bundle? One without a summary may.
    async fn may_match(&mut self, summaries: &Arc<Summaries>, bundle: u64) -> Result<bool, Refusal> {
        let Some(probe) = &self.probe else { return Ok(true) };
        if bundle >= summaries.count() {
            return Ok(true);
        }
        let known = |(first, answers): &(u64, Vec<bool>)| {
            let place = bundle.checked_sub(*first).and_then(|at| usize::try_from(at).ok());
            place.and_then(|at| answers.get(at)).copied()
        };
        if let Some(answer) = known(&self.asked) {
            return Ok(answer);
        }
        let first = match self.order {
            Order::OldestFirst => bundle,
            Order::NewestFirst => (bundle + 1).saturating_sub(CHUNK),
        };
        let (summaries, probe) = (Arc::clone(summaries), Arc::clone(probe));
        let most = bundle + 1 - first;
        let most = if self.order == Order::OldestFirst { CHUNK } else { most };
        let asked = tokio::task::spawn_blocking(move || summaries.ask(first, most, &probe)).await;
        self.asked = (first, asked.map_err(Refusal::internal)?);
        Ok(known(&self.asked).unwrap_or(true))
    }

    /// Those that fit. Reading many events takes a while, and is kept off the tasks that answer others.
    async fn fitting(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, Refusal> {
        if self.filter.is_empty() {
            return Ok(entries);
        }
        let filter = Arc::clone(&self.filter);
        let sieve = move || sieve(&filter, entries);
        tokio::task::spawn_blocking(sieve).await.map_err(Refusal::internal)?
    }
}

fn sieve(filter: &Filter, entries: Vec<Entry>) -> Result<Vec<Entry>, Refusal> {
    let mut fitting = Vec::new();
    for entry in entries {
        let event = Event::from_bytes(&entry.event)
            .map_err(|error| Refusal::internal(format!("event {}: {error}", entry.revision)))?;
        if filter.matches(&event) {
            fitting.push(entry);
        }
    }
    Ok(fitting)
}

/// The entries after `from` and up to `to`: all of them, or it is no log.
async fn read(store: &dyn Store, from: u64, to: u64) -> Result<Vec<Entry>, Refusal> {
    let wanted = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let entries = store.log(Revision::new(from), wanted).await?;
    if entries.len() != wanted {
        return Err(Refusal::internal(format!("the log has no {wanted} entries after revision {from}")));
    }
    Ok(entries)
}
