//! `decide_enrollment`: a code leads to one key, once, within the cap.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node,
    enroll::{EnrollAsk, Outcome, decide_enrollment},
    event::{Bound, CertificateRecord, Nonce, Suspicion},
    mint::Terms,
    node::{KeyPurpose, Roster, Spent},
};
use daypass_credential::{NodeKind, Ttl};
use support::{ERA, NOW, World, at, code, contract, digest, id, identity, name};

const SUBJECTS: &[&str] = &["application:sync", "person:ada", "verifier:gate"];

/// A good world with an unspent code, `c0de`, for this subject.
fn world(subject: &str) -> World {
    World::with([Body::Enrollment(code("c0de", subject))])
}

fn enroll(world: &World, key: u8, identity: &str) -> Result<Outcome, Denial> {
    let (enrollment, identity, issuer) = (name("c0de"), name(identity), name("root-1"));
    let ask =
        EnrollAsk { enrollment: &enrollment, key: digest(key), identity: &identity, nonce: Nonce([2; 8]) };
    let terms = Terms { era: ERA, key: &issuer, max_ttl: Ttl::days(1) };
    world.decide(|facts| decide_enrollment(facts, &ask, &terms, NOW))
}

#[track_caller]
fn issued(outcome: Result<Outcome, Denial>) -> (CertificateRecord, Vec<Node>) {
    match outcome {
        Ok(Outcome::Issue { permit, puts }) => (permit.record().clone(), puts),
        other => panic!("{other:?}"),
    }
}

/// The world after this enrolment.
#[track_caller]
fn enrolled(mut world: World, key: u8, identity: &str) -> World {
    issued(enroll(&world, key, identity)).1.into_iter().for_each(|node| world.put(node));
    world
}

#[track_caller]
fn check(bend: impl FnOnce(&mut World), expected: Option<Denial>) {
    let mut world = world("application:sync");
    bend(&mut world);
    assert_eq!(enroll(&world, 50, "fresh").err(), expected);
}

#[test]
fn a_code_enrols_a_subject_of_each_kind() {
    for (subject, lineage, roster) in [
        ("application:sync", format!("{} identity:fresh", support::CHAIN), "a.sync"),
        ("person:ada", "person:ada identity:fresh".to_owned(), "p.ada"),
        ("verifier:gate", "verifier:gate identity:fresh".to_owned(), "v.gate"),
    ] {
        let (record, puts) = issued(enroll(&world(subject), 50, "fresh"));
        assert_eq!(record.subject, id(subject));
        assert_eq!((record.identity, record.audience), (name("fresh"), None));
        assert_eq!((record.key, record.nonce), (digest(50), Nonce([2; 8])));
        assert_eq!(record.lineage.to_string(), lineage);
        assert_eq!(record.not_before, NOW.floor_secs());
        assert_eq!(record.issuer, name("root-1"));
        let mut code = code("c0de", subject);
        code.spent = Some(Spent { identity: name("fresh"), key: digest(50) });
        let mut fresh = identity("fresh", subject, 50);
        fresh.until = record.expires;
        let roster = Roster { name: name(roster), subject: id(subject), identities: vec![name("fresh")] };
        let expected = [Body::Enrollment(code), Body::Identity(fresh), Body::Roster(roster)].map(Node::open);
        assert_eq!(puts, expected);
    }
}

#[test]
fn the_same_key_may_show_its_code_again_and_gets_the_same_identity() {
    for subject in SUBJECTS {
        let world = enrolled(world(subject), 50, "fresh");
        let (record, puts) = issued(enroll(&world, 50, "another"));
        assert_eq!((record.identity, record.key), (name("fresh"), digest(50)));
        assert_eq!(puts.iter().map(Node::id).collect::<Vec<_>>(), [id("identity:fresh")]);
    }
}

#[test]
fn another_key_at_a_spent_code_suspends_the_identity() {
    for subject in SUBJECTS {
        let mut world = enrolled(world(subject), 50, "fresh");
        world.enrollment("c0de").expires = NOW;
        assert_eq!(enroll(&world, 51, "another"), Err(Denial::CodeExpired), "then it is worth no identity");
        world.enrollment("c0de").expires = at(1);
        let outcome = enroll(&world, 51, "another").unwrap();
        let body = world.at("identity:fresh").node.body.clone();
        let expected = Outcome::Alarm {
            suspended: Node { life: Life::Suspended, body },
            because: Suspicion::CodeReused,
            denial: Denial::CodeSpent,
        };
        assert_eq!(outcome, expected);
        for life in [Life::Suspended, Life::Ended] {
            world.set_life("identity:fresh", life);
            assert_eq!(enroll(&world, 51, "another"), Err(Denial::CodeSpent), "one alarm is enough");
        }
        world.remove("identity:fresh");
        assert_eq!(enroll(&world, 51, "another"), Err(Denial::CodeSpent));
    }
}

#[test]
fn showing_a_spent_code_again_ends_with_the_code_the_key_and_the_identity() {
    let check = |bend: &dyn Fn(&mut World), expected: Option<Denial>| {
        let mut world = enrolled(world("application:sync"), 50, "fresh");
        bend(&mut world);
        assert_eq!(enroll(&world, 50, "another").err(), expected);
    };
    check(&|w| w.enrollment("c0de").expires = at(1), None);
    check(&|w| w.enrollment("c0de").expires = NOW, Some(Denial::CodeExpired));
    check(&|w| w.identity("fresh").key = digest(52), Some(Denial::CodeSpent));
    for life in [Life::Suspended, Life::Ended] {
        let closed = Denial::SubjectClosed { node: id("identity:fresh"), life };
        check(&|w| w.set_life("identity:fresh", life), Some(closed));
    }
    let ended = Denial::SubjectClosed { node: id("vendor:reseller"), life: Life::Ended };
    check(&|w| w.set_life("vendor:reseller", Life::Ended), Some(ended));
    let over = Denial::ContractOver { contract: name("acme-2026"), end: NOW };
    check(&|w| w.contract("acme-2026").end = NOW, Some(over));
}

/// Its place is free from that instant on, so that the code would lead past the cap.
#[test]
fn a_spent_code_does_not_bring_back_an_identity_that_is_over() {
    let mut world = enrolled(world("application:sync"), 50, "fresh");
    world.identity("fresh").until = at(1);
    assert!(enroll(&world, 50, "another").is_ok());
    world.identity("fresh").until = NOW;
    assert_eq!(enroll(&world, 50, "another"), Err(Denial::CodeExpired));
}

#[test]
fn a_code_has_to_be_known_unexpired_and_not_withdrawn() {
    check(|w| w.remove("enrollment:c0de"), Some(Denial::CodeUnknown));
    check(|w| w.enrollment("c0de").expires = at(1), None);
    check(|w| w.enrollment("c0de").expires = NOW, Some(Denial::CodeExpired));
    check(|w| w.set_life("enrollment:c0de", Life::Ended), Some(Denial::CodeWithdrawn));
    check(|w| w.set_life("enrollment:c0de", Life::Suspended), Some(Denial::CodeWithdrawn));
}

#[test]
fn a_code_for_one_key_enrols_no_other() {
    check(|w| w.enrollment("c0de").key = Some(digest(50)), None);
    check(|w| w.enrollment("c0de").key = Some(digest(51)), Some(Denial::OtherKeyExpected));
}

#[test]
fn an_identity_never_takes_a_name_that_was_used() {
    let spent = || Some(Denial::NameSpent { node: id("identity:fresh") });
    check(|w| w.open(Body::Identity(identity("fresh", "application:sync", 9))), spent());
    let ended = Node { life: Life::Ended, body: Body::Identity(identity("fresh", "person:ada", 9)) };
    check(|w| w.put(ended), spent());
}

#[test]
fn what_the_subject_rests_on_has_to_be_open() {
    for node in support::CHAIN.split(' ') {
        for life in [Life::Suspended, Life::Ended] {
            check(|w| w.set_life(node, life), Some(Denial::SubjectClosed { node: id(node), life }));
        }
        check(|w| w.remove(node), Some(Denial::SubjectClosed { node: id(node), life: Life::Ended }));
    }
    for subject in ["person:ada", "verifier:gate"] {
        let mut world = world(subject);
        world.set_life(subject, Life::Suspended);
        let closed = Denial::SubjectClosed { node: id(subject), life: Life::Suspended };
        assert_eq!(enroll(&world, 50, "fresh"), Err(closed));
    }
}

#[test]
fn only_applications_people_and_verifiers_enrol() {
    for kind in NodeKind::ALL {
        let subject = format!("{kind}:x1");
        let found = enroll(&world(&subject), 50, "fresh");
        let expected = match kind {
            NodeKind::Application | NodeKind::Person | NodeKind::Verifier => {
                Denial::SubjectClosed { node: id(&subject), life: Life::Ended }
            }
            _ => Denial::UnknownNode { node: id(&subject) },
        };
        assert_eq!(found, Err(expected));
    }
}

#[test]
fn a_contract_that_has_not_begun_lets_its_instances_enrol_and_one_that_is_over_does_not() {
    for text in ["acme-2026", "reseller-2026"] {
        check(|w| w.contract(text).start = at(1_000), None);
        check(|w| w.contract(text).end = at(1_000), None);
        let over = Denial::ContractOver { contract: name(text), end: NOW };
        check(|w| w.contract(text).end = NOW, Some(over));
    }
}

#[test]
fn an_identity_certificate_outlives_neither_contract_nor_key() {
    let bound = |bend: fn(&mut World), millis: i64, by: Bound| {
        let mut world = world("application:sync");
        bend(&mut world);
        let (record, puts) = issued(enroll(&world, 50, "fresh"));
        assert_eq!((record.expires, record.bound_by), (at(millis).floor_secs(), by));
        assert!(matches!(&puts[1].body, Body::Identity(i) if i.until == record.expires));
    };
    bound(|_| {}, 86_400_000, Bound::Broker);
    bound(|w| w.contract("acme-2026").end = at(5_000), 5_000, Bound::Contract);
    bound(|w| w.contract("reseller-2026").end = at(5_000), 5_000, Bound::Contract);
    bound(|w| w.key("root-1").not_after = at(5_000), 5_000, Bound::SigningKey);
    let left = |bound_by| Some(Denial::NothingLeft { bound_by });
    check(|w| w.contract("acme-2026").end = at(1), left(Bound::Contract));
    check(|w| w.key("root-1").not_after = at(1), left(Bound::SigningKey));
}

#[test]
fn only_the_identity_ca_signs_identities() {
    for purpose in [KeyPurpose::Token, KeyPurpose::Audit, KeyPurpose::Audience { audience: name("billing") }]
    {
        check(|w| w.key("root-1").purpose = purpose, Some(Denial::NoSigningKey));
    }
    check(|w| w.remove("key:root-1"), Some(Denial::NoSigningKey));
    check(|w| w.key("root-1").not_before = NOW, None);
    check(|w| w.key("root-1").not_before = at(1), Some(Denial::NoSigningKey));
    check(|w| w.key("root-1").not_after = NOW, Some(Denial::NoSigningKey));
}

#[test]
fn the_contract_an_application_moved_to_is_the_one_its_instances_rest_on() {
    let mut world = world("application:sync");
    world.open(Body::Contract(contract("next", "acme", Some("reseller-2026"))));
    world.application("sync").contract = name("next");
    let lineage = issued(enroll(&world, 50, "fresh")).0.lineage;
    assert!(lineage.contains(&id("contract:next")) && !lineage.contains(&id("contract:acme-2026")));
}
