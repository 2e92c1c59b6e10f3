//! How many instances a subject may have enrolled at once, and that none shares a key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node,
    enroll::{EnrollAsk, OTHER_CAP, Outcome, decide_enrollment},
    event::{CertificateRecord, Nonce},
    mint::Terms,
    node::Roster,
};
use daypass_credential::Ttl;
use support::{ERA, NOW, World, at, code, digest, id, identity, name};

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

/// A world where the application has these instances; its cap is two.
fn instances(names: &[&str]) -> World {
    let mut world = world("application:sync");
    for (n, text) in names.iter().enumerate() {
        world.open(Body::Identity(identity(text, "application:sync", 60 + u8::try_from(n).unwrap())));
    }
    let identities = names.iter().map(|n| name(n)).collect();
    world.open(Body::Roster(Roster { name: name("a.sync"), subject: id("application:sync"), identities }));
    world
}

#[test]
fn a_full_roster_takes_no_more() {
    let full = Err(Denial::InstanceCap { subject: id("application:sync"), cap: 2 });
    assert!(enroll(&instances(&["one"]), 50, "fresh").is_ok());
    let mut world = instances(&["one", "two"]);
    assert_eq!(enroll(&world, 50, "fresh"), full);
    // A suspended instance keeps its place: it may be resumed.
    world.set_life("identity:one", Life::Suspended);
    assert_eq!(enroll(&world, 50, "fresh"), full);
    world.application("sync").instances = 3;
    assert!(enroll(&world, 50, "fresh").is_ok());
}

#[test]
fn an_instance_that_is_over_frees_its_place() {
    for bend in [
        |w: &mut World| w.set_life("identity:one", Life::Ended),
        |w: &mut World| w.identity("one").until = NOW,
        |w: &mut World| w.remove("identity:one"),
    ] {
        let mut world = instances(&["one", "two"]);
        bend(&mut world);
        let puts = issued(enroll(&world, 50, "fresh")).1;
        assert!(matches!(&puts[2].body, Body::Roster(r) if r.identities == [name("two"), name("fresh")]));
    }
    let mut world = instances(&["one", "two"]);
    world.identity("one").until = at(1);
    assert!(matches!(enroll(&world, 50, "fresh"), Err(Denial::InstanceCap { .. })));
}

#[test]
fn people_and_verifiers_have_a_cap_too() {
    for (subject, roster) in [("person:ada", "p.ada"), ("verifier:gate", "v.gate")] {
        let mut world = world(subject);
        let mut identities = Vec::new();
        for n in 0..OTHER_CAP {
            assert!(enroll(&world, 50, "fresh").is_ok(), "{n}");
            let text = format!("i{n}");
            world.open(Body::Identity(identity(&text, subject, u8::try_from(100 + n).unwrap())));
            identities.push(name(&text));
            let (name, identities) = (name(roster), identities.clone());
            world.open(Body::Roster(Roster { name, subject: id(subject), identities }));
        }
        let full = Denial::InstanceCap { subject: id(subject), cap: OTHER_CAP };
        assert_eq!(enroll(&world, 50, "fresh"), Err(full));
    }
}

#[test]
fn no_two_instances_share_a_key() {
    let mut world = instances(&["one"]);
    assert_eq!(enroll(&world, 60, "fresh"), Err(Denial::KeyReused));
    world.identity("one").until = NOW;
    assert!(enroll(&world, 60, "fresh").is_ok());
}
