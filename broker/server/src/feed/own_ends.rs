//! How much of its own each application has ended that is still remembered: a partner that opens and ends things in a loop
//! would fill the memory of every verifier. Followed from the log, so that a restart counts the same.
//!
//! INVARIANT (ending never refuses): this is asked before something is opened, and never before something is ended.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use daypass_core::{
    Action, Actor, Denial, Event,
    ledger::{Fallen, Reach},
};
use daypass_credential::{Name, NodeId, NodeKind, Timestamp, Ttl};

/// How many own ends of one application are remembered before nothing more is opened for it.
pub(crate) const MOST: usize = 1024;

/// What applications ended by themselves and is remembered, until the horizon passes it.
#[derive(Default)]
pub(crate) struct OwnEnds {
    applications: RwLock<HashMap<Name, Latest>>,
}

/// The latest instants up to which an application's own ends are remembered, soonest on top; [`MOST`] of them at the most.
/// Others are over before these, so that they need no place: ends beyond the limit take no memory here.
#[derive(Debug, Clone, Default)]
struct Latest(BinaryHeap<Reverse<Timestamp>>);

impl OwnEnds {
    /// Takes in an event, and what became of the nodes that it cut.
    pub(super) fn take(&self, event: &Event, fallen: &[Fallen]) {
        let Some(application) = ends_its_own(event) else { return };
        // What killed nothing is not remembered by anybody.
        for fell in fallen.iter().filter(|fell| fell.reach != Reach::Nothing) {
            self.write().entry(application.clone()).or_default().add(fell.cut.until);
        }
    }

    /// The horizon has come this far: nobody remembers what expired up to there.
    pub(super) fn forget(&self, horizon: Timestamp) {
        self.write().retain(|_, latest| latest.forget(horizon));
    }

    /// May something be opened for this subject?
    pub(crate) fn room(&self, subject: &NodeId) -> Result<(), Denial> {
        if subject.kind != NodeKind::Application {
            return Ok(());
        }
        let full = self.read().get(&subject.name).and_then(Latest::full);
        full.map_or(Ok(()), |until| {
            // The horizon follows the clock with that delay, and does so in steps.
            let free_at = until.after(super::worker::BEHIND).after(STEP);
            Err(Denial::TooManyEnded { application: subject.name.clone(), free_at })
        })
    }

    /// All of it, to be kept for the next process.
    pub(super) fn kept(&self) -> BTreeMap<Name, Vec<Timestamp>> {
        let all = self.read();
        let until = |latest: &Latest| latest.0.iter().map(|until| until.0).collect();
        all.iter().map(|(application, latest)| (application.clone(), until(latest))).collect()
    }

    /// Goes on with what an earlier process kept.
    pub(super) fn go_on(&self, kept: BTreeMap<Name, Vec<Timestamp>>) {
        for (application, until) in kept {
            let mut all = self.write();
            let latest = all.entry(application).or_default();
            until.into_iter().for_each(|until| latest.add(until));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Name, Latest>> {
        self.applications.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Name, Latest>> {
        self.applications.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latest {
    fn add(&mut self, until: Timestamp) {
        self.0.push(Reverse(until));
        if self.0.len() > MOST {
            self.0.pop();
        }
    }

    /// Is anything left?
    fn forget(&mut self, horizon: Timestamp) -> bool {
        while self.0.peek().is_some_and(|until| until.0 <= horizon) {
            self.0.pop();
        }
        !self.0.is_empty()
    }

    /// If it is full, when the first of those is over.
    fn full(&self) -> Option<Timestamp> {
        self.0.peek().filter(|_| self.0.len() >= MOST).map(|until| until.0)
    }
}

/// The application that ended something by itself. It has no other right to end than over its own.
pub(super) fn ends_its_own(event: &Event) -> Option<&Name> {
    let Action::Ended { .. } = event.action else { return None };
    match &event.actor {
        Actor::Caller { subject, .. } if subject.kind == NodeKind::Application => Some(&subject.name),
        Actor::Caller { .. } | Actor::Broker | Actor::Code { .. } | Actor::Stranger => None,
    }
}

/// The longest step of the horizon.
const STEP: Ttl = Ttl::seconds(5);

#[cfg(test)]
mod tests {
    use daypass_core::{ChangeId, event::Rule};
    use daypass_credential::{Cut, Revision};

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn id(text: &str) -> NodeId {
        text.parse().unwrap()
    }

    /// Somebody ends a credential that is remembered until then.
    fn end(ends: &OwnEnds, by: &str, until: Timestamp) {
        fell(ends, by, until, Reach::Relied);
    }

    fn fell(ends: &OwnEnds, by: &str, until: Timestamp, reach: Reach) {
        let (identity, credential) = ("i1".parse().unwrap(), Revision::new(5));
        let actor = Actor::Caller { subject: id(by), identity, credential };
        let node = id("credential:7");
        let action = Action::Ended { node: node.clone(), reason: None };
        let event = Event {
            rule: Some(Rule::OWN_CREDENTIAL),
            ..Event::new(NOON, ChangeId::new([1; 16]), actor, action)
        };
        ends.take(&event, &[Fallen { cut: Cut { node, at: Revision::new(9), until }, reach }]);
    }

    fn later(secs: u16) -> Timestamp {
        NOON.after(Ttl::seconds(secs))
    }

    fn full_of(ends: &OwnEnds, application: &str) -> bool {
        ends.room(&id(application)).is_err()
    }

    #[test]
    fn at_the_limit_nothing_is_opened_and_one_below_it_is() {
        let ends = OwnEnds::default();
        (1..MOST).for_each(|_| end(&ends, "application:sync", later(60)));
        assert!(!full_of(&ends, "application:sync"));
        end(&ends, "application:sync", later(30));
        let again = OwnEnds::default();
        again.go_on(ends.kept());
        assert_eq!(
            again.room(&id("application:sync")),
            ends.room(&id("application:sync")),
            "a restart counts the same"
        );
        assert_eq!(
            ends.room(&id("application:sync")),
            Err(Denial::TooManyEnded { application: "sync".parse().unwrap(), free_at: later(30 + 65) })
        );
        assert!(!full_of(&ends, "application:other") && !full_of(&ends, "verifier:sync"));
    }

    #[test]
    fn there_is_room_again_once_the_horizon_reaches_the_first_expiry_and_not_before() {
        let ends = OwnEnds::default();
        (1..MOST).for_each(|_| end(&ends, "application:sync", later(60)));
        end(&ends, "application:sync", later(30));
        ends.forget(Timestamp::from_millis(later(30).as_millis() - 1));
        assert!(full_of(&ends, "application:sync"));
        ends.forget(later(30));
        assert!(!full_of(&ends, "application:sync"));
        end(&ends, "application:sync", later(90));
        assert!(full_of(&ends, "application:sync"), "it is counted on from there");
    }

    /// However many were ended beyond the limit, there is no room before fewer than the limit are remembered.
    #[test]
    fn what_goes_beyond_the_limit_counts_and_takes_no_memory() {
        let ends = OwnEnds::default();
        let most = u16::try_from(MOST).unwrap();
        // The soonest last, so that the order of the log is not that of the expiries.
        (1..=most + 500).rev().for_each(|secs| end(&ends, "application:sync", later(secs)));
        assert_eq!(ends.read().values().map(|latest| latest.0.len()).sum::<usize>(), MOST);
        ends.forget(later(500));
        assert!(full_of(&ends, "application:sync"), "{MOST} are remembered still");
        ends.forget(later(501));
        assert!(!full_of(&ends, "application:sync"));
        ends.forget(later(most + 500));
        assert!(ends.read().is_empty());
    }

    #[test]
    fn neither_what_killed_nothing_nor_what_others_end_counts() {
        let ends = OwnEnds::default();
        for _ in 0..=MOST {
            fell(&ends, "application:sync", Timestamp::ZERO, Reach::Nothing);
            end(&ends, "person:dana", later(60));
            end(&ends, "verifier:sync", later(60));
        }
        assert!(ends.read().is_empty());
        fell(&ends, "application:sync", later(60), Reach::Identities);
        assert_eq!(ends.read().len(), 1, "an identity certificate is remembered too");
    }

    #[test]
    fn only_ends_count() {
        let ends = OwnEnds::default();
        let actor = Actor::Caller {
            subject: id("application:sync"),
            identity: "i1".parse().unwrap(),
            credential: Revision::new(5),
        };
        let node = id("identity:i1");
        let because = daypass_core::event::Suspicion::RenewedTwice;
        let action = Action::Suspended { node: node.clone(), because };
        let event = Event::new(NOON, ChangeId::new([1; 16]), actor, action);
        let cut = Cut { node, at: Revision::new(9), until: later(60) };
        ends.take(&event, &[Fallen { cut, reach: Reach::Relied }]);
        assert!(ends.read().is_empty(), "who is suspended opens nothing more");
    }
}
