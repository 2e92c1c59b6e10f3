//! The record of refusals: an event for a known caller, a count for strangers, and no flood of either.
//!
//! A known caller's refusal is an event, up to a number a minute; beyond it, and for callers whom nobody knows, only
//! counts are kept per (caller, method, reason): the first becomes an event at once, the others one count a minute.
//! The table is bounded, and nothing of it is ever ahead of a mint.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Facts,
    authority::may_be_told_of,
    event::{Method, Reason},
};
use daypass_credential::{Name, NodeId, NodeKind, Revision};
use daypass_store::{Change, Lane};

use crate::{
    broker::Broker,
    call::Call,
    refusal::{Kind, Refusal},
};

/// How many refusals of one caller a minute are events.
const PER_MINUTE: u32 = 30;
/// How many rows the table has at the most; what does not fit is counted under no name.
const ROWS: usize = 4096;
/// How often counts are written.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

/// How long the answer to a refusal waits for its event's revision.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is counted together. No caller for strangers.
type Key = (Option<Name>, Method, Reason);

/// The counts since they were last written.
#[derive(Default)]
pub(crate) struct Refusals {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// How many events each caller has caused this minute.
    events: HashMap<Name, u32>,
    counts: HashMap<Key, Count>,
}

struct Count {
    whom: Whom,
    /// Not written yet.
    waiting: u64,
}

/// Who was refused, as events name them.
#[derive(Clone)]
struct Whom {
    actor: Actor,
    behalf: Option<NodeId>,
}

impl Whom {
    const STRANGER: Self = Self { actor: Actor::Stranger, behalf: None };
}

/// What to do about one refusal.
#[derive(Debug, PartialEq, Eq)]
enum Weight {
    Event,
    Counted,
}

impl Refusals {
    /// Weighs a known caller's; without room on the disk it is counted until there is some.
    fn known(&self, caller: &Name, whom: Whom, method: &Method, reason: &Reason, room: bool) -> Weight {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let full = table.events.len() >= ROWS && !table.events.contains_key(caller);
        if !full && room {
            let events = table.events.entry(caller.clone()).or_default();
            if *events < PER_MINUTE {
                *events += 1;
                return Weight::Event;
            }
        }
        table.count((Some(caller.clone()), method.clone(), reason.clone()), whom, 1);
        Weight::Counted
    }

    /// Counts a stranger's; true for the first of its kind this minute, which is written at once.
    fn stranger(&self, method: &Method, reason: &Reason, room: bool) -> bool {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (None, method.clone(), reason.clone());
        let first = room && !table.counts.contains_key(&key);
        table.count(key, Whom::STRANGER, u64::from(!first));
        first
    }

    /// Takes what waits to be written; a kind that was quiet for a minute is forgotten.
    fn take(&self) -> Vec<(Key, Whom, u64)> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.events.clear();
        table.counts.retain(|_, count| count.waiting > 0);
        let take = |(key, count): (&Key, &mut Count)| {
            (key.clone(), count.whom.clone(), std::mem::take(&mut count.waiting))
        };
        table.counts.iter_mut().map(take).collect()
    }
}

impl Table {
    fn count(&mut self, key: Key, whom: Whom, by: u64) {
        if self.counts.len() >= ROWS && !self.counts.contains_key(&key) {
            let (_, method, reason) = key;
            let count = self.counts.entry((None, method, reason));
            count.or_insert(Count { whom: Whom::STRANGER, waiting: 0 }).waiting += by;
            return;
        }
        self.counts.entry(key).or_insert(Count { whom, waiting: 0 }).waiting += by;
    }
}

impl Broker {
    /// Records that somebody who showed a code was refused. A code that nobody knows is a stranger's.
    pub(crate) async fn refused_code(&self, method: &Method, code: &Name, refusal: &Refusal) {
        let Some(behalf) = self.behind_code(code).await else {
            return self.refused_stranger(method, refusal).await;
        };
        let whom = Whom { actor: Actor::Code { enrollment: code.clone() }, behalf };
        let reason = refusal.reason();
        if self.refusals.known(code, whom.clone(), method, &reason, self.has_room()) == Weight::Event {
            tracing::info!(%method, enrollment = %code, %reason, "refused");
            self.write(whom, Action::Refused { method: method.clone(), reason, about: None }).await;
        }
    }

    /// The vendor whose application this code is for, if it is for one; none at all if there is no such code.
    async fn behind_code(&self, code: &Name) -> Option<Option<NodeId>> {
        let node = NodeId::new(NodeKind::Enrollment, code.clone());
        let code = self.store.nodes(&[node]).await.ok()?.pop().flatten()?;
        let Body::Enrollment(enrollment) = &code.node.body else { return None };
        let subject = self.store.nodes(std::slice::from_ref(&enrollment.subject)).await.ok()?.pop().flatten();
        Some(subject.and_then(|subject| match &subject.node.body {
            Body::Application(found) => Some(NodeId::new(NodeKind::Vendor, found.vendor.clone())),
            _ => None,
        }))
    }

    /// Records that a known caller was refused; the revision of the event, if there is one. A store that cannot take
    /// it changes nothing about the refusal. `asked_about` is the object of the request, as the caller named it.
    pub(crate) async fn refused(
        &self,
        call: &Call,
        refusal: &Refusal,
        asked_about: Option<NodeId>,
    ) -> Option<Revision> {
        // A fault of the broker's own is no refusal by the rules.
        let Kind::Class(_) = refusal.kind() else {
            return None;
        };
        let (reason, behalf) = (refusal.reason(), call.caller.behalf().cloned());
        let whom = Whom { actor: call.actor(), behalf };
        let Call { method, caller, .. } = call;
        match self.refusals.known(&caller.identity, whom.clone(), method, &reason, self.has_room()) {
            Weight::Event => {
                tracing::info!(%method, caller = %caller.subject, identity = %caller.identity, %reason, "refused");
                let about = self.about(call, refusal, asked_about).await;
                self.write(whom, Action::Refused { method: method.clone(), reason, about }).await
            }
            Weight::Counted => None,
        }
    }

    /// What a refusal was about: what the rules name, or what was asked about. INVARIANT (no caller's words): only what
    /// exists and the caller may know of, so that nobody writes a name of their own into the log.
    async fn about(&self, call: &Call, refusal: &Refusal, asked_about: Option<NodeId>) -> Option<NodeId> {
        let named = match refusal {
            Refusal::Denied(denial) => denial.about(),
            _ => None,
        };
        for node in named.into_iter().chain(asked_about) {
            let mut facts = Facts::default();
            let told = self.decide(&mut facts, |facts| may_be_told_of(facts, &call.caller, &node)).await;
            if matches!(told, Ok(true)) {
                return Some(node);
            }
        }
        None
    }

    /// Records that somebody whom nobody knows was refused.
    pub(crate) async fn refused_stranger(&self, method: &Method, refusal: &Refusal) {
        let reason = refusal.reason();
        tracing::debug!(%method, %reason, "refused a stranger");
        if self.refusals.stranger(method, &reason, self.has_room()) {
            let action = Action::Refused { method: method.clone(), reason, about: None };
            self.write(Whom::STRANGER, action).await;
        }
    }

    /// Writes the counts that wait.
    pub(crate) async fn write_counts(&self) {
        if !self.has_room() {
            return;
        }
        for ((_, method, reason), whom, count) in self.refusals.take() {
            if count > 0 {
                self.write(whom, Action::RefusalsCounted { method, reason, count }).await;
            }
        }
    }

    fn has_room(&self) -> bool {
        self.room_for(Lane::Background).is_ok()
    }

    async fn write(&self, whom: Whom, action: Action) -> Option<Revision> {
        self.room_for(Lane::Background).ok()?;
        let id = ChangeId::new(self.entropy.bytes().ok()?);
        let Whom { actor, behalf } = whom;
        let event = Event { behalf, ..Event::new(self.stamp(), id, actor, action) };
        let change = Change { event, expect: Vec::new(), private: Vec::new() };
        // Whoever is refused does not wait long for the record; dropping the wait takes nothing back.
        match tokio::time::timeout(PATIENCE, self.store.commit(change, Lane::Background)).await {
            Ok(Ok(revision)) => Some(revision),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a refusal could not be recorded");
                None
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method = Method::new("Service/Method");
    const REASON: Reason = Reason::new("no-certificate");

    #[test]
    fn strangers_cost_one_event_at_once_and_one_count_a_minute() {
        let refusals = Refusals::default();
        assert!(refusals.stranger(&METHOD, &REASON, true));
        for _ in 0..9999 {
            assert!(!refusals.stranger(&METHOD, &REASON, true));
        }
        let counts: Vec<u64> = refusals.take().into_iter().map(|(_, _, count)| count).collect();
        assert_eq!(counts, [9999]);
        assert!(refusals.take().is_empty());
        assert!(
            refusals.stranger(&METHOD, &REASON, true),
            "after a quiet minute the next is the first again"
        );
    }

    #[test]
    fn a_known_caller_cannot_fill_the_log_either() {
        let refusals = Refusals::default();
        let name: Name = "x1".parse().unwrap();
        let weigh = || refusals.known(&name, Whom::STRANGER, &METHOD, &REASON, true);
        let events = (0..1000).filter(|_| weigh() == Weight::Event).count();
        assert_eq!(events, usize::try_from(PER_MINUTE).unwrap());
        let counted: u64 = refusals.take().into_iter().map(|(_, _, count)| count).sum();
        assert_eq!(counted, 1000 - u64::from(PER_MINUTE));
        assert_eq!(weigh(), Weight::Event, "a new minute");
    }

    #[test]
    fn without_room_refusals_are_counted_until_there_is_some() {
        let refusals = Refusals::default();
        let name: Name = "x1".parse().unwrap();
        assert_eq!(refusals.known(&name, Whom::STRANGER, &METHOD, &REASON, false), Weight::Counted);
        assert!(!refusals.stranger(&METHOD, &REASON, false));
        let mut counts: Vec<u64> = refusals.take().into_iter().map(|(_, _, count)| count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn the_table_is_bounded() {
        let refusals = Refusals::default();
        for n in 0..3 * ROWS {
            let name: Name = format!("i{n}").parse().unwrap();
            for _ in 0..=PER_MINUTE {
                refusals.known(&name, Whom::STRANGER, &METHOD, &REASON, true);
            }
        }
        let table = refusals.table.lock().unwrap();
        assert!(table.events.len() <= ROWS && table.counts.len() <= ROWS + 1);
    }
}
