//! Good objects, one function each, and certificates as they are shown.

use daypass_core::{
    Shown,
    node::{
        Application, Audience, Base64, Classification, Contract, Enrollment, Entitlement, Identity, Key,
        KeyAlgorithm, KeyPurpose, Owners, Person, Role, ScopeRule, Tier, Vendor, Verifier,
    },
    text::PrivateId,
};
use daypass_credential::{Lineage, NodeKind, Revision, Ttl};

use super::{BOUND_REV, CALLER_REV, ERA, at, digest, id, name, secs, text};

pub(crate) fn vendor(name_: &str, parent: Option<&str>, owner: &str) -> Vendor {
    Vendor { name: name(name_), parent: parent.map(name), owner: name(owner) }
}

pub(crate) fn contract(name_: &str, vendor: &str, parent: Option<&str>) -> Contract {
    use Classification::{Confidential, Internal, Public};
    Contract {
        name: name(name_),
        vendor: name(vendor),
        reference: "MSA 2026/#1".parse().unwrap(),
        parent: parent.map(name),
        start: at(-1_000_000),
        end: at(100_000_000),
        classifications: [Public, Internal, Confidential].into(),
    }
}

pub(crate) fn application(name_: &str) -> Application {
    Application {
        name: name(name_),
        vendor: name("acme"),
        contract: name("acme-2026"),
        environment: name("prod"),
        purpose: text(1),
        classification: Classification::Confidential,
        owners: Owners { business: name("bert"), technical: name("tina"), relationship: name("olga") },
        entitlements: vec![entitlement("billing", "read write")],
        instances: 2,
        max_ttl: None,
    }
}

pub(crate) fn entitlement(audience: &str, scopes: &str) -> Entitlement {
    Entitlement { audience: name(audience), scopes: scopes.parse().unwrap() }
}

pub(crate) fn person(name_: &str, roles: &[Role]) -> Person {
    Person { name: name(name_), roles: roles.iter().copied().collect(), contact: text(2), forgotten: false }
}

pub(crate) fn rule(scope: &str, classification: Classification, tier: Tier) -> ScopeRule {
    ScopeRule {
        scope: scope.parse().unwrap(),
        classification,
        tier,
        max_ttl: Ttl::minutes(15),
        unbound: false,
    }
}

pub(crate) fn audience(name_: &str, environment: &str) -> Audience {
    Audience {
        name: name(name_),
        environment: name(environment),
        scopes: vec![
            ScopeRule { unbound: true, ..rule("read", Classification::Internal, Tier::Standing) },
            rule("write", Classification::Confidential, Tier::Standing),
            rule("delete", Classification::Internal, Tier::Jit),
            rule("unlock", Classification::Internal, Tier::BreakGlass),
            rule("audit", Classification::Restricted, Tier::Standing),
        ],
        staleness: secs(30),
    }
}

pub(crate) fn verifier(name_: &str, audiences: &[&str]) -> Verifier {
    Verifier { name: name(name_), audiences: audiences.iter().map(|a| name(a)).collect() }
}

pub(crate) fn identity(name_: &str, subject: &str, key: u8) -> Identity {
    Identity {
        name: name(name_),
        subject: id(subject),
        key: digest(key),
        previous: None,
        asked_by: None,
        until: at(50_000_000),
    }
}

pub(crate) fn key(name_: &str, purpose: KeyPurpose) -> Key {
    Key {
        name: name(name_),
        purpose,
        algorithm: KeyAlgorithm::Es256,
        public: Base64(vec![1, 2, 3]),
        not_before: at(-10_000),
        not_after: at(200_000_000),
        sealed: PrivateId::new([3; 16]),
    }
}

pub(crate) fn code(name_: &str, subject: &str) -> Enrollment {
    Enrollment { name: name(name_), subject: id(subject), expires: at(600_000), key: None, spent: None }
}

/// A certificate whose lineage is this, with the same number in key and thumbprint.
pub(crate) fn shown(rev: u64, lineage: &str, key: u8) -> Shown {
    let lineage: Lineage = lineage.parse().unwrap();
    let subject = lineage
        .nodes()
        .iter()
        .rev()
        .find(|node| matches!(node.kind, NodeKind::Application | NodeKind::Person | NodeKind::Verifier));
    let identity = lineage.nodes().iter().find(|node| node.kind == NodeKind::Identity);
    Shown {
        era: ERA,
        rev: Revision::new(rev),
        subject: subject.unwrap().clone(),
        identity: identity.unwrap().name.clone(),
        lineage,
        audience: None,
        key: digest(key),
        thumbprint: digest(key),
        not_before: at(-5_000),
        expires: at(40_000_000),
    }
}

pub(crate) const CHAIN: &str =
    "vendor:reseller vendor:acme contract:reseller-2026 contract:acme-2026 application:sync";

pub(crate) fn caller() -> Shown {
    shown(CALLER_REV, &format!("{CHAIN} identity:sync-1"), 10)
}

pub(crate) fn caller_person(person: &str) -> Shown {
    shown(CALLER_REV, &format!("person:{person} identity:{person}-1"), 20)
}

/// A client certificate that `caller` asked for.
pub(crate) fn bound() -> Shown {
    let lineage = format!("{CHAIN} identity:sync-1 credential:{CALLER_REV} audience:billing");
    Shown { audience: Some(name("billing")), expires: at(800_000), ..shown(BOUND_REV, &lineage, 11) }
}
