//! `resuming::decide_resume`: one vendor opened again, and what cannot be; `carrying::carried`: what comes into a new
//! era, and in which order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use daypass_core::{
    Body, Denial, Life, Node, Put,
    carrying::carried,
    resuming::{Resume, decide_resume},
};
use daypass_credential::{NodeId, NodeKind};
use support::{World, code, contract, id, vendor};

#[track_caller]
fn check(world: &World, node: &str, expected: Result<Resume, Denial>) {
    assert_eq!(world.decide(|facts| decide_resume(facts, &id(node))), expected, "{node}");
}

#[test]
fn a_suspended_vendor_opens_and_its_cut_stays_with_the_store() {
    let mut world = World::good();
    world.set_life("vendor:acme", Life::Suspended);
    let body = world.at("vendor:acme").node.body.clone();
    check(&world, "vendor:acme", Ok(Resume::Open(Box::new(Node::open(body)))));
}

#[test]
fn a_vendor_under_a_suspended_one_is_resumed_by_itself() {
    let mut world = World::good();
    world.set_life("vendor:reseller", Life::Suspended);
    let written = world.at("vendor:acme").revision;
    check(&world, "vendor:acme", Ok(Resume::Already(written)));
}

#[test]
fn what_is_open_answers_when_it_was_written() {
    let mut world = World::good();
    let written = world.at("vendor:acme").revision;
    check(&world, "vendor:acme", Ok(Resume::Already(written)));
}

#[test]
fn what_is_ended_or_unknown_or_no_vendor_is_refused() {
    let mut world = World::good();
    world.set_life("vendor:acme", Life::Ended);
    let acme = id("vendor:acme");
    check(&world, "vendor:acme", Err(Denial::SubjectClosed { node: acme, life: Life::Ended }));
    let nobody = id("vendor:nobody");
    check(&world, "vendor:nobody", Err(Denial::UnknownNode { node: nobody }));
    for node in
        ["application:sync", "identity:sync-1", "person:ada", "contract:acme-2026", "audience:billing"]
    {
        world.set_life(node, Life::Suspended);
        check(&world, node, Err(Denial::NotResumable { node: id(node) }));
    }
}

fn all(world: &World) -> Vec<Node> {
    world.nodes.values().map(|stored| stored.node.clone()).collect()
}

fn find<'a>(puts: &'a [Put], node: &str) -> Option<&'a Put> {
    puts.iter().find(|put| put.node.id() == id(node))
}

#[test]
fn open_vendors_come_suspended_and_all_else_as_it_was() {
    let mut world = World::good();
    world.set_life("vendor:reseller", Life::Suspended);
    world.set_life("application:sync", Life::Ended);
    world.set_life("person:bert", Life::Ended);
    let puts = carried(&all(&world));
    for (node, life) in [
        ("vendor:acme", Life::Suspended),
        ("vendor:reseller", Life::Suspended),
        ("application:sync", Life::Ended),
        ("person:bert", Life::Ended),
        ("person:ada", Life::Open),
        ("contract:acme-2026", Life::Open),
        ("audience:billing", Life::Open),
        ("verifier:gate", Life::Open),
    ] {
        let put = find(&puts, node).unwrap_or_else(|| panic!("`{node}` does not come"));
        assert_eq!((put.node.life, put.cut), (life, life != Life::Open), "{node}");
        assert_eq!(put.node.body, world.at(node).node.body, "{node}");
    }
}

#[test]
fn an_ended_vendor_stays_ended() {
    let mut world = World::good();
    world.set_life("vendor:acme", Life::Ended);
    assert_eq!(find(&carried(&all(&world)), "vendor:acme").unwrap().node.life, Life::Ended);
}

const DIRECTORY: &[NodeKind] = &[
    NodeKind::Vendor,
    NodeKind::Contract,
    NodeKind::Application,
    NodeKind::Person,
    NodeKind::Audience,
    NodeKind::Verifier,
];

#[test]
fn nothing_that_lets_in_comes_over() {
    let mut world = World::with([Body::Enrollment(code("c0de", "application:sync"))]);
    world.end_credential(41);
    let kinds: BTreeSet<NodeKind> = carried(&all(&world)).iter().map(|put| put.node.id().kind).collect();
    assert_eq!(kinds, DIRECTORY.iter().copied().collect());
}

/// What a node names of what comes over.
fn named(body: &Body) -> Vec<NodeId> {
    let node = |kind: NodeKind, name: &daypass_credential::Name| NodeId::new(kind, name.clone());
    match body {
        Body::Vendor(v) => {
            let parent = v.parent.iter().map(|parent| node(NodeKind::Vendor, parent));
            parent.chain([node(NodeKind::Person, &v.owner)]).collect()
        }
        Body::Contract(c) => {
            let parent = c.parent.iter().map(|parent| node(NodeKind::Contract, parent));
            parent.chain([node(NodeKind::Vendor, &c.vendor)]).collect()
        }
        Body::Application(a) => {
            let at = a.entitlements.iter().map(|held| node(NodeKind::Audience, &held.audience));
            at.chain([node(NodeKind::Vendor, &a.vendor), node(NodeKind::Contract, &a.contract)]).collect()
        }
        Body::Verifier(v) => v.audiences.iter().map(|name| node(NodeKind::Audience, name)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn nothing_names_what_comes_later() {
    // Names in the order opposite to that of the chain.
    let mut world = World::with([
        Body::Vendor(vendor("z", None, "olga")),
        Body::Vendor(vendor("y", Some("z"), "olga")),
        Body::Vendor(vendor("b", Some("y"), "olga")),
        Body::Vendor(vendor("a", Some("b"), "olga")),
        Body::Contract(contract("z-1", "z", None)),
        Body::Contract(contract("y-1", "y", Some("z-1"))),
        Body::Contract(contract("b-1", "b", Some("y-1"))),
        Body::Contract(contract("a-1", "a", Some("b-1"))),
    ]);
    world.open(Body::Vendor(vendor("c", Some("a"), "olga")));
    let puts = carried(&all(&world));
    let mut seen = BTreeSet::new();
    for put in &puts {
        for above in named(&put.node.body) {
            assert!(seen.contains(&above) || above == id("audience:lab"), "{} before {above}", put.node.id());
        }
        seen.insert(put.node.id());
    }
    assert_eq!(seen.len(), puts.len());
}

#[test]
fn a_ring_that_no_decision_makes_still_comes_to_an_end() {
    let world = World::with([
        Body::Vendor(vendor("a", Some("b"), "olga")),
        Body::Vendor(vendor("b", Some("a"), "olga")),
    ]);
    assert!(find(&carried(&all(&world)), "vendor:a").is_some());
}
