//! `decide_certificate`: the yes and each no that a token does not have in the same way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Denial, Life,
    event::{Bound, Nonce},
    node::{Classification, KeyPurpose, Tier},
};
use support::{CALLER_REV, Case, NOW, at, bound, caller_person, digest, entitlement, id, name, rule};

#[track_caller]
fn check(bend: impl FnOnce(&mut Case), expected: Option<Denial>) {
    let mut case = Case::good();
    bend(&mut case);
    assert_eq!(case.certificate().err(), expected);
}

#[test]
fn an_entitled_application_gets_a_certificate() {
    let certificate = Case::good().certificate().unwrap();
    assert_eq!(certificate.subject, id("application:sync"));
    assert_eq!(certificate.identity, name("sync-1"));
    assert_eq!(certificate.audience, Some(name("billing")));
    assert_eq!(certificate.lineage, bound().lineage);
    assert_eq!((certificate.key, certificate.nonce), (digest(12), Nonce([1; 8])));
    assert_eq!(certificate.not_before, NOW.floor_secs());
    assert_eq!((certificate.expires, certificate.bound_by), (at(900_000).floor_secs(), Bound::Scope));
    assert_eq!(certificate.issuer, name("ca-1"));
}

#[test]
fn a_client_certificate_has_a_key_of_its_own() {
    check(|c| c.certificate_key = c.caller.key, Some(Denial::KeyReused));
}

#[test]
fn it_takes_at_least_one_standing_scope() {
    let entitled = |scopes: &'static str| {
        move |c: &mut Case| c.world.application("sync").entitlements = vec![entitlement("billing", scopes)]
    };
    check(entitled("delete read unlock"), None);
    let jit = Denial::GrantRequired { scope: "delete".parse().unwrap(), tier: Tier::Jit };
    check(entitled("delete unlock"), Some(jit));
    let glass = Denial::GrantRequired { scope: "unlock".parse().unwrap(), tier: Tier::BreakGlass };
    check(entitled("unlock"), Some(glass));
    let above = Denial::AboveClassification {
        scope: "audit".parse().unwrap(),
        classification: Classification::Restricted,
    };
    check(entitled("audit"), Some(above));
    check(entitled("gone"), Some(Denial::NoScope));
    check(entitled(""), Some(Denial::NoScope));
}

#[test]
fn a_contract_that_allows_none_of_its_data_gives_no_certificate() {
    for contract in ["acme-2026", "reseller-2026"] {
        let outside = Denial::OutsideContract {
            scope: "read".parse().unwrap(),
            classification: Classification::Internal,
            contract: name(contract),
        };
        let public =
            |c: &mut Case| c.world.contract(contract).classifications = [Classification::Public].into();
        check(public, Some(outside));
    }
}

#[test]
fn the_caller_and_its_chain_are_judged_as_for_a_token() {
    check(|c| c.caller.expires = NOW, Some(Denial::CallerExpired { expired: NOW }));
    check(|c| c.world.end_credential(CALLER_REV), Some(Denial::CallerEnded));
    check(|c| c.caller = bound(), Some(Denial::NotAnIdentity));
    check(|c| c.caller = caller_person("ada"), Some(Denial::NotAnApplication));
    let dead = Denial::CallerDead { node: id("vendor:acme"), life: Life::Ended };
    check(|c| c.world.set_life("vendor:acme", Life::Ended), Some(dead));
    let renew = Denial::RenewFirst { node: id("contract:reseller-2026") };
    check(|c| c.world.cut("contract:reseller-2026", CALLER_REV + 1), Some(renew));
    let start = at(1);
    let early = Denial::ContractNotBegun { contract: name("acme-2026"), start };
    check(|c| c.world.contract("acme-2026").start = start, Some(early));
    let over = Denial::ContractOver { contract: name("acme-2026"), end: NOW };
    check(|c| c.world.contract("acme-2026").end = NOW, Some(over));
}

#[test]
fn the_audience_is_judged_as_for_a_token() {
    for text in ["lab", "nowhere"] {
        let audience = name(text);
        check(
            |c| c.audience = audience.clone(),
            Some(Denial::UnknownAudience { audience: audience.clone() }),
        );
    }
    let closed = Denial::AudienceClosed { audience: name("billing"), life: Life::Suspended };
    check(|c| c.world.set_life("audience:billing", Life::Suspended), Some(closed));
    let other = Denial::OtherEnvironment { audience: name("billing"), environment: name("prod") };
    check(|c| c.world.audience("billing").environment = name("test"), Some(other));
}

#[test]
fn only_the_ca_of_the_audience_signs_for_it() {
    let none = || Some(Denial::NoSigningKey);
    check(|c| c.world.remove("key:ca-1"), none());
    check(|c| c.world.set_life("key:ca-1", Life::Ended), none());
    for purpose in [KeyPurpose::Token, KeyPurpose::Identity, KeyPurpose::Audience { audience: name("lab") }] {
        check(|c| c.world.key("ca-1").purpose = purpose, none());
    }
    check(|c| c.world.key("ca-1").not_before = NOW, None);
    check(|c| c.world.key("ca-1").not_before = at(1), none());
    check(|c| c.world.key("ca-1").not_after = NOW, none());
    check(|c| c.world.key("ca-1").not_after = at(1_000), None);
}

#[test]
fn it_lives_no_longer_than_the_shortest_standing_scope_it_is_entitled_to() {
    let mut case = Case::good();
    case.world.application("sync").entitlements = vec![entitlement("billing", "read write delete")];
    let audience = case.world.audience("billing");
    audience.scopes[1].max_ttl = support::secs(100);
    audience.scopes[2].max_ttl = support::secs(10);
    let mut other = rule("other", Classification::Public, Tier::Standing);
    other.max_ttl = support::secs(1);
    audience.scopes.push(other);
    let certificate = case.certificate().unwrap();
    assert_eq!((certificate.expires, certificate.bound_by), (at(100_000).floor_secs(), Bound::Scope));
}
