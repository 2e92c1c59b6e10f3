//! Ways in which a case may differ from the good one, drawn at random.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use daypass_core::{
    Body, Life, Shown,
    node::{Classification, KeyPurpose, ScopeRule, Tier},
};
use daypass_credential::{Era, Revision, Ttl};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
};

use crate::support::{BOUND_REV, CALLER_REV, Case, World, at, contract, digest, entitlement, id, name, secs};

/// Something that may be different from the good world.
#[derive(Debug, Clone)]
pub(crate) enum Bend {
    Life(usize, Life),
    Cut(usize, u64),
    Remove(usize),
    EndCredential(u64),
    ContractStart(bool, i64),
    ContractEnd(bool, i64),
    ContractData(bool, Vec<Classification>),
    /// To another contract, with or without a renewal since.
    Move(bool),
    ApplicationTtl(Option<Ttl>),
    ApplicationData(Classification),
    Entitled(Vec<&'static str>),
    ScopeTier(usize, Tier),
    ScopeData(usize, Classification),
    ScopeTtl(usize, Ttl),
    ScopeUnbound(usize, bool),
    ScopeGone(usize),
    Environment(&'static str),
    KeyTerm(i64, i64),
    KeyPurpose(KeyPurpose),
    CallerExpires(i64),
    CallerRev(u64),
    CallerEra(u64),
    CallerIsClient,
    BoundExpires(i64),
    BoundRev(u64),
    BoundAudience(&'static str),
    BoundSubject,
    Unbound,
    Scopes(Vec<&'static str>),
    Audience(&'static str),
    Ttl(Ttl),
    BrokerTtl(Ttl),
    CertificateKey(u8),
}

/// The nodes that a good token rests on, and the key.
const NODES: &[&str] = &[
    "vendor:reseller",
    "vendor:acme",
    "contract:reseller-2026",
    "contract:acme-2026",
    "application:sync",
    "identity:sync-1",
    "audience:billing",
    "key:token-1",
    "key:ca-1",
];

/// Later than anything that is shown.
const LATER: u64 = 10_000;

const SCOPES: &[&str] = &["read", "write", "delete", "unlock", "audit"];

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![select(vec![-1i64, 0, 1, 749, 750, 1_000]), -5_000i64..2_000_000]
}

fn ttl() -> impl Strategy<Value = Ttl> {
    (1u32..2_000).prop_map(secs)
}

fn scopes() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(SCOPES.to_vec(), 0..=3)
}

/// What a manifest may say otherwise.
pub(crate) fn manifest() -> impl Strategy<Value = Bend> {
    let data = || select(Classification::ALL.to_vec());
    let some_data = subsequence(Classification::ALL.to_vec(), 1..=4);
    let scope = || 0..2usize;
    prop_oneof![
        (any::<bool>(), offset()).prop_map(|(own, n)| Bend::ContractStart(own, n)),
        (any::<bool>(), offset()).prop_map(|(own, n)| Bend::ContractEnd(own, n)),
        (any::<bool>(), some_data).prop_map(|(own, data)| Bend::ContractData(own, data)),
        proptest::option::of(ttl()).prop_map(Bend::ApplicationTtl),
        data().prop_map(Bend::ApplicationData),
        scopes().prop_map(Bend::Entitled),
        (scope(), select(Tier::ALL.to_vec())).prop_map(|(n, tier)| Bend::ScopeTier(n, tier)),
        (scope(), data()).prop_map(|(n, data)| Bend::ScopeData(n, data)),
        (scope(), ttl()).prop_map(|(n, ttl)| Bend::ScopeTtl(n, ttl)),
        (scope(), any::<bool>()).prop_map(|(n, yes)| Bend::ScopeUnbound(n, yes)),
        scope().prop_map(Bend::ScopeGone),
        select(vec!["prod", "test"]).prop_map(Bend::Environment),
    ]
}

/// What may be otherwise in the store, in the certificates shown, or in the wish.
pub(crate) fn bend() -> impl Strategy<Value = Bend> {
    let life = select(vec![Life::Open, Life::Suspended, Life::Ended]);
    let node = || 0..NODES.len();
    let rev = || prop_oneof![(CALLER_REV - 1)..=(CALLER_REV + 1), (BOUND_REV - 1)..=(BOUND_REV + 1)];
    prop_oneof![
        8 => manifest(),
        3 => (node(), life).prop_map(|(n, life)| Bend::Life(n, life)),
        3 => (node(), rev()).prop_map(|(n, rev)| Bend::Cut(n, rev)),
        1 => node().prop_map(Bend::Remove),
        1 => select(vec![CALLER_REV, BOUND_REV, 41]).prop_map(Bend::EndCredential),
        1 => any::<bool>().prop_map(Bend::Move),
        1 => (offset(), offset()).prop_map(|(from, to)| Bend::KeyTerm(from, to)),
        1 => select(vec![KeyPurpose::Token, KeyPurpose::Identity]).prop_map(Bend::KeyPurpose),
        2 => offset().prop_map(Bend::CallerExpires),
        1 => rev().prop_map(Bend::CallerRev),
        1 => (6u64..9).prop_map(Bend::CallerEra),
        1 => Just(Bend::CallerIsClient),
        2 => offset().prop_map(Bend::BoundExpires),
        1 => rev().prop_map(Bend::BoundRev),
        1 => select(vec!["billing", "lab"]).prop_map(Bend::BoundAudience),
        1 => Just(Bend::BoundSubject),
        1 => Just(Bend::Unbound),
        2 => scopes().prop_map(Bend::Scopes),
        1 => select(vec!["billing", "lab", "nowhere"]).prop_map(Bend::Audience),
        2 => ttl().prop_map(Bend::Ttl),
        1 => ttl().prop_map(Bend::BrokerTtl),
        1 => (9u8..13).prop_map(Bend::CertificateKey),
    ]
}

impl Bend {
    pub(crate) fn apply(self, case: &mut Case) {
        let world = &mut case.world;
        let known = |n: usize, world: &World| world.nodes.contains_key(&id(NODES[n]));
        let term = |own: bool| if own { "acme-2026" } else { "reseller-2026" };
        match self {
            Self::Life(n, life) if known(n, world) => world.set_life(NODES[n], life),
            // As in the store, the last cut is the highest.
            Self::Cut(n, rev) if known(n, world) => {
                let earlier = world.at(NODES[n]).cut.map_or(0, Revision::get);
                world.cut(NODES[n], rev.max(earlier));
            }
            Self::Remove(n) if known(n, world) => world.remove(NODES[n]),
            Self::Life(..) | Self::Cut(..) | Self::Remove(_) => {}
            Self::EndCredential(rev) => world.end_credential(rev),
            Self::ContractStart(own, n) => with(case, 2 + usize::from(own), |w| {
                w.contract(term(own)).start = at(n);
            }),
            Self::ContractEnd(own, n) => {
                with(case, 2 + usize::from(own), |w| {
                    w.contract(term(own)).end = at(n);
                });
            }
            Self::ContractData(own, data) => with(case, 2 + usize::from(own), |w| {
                w.contract(term(own)).classifications = data.into_iter().collect();
            }),
            Self::Move(renewed) => {
                with(case, 4, |w| {
                    w.open(Body::Contract(contract("next", "acme", Some("reseller-2026"))));
                    w.application("sync").contract = name("next");
                    w.cut("application:sync", if renewed { CALLER_REV - 1 } else { LATER });
                });
                if renewed {
                    let bound = case.bound.as_mut().map(|bound| &mut bound.lineage);
                    for lineage in bound.into_iter().chain([&mut case.caller.lineage]) {
                        *lineage = lineage.to_string().replace("acme-2026", "next").parse().unwrap();
                    }
                }
            }
            Self::ApplicationTtl(ttl) => with(case, 4, |w| w.application("sync").max_ttl = ttl),
            Self::ApplicationData(data) => with(case, 4, |w| w.application("sync").classification = data),
            Self::Entitled(scopes) => with(case, 4, |w| {
                w.application("sync").entitlements = vec![entitlement("billing", &scopes.join(" "))];
            }),
            Self::ScopeTier(n, tier) => with_scope(case, n, |rule| rule.tier = tier),
            Self::ScopeData(n, data) => with_scope(case, n, |rule| rule.classification = data),
            Self::ScopeTtl(n, ttl) => with_scope(case, n, |rule| rule.max_ttl = ttl),
            Self::ScopeUnbound(n, yes) => with_scope(case, n, |rule| rule.unbound = yes),
            Self::ScopeGone(n) => {
                with(case, 6, |w| {
                    w.audience("billing").scopes.retain(|rule| rule.scope.as_str() != SCOPES[n]);
                });
            }
            Self::Environment(text) => with(case, 6, |w| w.audience("billing").environment = name(text)),
            Self::KeyTerm(from, to) => with(case, 7, |w| {
                (w.key("token-1").not_before, w.key("token-1").not_after) = (at(from), at(to));
            }),
            Self::KeyPurpose(purpose) => with(case, 7, |w| w.key("token-1").purpose = purpose),
            Self::CallerExpires(n) => case.caller.expires = at(n),
            Self::CallerRev(rev) => case.caller.rev = Revision::new(rev),
            Self::CallerEra(era) => case.caller.era = Era::new(era),
            Self::CallerIsClient => case.caller.audience = Some(name("billing")),
            Self::BoundExpires(n) => with_bound(case, |bound| bound.expires = at(n)),
            Self::BoundRev(rev) => with_bound(case, |bound| bound.rev = Revision::new(rev)),
            Self::BoundAudience(text) => with_bound(case, |bound| bound.audience = Some(name(text))),
            Self::BoundSubject => with_bound(case, |bound| bound.subject = id("application:other")),
            Self::Unbound => case.bound = None,
            Self::Scopes(scopes) => case.scopes = scopes.join(" "),
            Self::Audience(text) => case.audience = name(text),
            Self::Ttl(ttl) => case.ttl = Some(ttl),
            Self::BrokerTtl(ttl) => case.max_ttl = ttl,
            Self::CertificateKey(byte) => case.certificate_key = digest(byte),
        }
    }
}

fn with(case: &mut Case, node: usize, bend: impl FnOnce(&mut World)) {
    if case.world.nodes.contains_key(&id(NODES[node])) {
        bend(&mut case.world);
    }
}

fn with_scope(case: &mut Case, n: usize, bend: impl Fn(&mut ScopeRule)) {
    with(case, 6, |world| {
        let scopes = &mut world.audience("billing").scopes;
        scopes.iter_mut().filter(|rule| rule.scope.as_str() == SCOPES[n]).for_each(bend);
    });
}

fn with_bound(case: &mut Case, bend: impl FnOnce(&mut Shown)) {
    if let Some(bound) = &mut case.bound {
        bend(bound);
    }
}
