//! `directory::decide_write` on what stands already: unchanged, immutable, spent, and which changes cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node,
    directory::{Write, decide_write},
    node::{Application, Audience, Classification, Contract, Role, Tier},
};
use daypass_credential::Ttl;
use support::{
    World, at, audience, contract, entitlement, id, name, person, rule, secs, text, vendor, verifier,
};

fn write(world: &World, body: &Body) -> Result<Write, Denial> {
    world.decide(|facts| decide_write(facts, body))
}

/// Writing this over what stands in this world: does it cut?
#[track_caller]
fn check_in(world: &World, body: Body, cut: bool) {
    let node = Box::new(Node::open(body.clone()));
    assert_eq!(write(world, &body), Ok(Write::Put { node, new: false, cut }));
}

#[track_caller]
fn check_application(bend: impl FnOnce(&mut Application), cut: bool) {
    let mut world = World::good();
    let mut body = world.application("sync").clone();
    bend(&mut body);
    check_in(&world, Body::Application(body), cut);
}

#[track_caller]
fn check_contract(bend: impl FnOnce(&mut Contract), cut: bool) {
    let mut world = World::good();
    // Not quite as far as the one above, so that there is room to grow.
    let old = world.contract("acme-2026");
    (old.start, old.end) = (at(-500_000), at(50_000_000));
    old.classifications = [Classification::Internal, Classification::Confidential].into();
    let mut body = old.clone();
    bend(&mut body);
    check_in(&world, Body::Contract(body), cut);
}

#[track_caller]
fn check_audience(bend: impl FnOnce(&mut Audience), cut: bool) {
    let mut world = World::good();
    let mut body = world.audience("billing").clone();
    bend(&mut body);
    check_in(&world, Body::Audience(body), cut);
}

fn refused(world: &World, body: Body) -> Denial {
    write(world, &body).unwrap_err()
}

/// Every object of the good world that the directory writes.
fn objects() -> Vec<Body> {
    let world = World::good();
    let all = world.nodes.values().map(|stored| stored.node.body.clone());
    all.filter(|body| !matches!(body, Body::Identity(_) | Body::Key(_))).collect()
}

#[test]
fn what_is_as_asked_already_is_not_written() {
    for body in objects() {
        assert_eq!(write(&World::good(), &body), Ok(Write::Unchanged));
        let mut world = World::good();
        world.set_life(&Node::open(body.clone()).id().to_string(), Life::Suspended);
        assert_eq!(write(&world, &body), Ok(Write::Unchanged), "nor resumed");
    }
}

#[test]
fn a_spent_name_is_never_used_again() {
    for body in objects() {
        let (mut world, node) = (World::good(), Node::open(body.clone()).id());
        world.set_life(&node.to_string(), Life::Ended);
        assert_eq!(refused(&world, body), Denial::NameSpent { node });
    }
}

#[test]
fn writing_does_not_resume() {
    let mut world = World::good();
    world.set_life("audience:billing", Life::Suspended);
    let mut body = world.audience("billing").clone();
    body.staleness = secs(60);
    match write(&world, &Body::Audience(body)) {
        Ok(Write::Put { node, new: false, cut: false }) => assert_eq!(node.life, Life::Suspended),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_others_rest_on_cannot_change() {
    let mut world = World::good();
    world.open(Body::Vendor(vendor("other", None, "rolf")));
    world.open(Body::Contract(contract("other-2026", "other", None)));
    world.open(Body::Contract(contract("reseller-2027", "reseller", None)));
    let check =
        |body: Body, field: &'static str| assert_eq!(refused(&world, body), Denial::Immutable { field });
    check(Body::Vendor(vendor("acme", None, "olga")), "parent");
    check(Body::Vendor(vendor("acme", Some("other"), "olga")), "parent");
    check(Body::Vendor(vendor("reseller", Some("other"), "rolf")), "parent");
    check(Body::Contract(contract("acme-2026", "other", None)), "vendor");
    check(Body::Contract(contract("acme-2026", "acme", Some("reseller-2027"))), "parent");
    let sync = support::application("sync");
    check(
        Body::Application(Application {
            vendor: name("other"),
            contract: name("other-2026"),
            ..sync.clone()
        }),
        "vendor",
    );
    let moved =
        Application { environment: name("test"), entitlements: vec![entitlement("lab", "read")], ..sync };
    check(Body::Application(moved), "environment");
    check(Body::Audience(audience("billing", "test")), "environment");
}

#[test]
fn changing_who_answers_cuts_nothing() {
    let world = World::good();
    check_in(&world, Body::Vendor(vendor("acme", Some("reseller"), "nobody")), false);
    check_application(|a| a.owners.business = name("nobody"), false);
    check_application(|a| a.owners.technical = name("nobody"), false);
    check_application(|a| a.owners.relationship = name("nobody"), false);
    // Roles and audiences are looked up at each question, so that no credential carries them.
    check_in(&world, Body::Person(person("ada", &[])), false);
    check_in(&world, Body::Person(person("ada", &[Role::Admin, Role::Auditor])), false);
    check_in(&world, Body::Verifier(verifier("gate", &["lab"])), false);
}

#[test]
fn a_contract_is_cut_by_what_it_loses() {
    use Classification::{Confidential, Internal, Public};
    check_contract(|c| c.end = at(49_999_999), true);
    check_contract(|c| c.end = at(50_000_001), false);
    check_contract(|c| c.start = at(-499_999), true);
    check_contract(|c| c.start = at(-500_001), false);
    check_contract(|c| c.classifications = [Internal].into(), true);
    check_contract(|c| c.classifications = [Public, Internal, Confidential].into(), false);
    check_contract(|c| c.classifications = [Public, Confidential].into(), true);
    check_contract(|c| c.reference = "MSA 2027".parse().unwrap(), false);
}

#[test]
fn an_application_is_cut_by_what_it_loses() {
    check_application(|a| a.entitlements.clear(), true);
    check_application(|a| a.entitlements = vec![entitlement("billing", "read")], true);
    check_application(|a| a.entitlements = vec![entitlement("billing", "delete read")], true);
    check_application(|a| a.entitlements = vec![entitlement("billing", "delete read write")], false);
    check_application(|a| a.max_ttl = Some(Ttl::days(1)), true);
    check_application(|a| a.instances = 1, false);
    check_application(|a| a.instances = 3, false);
    check_application(|a| a.purpose = text(9), false);
}

#[test]
fn the_lifetime_of_an_application_is_cut_where_it_becomes_shorter() {
    for (old, new, cut) in [
        (None, Some(60), true),
        (Some(60), Some(59), true),
        (Some(60), Some(61), false),
        (Some(60), None, false),
    ] {
        let mut world = World::good();
        world.application("sync").max_ttl = old.map(secs);
        let mut body = world.application("sync").clone();
        body.max_ttl = new.map(secs);
        check_in(&world, Body::Application(body), cut);
    }
}

#[test]
fn the_classification_of_an_application_is_cut_where_it_falls() {
    use Classification::{Confidential, Internal};
    for (old, new, cut) in [(Confidential, Internal, true), (Internal, Confidential, false)] {
        let mut world = World::good();
        let sync = world.application("sync");
        sync.classification = old;
        sync.entitlements = vec![entitlement("billing", "read")];
        let mut body = sync.clone();
        body.classification = new;
        check_in(&world, Body::Application(body), cut);
    }
}

#[test]
fn an_application_that_moves_to_another_contract_is_cut() {
    let mut world = World::good();
    world.open(Body::Contract(contract("next", "acme", Some("reseller-2026"))));
    let mut body = world.application("sync").clone();
    body.contract = name("next");
    check_in(&world, Body::Application(body), true);
}

#[test]
fn an_audience_is_cut_by_what_its_scopes_lose() {
    use Classification::{Confidential, Public};
    // The first, `read`, is internal, standing, unbound, for 15 minutes.
    check_audience(|a| drop(a.scopes.remove(0)), true);
    check_audience(|a| a.scopes.push(rule("new", Public, Tier::Standing)), false);
    check_audience(|a| a.scopes.reverse(), false);
    check_audience(|a| a.scopes[0].classification = Confidential, true);
    check_audience(|a| a.scopes[0].tier = Tier::Jit, true);
    check_audience(|a| a.scopes[0].tier = Tier::BreakGlass, true);
    check_audience(|a| a.scopes[2].tier = Tier::BreakGlass, true);
    check_audience(|a| a.scopes[2].tier = Tier::Standing, false);
    check_audience(|a| a.scopes[3].tier = Tier::Jit, false);
    check_audience(|a| a.scopes[0].max_ttl = secs(899), true);
    check_audience(|a| a.scopes[0].max_ttl = secs(901), false);
    check_audience(|a| a.scopes[0].unbound = false, true);
    check_audience(|a| a.scopes[1].unbound = true, false);
    check_audience(|a| a.staleness = secs(5), false);
    check_audience(|a| a.staleness = secs(900), false);
}

/// A contract allows a set: that it allows confidential data does not say that it allows public data.
#[test]
fn a_scope_that_opens_other_data_is_cut_even_where_it_is_less_sensitive() {
    check_audience(|a| a.scopes[0].classification = Classification::Public, true);
}

#[test]
fn a_change_that_does_not_fit_is_refused_whether_or_not_it_narrows() {
    let mut world = World::good();
    let mut body = world.contract("acme-2026").clone();
    body.end = at(100_000_001);
    assert!(matches!(refused(&world, Body::Contract(body)), Denial::BadField { field: "end", .. }));
    world.set_life("person:tina", Life::Ended);
    let mut body = world.application("sync").clone();
    body.entitlements.clear();
    let dangling = Denial::Dangling { node: id("person:tina") };
    assert_eq!(refused(&world, Body::Application(body)), dangling);
}
