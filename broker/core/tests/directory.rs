//! `directory::decide_write`: what may stand in the directory, object by object.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Action, Actor, Body, ChangeId, Denial, Event, Life, Node,
    directory::{NAME_MAX, OBJECT_MAX, Write, decide_write},
    event::{MAX_EVENT, Rule},
    node::{
        Application, Audience, Classification, Contract, EndedCredential, KeyPurpose, Role, Roster, Vendor,
        Verifier,
    },
};
use daypass_credential::{NodeKind, Revision, Ttl};
use support::{
    NOW, World, application, at, audience, code, contract, digest, entitlement, id, identity, key, name,
    person, secs, text, vendor, verifier,
};

fn write(world: &World, body: &Body) -> Result<Write, Denial> {
    world.decide(|facts| decide_write(facts, body))
}

/// Is this, written into a good world, a new object as it stands, or refused with this?
#[track_caller]
fn check(body: Body, expected: Option<Denial>) {
    check_in(&World::good(), body, expected);
}

#[track_caller]
fn check_in(world: &World, body: Body, expected: Option<Denial>) {
    let node = Box::new(Node::open(body.clone()));
    let expected = expected.map_or(Ok(Write::Put { node, new: true, cut: false }), Err);
    assert_eq!(write(world, &body), expected);
}

/// Is this refused because of that field?
#[track_caller]
fn check_field(body: Body, expected: &str) {
    match write(&World::good(), &body) {
        Err(Denial::BadField { field, .. }) => assert_eq!(field, expected),
        other => panic!("{other:?}"),
    }
}

fn dangling(node: &str) -> Option<Denial> {
    Some(Denial::Dangling { node: id(node) })
}

fn an_application(bend: impl FnOnce(&mut Application)) -> Body {
    let mut body = application("new");
    bend(&mut body);
    Body::Application(body)
}

fn a_contract(bend: impl FnOnce(&mut Contract)) -> Body {
    let mut body = contract("new", "acme", Some("reseller-2026"));
    bend(&mut body);
    Body::Contract(body)
}

fn an_audience(bend: impl FnOnce(&mut Audience)) -> Body {
    let mut body = audience("new", "prod");
    bend(&mut body);
    Body::Audience(body)
}

#[test]
fn each_kind_of_object_is_written_as_it_is() {
    check(Body::Vendor(vendor("new", None, "olga")), None);
    check(Body::Vendor(vendor("new", Some("acme"), "olga")), None);
    check(Body::Contract(contract("new", "reseller", None)), None);
    check(a_contract(|_| {}), None);
    check(an_application(|_| {}), None);
    check(an_application(|a| a.entitlements.clear()), None);
    check(Body::Person(person("new", &[])), None);
    check(Body::Person(person("new", &[Role::Admin, Role::Auditor])), None);
    check(an_audience(|_| {}), None);
    check(Body::Verifier(verifier("new", &["billing", "lab"])), None);
}

#[test]
fn the_brokers_own_kinds_are_not_written_from_outside() {
    for body in [
        Body::Identity(identity("new", "application:sync", 1)),
        Body::Credential(EndedCredential { name: name("7") }),
        Body::Key(key("new", KeyPurpose::Token)),
        Body::Enrollment(code("new", "person:ada")),
        Body::Roster(Roster { name: name("a.new"), subject: id("application:new"), identities: vec![] }),
    ] {
        check_field(body, "kind");
    }
}

#[test]
fn a_name_leaves_room_for_what_is_made_from_it() {
    let named = |length: usize| Body::Person(person(&"x".repeat(length), &[]));
    check(named(NAME_MAX), None);
    check_field(named(NAME_MAX + 1), "name");
}

#[test]
fn what_an_object_names_has_to_be_there_and_open() {
    let cases: &[(Body, &[&str])] = &[
        (
            Body::Vendor(vendor("new", Some("acme"), "nobody")),
            &["person:nobody", "vendor:acme", "vendor:reseller"],
        ),
        (a_contract(|_| {}), &["vendor:acme", "contract:reseller-2026"]),
        (
            an_application(|_| {}),
            &[
                "vendor:acme",
                "contract:acme-2026",
                "person:bert",
                "person:tina",
                "person:olga",
                "audience:billing",
            ],
        ),
        (Body::Verifier(verifier("new", &["billing", "lab"])), &["audience:billing", "audience:lab"]),
    ];
    for (body, named) in cases {
        for node in *named {
            for life in [Life::Suspended, Life::Ended] {
                let mut world = World::good();
                world.set_life(node, life);
                check_in(&world, body.clone(), dangling(node));
            }
            let mut world = World::good();
            world.remove(node);
            check_in(&world, body.clone(), dangling(node));
        }
    }
}

#[test]
fn nothing_sits_under_itself() {
    check(Body::Vendor(vendor("new", Some("new"), "olga")), dangling("vendor:new"));
    check(a_contract(|c| c.parent = Some(name("new"))), dangling("contract:new"));
    let loops = Body::Vendor(Vendor { parent: Some(name("acme")), ..vendor("reseller", None, "rolf") });
    check(loops, Some(Denial::ChainTooDeep { node: id("vendor:reseller") }));
}

#[test]
fn four_vendors_and_contracts_stand_above_one_another_and_no_fifth() {
    let mut world = World::good();
    world.open(Body::Vendor(vendor("third", Some("acme"), "olga")));
    world.open(Body::Contract(contract("third-2026", "third", Some("acme-2026"))));
    let fourth = Body::Vendor(vendor("fourth", Some("third"), "olga"));
    check_in(&world, fourth.clone(), None);
    world.open(fourth);
    let fourth = Body::Contract(contract("fourth-2026", "fourth", Some("third-2026")));
    check_in(&world, fourth.clone(), None);
    world.open(fourth);
    let fifth = Body::Vendor(vendor("fifth", Some("fourth"), "olga"));
    check_in(&world, fifth.clone(), Some(Denial::ChainTooDeep { node: id("vendor:fifth") }));
    world.open(fifth);
    let fifth = Body::Contract(contract("fifth-2026", "fifth", Some("fourth-2026")));
    check_in(&world, fifth, Some(Denial::ChainTooDeep { node: id("contract:fifth-2026") }));
}

#[test]
fn a_contract_has_a_term_and_classifications() {
    check(a_contract(|c| c.start = at(99_999_999)), None);
    check_field(a_contract(|c| c.start = c.end), "end");
    check_field(a_contract(|c| (c.start, c.end) = (c.end, c.start)), "end");
    check_field(a_contract(|c| c.classifications.clear()), "classifications");
}

#[test]
fn a_sub_vendors_contract_stays_within_the_one_it_rests_on() {
    check_field(a_contract(|c| c.start = at(-1_000_001)), "end");
    check_field(a_contract(|c| c.end = at(100_000_001)), "end");
    check_field(a_contract(|c| c.classifications = [Classification::Restricted].into()), "classifications");
    check_field(a_contract(|c| c.parent = None), "parent");
    check_field(a_contract(|c| c.parent = Some(name("acme-2026"))), "parent");
    check_field(Body::Contract(contract("new", "reseller", Some("reseller-2026"))), "parent");
}

#[test]
fn an_application_fits_its_contract() {
    check(
        an_application(|a| a.classification = Classification::Public),
        Some(Denial::AboveClassification {
            scope: "read".parse().unwrap(),
            classification: Classification::Internal,
        }),
    );
    check_field(an_application(|a| a.classification = Classification::Restricted), "classification");
    check_field(an_application(|a| a.contract = name("reseller-2026")), "contract");
    for (instances, good) in [(0, false), (1, true), (32, true), (33, false)] {
        let body = an_application(|a| a.instances = instances);
        if good {
            check(body, None);
        } else {
            check_field(body, "instances");
        }
    }
}

#[test]
fn an_application_is_entitled_to_what_there_is_where_it_works() {
    let entitled = |audience: &str, scopes: &str| {
        an_application(|a| a.entitlements = vec![entitlement(audience, scopes)])
    };
    check(entitled("billing", "read write delete unlock"), None);
    check_field(entitled("billing", ""), "entitlements");
    check(entitled("nowhere", "read"), dangling("audience:nowhere"));
    check(entitled("billing", "gone"), Some(Denial::UnknownScope { scope: "gone".parse().unwrap() }));
    let above = Denial::AboveClassification {
        scope: "audit".parse().unwrap(),
        classification: Classification::Restricted,
    };
    check(entitled("billing", "audit"), Some(above));
    let other = Denial::OtherEnvironment { audience: name("lab"), environment: name("prod") };
    check(entitled("lab", "read"), Some(other));
    check_field(an_application(|a| a.entitlements.push(entitlement("billing", "read"))), "entitlements");
}

#[test]
fn an_application_is_entitled_at_sixteen_audiences_at_most() {
    let (mut world, mut body) = (World::good(), application("new"));
    body.entitlements.clear();
    for n in 0..16 {
        world.open(Body::Audience(audience(&format!("a{n}"), "prod")));
        body.entitlements.push(entitlement(&format!("a{n}"), "read"));
    }
    check_in(&world, Body::Application(body.clone()), None);
    body.entitlements.push(entitlement("billing", "read"));
    let many = Denial::BadField { field: "entitlements", why: "at most 16 audiences" };
    check_in(&world, Body::Application(body), Some(many));
}

#[test]
fn an_audience_declares_each_scope_once_and_none_for_longer_than_a_day() {
    use daypass_core::node::Tier::Standing;
    let rule = |scope: &str| support::rule(scope, Classification::Public, Standing);
    check_field(an_audience(|a| a.scopes.clear()), "scopes");
    check(an_audience(|a| a.scopes = (0..24).map(|n| rule(&format!("s{n}"))).collect()), None);
    check_field(an_audience(|a| a.scopes = (0..25).map(|n| rule(&format!("s{n}"))).collect()), "scopes");
    check_field(an_audience(|a| a.scopes.push(rule("read"))), "scopes");
    check(an_audience(|a| a.scopes[0].max_ttl = Ttl::days(1)), None);
    check_field(an_audience(|a| a.scopes[0].max_ttl = secs(86_401)), "scopes");
}

#[test]
fn a_staleness_limit_is_five_seconds_to_fifteen_minutes() {
    for (staleness, good) in [(4, false), (5, true), (900, true), (901, false)] {
        let body = an_audience(|a| a.staleness = secs(staleness));
        if good {
            check(body, None);
        } else {
            check_field(body, "staleness");
        }
    }
}

#[test]
fn a_verifier_checks_for_at_least_one_audience() {
    check_field(Body::Verifier(verifier("new", &[])), "audiences");
    let many = |count: usize| Verifier {
        audiences: (0..count).map(|n| name(&format!("a{n}"))).collect(),
        ..verifier("new", &[])
    };
    check_field(Body::Verifier(many(33)), "audiences");
    check(Body::Verifier(many(32)), dangling("audience:a0"));
}

/// Ending puts the whole object into an event once more. What could be written and not ended would be a hole.
#[test]
fn whatever_can_be_written_can_be_ended() {
    let size = |body: &Body| serde_json::to_vec(&Node::open(body.clone())).unwrap().len();
    let mut world = World::good();
    for n in 0..16 {
        let mut audience = audience(&format!("a{n}"), "prod");
        let scope = |m: usize| format!("{m:02}{}", "s".repeat(62));
        audience.scopes =
            (0..12).map(|m| support::rule(&scope(m), Classification::Public, support::STANDING)).collect();
        world.open(Body::Audience(audience));
    }
    // Entitlements to scopes of full length, and then one byte more at a time.
    let long = |scopes: usize, more: usize| {
        let mut body = application(&"n".repeat(1 + more));
        body.entitlements = (0..4)
            .map(|n| {
                let scope = |m: usize| format!("{m:02}{}", "s".repeat(62));
                let taken = (0..scopes.saturating_sub(n * 12).min(12)).map(scope).collect::<Vec<_>>();
                entitlement(&format!("a{n}"), &taken.join(" "))
            })
            .filter(|entitlement| !entitlement.scopes.is_empty())
            .collect();
        Body::Application(body)
    };
    let all = || (36..48).flat_map(|scopes| (0..NAME_MAX).map(move |more| (scopes, more)));
    let of_size =
        |bytes| all().map(|(scopes, more)| long(scopes, more)).find(|body| size(body) == bytes).unwrap();
    let largest = of_size(OBJECT_MAX);
    check_in(&world, largest.clone(), None);
    let why = "too large: at most 3400 bytes as JSON";
    check_in(&world, of_size(OBJECT_MAX + 1), Some(Denial::BadField { field: "object", why }));

    let mut ended = Node::open(largest);
    ended.life = Life::Suspended; // the longest word
    let subject = id(&format!("application:{}", "n".repeat(NAME_MAX)));
    let actor =
        Actor::Caller { subject, identity: name(&"i".repeat(63)), credential: Revision::new(u64::MAX) };
    let action = Action::Ended { node: ended.id(), reason: Some(text(1)) };
    let mut event = Event::new(NOW, ChangeId::new([1; 16]), actor, action).cut(ended);
    event.at = daypass_credential::Timestamp::from_millis(u64::MAX);
    event.request = Some(digest(1));
    event.rule = Rule::ALL.iter().max_by_key(|rule| rule.as_str().len()).cloned();
    let bytes = event.to_bytes().unwrap().len();
    assert!(bytes + 20 <= MAX_EVENT, "{bytes} leaves no room for a field more");
}

#[test]
fn an_object_is_written_over_none_of_another_kind() {
    // Names are told apart by kind: the same name is free in each.
    for kind in [NodeKind::Vendor, NodeKind::Person] {
        let body = match kind {
            NodeKind::Vendor => Body::Vendor(vendor("billing", None, "olga")),
            _ => Body::Person(person("billing", &[])),
        };
        check(body, None);
    }
}
