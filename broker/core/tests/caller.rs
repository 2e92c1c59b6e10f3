//! `judge_caller` and `renewed_since`: who may speak to the broker at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node, Shown,
    mint::{judge_caller, renewed_since},
};
use daypass_credential::{Era, Revision};
use support::{CALLER_REV, ERA, NOW, World, at, bound, caller, caller_person, id, identity, shown};

#[track_caller]
fn check(world: &World, caller: &Shown, expected: Option<Denial>) {
    assert_eq!(world.decide(|facts| judge_caller(facts, caller, ERA, NOW)).err(), expected);
}

#[track_caller]
fn check_renewed(world: &World, caller: &Shown, expected: Option<Denial>) {
    assert_eq!(world.decide(|facts| renewed_since(facts, caller)).err(), expected);
}

fn callers() -> Vec<Shown> {
    vec![caller(), caller_person("ada"), shown(CALLER_REV, "verifier:gate identity:gate-1", 30)]
}

#[test]
fn a_caller_of_each_kind_is_known_while_all_it_rests_on_is_open() {
    for caller in callers() {
        check(&World::good(), &caller, None);
        for node in caller.lineage.nodes() {
            for life in [Life::Suspended, Life::Ended] {
                let mut world = World::good();
                world.set_life(&node.to_string(), life);
                check(&world, &caller, Some(Denial::CallerDead { node: node.clone(), life }));
            }
            let mut world = World::good();
            world.remove(&node.to_string());
            check(&world, &caller, Some(Denial::CallerDead { node: node.clone(), life: Life::Ended }));
        }
    }
}

#[test]
fn the_first_closed_node_from_the_root_is_named() {
    let mut world = World::good();
    world.set_life("vendor:reseller", Life::Suspended);
    world.set_life("application:sync", Life::Ended);
    let dead = Denial::CallerDead { node: id("vendor:reseller"), life: Life::Suspended };
    check(&world, &caller(), Some(dead));
}

#[test]
fn an_expired_or_foreign_certificate_is_no_caller() {
    for caller in callers() {
        let (world, expires) = (World::good(), |expires| Shown { expires, ..caller.clone() });
        check(&world, &expires(at(1)), None);
        check(&world, &expires(NOW), Some(Denial::CallerExpired { expired: NOW }));
        check(&world, &expires(at(-1)), Some(Denial::CallerExpired { expired: at(-1) }));
        check(&world, &Shown { era: Era::new(1), ..caller }, Some(Denial::CallerOfOtherEra));
    }
}

#[test]
fn an_ended_certificate_is_no_caller_and_its_successor_is() {
    let mut world = World::good();
    world.end_credential(CALLER_REV);
    check(&world, &caller(), Some(Denial::CallerEnded));
    check(&world, &Shown { rev: Revision::new(CALLER_REV + 1), ..caller() }, None);
}

#[test]
fn a_certificate_that_rests_on_an_ended_credential_is_no_caller() {
    let line = format!("{} credential:41 identity:sync-1", support::CHAIN);
    let caller = shown(CALLER_REV, &line, 10);
    let mut world = World::good();
    check(&world, &caller, None);
    world.end_credential(41);
    check(&world, &caller, Some(Denial::CallerDead { node: id("credential:41"), life: Life::Ended }));
}

#[test]
fn a_client_certificate_is_no_caller() {
    check(&World::good(), &bound(), Some(Denial::NotAnIdentity));
}

/// Suspended and resumed, or narrowed: it may renew, and do nothing else.
#[test]
fn a_cut_node_that_is_open_lets_its_identity_renew_only() {
    for caller in callers() {
        for node in caller.lineage.nodes() {
            let mut world = World::good();
            world.cut(&node.to_string(), CALLER_REV);
            check_renewed(&world, &caller, None);
            world.cut(&node.to_string(), CALLER_REV + 1);
            check(&world, &caller, None);
            check_renewed(&world, &caller, Some(Denial::RenewFirst { node: node.clone() }));
        }
    }
}

#[test]
fn a_cut_of_what_it_does_not_rest_on_is_no_concern_of_the_caller() {
    let mut world = World::good();
    world.put(Node { life: Life::Ended, body: Body::Identity(identity("sync-2", "application:sync", 13)) });
    world.cut("identity:sync-2", CALLER_REV + 1);
    world.cut("audience:billing", CALLER_REV + 1);
    check(&world, &caller(), None);
    check_renewed(&world, &caller(), None);
}
