//! `decide_token`: the yes, each no, and the boundary instant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life,
    event::Bound,
    node::{Classification, Tier},
};
use daypass_credential::Era;
use support::{
    CALLER_REV, Case, NOW, World, at, bound, caller_person, contract, digest, entitlement, id, name, rule,
    secs, shown, vendor,
};

#[track_caller]
fn check(bend: impl FnOnce(&mut Case), expected: Option<Denial>) {
    let mut case = Case::good();
    bend(&mut case);
    assert_eq!(case.token().err(), expected);
}

fn dead(node: &str, life: Life) -> Denial {
    Denial::CallerDead { node: id(node), life }
}

#[test]
fn an_entitled_application_gets_a_token() {
    let token = Case::good().token().unwrap();
    assert_eq!(token.application, name("sync"));
    assert_eq!(token.audience, name("billing"));
    assert_eq!(token.scopes.to_string(), "read write");
    assert_eq!(
        token.lineage.to_string(),
        "vendor:reseller vendor:acme contract:reseller-2026 contract:acme-2026 application:sync identity:sync-1 \
         credential:500 audience:billing credential:600"
    );
    assert_eq!(token.thumbprint, Some(bound().thumbprint));
    assert_eq!(token.issued, NOW);
    assert_eq!((token.expires, token.bound_by), (at(800_000).floor_secs(), Bound::Parent));
    assert_eq!(token.key, name("token-1"));
}

#[test]
fn an_unbound_token_takes_scopes_that_allow_it() {
    let mut case = Case { bound: None, scopes: "read".into(), ..Case::good() };
    assert_eq!(case.token().unwrap().thumbprint, None);
    case.scopes = "read write".into();
    assert_eq!(case.token(), Err(Denial::BindingRequired { scope: "write".parse().unwrap() }));
}

#[test]
fn a_caller_of_another_era_is_refused() {
    check(|c| c.era = Era::new(8), Some(Denial::CallerOfOtherEra));
}

#[test]
fn a_caller_is_refused_from_the_instant_of_its_expiry() {
    check(|c| c.caller.expires = NOW, Some(Denial::CallerExpired { expired: NOW }));
    check(|c| c.caller.expires = at(-1), Some(Denial::CallerExpired { expired: at(-1) }));
    // One millisecond is alive, but it is not a whole second.
    check(|c| c.caller.expires = at(1), Some(Denial::NothingLeft { bound_by: Bound::Parent }));
    check(|c| c.caller.expires = at(1_000), None);
}

#[test]
fn what_the_caller_rests_on_has_to_be_open() {
    let line = support::caller().lineage;
    for node in line.nodes().iter().map(ToString::to_string) {
        for life in [Life::Suspended, Life::Ended] {
            check(|c| c.world.set_life(&node, life), Some(dead(&node, life)));
        }
        check(|c| c.world.remove(&node), Some(dead(&node, Life::Ended)));
    }
}

#[test]
fn an_ended_identity_certificate_mints_nothing() {
    check(|c| c.world.end_credential(CALLER_REV), Some(Denial::CallerEnded));
}

#[test]
fn an_identity_certificate_from_before_a_cut_renews_first() {
    let line = support::caller().lineage;
    for node in line.nodes().iter().map(ToString::to_string) {
        check(|c| c.world.cut(&node, CALLER_REV - 1), None);
        check(|c| c.world.cut(&node, CALLER_REV), None);
        check(|c| c.world.cut(&node, CALLER_REV + 1), Some(Denial::RenewFirst { node: id(&node) }));
    }
}

#[test]
fn a_client_certificate_is_no_caller() {
    check(|c| c.caller = bound(), Some(Denial::NotAnIdentity));
}

#[test]
fn people_and_verifiers_get_no_tokens() {
    check(|c| c.caller = caller_person("ada"), Some(Denial::NotAnApplication));
    let gate = shown(CALLER_REV, "verifier:gate identity:gate-1", 30);
    check(|c| c.caller = gate, Some(Denial::NotAnApplication));
}

/// What stands above the application now counts, even if the certificate that asks does not name it.
#[test]
fn what_stands_above_now_has_to_be_open_too() {
    let moved = |c: &mut Case| {
        c.world.open(Body::Contract(contract("next", "acme", Some("reseller-2026"))));
        c.world.application("sync").contract = name("next");
    };
    check(moved, None);
    let closed = |life| {
        move |c: &mut Case| {
            moved(c);
            c.world.set_life("contract:next", life);
        }
    };
    for life in [Life::Suspended, Life::Ended] {
        check(closed(life), Some(Denial::SubjectClosed { node: id("contract:next"), life }));
    }
}

#[test]
fn a_chain_deeper_than_four_mints_nothing() {
    let deep = |vendors: u8| {
        move |c: &mut Case| {
            for n in 1..=vendors {
                let parent = (n > 1).then(|| format!("v{}", n - 1));
                c.world.open(Body::Vendor(vendor(&format!("v{n}"), parent.as_deref(), "rolf")));
            }
            c.world.vendor("reseller").parent = Some(name(&format!("v{vendors}")));
        }
    };
    check(deep(2), None);
    check(deep(3), Some(Denial::ChainTooDeep { node: id("vendor:v1") }));
}

#[test]
fn every_contract_above_has_to_be_running() {
    for text in ["acme-2026", "reseller-2026"] {
        let contract = name(text);
        check(|c| c.world.contract(text).start = NOW, None);
        let start = at(1);
        let early = Denial::ContractNotBegun { contract: contract.clone(), start };
        check(|c| c.world.contract(text).start = start, Some(early));
        let over = Denial::ContractOver { contract, end: NOW };
        check(|c| c.world.contract(text).end = NOW, Some(over));
        let last = Denial::NothingLeft { bound_by: Bound::Contract };
        check(|c| c.world.contract(text).end = at(1), Some(last));
        check(|c| c.world.contract(text).end = at(1_000), None);
    }
}

#[test]
fn what_it_is_not_entitled_to_and_what_does_not_exist_look_alike() {
    for text in ["lab", "nowhere"] {
        let audience = name(text);
        check(
            |c| c.audience = audience.clone(),
            Some(Denial::UnknownAudience { audience: audience.clone() }),
        );
    }
    let audience = name("billing");
    check(
        |c| c.world.remove("audience:billing"),
        Some(Denial::UnknownAudience { audience: audience.clone() }),
    );
    for life in [Life::Suspended, Life::Ended] {
        let closed = Denial::AudienceClosed { audience: audience.clone(), life };
        check(|c| c.world.set_life("audience:billing", life), Some(closed));
    }
}

#[test]
fn no_token_crosses_environments() {
    let other = Denial::OtherEnvironment { audience: name("lab"), environment: name("prod") };
    let entitled = |c: &mut Case| {
        c.audience = name("lab");
        c.world.application("sync").entitlements.push(entitlement("lab", "read"));
    };
    check(entitled, Some(other));
}

#[test]
fn each_scope_asked_for_has_to_be_allowed() {
    use Classification::{Internal, Restricted};
    let scope = |text: &str| text.parse().unwrap();
    let granted = |text: &'static str| {
        move |c: &mut Case| {
            c.world.application("sync").entitlements = vec![entitlement("billing", &format!("read {text}"))];
            c.scopes = format!("read {text}");
        }
    };
    check(|c| c.scopes = String::new(), Some(Denial::NoScope));
    check(|c| c.scopes = "read delete".into(), Some(Denial::ScopeNotEntitled { scope: scope("delete") }));
    check(granted("gone"), Some(Denial::UnknownScope { scope: scope("gone") }));
    let above = Denial::AboveClassification { scope: scope("audit"), classification: Restricted };
    check(granted("audit"), Some(above));
    check(granted("delete"), Some(Denial::GrantRequired { scope: scope("delete"), tier: Tier::Jit }));
    check(granted("unlock"), Some(Denial::GrantRequired { scope: scope("unlock"), tier: Tier::BreakGlass }));
    for contract in ["acme-2026", "reseller-2026"] {
        let outside = Denial::OutsideContract {
            scope: scope("read"),
            classification: Internal,
            contract: name(contract),
        };
        let drop = |c: &mut Case| {
            c.world.contract(contract).classifications.remove(&Internal);
        };
        check(drop, Some(outside));
    }
}

#[test]
fn the_classification_allowed_is_the_last_that_is() {
    let at_most = |most| {
        move |c: &mut Case| {
            c.world.audience("billing").scopes[0] =
                rule("read", Classification::Confidential, Tier::Standing);
            c.world.application("sync").classification = most;
            c.scopes = "read".into();
        }
    };
    check(at_most(Classification::Confidential), None);
    let above = Denial::AboveClassification {
        scope: "read".parse().unwrap(),
        classification: Classification::Confidential,
    };
    check(at_most(Classification::Internal), Some(above));
}

#[test]
fn a_token_given_again_is_the_one_that_was_recorded() {
    use daypass_core::{Action, Actor, ChangeId, Event, Permit};
    let record = Case::good().token().unwrap();
    let event = |action| Event::new(NOW, ChangeId::new([1; 16]), Actor::Broker, action);
    let again = Permit::token_again(&event(Action::TokenMinted(record.clone()))).unwrap();
    assert_eq!(again.record(), &record);
    assert!(Permit::token_again(&event(Action::Ended { node: id("vendor:acme"), reason: None })).is_none());
    assert!(Permit::certificate_again(&event(Action::TokenMinted(record))).is_none());
}

#[test]
fn a_good_world_is_good_for_any_asked_lifetime() {
    for ttl in [1, 2, 899, 900, 901, 86_400, u32::MAX] {
        let case = Case { ttl: Some(secs(ttl)), certificate_key: digest(9), ..Case::good() };
        assert!(case.world.nodes.len() == World::good().nodes.len());
        let token = case.token();
        // A second that is only half left is still left.
        assert!(token.is_ok(), "{ttl}: {token:?}");
    }
}
