//! `ending::decide_end`: one node, one cut, and what has no end of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node,
    ending::{End, decide_end},
    node::{EndedCredential, Roster, Spent},
};
use daypass_credential::{NodeKind, Revision};
use support::{World, code, digest, id, name};

fn world() -> World {
    World::with([
        Body::Enrollment(code("c0de", "application:sync")),
        Body::Roster(Roster { name: name("a.sync"), subject: id("application:sync"), identities: vec![] }),
    ])
}

#[track_caller]
fn check(world: &World, node: &str, expected: Result<End, Denial>) {
    assert_eq!(world.decide(|facts| decide_end(facts, &id(node))), expected, "{node}");
}

const ENDABLE: &[&str] = &[
    "vendor:acme",
    "contract:acme-2026",
    "application:sync",
    "person:tina",
    "audience:billing",
    "verifier:gate",
    "identity:sync-1",
    "enrollment:c0de",
];

#[test]
fn what_is_open_or_suspended_ends_as_it_is() {
    for node in ENDABLE {
        for life in [Life::Open, Life::Suspended] {
            let mut world = world();
            world.set_life(node, life);
            let body = world.at(node).node.body.clone();
            check(&world, node, Ok(End::Cut(Box::new(Node { life: Life::Ended, body }))));
        }
    }
}

#[test]
fn ending_again_names_the_first_end() {
    for node in ENDABLE {
        let mut world = world();
        world.set_life(node, Life::Ended);
        let written = world.at(node).revision;
        check(&world, node, Ok(End::Already(written)));
        world.cut(node, 77);
        check(&world, node, Ok(End::Already(Revision::new(77))));
    }
}

#[test]
fn a_credential_ends_by_its_number() {
    let mut world = world();
    let body = Body::Credential(EndedCredential { name: name("41") });
    check(&world, "credential:41", Ok(End::Cut(Box::new(Node { life: Life::Ended, body }))));
    world.end_credential(41);
    world.cut("credential:41", 90);
    check(&world, "credential:41", Ok(End::Already(Revision::new(90))));
}

/// Another spelling would be another node, and leave the credential alive.
#[test]
fn a_credential_has_one_spelling() {
    for node in [
        "credential:041",
        "credential:0",
        "credential:00",
        "credential:x1",
        "credential:18446744073709551616",
    ] {
        check(&world(), node, Err(Denial::UnknownNode { node: id(node) }));
    }
    let largest = id("credential:18446744073709551615");
    assert!(world().decide(|facts| decide_end(facts, &largest)).is_ok());
}

#[test]
fn a_spent_code_has_no_end_of_its_own() {
    let mut world = world();
    world.enrollment("c0de").spent = Some(Spent { identity: name("sync-1"), key: digest(10) });
    check(&world, "enrollment:c0de", Err(Denial::NotEndable { node: id("enrollment:c0de") }));
}

#[test]
fn keys_and_rosters_are_not_ended_here_whether_or_not_they_exist() {
    for node in ["key:token-1", "key:none", "roster:a.sync", "roster:none"] {
        check(&world(), node, Err(Denial::NotEndable { node: id(node) }));
    }
}

#[test]
fn what_does_not_exist_has_no_end() {
    for kind in NodeKind::ALL {
        let node = format!("{kind}:none");
        let expected = match kind {
            NodeKind::Key | NodeKind::Roster => Denial::NotEndable { node: id(&node) },
            _ => Denial::UnknownNode { node: id(&node) },
        };
        check(&world(), &node, Err(expected));
    }
}
