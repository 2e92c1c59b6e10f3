//! The ledger: what each cut kills, what verifiers hear of it, what may be forgotten, and what is alive.
//! What holds of any log is in `ledger_properties.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/history.rs"]
mod history;
mod support;

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, Node,
    event::{Bound, CertificateRecord, Nonce, TokenRecord},
    ledger::{Changes, Count, Fallen, Kind, Ledger, Live, Misplaced, NotKept, Reach, Snapshot, When},
    node::{EndedCredential, KeyPurpose},
};
use daypass_credential::{Cut, Digest, NodeId, Revision, Timestamp, Ttl};
use history::{History, put};
use support::{ERA, NOW, application, at, id, key, name, vendor};

/// A ledger that follows a history.
struct Following {
    history: History,
    ledger: Ledger,
    followed: usize,
}

impl Following {
    fn good() -> Self {
        let mut following = Self { history: History::good(), ledger: Ledger::default(), followed: 0 };
        following.follow();
        following
    }

    /// Follows what happened since, and says what fell.
    fn follow(&mut self) -> Vec<Fallen> {
        let mut fallen = Vec::new();
        for event in &self.history.events[self.followed..] {
            self.followed += 1;
            fallen.extend(self.ledger.take(Revision::new(self.followed as u64), event).unwrap());
        }
        fallen
    }

    fn token(&mut self) -> (Revision, Timestamp) {
        let sync = self.history.certificate_of("application:sync").unwrap();
        let client = self.history.certificate(&sync).unwrap();
        let token = self.history.token(&sync, Some(&client), "read").unwrap();
        (token, self.expiry(token))
    }

    fn expiry(&self, rev: Revision) -> Timestamp {
        match &self.history.events[rev.get() as usize - 1].action {
            Action::TokenMinted(record) => record.expires,
            Action::Enrolled(record) | Action::Renewed(record) | Action::CertificateMinted(record) => {
                record.expires
            }
            other => panic!("{other:?}"),
        }
    }

    /// The admin ends this, and one cut comes of it.
    fn end(&mut self, node: &str) -> Fallen {
        let subject = node.starts_with("credential:").then(|| id("application:sync"));
        self.history.end(&self.history.admin(), node, subject.as_ref()).unwrap().unwrap();
        let fallen = self.follow();
        let [one] = fallen.as_slice() else { panic!("{fallen:?}") };
        one.clone()
    }

    /// Opens a suspended node again, whatever the rules say of its kind.
    fn reopen(&mut self, node: &NodeId) {
        let puts = self.history.events.iter().rev().flat_map(|event| &event.puts);
        let open = puts.map(|put| &put.node).find(|put| put.id() == *node).unwrap().with_life(Life::Open);
        let action = Action::Resumed { node: node.clone() };
        let event = Event::new(self.history.now, ChangeId::new([8; 16]), Actor::Broker, action);
        self.history.take(event.put([open]));
    }

    fn now(&self) -> When {
        When { now: self.history.now, revision: self.ledger.head() }
    }

    fn count(&self, node: &str) -> [u64; 3] {
        numbers(self.ledger.count(&id(node), self.now()).unwrap())
    }

    fn told(&self) -> Vec<Cut> {
        self.ledger.snapshot().unwrap().cuts
    }

    /// The latest expiry of all that was issued to the application.
    fn latest(&self) -> Timestamp {
        let issued = self.history.events.iter().filter(|event| {
            event.action.lineage().is_some_and(|lineage| lineage.contains(&id("application:sync")))
        });
        issued.filter_map(|event| event.record().expires_at).max().unwrap()
    }
}

const fn numbers(count: Count) -> [u64; 3] {
    [count.identity_certificates, count.client_certificates, count.tokens]
}

#[test]
fn an_end_says_until_when_its_cut_matters_and_that_verifiers_hear_of_it() {
    for node in ["vendor:reseller", "vendor:acme", "contract:acme-2026", "application:sync"] {
        let mut broker = Following::good();
        broker.token();
        let until = broker.latest();
        let fallen = broker.end(node);
        let expected = Cut { node: id(node), at: broker.ledger.head(), until };
        assert_eq!(fallen, Fallen { cut: expected.clone(), reach: Reach::Relied }, "{node}");
        assert_eq!(broker.told(), [expected], "{node}");
        assert_eq!(broker.count(node), [0, 0, 0]);
    }
}

#[test]
fn the_end_of_an_audience_leaves_identities_alone() {
    let mut broker = Following::good();
    let (_, until) = broker.token();
    let fallen = broker.end("audience:billing");
    assert_eq!((fallen.cut.until, fallen.reach), (until, Reach::Relied));
    assert_eq!(broker.count("application:sync"), [1, 0, 0]);
}

#[test]
fn a_single_credential_is_cut_with_what_rests_on_it() {
    let mut broker = Following::good();
    let (token, exp) = broker.token();
    let (client, later) = (Revision::new(token.get() - 1), broker.token());
    broker.follow();
    assert_eq!(numbers(broker.ledger.count(&NodeId::credential(client), broker.now()).unwrap()), [0, 1, 1]);
    let fallen = broker.end(&format!("credential:{token}"));
    assert_eq!(fallen.cut, Cut { node: NodeId::credential(token), at: broker.ledger.head(), until: exp });
    assert_eq!(fallen.reach, Reach::Relied);
    let fallen = broker.end(&format!("credential:{client}"));
    assert_eq!((fallen.cut.until, fallen.reach), (broker.expiry(client), Reach::Relied));
    assert_eq!(broker.count("application:sync"), [1, 1, 1], "{later:?} are left");
}

#[test]
fn a_certificate_falls_with_what_is_bound_to_it_and_both_are_tidied_together() {
    let mut broker = Following::good();
    let sync = broker.history.certificate_of("application:sync").unwrap();
    let client = broker.history.certificate(&sync).unwrap();
    let tokens: Vec<Revision> =
        (0..3).map(|_| broker.history.token(&sync, Some(&client), "read").unwrap()).collect();
    broker.history.pass(60_000);
    broker.token();
    broker.follow();
    let certificate = format!("credential:{}", client.rev);
    assert_eq!(broker.count(&certificate), [0, 1, 3]);
    assert_eq!(broker.end(&format!("credential:{}", tokens[2])).reach, Reach::Relied);
    let fallen = broker.end(&certificate);
    assert_eq!((fallen.cut.until, fallen.reach), (client.expires, Reach::Relied));
    assert_eq!(broker.count(&certificate), [0, 0, 0]);
    assert_eq!(broker.count("application:sync"), [1, 1, 1], "the later pair");
    assert_eq!(broker.end(&format!("credential:{}", tokens[0])).reach, Reach::Nothing);
    broker.history.now = client.expires;
    assert_eq!(broker.ledger.forget(client.expires).len(), 2);
    assert_eq!(broker.ledger.kept().credentials, 5, "three identities and the later pair");
    assert_eq!(broker.count("application:sync"), [1, 1, 1]);
}

#[test]
fn where_nothing_was_minted_nothing_is_sent_and_nothing_kept() {
    let mut broker = Following::good();
    let before = serde_json::to_value(&broker.ledger).unwrap();
    for node in ["verifier:gate", "person:leaver"] {
        let fallen = broker.end(node);
        assert_eq!((fallen.reach, fallen.cut.until), (Reach::Nothing, Timestamp::ZERO), "{node}");
    }
    let code = broker.history.open("application:sync").unwrap();
    broker.follow();
    assert_eq!(broker.end(&format!("enrollment:{code}")).reach, Reach::Nothing);
    let mut after = serde_json::to_value(&broker.ledger).unwrap();
    after["head"] = before["head"].clone();
    assert_eq!(after, before);
}

#[test]
fn identities_concern_no_verifier() {
    let mut broker = Following::good();
    let until = broker.latest();
    let fallen = broker.end("vendor:acme");
    assert_eq!((fallen.cut.until, fallen.reach), (until, Reach::Identities));
    assert_eq!(broker.told(), []);
    assert_eq!(broker.count("vendor:acme"), [0, 0, 0], "for the broker they are dead all the same");
}

#[test]
fn what_is_dead_by_what_stands_above_is_not_killed_again() {
    let mut broker = Following::good();
    broker.token();
    assert_eq!(broker.end("vendor:reseller").reach, Reach::Relied);
    for node in ["application:sync", "contract:acme-2026", "audience:billing", "vendor:acme"] {
        let fallen = broker.end(node);
        assert_eq!(fallen.reach, Reach::Nothing, "{node}");
        assert!(fallen.cut.until > NOW, "{node}: it is known all the same");
    }
    assert_eq!(broker.told().len(), 1);
}

#[test]
fn a_narrowed_node_is_cut_again_only_for_what_was_minted_since() {
    let mut broker = Following::good();
    let narrow = |broker: &mut Following, minutes| {
        let mut narrower = application("sync");
        narrower.max_ttl = Some(Ttl::minutes(minutes));
        broker.history.write(Body::Application(narrower)).unwrap().unwrap();
        broker.follow().pop().unwrap()
    };
    broker.token();
    let until = broker.latest();
    let first = narrow(&mut broker, 30);
    assert_eq!((first.reach, first.cut.until), (Reach::Relied, until));
    let second = narrow(&mut broker, 20);
    assert_eq!((second.reach, second.cut.until), (Reach::Nothing, until));
    assert_eq!(broker.told(), std::slice::from_ref(&first.cut), "the cut that killed stays");

    broker.history.pass(5_000);
    let sync = broker.history.certificate_of("application:sync").unwrap();
    broker.history.renew(&sync, 77).unwrap();
    broker.token();
    assert_eq!(broker.count("application:sync"), [0, 0, 0], "not followed yet");
    broker.follow();
    assert_eq!(broker.count("application:sync"), [1, 1, 1]);
    let until = broker.latest();
    let third = narrow(&mut broker, 10);
    assert_eq!((third.reach, third.cut.until), (Reach::Relied, until));
    assert_eq!(broker.told(), std::slice::from_ref(&third.cut), "one entry a node");

    assert!(first.cut.until < until, "the renewed identity outlives the first");
    assert_eq!(broker.ledger.forget(first.cut.until), [], "the node's newer cut still matters");
    assert_eq!((broker.told().len(), broker.ledger.kept().cuts), (1, 1));
    assert_eq!(broker.ledger.forget(until), [third.cut]);
}

#[test]
fn a_suspension_cuts_and_what_is_minted_after_resuming_lives() {
    let mut broker = Following::good();
    broker.token();
    broker.follow();
    let code = broker.history.codes().iter().nth_back(1).unwrap().to_string();
    broker.history.enroll(&code, 250).unwrap();
    let fallen = broker.follow().pop().unwrap();
    assert_eq!((fallen.cut.node.kind.as_str(), fallen.reach), ("identity", Reach::Relied));
    assert_eq!(broker.count("application:sync"), [0, 0, 0]);
    broker.reopen(&fallen.cut.node);
    let sync = broker.history.certificate_of("application:sync").unwrap();
    broker.history.renew(&sync, 77).unwrap();
    broker.token();
    assert_eq!(broker.follow(), []);
    assert_eq!(broker.count("application:sync"), [1, 1, 1]);
}

#[test]
fn a_key_that_is_ended_cuts_what_it_signed() {
    let mut broker = Following::good();
    let (token, exp) = broker.token();
    broker.follow();
    let ended = Node::open(Body::Key(key("token-1", KeyPurpose::Token))).with_life(Life::Ended);
    let action = Action::Ended { node: ended.id(), reason: None };
    let mut event = Event::new(broker.history.now, ChangeId::new([7; 16]), Actor::Broker, action);
    event.puts.push(put(ended, true));
    broker.history.take(event);
    let fallen = broker.follow().pop().unwrap();
    assert_eq!(fallen.cut, Cut { node: id("key:token-1"), at: broker.ledger.head(), until: exp });
    assert_eq!(fallen.reach, Reach::Relied);
    assert_eq!(broker.count(&format!("credential:{token}")), [0, 0, 0]);
    assert_eq!(broker.count("application:sync"), [1, 1, 0]);
}

#[test]
fn what_the_cutting_event_itself_minted_lives() {
    let mut broker = Following::good();
    let (token, _) = broker.token();
    let mut event = broker.history.events[token.get() as usize - 1].clone();
    event.id = ChangeId::new([7; 16]);
    event.puts.push(put(Node::open(Body::Application(application("sync"))), true));
    let both = broker.history.take(event);
    let fallen = broker.follow();
    assert_eq!((fallen[0].cut.at, fallen[0].reach), (both, Reach::Relied));
    assert_eq!(broker.count("application:sync"), [0, 0, 1]);
    let narrowed = broker.end("application:sync");
    assert_eq!(narrowed.reach, Reach::Relied, "it is killed by the next cut alone");
}

#[test]
fn a_cut_is_forgotten_at_the_very_instant_of_its_latest_expiry() {
    let mut broker = Following::good();
    broker.token();
    let fallen = broker.end("vendor:acme");
    let until = fallen.cut.until;
    assert_eq!(broker.ledger.forget(until.before(Ttl::seconds(1))), []);
    let just_before = Timestamp::from_millis(until.as_millis() - 1);
    assert_eq!(broker.ledger.forget(just_before), []);
    assert_eq!(broker.told().len(), 1);
    assert_eq!(broker.ledger.forget(until), [fallen.cut]);
    assert_eq!((broker.told(), broker.ledger.horizon()), (vec![], until));
}

#[test]
fn the_horizon_never_falls_and_what_is_minted_behind_it_is_dead() {
    let mut broker = Following::good();
    broker.ledger.forget(at(50_000_000));
    assert_eq!(broker.ledger.forget(at(0)), []);
    assert_eq!(broker.ledger.horizon(), at(50_000_000));
    let (token, _) = broker.token();
    broker.follow();
    let when = When { now: at(50_000_000), revision: broker.ledger.head() };
    assert_eq!(broker.ledger.count(&NodeId::credential(token), when), Ok(Count::default()));
    assert_eq!(broker.ledger.kept().credentials, 3, "the identities; what is dead needs no memory");
    assert_eq!(broker.end("audience:billing").cut.until, Timestamp::ZERO);
}

#[test]
fn what_an_end_killed_is_listed_as_of_the_revision_before() {
    let mut broker = Following::good();
    let (token, exp) = broker.token();
    let end = broker.end("vendor:acme");
    broker.history.pass(1_000);
    let before = When { now: NOW, revision: Revision::new(end.cut.at.get() - 1) };
    assert_eq!(numbers(broker.ledger.count(&id("vendor:acme"), before).unwrap()), [1, 1, 1]);
    let tally = broker.ledger.tally(&id("vendor:acme"), before).unwrap();
    assert_eq!(tally.keys().cloned().collect::<Vec<_>>(), [id("application:sync")]);
    let first = broker.ledger.page(&id("vendor:acme"), before, Revision::ZERO, 2).unwrap();
    let kinds: Vec<_> = first.live.iter().map(|live| live.kind).collect();
    assert_eq!(kinds, [Kind::IdentityCertificate, Kind::ClientCertificate]);
    assert_eq!(first.next, Some(Revision::new(token.get() - 1)));
    let last = broker.ledger.page(&id("vendor:acme"), before, first.next.unwrap(), 2).unwrap();
    let expected = Live {
        revision: token,
        kind: Kind::Token,
        subject: id("application:sync"),
        audience: Some(id("audience:billing")),
        expires: exp,
    };
    assert_eq!((last.live, last.next), (vec![expected], None));
}

#[test]
fn expiry_counts_at_the_very_instant() {
    let mut broker = Following::good();
    let (token, exp) = broker.token();
    broker.follow();
    let revision = broker.ledger.head();
    let alive = |now| broker.ledger.count(&NodeId::credential(token), When { now, revision }).unwrap().all();
    assert_eq!((alive(Timestamp::from_millis(exp.as_millis() - 1)), alive(exp)), (1, 0));
}

#[test]
fn a_question_that_cannot_be_answered_whole_is_refused() {
    let mut broker = Following::good();
    broker.ledger.forget(at(10));
    let (head, vendor) = (broker.ledger.head(), id("vendor:acme"));
    let asked = |now, revision| broker.ledger.count(&vendor, When { now, revision }).map(|_| ());
    assert_eq!(asked(at(10), head), Ok(()));
    assert_eq!(asked(at(9), head), Err(NotKept::BelowHorizon));
    assert_eq!(asked(at(10), head.next()), Err(NotKept::Ahead { asked: head.next(), head }));
}

#[test]
fn whoever_resumes_hears_what_came_since_and_the_horizon() {
    let mut broker = Following::good();
    broker.token();
    let (token, _) = broker.token();
    broker.follow();
    let start = broker.ledger.head();
    let first = broker.end(&format!("credential:{token}")).cut;
    let middle = broker.ledger.head();
    let second = broker.end("vendor:acme").cut;
    let (revision, horizon) = (broker.ledger.head(), Timestamp::ZERO);
    let since = |revision| broker.ledger.changes(revision);
    assert_eq!(since(start), Some(Changes { revision, horizon, cuts: vec![first.clone(), second.clone()] }));
    assert_eq!(since(middle), Some(Changes { revision, horizon, cuts: vec![second.clone()] }));
    assert_eq!(since(revision), Some(Changes { revision, horizon, cuts: vec![] }));
    assert_eq!(since(revision.next()), None, "a snapshot is due");
    let snapshot = Snapshot { era: ERA, revision, horizon, cuts: vec![first, second] };
    assert_eq!(broker.ledger.snapshot(), Some(snapshot));
}

#[test]
fn events_are_followed_in_order_from_the_first_on() {
    let history = History::good();
    let mut ledger = Ledger::default();
    assert_eq!(ledger.snapshot(), None);
    assert_eq!(ledger.take(Revision::new(1), &history.events[1]), Err(Misplaced::Beginning));
    ledger.take(Revision::new(1), &history.events[0]).unwrap();
    assert_eq!(ledger.take(Revision::new(2), &history.events[0]), Err(Misplaced::Beginning));
    let gap = Misplaced::Revision { due: Revision::new(2), found: Revision::new(3) };
    assert_eq!(ledger.take(Revision::new(3), &history.events[2]), Err(gap));
    assert_eq!((ledger.head(), ledger.era()), (Revision::new(1), Some(ERA)));
}

/// One change in a written ledger, and what reading it says.
fn check(words: &str, bend: impl FnOnce(&mut serde_json::Value)) {
    let mut broker = Following::good();
    broker.token();
    broker.end("application:sync");
    broker.ledger.forget(NOW);
    let mut form = serde_json::to_value(&broker.ledger).unwrap();
    serde_json::from_value::<Ledger>(form.clone()).unwrap();
    bend(&mut form);
    let error = serde_json::from_value::<Ledger>(form).unwrap_err().to_string();
    assert!(error.contains(words), "`{error}` instead of `{words}`");
}

#[test]
fn a_written_ledger_that_does_not_hold_together_is_refused() {
    check("version 2 of the ledger's form", |form| form["v"] = 2.into());
    check("unknown field", |form| form["more"] = 1.into());
    check("an era exactly if", |form| form["era"] = serde_json::Value::Null);
    check("cuts are not", |form| form["head"] = 3.into());
    check("credentials are not", |form| form["issued"][2][0] = 9_999.into());
    check("credentials are not", |form| form["issued"][1][0] = form["issued"][0][0].clone());
    check("credentials are not", |form| form["issued"][0][1] = NOW.as_millis().into());
    check("do not fit", |form| form["issued"][0][2] = 99.into());
    check("do not fit", |form| form["lines"][0]["rests"][0] = 99.into());
    check("do not fit", |form| form["lines"][1] = form["lines"][0].clone());
    check("do not fit", |form| form["nodes"][1] = form["nodes"][0].clone());
    check("cuts are not", |form| cut(form)[0] = 9_999.into());
    check("cuts are not", |form| cut(form)[1] = NOW.as_millis().into());
    check("cuts are not", |form| {
        let (at, until) = (cut(form)[0].as_u64().unwrap() - 1, cut(form)[1].as_u64().unwrap() + 1);
        let mut cuts = form["nodes"].as_array_mut().unwrap().iter_mut().map(|node| &mut node[1]);
        let cuts = cuts.find(|cuts| cuts.get(0).is_some()).unwrap().as_array_mut().unwrap();
        cuts.insert(0, serde_json::json!([at, until, true]));
    });
    check("do not fit", |form| {
        let issued = form["issued"].as_array_mut().unwrap();
        let identity = issued[0][0].clone();
        let mut other = issued[0].clone();
        (other[0], other[3]) = ((identity.as_u64().unwrap() + 1).into(), identity);
        issued.insert(1, other);
    });
}

/// The one cut in a written ledger.
fn cut(form: &mut serde_json::Value) -> &mut serde_json::Value {
    let mut nodes = form["nodes"].as_array_mut().unwrap().iter_mut();
    nodes.find_map(|node| node[1].get_mut(0)).unwrap()
}

/// A token that rests on this, whatever the rules say: minted at this second, and alive up to that.
fn minted(from: u64, lineage: &str, until: u64) -> Event {
    let record = TokenRecord {
        application: name(&format!("a{}", from % 50)),
        audience: name("billing"),
        scopes: "read".parse().unwrap(),
        lineage: lineage.parse().unwrap(),
        thumbprint: None,
        issued: Timestamp::from_secs(from),
        expires: Timestamp::from_secs(until),
        bound_by: Bound::Scope,
        key: name("token-1"),
    };
    let (at, id) = (Timestamp::from_secs(from), ChangeId::new(u128::from(from).to_be_bytes()));
    Event::new(at, id, Actor::Broker, Action::TokenMinted(record))
}

/// No rule makes such an identity. If one did, verifiers would hear of what stands beside it all the same.
#[test]
fn an_identity_that_rests_on_another_hides_no_token_that_does() {
    let event = |action| Event::new(Timestamp::from_secs(1), ChangeId::new([9; 16]), Actor::Broker, action);
    let renewed = |lineage: &str| {
        event(Action::Renewed(CertificateRecord {
            subject: id("application:sync"),
            identity: name("sync"),
            audience: None,
            lineage: lineage.parse().unwrap(),
            key: Digest::new([1; 32]),
            nonce: Nonce([2; 8]),
            not_before: Timestamp::from_secs(1),
            expires: Timestamp::from_secs(100),
            bound_by: Bound::Scope,
            issuer: name("identity-1"),
        }))
    };
    let body = Body::Credential(EndedCredential { name: name("2") });
    let end = event(Action::Ended { node: id("credential:2"), reason: None });
    let events = [
        History::begun().events.remove(0),
        renewed("application:sync"),
        minted(2, "vendor:a credential:2", 100),
        renewed("application:sync credential:2"),
        end.cut(Node { life: Life::Ended, body }),
    ];
    let mut ledger = Ledger::default();
    let taken =
        (1u64..).zip(&events).map(|(number, event)| ledger.take(Revision::new(number), event).unwrap());
    let fallen: Vec<Fallen> = taken.flatten().collect();
    assert_eq!(fallen.iter().map(|fallen| fallen.reach).collect::<Vec<_>>(), [Reach::Relied]);
}

/// The rules bind nothing to what is dead, and name all that it rests on. The ledger does not count on that.
#[test]
fn what_is_bound_may_be_alive_when_what_it_is_bound_to_is_not() {
    let ended = |kind: &str, name: &str| {
        let name_ = name.parse().unwrap();
        let body = match kind {
            "credential" => Body::Credential(EndedCredential { name: name_ }),
            _ => Body::Vendor(vendor(name, None, "olga")),
        };
        let action = Action::Ended { node: id(&format!("{kind}:{name}")), reason: None };
        let event = Event::new(Timestamp::from_secs(9), ChangeId::new([9; 16]), Actor::Broker, action);
        event.cut(Node { life: Life::Ended, body })
    };
    let check = |events: &[Event], reach: Reach| {
        let mut ledger = Ledger::default();
        let begun = History::begun().events.remove(0);
        let mut last = None;
        for (number, event) in (1u64..).zip([&begun].into_iter().chain(events)) {
            last = ledger.take(Revision::new(number), event).unwrap().pop();
            let written = serde_json::to_string(&ledger).unwrap();
            ledger = serde_json::from_str(&written).unwrap();
        }
        assert_eq!(last.unwrap().reach, reach, "{ledger:?}");
    };
    let parent = minted(1, "vendor:a vendor:b", 100);
    let child = |second| minted(second, "vendor:a credential:2", 100);
    let grandchild = minted(4, "vendor:a credential:5", 100);
    let (b, one) = (ended("vendor", "b"), ended("credential", "2"));
    let begun = [parent, b, child(2), child(3)];
    let with = |more: &[Event]| [&begun, more].concat();
    check(&with(std::slice::from_ref(&one)), Reach::Relied);
    check(&with(&[ended("credential", "5"), one.clone()]), Reach::Relied);
    check(&with(&[ended("credential", "4"), ended("credential", "5"), one.clone()]), Reach::Nothing);
    // What is bound to something that is itself bound does not hide what that one stands beside.
    check(&with(&[grandchild, ended("credential", "5"), one]), Reach::Relied);
}

/// Tokens of many lives under lineages of their own come and go: what is left does not depend on how often anything was
/// dropped on the way.
#[test]
fn what_is_kept_does_not_depend_on_how_often_it_was_tidied() {
    let begun = History::begun();
    let (mut often, mut seldom) = (Ledger::default(), Ledger::default());
    let mut events = vec![begun.events[0].clone()];
    for n in 0..3_000u64 {
        let lineage = format!("vendor:v{} application:a{} credential:{}", n % 7, n % 50, 1 + n / 3);
        events.push(minted(n, &lineage, n + 10 + n * 7_919 % 400));
    }
    for (number, event) in (1u64..).zip(&events) {
        often.take(Revision::new(number), event).unwrap();
        seldom.take(Revision::new(number), event).unwrap();
        often.forget(Timestamp::from_secs(number));
        let when = When { now: Timestamp::from_secs(number), revision: often.head() };
        let alive = often.count(&id("key:token-1"), when).unwrap().all() as usize;
        assert!(often.kept().credentials * 2 <= alive * 3, "{:?} for {alive} alive", often.kept());
    }
    assert!(seldom.kept().nodes > 1_000, "there was something to tidy");
    seldom.forget(Timestamp::from_secs(3_001));
    assert_eq!(often.kept().cuts, 0);
    assert!(often.kept().nodes < 400 && seldom.kept().nodes < 400, "{:?}", often.kept());
    assert_eq!(serde_json::to_value(&often).unwrap(), serde_json::to_value(&seldom).unwrap());
    let when = When { now: Timestamp::from_secs(3_001), revision: often.head() };
    let left = often.count(&id("vendor:v3"), when).unwrap();
    assert_eq!(Ok(left), seldom.count(&id("vendor:v3"), when));
    let plain = events.iter().filter_map(|event| match &event.action {
        Action::TokenMinted(record) => Some((&record.lineage, record.expires)),
        _ => None,
    });
    let plain = plain.filter(|(lineage, exp)| lineage.contains(&id("vendor:v3")) && *exp > when.now).count();
    assert_eq!(left.all(), plain as u64);
    assert!(plain > 10);
}
