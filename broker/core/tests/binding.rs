//! `decide_token`: which client certificate a token may be bound to, and which key may sign it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{Body, Denial, Life, event::Bound, node::KeyPurpose};
use daypass_credential::{Era, Revision};
use support::{BOUND_REV, CALLER_REV, Case, NOW, at, bound, id, name, shown};

#[track_caller]
fn check(bend: impl FnOnce(&mut Case), expected: Option<Denial>) {
    let mut case = Case::good();
    bend(&mut case);
    assert_eq!(case.token().err(), expected);
}

#[test]
fn a_token_is_bound_to_nobody_elses_certificate() {
    let wrong = || Some(Denial::WrongCertificate);
    check(|c| c.bound.as_mut().unwrap().audience = Some(name("lab")), wrong());
    check(|c| c.bound.as_mut().unwrap().subject = id("application:other"), wrong());
    check(|c| c.bound = Some(support::caller()), wrong());
    // Another instance of the same application is fine, and becomes part of the lineage.
    let mut case = Case::good();
    case.world.open(Body::Identity(support::identity("sync-2", "application:sync", 13)));
    let line =
        bound().lineage.to_string().replace("sync-1", "sync-2").replace("credential:500", "credential:501");
    case.bound = Some(daypass_core::Shown { audience: Some(name("billing")), ..shown(BOUND_REV, &line, 14) });
    let lineage = case.token().unwrap().lineage;
    for node in ["identity:sync-2", "credential:501", "credential:600", "identity:sync-1", "credential:500"] {
        assert!(lineage.contains(&id(node)), "{node}");
    }
}

#[test]
fn a_token_is_bound_to_no_dead_certificate() {
    let dead = || Some(Denial::CertificateDead);
    check(|c| c.bound.as_mut().unwrap().era = Era::new(1), dead());
    check(|c| c.bound.as_mut().unwrap().expires = NOW, dead());
    check(|c| c.bound.as_mut().unwrap().expires = at(1_000), None);
    check(|c| c.world.end_credential(BOUND_REV), dead());
    check(|c| c.world.cut("audience:billing", BOUND_REV), None);
    check(|c| c.world.cut("audience:billing", BOUND_REV + 1), dead());
    // The identity certificate that had asked for it, ended since.
    let by_another = |c: &mut Case| {
        c.caller.rev = Revision::new(CALLER_REV + 1);
        c.world.end_credential(CALLER_REV);
        c.world.cut(&format!("credential:{CALLER_REV}"), BOUND_REV + 1);
    };
    check(by_another, dead());
    check(
        |c| {
            by_another(c);
            c.world.at(&format!("credential:{CALLER_REV}")).cut = None;
        },
        dead(),
    );
}

#[test]
fn a_token_is_bound_to_no_certificate_of_a_closed_instance() {
    for life in [Life::Suspended, Life::Ended] {
        let closed = |c: &mut Case| {
            c.world.put(daypass_core::Node {
                life,
                body: Body::Identity(support::identity("sync-2", "application:sync", 13)),
            });
            let line = bound().lineage.to_string().replace("sync-1", "sync-2");
            c.bound =
                Some(daypass_core::Shown { audience: Some(name("billing")), ..shown(BOUND_REV, &line, 14) });
        };
        check(closed, Some(Denial::CertificateDead));
    }
}

#[test]
fn nothing_is_minted_without_a_key_in_force() {
    let none = || Some(Denial::NoSigningKey);
    check(|c| c.world.remove("key:token-1"), none());
    check(|c| c.world.set_life("key:token-1", Life::Ended), none());
    check(|c| c.world.set_life("key:token-1", Life::Suspended), none());
    for purpose in
        [KeyPurpose::Identity, KeyPurpose::Audit, KeyPurpose::Audience { audience: name("billing") }]
    {
        check(|c| c.world.key("token-1").purpose = purpose, none());
    }
    check(|c| c.world.key("token-1").not_before = NOW, None);
    check(|c| c.world.key("token-1").not_before = at(1), none());
    check(|c| c.world.key("token-1").not_after = NOW, none());
    let last = Denial::NothingLeft { bound_by: Bound::SigningKey };
    check(|c| c.world.key("token-1").not_after = at(1), Some(last));
    check(|c| c.world.key("token-1").not_after = at(1_000), None);
}
