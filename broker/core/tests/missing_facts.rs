//! A decision without one of its facts asks for that fact: it never guesses, and never crashes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Facts, Life, Stop,
    authority::{
        effective_life, may_be_told_of, may_end, may_list, may_open_enrollment, may_read, may_write,
    },
    directory::decide_write,
    ending::decide_end,
    enroll::{EnrollAsk, decide_enrollment, decide_renewal},
    event::Nonce,
    forgetting::decide_forget,
    mint::{Terms, judge_caller, renewed_since},
    node::{Roster, Spent},
};
use daypass_credential::{NodeId, Ttl};
use support::{Case, ERA, NOW, World, caller, caller_person, code, digest, id, identity, name};

/// The rule says yes with all facts; without any one of them it needs that one.
#[track_caller]
fn check<T: std::fmt::Debug>(world: &World, rule: impl Fn(&Facts) -> Result<T, Stop>) {
    let (outcome, facts) = world.settle(&rule);
    assert!(outcome.is_ok(), "{outcome:?}");
    let read: Vec<NodeId> = facts.ids().cloned().collect();
    assert!(!read.is_empty());
    for missing in &read {
        let mut part = Facts::default();
        read.iter().filter(|id| *id != missing).for_each(|id| part.add(id.clone(), world.read(id)));
        assert_eq!(rule(&part).unwrap_err(), Stop::Need(missing.clone()));
    }
    // The commit expects each of them, as it was read.
    let expected = facts.expectations();
    assert_eq!(expected.len(), read.len());
    for expect in expected {
        assert_eq!(expect.revision, world.read(&expect.node).map(|stored| stored.revision));
    }
}

#[test]
fn minting_needs_every_fact() {
    let case = Case::good();
    check(&case.world, |facts| case.token_by(facts));
    check(&case.world, |facts| case.certificate_by(facts));
    let unbound = Case { bound: None, scopes: "read".into(), ..Case::good() };
    check(&unbound.world, |facts| unbound.token_by(facts));
}

#[test]
fn judging_a_caller_needs_every_fact() {
    let world = World::good();
    for caller in [caller(), caller_person("ada")] {
        check(&world, |facts| judge_caller(facts, &caller, ERA, NOW));
        check(&world, |facts| renewed_since(facts, &caller));
    }
}

#[test]
fn enrolment_and_renewal_need_every_fact() {
    let mut world = World::with([Body::Enrollment(code("c0de", "application:sync"))]);
    let roster =
        Roster { name: name("a.sync"), subject: id("application:sync"), identities: vec![name("sync-1")] };
    world.open(Body::Roster(roster));
    let (enrollment, fresh, issuer) = (name("c0de"), name("fresh"), name("root-1"));
    let ask = EnrollAsk { enrollment: &enrollment, key: digest(50), identity: &fresh, nonce: Nonce([2; 8]) };
    let terms = Terms { era: ERA, key: &issuer, max_ttl: Ttl::days(1) };
    check(&world, |facts| decide_enrollment(facts, &ask, &terms, NOW));
    check(&world, |facts| decide_renewal(facts, &caller(), digest(50), Nonce([2; 8]), &terms, NOW));
    // The same key once more, and another one.
    world.open(Body::Identity(identity("fresh", "application:sync", 50)));
    world.enrollment("c0de").spent = Some(Spent { identity: name("fresh"), key: digest(50) });
    check(&world, |facts| decide_enrollment(facts, &ask, &terms, NOW));
    let other = EnrollAsk { key: digest(51), ..ask };
    check(&world, |facts| decide_enrollment(facts, &other, &terms, NOW));
}

#[test]
fn writing_and_ending_need_every_fact() {
    let world = World::good();
    for stored in world.nodes.values() {
        let body = &stored.node.body;
        if !matches!(body, Body::Identity(_) | Body::Key(_)) {
            check(&world, |facts| decide_write(facts, body));
        }
        if !matches!(body, Body::Key(_)) {
            check(&world, |facts| decide_end(facts, &stored.node.id()));
        }
        check(&world, |facts| effective_life(facts, &stored.node.id()));
    }
}

#[test]
fn authority_needs_every_fact() {
    let world = World::good();
    let (ada, aldo, olga, tina) =
        (caller_person("ada"), caller_person("aldo"), caller_person("olga"), caller_person("tina"));
    check(&world, |facts| may_write(facts, &ada));
    check(&world, |facts| may_list(facts, &aldo));
    check(&world, |facts| may_open_enrollment(facts, &tina, &id("application:sync")));
    for node in ["vendor:acme", "contract:acme-2026", "application:sync"] {
        check(&world, |facts| may_read(facts, &olga, &id(node)));
        check(&world, |facts| may_end(facts, &olga, &id(node), None));
    }
    for node in ["audience:billing", "vendor:acme", "person:ada"] {
        check(&world, |facts| may_be_told_of(facts, &caller(), &id(node)));
    }
    let mut ended = World::good();
    ended.set_life("person:tina", Life::Ended);
    check(&ended, |facts| decide_forget(facts, &name("tina"), &[]));
    check(&world, |facts| may_end(facts, &tina, &id("identity:sync-1"), None));
    check(&world, |facts| may_end(facts, &caller(), &id("identity:sync-1"), None));
}

#[test]
fn the_first_word_on_a_node_stands() {
    let mut world = World::good();
    let (node, mut facts) = (id("vendor:acme"), Facts::default());
    let first = world.read(&node);
    facts.add(node.clone(), first.clone());
    world.at("vendor:acme").revision = daypass_credential::Revision::new(900);
    facts.add(node.clone(), world.read(&node));
    facts.add(node.clone(), None);
    assert_eq!(facts.stored(&node).unwrap().cloned(), first);
    assert_eq!(facts.expectations().len(), 1);
    assert_eq!(facts.cut(&node), None);
    assert!(facts.knows(&node) && !facts.knows(&id("vendor:reseller")));
}
