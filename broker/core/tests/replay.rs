//! Following a log: what the real rules made passes, whatever happened; and every way to bend such a log is found, at
//! the event that was bent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/history.rs"]
mod history;
mod support;

use daypass_core::{
    Action, Actor, Body, Event, Life, Node,
    event::{Method, Previous, Reason, Rule, TreeHead},
    node::EndedCredential,
    replay::{Discrepancy, Replay},
};
use daypass_credential::{Era, NodeId, Revision, ScopeSet, Timestamp, Ttl};
use history::{History, put};
use proptest::prelude::*;
use support::{application, at, audience, contract, digest, id, key, name, vendor};

fn replay(events: &[Event]) -> Result<Replay, Discrepancy> {
    let mut replay = Replay::default();
    for (number, event) in (1..).zip(events) {
        replay.take(Revision::new(number), event)?;
    }
    Ok(replay)
}

/// One thing that somebody tries; what the rules refuse is not recorded.
#[derive(Debug, Clone)]
enum Try {
    Pass(u64),
    Enroll(usize, u8),
    Open(&'static str),
    Renew(usize, u8),
    Certificate(usize),
    Token(usize, Option<usize>, &'static str),
    End(usize, &'static str),
    EndIdentity(usize, usize),
    EndCredential(usize, usize),
    Narrow(&'static str),
    Widen,
    Move,
    Forget,
    Resume(usize),
    Refuse(usize),
    Count,
    Clock(i64),
}

const SUBJECTS: &[&str] = &["application:sync", "person:tina", "person:olga", "verifier:gate"];
const NODES: &[&str] = &[
    "vendor:acme",
    "contract:acme-2026",
    "application:sync",
    "audience:billing",
    "verifier:gate",
    "person:leaver",
    "person:tina",
];

fn attempt() -> impl Strategy<Value = Try> {
    use proptest::sample::select;
    let who = || 0..12usize;
    prop_oneof![
        6 => prop_oneof![0u64..2_000, 60_000u64..4_000_000].prop_map(Try::Pass),
        3 => select(SUBJECTS.to_vec()).prop_map(Try::Open),
        4 => (who(), 30u8..36).prop_map(|(code, key)| Try::Enroll(code, key)),
        3 => (who(), 40u8..44).prop_map(|(caller, key)| Try::Renew(caller, key)),
        6 => who().prop_map(Try::Certificate),
        8 => (who(), proptest::option::weighted(0.8, who()), select(vec!["read", "read write", "write"]))
            .prop_map(|(caller, bound, scopes)| Try::Token(caller, bound, scopes)),
        1 => (who(), select(NODES.to_vec())).prop_map(|(caller, node)| Try::End(caller, node)),
        1 => (who(), who()).prop_map(|(caller, identity)| Try::EndIdentity(caller, identity)),
        2 => (who(), 0..60usize).prop_map(|(caller, credential)| Try::EndCredential(caller, credential)),
        2 => select(vec!["contract:acme-2026", "application:sync", "audience:billing"]).prop_map(Try::Narrow),
        1 => Just(Try::Widen),
        1 => Just(Try::Move),
        1 => Just(Try::Forget),
        2 => who().prop_map(Try::Resume),
        2 => who().prop_map(Try::Refuse),
        1 => Just(Try::Count),
        1 => (-4_000_000i64..4_000_000).prop_map(Try::Clock),
    ]
}

impl Try {
    fn make(self, history: &mut History) {
        let held = |n: usize, history: &History| history.held[n % history.held.len()].clone();
        match self {
            Self::Pass(millis) => history.pass(millis),
            Self::Open(subject) => drop(history.open(subject)),
            Self::Enroll(code, key) => {
                let code = history.codes()[code % history.codes().len()].clone();
                drop(history.enroll(code.as_str(), key));
            }
            Self::Renew(caller, key) => drop(history.renew(&held(caller, history), key)),
            Self::Certificate(caller) => drop(history.certificate(&held(caller, history))),
            Self::Token(caller, bound, scopes) => {
                let bound = bound.and_then(|n| history.clients.iter().rev().nth(n).cloned());
                drop(history.token(&held(caller, history), bound.as_ref(), scopes));
            }
            Self::End(caller, node) => drop(history.end(&held(caller, history), node, None)),
            Self::EndIdentity(caller, n) => {
                let identities = history.identities();
                let identity = identities[n % identities.len()].to_string();
                drop(history.end(&held(caller, history), &identity, None));
            }
            Self::EndCredential(caller, n) => {
                let n = 1 + n % history.events.len();
                let subject = match &history.events[n - 1].action {
                    Action::Enrolled(record)
                    | Action::Renewed(record)
                    | Action::CertificateMinted(record) => record.subject.clone(),
                    Action::TokenMinted(record) => id(&format!("application:{}", record.application)),
                    _ => return,
                };
                drop(history.end(&held(caller, history), &format!("credential:{n}"), Some(&subject)));
            }
            Self::Narrow("contract:acme-2026") => {
                let mut narrower = contract("acme-2026", "acme", Some("reseller-2026"));
                narrower.end = at(50_000_000);
                drop(history.write(Body::Contract(narrower)));
            }
            Self::Narrow("application:sync") => {
                let mut narrower = application("sync");
                narrower.max_ttl = Some(Ttl::minutes(5));
                drop(history.write(Body::Application(narrower)));
            }
            Self::Narrow(_) => {
                let mut narrower = audience("billing", "prod");
                narrower.scopes[1].max_ttl = Ttl::minutes(5);
                drop(history.write(Body::Audience(narrower)));
            }
            Self::Widen => {
                for body in [
                    Body::Contract(contract("acme-2026", "acme", Some("reseller-2026"))),
                    Body::Application(application("sync")),
                    Body::Audience(audience("billing", "prod")),
                ] {
                    drop(history.write(body));
                }
            }
            Self::Move => {
                drop(history.write(Body::Contract(contract("next", "acme", Some("reseller-2026")))));
                let mut moved = application("sync");
                moved.contract = name("next");
                drop(history.write(Body::Application(moved)));
            }
            Self::Forget => drop(history.forget("leaver")),
            Self::Resume(n) => {
                let identities = history.identities();
                let mut all: Vec<_> = identities.iter().map(ToString::to_string).collect();
                all.extend(["vendor:old", "vendor:older", "vendor:acme"].map(str::to_owned));
                let _not_suspended = history.resume(&all[n % all.len()]);
            }
            Self::Refuse(caller) => {
                history.refuse(&held(caller, history), Some("audience:billing"));
            }
            Self::Count => {
                history.count_strangers();
            }
            Self::Clock(millis) => {
                history.accept_clock(Timestamp::from_millis(
                    history.now.as_millis().checked_add_signed(millis).unwrap(),
                ));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_rules_make_means_something(tries in proptest::collection::vec(attempt(), 0..120)) {
        let mut history = History::good();
        for attempt in tries {
            attempt.make(&mut history);
        }
        if let Err(found) = replay(&history.events) {
            let at = usize::try_from(found.revision.get()).unwrap() - 1;
            panic!("{found}\n{:#?}", history.events[at]);
        }
    }

    /// Left out, recorded twice, or in another order: most such logs mean nothing, and none of them crashes.
    #[test]
    fn a_log_in_disorder_is_followed_or_refused(
        tries in proptest::collection::vec(attempt(), 0..40),
        left_out in any::<prop::sample::Index>(),
        swapped in any::<prop::sample::Index>(),
    ) {
        let mut history = History::good();
        tries.into_iter().for_each(|attempt| attempt.make(&mut history));
        let mut events = history.events.clone();
        events.insert(0, events[0].clone());
        prop_assert!(replay(&events).is_err(), "it begins twice");
        let mut events = history.events.clone();
        events.push(events[events.len() - 1].clone());
        prop_assert!(replay(&events).is_err(), "the last is there twice");
        let mut events = history.events.clone();
        events.remove(0);
        prop_assert!(replay(&events).is_err(), "it does not begin");
        let mut events = history.events.clone();
        events.remove(left_out.index(events.len()));
        let _followed = replay(&events);
        let mut events = history.events;
        let at = swapped.index(events.len() - 1);
        events.swap(at, at + 1);
        let _followed = replay(&events);
    }
}

/// A log in which everything happens once, in this order after the directory was written.
fn eventful() -> History {
    let mut history = History::good();
    let sync = history.certificate_of("application:sync").unwrap();
    let client = history.certificate(&sync).unwrap();
    history.token(&sync, Some(&client), "read write").unwrap();
    history.token(&sync, None, "read").unwrap();
    history.pass(5_000);
    history.renew(&sync, 77).unwrap();
    let renewed = history.certificate_of("application:sync").unwrap();
    history.token(&renewed, Some(&client), "read").unwrap();
    history.refuse(&renewed, Some("audience:billing"));
    history.count_strangers();
    let own = format!("credential:{}", client.rev);
    history.end(&renewed, &own, Some(&id("application:sync"))).unwrap();
    history.accept_clock(history.now);
    // The certificate that was renewed asks once more, with another key.
    history.renew(&sync, 78).unwrap();
    history.resume("vendor:old").unwrap();
    let (ada, olga) = (history.admin(), history.enrolled("person:olga"));
    assert!(olga > Revision::ZERO);
    history.end(&ada, "person:leaver", None).unwrap();
    history.forget("leaver").unwrap();
    let olga = history.certificate_of("person:olga").unwrap();
    let ended = history.end(&olga, "vendor:acme", None).unwrap().unwrap();
    history.close_receipt("vendor:acme", ended);
    history
}

/// The first event that does such a thing.
fn first(history: &History, is: impl Fn(&Action) -> bool) -> usize {
    history.events.iter().position(|event| is(&event.action)).unwrap()
}

/// The last one.
fn last(history: &History, is: impl Fn(&Action) -> bool) -> usize {
    history.events.iter().rposition(|event| is(&event.action)).unwrap()
}

fn is_token(action: &Action) -> bool {
    matches!(action, Action::TokenMinted(_))
}

fn is_written(node: &'static str) -> impl Fn(&Action) -> bool {
    move |action| matches!(action, Action::Written { node: written } if *written == id(node))
}

/// Bends one event of the eventful log: it has to be found there, in these words.
#[track_caller]
fn check(which: usize, words: &str, bend: impl FnOnce(&mut Event)) {
    let mut events = eventful().events;
    let before = events[which].clone();
    bend(&mut events[which]);
    assert_ne!(events[which], before, "that bends nothing");
    let found = replay(&events[..=which]).map(drop).expect_err(words);
    assert_eq!(found.revision.get(), which as u64 + 1, "{found}");
    assert!(found.what.contains(words), "{found} says nothing of `{words}`");
}

fn token(event: &mut Event) -> &mut daypass_core::event::TokenRecord {
    match &mut event.action {
        Action::TokenMinted(record) => record,
        other => panic!("{other:?}"),
    }
}

fn certificate(event: &mut Event) -> &mut daypass_core::event::CertificateRecord {
    match &mut event.action {
        Action::Enrolled(record) | Action::Renewed(record) | Action::CertificateMinted(record) => record,
        other => panic!("{other:?}"),
    }
}

fn without(lineage: &daypass_credential::Lineage, node: &str) -> daypass_credential::Lineage {
    let rest: Vec<_> = lineage.nodes().iter().filter(|n| n.to_string() != node).cloned().collect();
    assert_ne!(rest.len(), lineage.nodes().len());
    daypass_credential::Lineage::new(rest).unwrap()
}

#[test]
fn an_eventful_log_means_something() {
    let history = eventful();
    let replayed = replay(&history.events).unwrap();
    assert_eq!(replayed.head(), history.head());
    let kinds: std::collections::BTreeSet<_> = history
        .events
        .iter()
        .map(|event| serde_json::to_value(&event.action).unwrap()["type"].to_string())
        .collect();
    assert_eq!(kinds.len(), 16, "everything: {kinds:?}");
}

#[test]
fn a_log_begins_once_and_in_order() {
    let history = eventful();
    let mut replay = Replay::default();
    let found = replay.take(Revision::new(2), &history.events[0]).unwrap_err();
    assert_eq!(found.to_string(), "revision 2: it stands where 1 has to");
    replay.take(Revision::new(1), &history.events[0]).unwrap();
    assert!(replay.take(Revision::new(2), &history.events[0]).unwrap_err().what.contains("not the first"));
    check(0, "does not begin the log", |event| event.action = Action::ClockAccepted { previous: NOW_ZERO });
    check(0, "does not begin with `vendor:acme`", |event| {
        event.puts.push(put(Node::open(Body::Vendor(vendor("acme", None, "olga"))), false));
    });
    check(3, "schema version 2", |event| event.v = 2);
    check(3, "was recorded before", |event| event.id = eventful().events[2].id);
}

const NOW_ZERO: Timestamp = Timestamp::ZERO;

#[test]
fn time_goes_on_but_for_a_second_and_where_somebody_vouches() {
    let history = eventful();
    let at = last(&history, is_token) + 1;
    let back = |millis: u64| {
        move |event: &mut Event| event.at = Timestamp::from_millis(event.at.as_millis() - millis)
    };
    check(at, "before that of the log", back(1001));
    let mut events = history.events[..=at].to_vec();
    back(1000)(&mut events[at]);
    replay(&events).unwrap();
    let clock = last(&history, |action| matches!(action, Action::ClockAccepted { .. }));
    let mut events = history.events[..=clock].to_vec();
    back(50_000)(&mut events[clock]);
    replay(&events).unwrap();
    check(clock, "a time that never was", |event| {
        event.action = Action::ClockAccepted { previous: event.at.after(Ttl::seconds(1)) };
    });
}

#[test]
fn a_receipt_is_of_an_end_and_made_once() {
    let history = eventful();
    let closing = last(&history, |action| matches!(action, Action::ReceiptClosed { .. }));
    let bent = |change: fn(&mut NodeId, &mut Revision)| {
        move |event: &mut Event| match &mut event.action {
            Action::ReceiptClosed { node, ended, .. } => change(node, ended),
            other => panic!("{other:?}"),
        }
    };
    check(closing, "was not ended at revision", bent(|_, ended| *ended = Revision::new(ended.get() - 1)));
    check(closing, "`vendor:old` was not ended", bent(|node, _| *node = id("vendor:old")));
    check(closing, "`person:leaver` was not ended", bent(|node, _| *node = id("person:leaver")));
    check(closing, "there is no `vendor:none`", bent(|node, _| *node = id("vendor:none")));
    check(closing, "such an event writes nothing", |event| {
        event.puts.push(put(Node::open(Body::Vendor(vendor("new", None, "olga"))), false));
    });
    check(closing, "a caller does not do this", |event| {
        event.actor = eventful().events[closing - 1].actor.clone();
    });
    let mut twice = eventful();
    let Action::ReceiptClosed { ended, .. } = twice.events[closing].action else { panic!() };
    twice.close_receipt("vendor:acme", ended);
    let found = replay(&twice.events).unwrap_err();
    assert!(found.what.contains("was closed before"), "{found}");
}

#[test]
fn nobody_does_what_is_not_theirs() {
    let history = eventful();
    let written = first(&history, is_written("vendor:acme"));
    let tina = history.certificate_of("person:tina").unwrap();
    let ended = last(&history, |action| matches!(action, Action::Ended { .. }));
    let refused = first(&history, |action| matches!(action, Action::Refused { .. }));
    check(written, "does not do this by itself", |event| {
        event.actor = Actor::Broker;
        event.rule = None;
    });
    check(written, "only be refused", |event| event.actor = Actor::Stranger);
    check(written, "only to enrol with", |event| event.actor = Actor::Code { enrollment: name("c0de-ada") });
    check(written, "which is later", |event| with_credential(event, written as u64 + 1));
    check(written, "is no certificate in force", |event| with_credential(event, 1));
    check(written, "says otherwise", |event| event.rule = Some(Rule::TECHNICAL_OWNER));
    check(written, "is no rule", |event| event.rule = Some(Rule::new("because")));
    check(written, "allowed by a code", |event| event.rule = Some(Rule::CODE));
    check(written, "acts on behalf", |event| event.behalf = Some(id("vendor:reseller")));
    check(ended, "may not do this", |event| {
        event.actor = Actor::Caller {
            subject: tina.subject.clone(),
            identity: tina.identity.clone(),
            credential: tina.rev,
        };
        event.rule = None;
    });
    check(ended, "is no instance of", |event| {
        let Actor::Caller { identity, .. } = &mut event.actor else { panic!() };
        *identity = tina.identity.clone();
    });
    check(refused, "allowed by no rule", |event| event.rule = Some(Rule::ADMIN));
    check(refused, "there is no `vendor:made-up`", |event| {
        event.action = Action::Refused {
            method: Method::new("x"),
            reason: Reason::new("y"),
            about: Some(id("vendor:made-up")),
        };
    });
    check(refused, "acts on behalf", |event| event.behalf = Some(id("vendor:reseller")));
    let mut events = history.events[..=refused].to_vec();
    events[refused].behalf = Some(id("vendor:acme"));
    replay(&events).unwrap();
    check(refused, "such an event writes nothing", |event| {
        event.puts.push(put(Node::open(Body::Vendor(vendor("x", None, "olga"))), false));
    });
}

fn with_credential(event: &mut Event, number: u64) {
    let Actor::Caller { credential, .. } = &mut event.actor else { panic!() };
    *credential = Revision::new(number);
}

#[test]
fn an_object_is_written_as_the_event_says_and_by_the_rules() {
    let history = eventful();
    let acme = first(&history, is_written("vendor:acme"));
    let sync = first(&history, is_written("application:sync"));
    let billing = first(&history, is_written("audience:billing"));
    let open = |body| put(Node::open(body), false);
    check(acme, "instead of", |event| event.action = Action::Written { node: id("vendor:other") });
    check(acme, "it writes nothing", |event| event.puts.clear());
    check(acme, "twice", |event| event.puts.push(event.puts[0].clone()));
    check(acme, "as well", |event| event.puts.push(open(Body::Vendor(vendor("x", None, "olga")))));
    check(acme, "as that has to be", |event| event.puts[0].cut = true);
    check(acme, "as that has to be", |event| event.puts[0].node.life = Life::Suspended);
    check(acme, "does not exist", |event| {
        event.puts[0] = open(Body::Vendor(vendor("acme", Some("reseller"), "nobody")));
    });
    check(acme, "as it was", |event| {
        event.action = Action::Written { node: id("vendor:reseller") };
        event.puts[0] = open(Body::Vendor(vendor("reseller", None, "rolf")));
    });
    check(sync, "cannot change", |event| {
        event.action = Action::Written { node: id("vendor:acme") };
        event.puts[0] = open(Body::Vendor(vendor("acme", None, "olga")));
    });
    check(sync, "as that has to be", |event| {
        // Taking something away without a cut would leave alive what has to die.
        event.action = Action::Written { node: id("contract:acme-2026") };
        let mut narrower = contract("acme-2026", "acme", Some("reseller-2026"));
        narrower.end = at(9_000);
        event.puts[0] = open(Body::Contract(narrower));
    });
    check(billing, "begins without a CA", |event| drop(event.puts.pop()));
    check(billing, "no new CA", |event| {
        event.puts[1] = open(Body::Key(key("ca-2", daypass_core::node::KeyPurpose::Token)));
    });
    check(history.events.len() - 1, "is no", |event| {
        event.action = Action::Written { node: id("credential:7") };
        let body = Body::Credential(EndedCredential { name: name("7") });
        event.puts = vec![open(body)];
        event.rule = None;
        event.actor = eventful().events[acme].actor.clone();
        event.action = Action::EnrollmentOpened { subject: id("person:tina") };
    });
}

#[test]
fn what_ended_never_begins_again() {
    let mut history = eventful();
    let (ada, revision) = (history.admin(), history.head().next());
    let mut again = history.events[first(&history, is_written("vendor:acme"))].clone();
    again.id = daypass_core::ChangeId::new([99; 16]);
    again.at = history.now;
    history.take(again);
    let found = replay(&history.events).unwrap_err();
    assert_eq!(
        found.to_string(),
        format!("revision {revision}: `vendor:acme` was ended, and is written again")
    );
    let mut history = eventful();
    history.end(&ada, "contract:acme-2026", None).unwrap();
    let mut twice = history.events.last().unwrap().clone();
    twice.id = daypass_core::ChangeId::new([99; 16]);
    history.take(twice);
    assert!(replay(&history.events).unwrap_err().what.contains("was ended, and is written again"));
}

#[test]
fn a_code_is_spent_once_and_leads_to_what_it_is_for() {
    let history = eventful();
    let enrolled = last(&history, |action| matches!(action, Action::Enrolled(_)));
    let opened = last(&history, |action| matches!(action, Action::EnrollmentOpened { .. }));
    check(opened, "the code is for", |event| {
        event.action = Action::EnrollmentOpened { subject: id("person:tina") }
    });
    check(opened, "lives too long", |event| {
        let Body::Enrollment(code) = &mut event.puts[0].node.body else { panic!() };
        code.expires = code.expires.after(Ttl::days(8));
    });
    check(opened, "no new code", |event| event.puts[0].cut = true);
    check(enrolled, "there is no `enrollment:none`", |event| {
        event.actor = Actor::Code { enrollment: name("none") }
    });
    check(enrolled, "the code was spent before", |event| {
        event.actor = eventful().events[first(
            &eventful(),
            |action| matches!(action, Action::Enrolled(r) if r.subject == id("person:tina")),
        )]
        .actor
        .clone();
        certificate(event).subject = id("person:tina");
    });
    check(enrolled, "the code is for `person:olga`", |event| certificate(event).subject = id("person:ada"));
    check(enrolled, "code, identity and roster", |event| drop(event.puts.pop()));
    check(enrolled, "does not spend the code", |event| {
        event.puts[0] = eventful().events[opened].puts[0].clone();
    });
    check(enrolled, "does not begin as its certificate says", |event| {
        event.puts[1].node.life = Life::Suspended;
    });
}

#[test]
fn a_token_rests_on_what_was_alive() {
    let history = eventful();
    let bound = first(&history, is_token);
    let late = last(&history, is_token);
    check(bound, "stands above its application", |event| {
        let record = token(event);
        record.lineage = without(&record.lineage, "vendor:reseller");
    });
    check(bound, "stands above its application", |event| {
        let record = token(event);
        record.lineage = without(&record.lineage, "audience:billing");
    });
    check(bound, "rest on what it is bound to", |event| {
        let record = token(event);
        let last = record.lineage.nodes().last().unwrap().to_string();
        record.lineage = without(&record.lineage, &last);
    });
    check(bound, "is not bound to", |event| {
        token(event).scopes = "read".parse().unwrap();
        token(event).thumbprint = None;
    });
    check(bound, "not entitled to `delete`", |event| token(event).scopes = "delete read".parse().unwrap());
    check(bound, "another's token", |event| token(event).application = name("other"));
    check(bound, "it is for nothing", |event| token(event).scopes = ScopeSet::default());
    check(bound, "outlives", |event| token(event).expires = at(3_000_000_000).floor_secs());
    check(bound, "outlives scope", |event| {
        token(event).expires = token(event).expires.after(Ttl::seconds(1));
    });
    check(bound, "whole seconds", |event| {
        token(event).expires = Timestamp::from_millis(token(event).expires.as_millis() - 1);
    });
    check(bound, "when it was recorded", |event| token(event).issued = at(60_000));
    check(bound, "does not sign such a thing", |event| token(event).key = name("root-1"));
    check(bound, "there is no `key:none`", |event| token(event).key = name("none"));
    check(bound, "writes nothing", |event| {
        event.puts = vec![put(Node::open(Body::Vendor(vendor("x", None, "olga"))), false)];
    });
    check(late, "rest on all that", |event| {
        let record = token(event);
        let asker =
            history.events[first(&history, |action| matches!(action, Action::CertificateMinted(_)))].clone();
        let Actor::Caller { credential, .. } = asker.actor else { panic!() };
        record.lineage = without(&record.lineage, &format!("credential:{credential}"));
    });
}

/// A new era: what it follows, and what is carried over right after the beginning.
fn carried(puts: Vec<Node>) -> Vec<Event> {
    let mut events = History::begun().events;
    let Action::Initialized { previous, .. } = &mut events[0].action else { panic!() };
    let head = TreeHead { size: Revision::new(7), root: digest(1) };
    *previous = Some(Previous { era: Era::new(1), head, known: None });
    for (n, node) in (200..).zip(puts) {
        let id = daypass_core::ChangeId::new([n; 16]);
        events.push(Event::new(support::NOW, id, Actor::Broker, Action::CarriedOver).put([node]));
    }
    events
}

#[test]
fn an_era_carries_over_only_at_its_beginning_and_no_vendor_open() {
    let acme = |life| Node { life, body: Body::Vendor(vendor("acme", None, "olga")) };
    let sync = Node::open(Body::Application(application("sync")));
    replay(&carried(vec![acme(Life::Suspended), sync.clone()])).unwrap();
    let found = |events: &[Event]| replay(events).unwrap_err().what;
    assert!(found(&carried(vec![acme(Life::Open)])).contains("not carried over like this"));
    assert!(found(&carried(vec![sync.clone(), sync.clone()])).contains("is there already"));
    let code = Body::Enrollment(support::code("c0de", "person:ada"));
    assert!(found(&carried(vec![Node::open(code)])).contains("not carried over like this"));
    let mut first = carried(vec![sync]);
    first[0] = History::begun().events[0].clone();
    assert!(found(&first).contains("not at the beginning of an era that follows another"));
}

#[test]
fn an_identity_that_was_suspended_stays_so() {
    let mut history = eventful();
    let suspended = last(&history, |action| matches!(action, Action::Suspended { .. }));
    history.events.truncate(suspended + 1);
    let identity = history.events[suspended].puts[0].node.clone();
    let ada = history.events[first(&history, is_written("vendor:acme"))].actor.clone();
    let mut event = history.events[suspended].clone();
    (event.actor, event.rule) = (ada, Some(Rule::ADMIN));
    event.action = Action::Resumed { node: identity.id() };
    event.puts = vec![put(identity.with_life(Life::Open), false)];
    event.id = daypass_core::ChangeId::new([97; 16]);
    let mut replay = replay(&history.events).unwrap();
    let found = replay.take(Revision::new(suspended as u64 + 2), &event).unwrap_err();
    assert!(found.what.contains("cannot be resumed: only a vendor"), "{found}");
}

/// Forgetting somebody may take two minutes, and its caller is judged when it begins.
#[test]
fn what_takes_long_may_be_recorded_after_its_caller_s_certificate_expired() {
    let history = eventful();
    let forgotten = first(&history, |action| matches!(action, Action::Forgotten { .. }));
    let expires = history.admin().expires;
    let mut events = history.events[..=forgotten].to_vec();
    events[forgotten].at = expires.after(Ttl::seconds(119));
    replay(&events).unwrap();
    check(forgotten, "had expired", |event| event.at = expires.after(Ttl::minutes(4)));
}

#[test]
fn a_certificate_that_expired_before_the_clock_was_set_back_is_given_the_benefit_of_the_doubt() {
    let mut history = History::good();
    let sync = history.certificate_of("application:sync").unwrap();
    let (before, day) = (history.now, 90_000_000);
    history.pass(day);
    history.count_strangers();
    history.accept_clock(before);
    history.certificate(&sync).unwrap();
    replay(&history.events).unwrap();
}

#[test]
fn ends_suspensions_and_forgettings_are_as_the_event_says() {
    let history = eventful();
    let ended = last(&history, |action| matches!(action, Action::Ended { .. }));
    let own = first(&history, |action| matches!(action, Action::Ended { .. }));
    let suspended = first(&history, |action| matches!(action, Action::Suspended { .. }));
    let resumed = first(&history, |action| matches!(action, Action::Resumed { .. }));
    let forgotten = first(&history, |action| matches!(action, Action::Forgotten { .. }));
    check(ended, "as that has to be", |event| event.puts[0].cut = false);
    check(ended, "as that has to be", |event| event.puts[0].node.life = Life::Suspended);
    check(ended, "it writes 0 nodes", |event| event.puts.clear());
    check(own, "there is no `credential:9000` yet", |event| {
        event.action = Action::Ended { node: id("credential:9000"), reason: None };
    });
    check(suspended, "does not suspend", |event| event.puts[0].cut = false);
    check(suspended, "speaks against", |event| {
        event.action = Action::Suspended {
            node: event.puts[0].node.id(),
            because: daypass_core::event::Suspicion::CodeReused,
        };
    });
    check(resumed, "does not resume", |event| event.puts[0].node.life = Life::Suspended);
    check(resumed, "does not resume", |event| event.puts[0].cut = true);
    check(resumed, "was not suspended", |event| event.action = Action::Resumed { node: id("vendor:acme") });
    check(forgotten, "is not ended", |event| {
        event.action = Action::Forgotten { node: id("person:tina"), erased: vec![] };
    });
    check(forgotten, "does not leave `person:leaver` as it was", |event| {
        let Body::Person(person) = &mut event.puts[0].node.body else { panic!() };
        person.forgotten = false;
    });
}

#[test]
fn a_renewal_is_the_holders_own_and_in_turn() {
    let history = eventful();
    let renewed = first(&history, |action| matches!(action, Action::Renewed(_)));
    check(renewed, "another's identity", |event| certificate(event).subject = id("person:tina"));
    check(renewed, "does not go on as its certificate says", |event| certificate(event).key = digest(1));
    check(renewed, "what its subject rests on", |event| {
        let record = certificate(event);
        record.lineage = without(&record.lineage, "vendor:acme");
    });
    check(renewed, "outlives", |event| {
        let end = at(150_000_000).floor_secs();
        certificate(event).expires = end;
        let Body::Identity(identity) = &mut event.puts[0].node.body else { panic!() };
        identity.until = end;
    });
    check(renewed, "does not sign such a thing", |event| certificate(event).issuer = name("token-1"));
    check(renewed, "had expired", |event| event.at = event.at.after(Ttl::days(2)));
}

/// Whatever is cut between the certificate that asks and the mint, the mint is found.
#[test]
fn a_mint_after_a_cut_of_what_it_rests_on_is_found() {
    let history = eventful();
    let bound = first(&history, is_token);
    for cut in ["vendor:acme", "contract:reseller-2026", "application:sync", "audience:billing"] {
        let mut good = replay(&history.events[..bound]).unwrap();
        let mut end = history.events[last(&history, |a| matches!(a, Action::Ended { .. }))].clone();
        let ada = history.events[first(&history, is_written("vendor:acme"))].actor.clone();
        (end.action, end.actor, end.rule) = (Action::Ended { node: id(cut), reason: None }, ada, None);
        end.at = history.events[bound].at;
        let stored = history.events[..bound].iter().flat_map(|e| &e.puts).rfind(|p| p.node.id() == id(cut));
        end.puts = vec![put(stored.unwrap().node.with_life(Life::Ended), true)];
        good.take(Revision::new(bound as u64 + 1), &end).unwrap();
        let found = good.take(Revision::new(bound as u64 + 2), &history.events[bound]).unwrap_err();
        assert!(found.what.contains(&format!("`{cut}` is ended")), "{found}");
    }
    // Open again, but cut: what asks has to renew first.
    let mut narrowed = History::good();
    let sync = narrowed.certificate_of("application:sync").unwrap();
    let minted = narrowed.clone().certificate(&sync).unwrap();
    assert_eq!(minted.subject, sync.subject);
    let mut clone = narrowed.clone();
    clone.certificate(&sync).unwrap();
    let mint = clone.events.last().unwrap().clone();
    let mut shorter = contract("acme-2026", "acme", Some("reseller-2026"));
    shorter.end = at(90_000_000);
    narrowed.write(Body::Contract(shorter)).unwrap();
    let mut after = mint;
    after.id = daypass_core::ChangeId::new([98; 16]);
    narrowed.take(after);
    let found = replay(&narrowed.events).unwrap_err();
    assert!(found.what.contains("`contract:acme-2026` was cut at revision"), "{found}");
}
