//! By what verifiers checked before: the limits that audiences had, and the audiences that verifiers were registered for.
//! Who was not told of a change yet goes on by what was there before it, and a receipt counts with that. Known to this
//! process alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use daypass_core::{Body, Event};
use daypass_credential::{Name, NodeKind, Timestamp, Ttl};

use super::keys::open;
use crate::{broker::Broker, refusal::Refusal};

/// What was there before, and until when at the latest.
#[derive(Default)]
pub(crate) struct Terms {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    audiences: BTreeMap<Name, Limits>,
    verifiers: BTreeMap<Name, Registered>,
}

struct Limits {
    now: Ttl,
    before: BTreeMap<Ttl, Timestamp>,
}

struct Registered {
    now: BTreeSet<Name>,
    before: BTreeMap<Name, Timestamp>,
}

impl Terms {
    /// Takes in what an event says, which was in the log by this instant.
    pub(super) fn take(&self, event: &Event, by: Timestamp) {
        event.puts.iter().for_each(|put| self.put(&put.node.body, by));
    }

    fn put(&self, body: &Body, by: Timestamp) {
        let mut book = self.book();
        if let Body::Audience(new) = body {
            let fresh = || Limits { now: new.staleness, before: BTreeMap::new() };
            let known = book.audiences.entry(new.name.clone()).or_insert_with(fresh);
            if known.now != new.staleness {
                known.before.insert(known.now, by);
                known.now = new.staleness;
            }
        }
        if let Body::Verifier(new) = body {
            let fresh = || Registered { now: new.audiences.clone(), before: BTreeMap::new() };
            let known = book.verifiers.entry(new.name.clone()).or_insert_with(fresh);
            let lost: Vec<Name> = known.now.difference(&new.audiences).cloned().collect();
            known.before.extend(lost.into_iter().map(|audience| (audience, by)));
            known.now.clone_from(&new.audiences);
        }
    }

    /// The limits that an audience had before, each with when it was replaced.
    pub(crate) fn limits_before(&self, audience: &Name) -> Vec<(Ttl, Timestamp)> {
        let before = |known: &Limits| known.before.iter().map(|(limit, at)| (*limit, *at)).collect();
        self.book().audiences.get(audience).map(before).unwrap_or_default()
    }

    /// The audiences that a verifier checked for and does not now, each with when that changed.
    pub(crate) fn checked_before(&self, verifier: &Name) -> BTreeMap<Name, Timestamp> {
        let book = self.book();
        let Some(known) = book.verifiers.get(verifier) else { return BTreeMap::new() };
        let lost = known.before.iter().filter(|(audience, _)| !known.now.contains(*audience));
        lost.map(|(audience, at)| (audience.clone(), *at)).collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins with what the directory says: a change that comes is one of that.
pub(super) async fn begin(broker: &Broker) -> Result<(), Refusal> {
    for kind in [NodeKind::Audience, NodeKind::Verifier] {
        for stored in open(broker, kind).await? {
            broker.feed.terms().put(&stored.node.body, Timestamp::ZERO);
        }
    }
    Ok(())
}
