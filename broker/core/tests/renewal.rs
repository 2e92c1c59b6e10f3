//! `decide_renewal`: a certificate is followed by one key, and a second one is noticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node, Shown,
    enroll::{Outcome, decide_renewal},
    event::{Bound, CertificateRecord, Nonce, Suspicion},
    mint::Terms,
    node::KeyPurpose,
};
use daypass_credential::{Era, Revision, Ttl};
use support::{
    CALLER_REV, ERA, NOW, World, at, bound, caller, caller_person, contract, digest, id, name, shown,
};

fn renew(world: &World, caller: &Shown, key: u8) -> Result<Outcome, Denial> {
    let issuer = name("root-1");
    let terms = Terms { era: ERA, key: &issuer, max_ttl: Ttl::days(1) };
    world.decide(|facts| decide_renewal(facts, caller, digest(key), Nonce([2; 8]), &terms, NOW))
}

#[track_caller]
fn issued(outcome: Result<Outcome, Denial>) -> (CertificateRecord, Vec<Node>) {
    match outcome {
        Ok(Outcome::Issue { permit, puts }) => (permit.record().clone(), puts),
        other => panic!("{other:?}"),
    }
}

/// The world after this renewal.
#[track_caller]
fn renewed(mut world: World, caller: &Shown, key: u8) -> World {
    issued(renew(&world, caller, key)).1.into_iter().for_each(|node| world.put(node));
    world
}

#[track_caller]
fn check(bend: impl FnOnce(&mut World, &mut Shown), expected: Option<Denial>) {
    let (mut world, mut caller) = (World::good(), caller());
    bend(&mut world, &mut caller);
    assert_eq!(renew(&world, &caller, 50).err(), expected);
}

#[track_caller]
fn check_alarm(world: &mut World, caller: &Shown, key: u8) {
    let body = world.at("identity:sync-1").node.body.clone();
    let expected = Outcome::Alarm {
        suspended: Node { life: Life::Suspended, body },
        because: Suspicion::RenewedTwice,
        denial: Denial::RenewedTwice,
    };
    assert_eq!(renew(world, caller, key), Ok(expected));
}

#[test]
fn a_caller_of_each_kind_renews_with_a_new_key() {
    for (caller, old) in [
        (caller(), 10),
        (caller_person("ada"), 20),
        (shown(CALLER_REV, "verifier:gate identity:gate-1", 30), 30),
    ] {
        let mut world = World::good();
        let (record, puts) = issued(renew(&world, &caller, 50));
        assert_eq!((&record.subject, &record.identity), (&caller.subject, &caller.identity));
        assert_eq!((&record.audience, record.key), (&None, digest(50)));
        assert_eq!(record.lineage, caller.lineage);
        let mut identity = world.identity(caller.identity.as_str()).clone();
        assert_eq!(identity.key, digest(old));
        (identity.key, identity.previous) = (digest(50), Some(digest(old)));
        identity.asked_by = Some(caller.rev);
        identity.until = identity.until.max(record.expires);
        assert_eq!(puts, [Node::open(Body::Identity(identity))]);
    }
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let world = renewed(World::good(), &caller(), 50);
    let (record, puts) = issued(renew(&world, &caller(), 50));
    assert_eq!(record.key, digest(50));
    assert!(matches!(&puts[..], [Node { body: Body::Identity(i), .. }] if i.previous == Some(digest(10))));
}

#[test]
fn a_second_renewal_with_another_key_suspends_the_identity() {
    let mut world = renewed(World::good(), &caller(), 50);
    check_alarm(&mut world, &caller(), 51);
}

/// The first certificate was followed by the second's key; the third's is another.
#[test]
fn an_older_certificate_than_the_one_before_asks_for_nothing() {
    let mut world = renewed(World::good(), &caller(), 50);
    let second = Shown { key: digest(50), ..caller() };
    world = renewed(world, &second, 51);
    assert!(renew(&world, &second, 51).is_ok());
    check_alarm(&mut world, &caller(), 51);
    check_alarm(&mut world, &caller(), 50);
    check_alarm(&mut world, &caller(), 52);
}

/// An instance that goes back to a key of long ago must not give that key's old certificates a second life.
#[test]
fn a_certificate_older_than_the_one_that_renewed_last_asks_for_nothing_whatever_its_key() {
    let mut world = renewed(World::good(), &caller(), 50);
    let later = |key, by| Shown { key: digest(key), rev: Revision::new(CALLER_REV + by), ..caller() };
    world = renewed(world, &later(50, 1), 51);
    world = renewed(world, &later(51, 2), 10);
    check_alarm(&mut world, &caller(), 60);
    check_alarm(&mut world, &later(51, 1), 10);
    assert!(renew(&world, &later(51, 2), 10).is_ok(), "a lost answer is asked for again");
    assert!(renew(&world, &later(10, 3), 60).is_ok());
}

#[test]
fn a_new_key_is_neither_the_one_that_asks_nor_the_one_before() {
    assert_eq!(renew(&World::good(), &caller(), 10), Err(Denial::KeyReused));
    let world = renewed(World::good(), &caller(), 50);
    let second = Shown { key: digest(50), ..caller() };
    assert_eq!(renew(&world, &second, 50), Err(Denial::KeyReused));
    // Back to the first key: the first certificate could then renew a second time, unnoticed.
    assert_eq!(renew(&world, &second, 10), Err(Denial::KeyReused));
    assert!(renew(&world, &second, 51).is_ok());
}

#[test]
fn a_suspended_identity_renews_no_more() {
    for life in [Life::Suspended, Life::Ended] {
        let dead = Denial::CallerDead { node: id("identity:sync-1"), life };
        check(|w, _| w.set_life("identity:sync-1", life), Some(dead));
    }
}

#[test]
fn offboarded_vendor_cannot_renew() {
    for node in caller().lineage.nodes() {
        for life in [Life::Suspended, Life::Ended] {
            let dead = Denial::CallerDead { node: node.clone(), life };
            check(|w, _| w.set_life(&node.to_string(), life), Some(dead));
        }
        // Suspended and resumed, or narrowed, it may.
        check(|w, _| w.cut(&node.to_string(), CALLER_REV + 1), None);
    }
}

#[test]
fn what_is_no_live_identity_certificate_does_not_renew() {
    check(|_, c| c.expires = at(1), None);
    check(|_, c| c.expires = NOW, Some(Denial::CallerExpired { expired: NOW }));
    check(|_, c| c.era = Era::new(1), Some(Denial::CallerOfOtherEra));
    check(|w, _| w.end_credential(CALLER_REV), Some(Denial::CallerEnded));
    check(|_, c| *c = bound(), Some(Denial::NotAnIdentity));
}

/// Whoever holds a client certificate must not be able to suspend the identity with it either.
#[test]
fn a_client_certificate_raises_no_alarm() {
    assert_eq!(renew(&World::good(), &bound(), 50), Err(Denial::NotAnIdentity));
}

#[test]
fn a_contract_that_has_not_begun_lets_its_instances_renew_and_one_that_is_over_does_not() {
    for text in ["acme-2026", "reseller-2026"] {
        check(|w, _| w.contract(text).start = at(1_000), None);
        let over = Denial::ContractOver { contract: name(text), end: NOW };
        check(|w, _| w.contract(text).end = NOW, Some(over));
        check(|w, _| w.contract(text).end = at(1), Some(Denial::NothingLeft { bound_by: Bound::Contract }));
    }
}

#[test]
fn it_takes_the_identity_ca_in_force() {
    let none = || Some(Denial::NoSigningKey);
    check(|w, _| w.remove("key:root-1"), none());
    check(|w, _| w.key("root-1").purpose = KeyPurpose::Token, none());
    check(|w, _| w.key("root-1").not_before = at(1), none());
    check(|w, _| w.key("root-1").not_after = NOW, none());
}

#[test]
fn renewal_rests_on_what_stands_above_now() {
    let mut world = World::good();
    world.open(Body::Contract(contract("next", "acme", Some("reseller-2026"))));
    world.application("sync").contract = name("next");
    world.cut("application:sync", CALLER_REV + 1);
    let lineage = issued(renew(&world, &caller(), 50)).0.lineage;
    assert!(lineage.contains(&id("contract:next")) && !lineage.contains(&id("contract:acme-2026")));
    world.set_life("contract:next", Life::Ended);
    let closed = Denial::SubjectClosed { node: id("contract:next"), life: Life::Ended };
    assert_eq!(renew(&world, &caller(), 50), Err(closed));
}

#[test]
fn the_place_of_an_instance_is_kept_until_its_newest_certificate_ends() {
    let mut world = World::good();
    world.contract("acme-2026").end = at(5_000);
    let until = |world: &World| match &issued(renew(world, &caller(), 50)).1[0].body {
        Body::Identity(identity) => identity.until,
        other => panic!("{other:?}"),
    };
    assert_eq!(until(&world), at(50_000_000), "never earlier than before");
    world.identity("sync-1").until = at(1_000);
    assert_eq!(until(&world), at(5_000).floor_secs());
}
