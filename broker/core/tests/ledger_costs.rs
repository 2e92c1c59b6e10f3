//! What following an event costs: the same whatever died before, since everything that verifiers hear of waits for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/history.rs"]
mod history;
mod support;

use std::time::{Duration, Instant};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, Node,
    event::{Bound, TokenRecord},
    ledger::{Ledger, Reach, When},
    node::EndedCredential,
};
use daypass_credential::{Revision, Timestamp};
use history::History;
use support::{application, id, name, vendor};

/// Many enough that walking them takes longer than any hiccup.
const MANY: u64 = 60_000;
const UNTIL: Timestamp = Timestamp::from_secs(1_000_000);

#[derive(Clone)]
struct Log {
    ledger: Ledger,
    head: Revision,
}

impl Log {
    fn new() -> Self {
        let mut log = Self { ledger: Ledger::default(), head: Revision::ZERO };
        log.take(&History::begun().events[0]);
        log
    }

    fn take(&mut self, event: &Event) -> Reach {
        self.head = self.head.next();
        self.ledger.take(self.head, event).unwrap().pop().map_or(Reach::Nothing, |fallen| fallen.reach)
    }

    fn mint(&mut self, lineage: &str) -> Revision {
        let record = TokenRecord {
            application: name("a"),
            audience: name("billing"),
            scopes: "read".parse().unwrap(),
            lineage: lineage.parse().unwrap(),
            thumbprint: None,
            issued: Timestamp::from_secs(1),
            expires: UNTIL,
            bound_by: Bound::Scope,
            key: name("token-1"),
        };
        self.take(&event(Action::TokenMinted(record)));
        self.head
    }

    fn cut(&mut self, node: &str) -> Reach {
        let id = id(node);
        let body = match node.split_once(':').unwrap() {
            ("credential", number) => Body::Credential(EndedCredential { name: number.parse().unwrap() }),
            ("application", name) => Body::Application(application(name)),
            (_, name) => Body::Vendor(vendor(name, None, "olga")),
        };
        let node = Node { life: Life::Ended, body };
        self.take(&event(Action::Ended { node: id, reason: None }).cut(node))
    }

    /// Cuts this, under which nothing is alive, in much less time than all that is kept could be looked at. The best of
    /// a few attempts counts, because what else runs here takes time as well.
    fn check(&self, node: &str) {
        let when = When { now: Timestamp::from_secs(1), revision: self.head };
        let best = |run: &dyn Fn() -> Duration| (0..5).map(|_| run()).min().unwrap();
        let walk = best(&|| timed(|| assert!(self.ledger.count(&id("vendor:v"), when).is_ok())));
        let took = best(&|| {
            let mut log = self.clone();
            timed(|| assert_eq!(log.cut(node), Reach::Nothing))
        });
        assert!(took * 4 < walk, "{took:?} to cut `{node}`, where looking at everything takes {walk:?}");
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}

fn event(action: Action) -> Event {
    Event::new(Timestamp::from_secs(1), ChangeId::new([1; 16]), Actor::Broker, action)
}

#[test]
fn the_end_of_what_was_suspended_walks_nothing() {
    let mut log = Log::new();
    for n in 0..MANY {
        log.mint(&format!("vendor:v application:a{}", n % 500));
    }
    assert_eq!(log.cut("vendor:v"), Reach::Relied);
    log.check("vendor:v");
}

#[test]
fn the_end_of_what_died_under_something_else_walks_no_credentials() {
    let mut log = Log::new();
    for _ in 0..MANY {
        log.mint("vendor:v application:a");
    }
    assert_eq!(log.cut("vendor:v"), Reach::Relied);
    log.check("application:a");
}
