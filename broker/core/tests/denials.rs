//! The words of refusals: stable codes, and texts in the one style.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use daypass_core::{
    Denial, Life,
    event::Bound,
    node::{Classification, Tier},
};
use support::{NOW, id, name};

/// One of each.
fn all() -> Vec<Denial> {
    let (node, life) = (id("vendor:acme"), Life::Suspended);
    let scope = || "read".parse().unwrap();
    let (audience, contract, classification) =
        (name("billing"), name("acme-2026"), Classification::Restricted);
    vec![
        Denial::CallerExpired { expired: NOW },
        Denial::CallerDead { node: node.clone(), life },
        Denial::CallerEnded,
        Denial::NotAnIdentity,
        Denial::CallerOfOtherEra,
        Denial::RenewFirst { node: node.clone() },
        Denial::NotAnApplication,
        Denial::ContractNotBegun { contract: contract.clone(), start: NOW },
        Denial::ContractOver { contract: contract.clone(), end: NOW },
        Denial::UnknownAudience { audience: audience.clone() },
        Denial::AudienceClosed { audience: audience.clone(), life },
        Denial::OtherEnvironment { audience, environment: name("prod") },
        Denial::NoScope,
        Denial::ScopeNotEntitled { scope: scope() },
        Denial::UnknownScope { scope: scope() },
        Denial::AboveClassification { scope: scope(), classification },
        Denial::OutsideContract { scope: scope(), classification, contract },
        Denial::GrantRequired { scope: scope(), tier: Tier::Jit },
        Denial::BindingRequired { scope: scope() },
        Denial::WrongCertificate,
        Denial::CertificateDead,
        Denial::NothingLeft { bound_by: Bound::SigningKey },
        Denial::NoSigningKey,
        Denial::CodeUnknown,
        Denial::CodeExpired,
        Denial::CodeWithdrawn,
        Denial::CodeSpent,
        Denial::OtherKeyExpected,
        Denial::SubjectClosed { node: node.clone(), life },
        Denial::InstanceCap { subject: node.clone(), cap: 2 },
        Denial::TooManyEnded { application: name("sync"), free_at: NOW },
        Denial::KeyReused,
        Denial::RenewedTwice,
        Denial::NotAllowed,
        Denial::UnknownNode { node: node.clone() },
        Denial::UnknownRefusal { revision: daypass_credential::Revision::new(41) },
        Denial::NotEnded { node: node.clone() },
        Denial::NotEndable { node: node.clone() },
        Denial::NotResumable { node: node.clone() },
        Denial::NameSpent { node: node.clone() },
        Denial::Dangling { node: node.clone() },
        Denial::Immutable { field: "parent" },
        Denial::ChainTooDeep { node: node.clone() },
        Denial::BadField { field: "end", why: "a contract ends after it starts" },
        Denial::StaleWrite { node },
    ]
}

#[test]
fn every_denial_is_in_the_list_of_this_test() {
    let codes: Vec<_> = all().iter().map(|denial| denial.reason().as_str().to_owned()).collect();
    assert_eq!(codes, Denial::CODES);
}

#[test]
fn codes_are_unique_and_kebab_case() {
    let unique: BTreeSet<_> = Denial::CODES.iter().collect();
    assert_eq!(unique.len(), Denial::CODES.len());
    for code in Denial::CODES {
        let words =
            code.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        assert!(words, "{code}");
    }
}

#[test]
fn texts_begin_small_and_end_without_a_full_stop() {
    for denial in all() {
        let text = denial.to_string();
        let first = text.chars().next().unwrap();
        assert!(first.is_lowercase() || first == '`', "{text}");
        assert!(!text.ends_with(['.', '!', ' ']) && !text.contains('{'), "{text}");
        assert!(text.matches('`').count().is_multiple_of(2), "{text}");
        for own in ["NodeId", "Some(", "None", "Suspended", "Restricted", "Jit"] {
            assert!(!text.contains(own), "a name of ours in `{text}`");
        }
    }
}

/// Every denial that quotes a node, a contract or an audience is about it, and no other is about anything.
#[test]
fn what_a_denial_is_about_is_what_its_text_names() {
    for denial in all() {
        let text = denial.to_string();
        let names = |about: &daypass_credential::NodeId| {
            text.contains(&format!("`{about}`")) || text.contains(&format!("`{}`", about.name))
        };
        match denial.about() {
            Some(about) => assert!(names(&about), "{about} in {text}"),
            None => {
                assert!(!["vendor:acme", "billing", "acme-2026"].iter().any(|n| text.contains(n)), "{text}");
            }
        }
    }
}

/// A text names nothing that the caller did not say or does not rest on: these say what they are about.
#[test]
fn texts_quote_what_they_are_about() {
    for (denial, expected) in [
        (
            Denial::UnknownAudience { audience: name("x1") },
            "there is no audience `x1` that this application is entitled to",
        ),
        (
            Denial::UnknownNode { node: id("vendor:x1") },
            "there is no `vendor:x1`, or the caller may not know of it",
        ),
        (
            Denial::NothingLeft { bound_by: Bound::SigningKey },
            "not a second is left: the limit is the signing-key",
        ),
        (Denial::SubjectClosed { node: id("vendor:x1"), life: Life::Ended }, "`vendor:x1` is ended"),
    ] {
        assert_eq!(denial.to_string(), expected);
    }
}
