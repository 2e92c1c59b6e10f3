//! Random worlds and random wishes: whatever is granted rests on live things, names all of them, and outlives none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/bends.rs"]
mod bends;
mod support;

use std::cell::Cell;

use bends::{Bend, bend, manifest};
use daypass_core::{
    Body, Facts, Life,
    directory::{Write, decide_write},
    event::TokenRecord,
    node::Tier,
};
use daypass_credential::{Lineage, NodeId, NodeKind, Timestamp};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use support::{Case, id};

fn case_of(bend: impl Strategy<Value = Bend>, count: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    proptest::collection::vec(bend, count).prop_map(|bends| {
        let mut case = Case::good();
        bends.into_iter().for_each(|bend| bend.apply(&mut case));
        case
    })
}

/// Everything that a credential of this case rests on, found without the rules.
fn rests_on(case: &Case, token: bool) -> Vec<NodeId> {
    let mut world = case.world.clone();
    let application = world.application("sync").clone();
    let mut nodes = vec![case.caller.subject.clone(), case.caller.id()];
    nodes.push(NodeId::new(NodeKind::Identity, case.caller.identity.clone()));
    nodes.push(NodeId::new(NodeKind::Audience, case.audience.clone()));
    let mut vendor = Some(application.vendor);
    while let Some(name) = vendor {
        nodes.push(id(&format!("vendor:{name}")));
        vendor = world.vendor(name.as_str()).parent.clone();
    }
    let mut contract = Some(application.contract);
    while let Some(name) = contract {
        nodes.push(id(&format!("contract:{name}")));
        contract = world.contract(name.as_str()).parent.clone();
    }
    nodes.extend(case.caller.lineage.nodes().iter().cloned());
    if let Some(bound) = case.bound.as_ref().filter(|_| token) {
        nodes.extend(bound.lineage.nodes().iter().cloned());
        nodes.push(bound.id());
    }
    nodes
}

/// What holds of every credential that was granted.
fn granted(
    case: &Case,
    lineage: &Lineage,
    expires: Timestamp,
    facts: &Facts,
    token: bool,
    key: &str,
) -> Result<(), TestCaseError> {
    let mut world = case.world.clone();
    let expected = facts.expectations();
    let mut ends = vec![case.caller.expires, world.key(key).not_after, case.now.after(case.max_ttl)];
    ends.extend(case.ttl.map(|ttl| case.now.after(ttl)));
    ends.extend(world.application("sync").max_ttl.map(|ttl| case.now.after(ttl)));
    for node in rests_on(case, token) {
        prop_assert!(lineage.contains(&node), "{node} is not in the lineage");
        prop_assert!(expected.iter().any(|e| e.node == node), "{node} is not expected");
        match case.world.nodes.get(&node) {
            Some(stored) => {
                prop_assert_eq!(stored.node.life, Life::Open, "{} is not open", node);
                if case.caller.lineage.contains(&node) {
                    prop_assert!(stored.cut.is_none_or(|cut| cut <= case.caller.rev), "{node} was cut");
                }
                if let Some(bound) = case.bound.as_ref().filter(|b| token && b.lineage.contains(&node)) {
                    prop_assert!(stored.cut.is_none_or(|cut| cut <= bound.rev), "{node} was cut");
                }
                if let Body::Contract(contract) = &stored.node.body {
                    prop_assert!(contract.start <= case.now);
                    ends.push(contract.end);
                }
            }
            None => prop_assert_eq!(node.kind, NodeKind::Credential, "{} is absent", node),
        }
    }
    let key = id(&format!("key:{key}"));
    prop_assert!(expected.iter().any(|e| e.node == key), "the key is not expected");
    prop_assert_eq!(expected.len(), facts.ids().count());
    for expect in expected {
        prop_assert_eq!(expect.revision, case.world.nodes.get(&expect.node).map(|s| s.revision));
    }
    ends.extend(case.bound.as_ref().filter(|_| token).map(|bound| bound.expires));
    let end = ends.into_iter().min().unwrap();
    prop_assert!(expires <= end && case.now < expires, "{expires:?} with a limit of {end:?}");
    prop_assert_eq!(expires.as_millis() % 1_000, 0);
    Ok(())
}

fn granted_scopes(case: &Case, token: &TokenRecord) -> Result<(), TestCaseError> {
    let mut world = case.world.clone();
    let (application, audience) = (world.application("sync").clone(), world.audience("billing").clone());
    prop_assert_eq!(&application.environment, &audience.environment);
    prop_assert!(!token.scopes.is_empty());
    for scope in token.scopes.iter() {
        let rule = audience.rule(scope).unwrap();
        prop_assert!(
            application.entitlements.iter().any(|e| e.audience == audience.name && e.scopes.contains(scope))
        );
        prop_assert!(rule.classification <= application.classification);
        prop_assert_eq!(rule.tier, Tier::Standing);
        prop_assert!(rule.unbound || token.thumbprint.is_some());
        prop_assert!(token.expires <= case.now.after(rule.max_ttl));
        for node in token.lineage.nodes() {
            if let Some(Body::Contract(contract)) = case.world.nodes.get(node).map(|s| &s.node.body) {
                prop_assert!(contract.classifications.contains(&rule.classification));
            }
        }
    }
    if let Some(bound) = &case.bound {
        prop_assert_eq!(token.thumbprint, Some(bound.thumbprint));
        prop_assert_eq!(&bound.subject, &case.caller.subject);
        prop_assert_eq!(bound.audience.as_ref(), Some(&token.audience));
        prop_assert_eq!(bound.era, case.era);
    }
    Ok(())
}

/// Runs the property, and sees to it that a twentieth of the cases at least said something.
fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<bool, TestCaseError>) {
    let (said, all) = (Cell::new(0u32), Cell::new(0u32));
    let config = Config { failure_persistence: None, ..Config::with_cases(cases) };
    let result = TestRunner::new(config).run(strategy, |value| {
        all.set(all.get() + 1);
        said.set(said.get() + u32::from(test(value)?));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(said.get() * 20 > all.get(), "only {} of {} cases said something", said.get(), all.get());
}

#[test]
fn whatever_is_granted_rests_on_live_things_names_them_and_outlives_none() {
    run(3_000, &case_of(bend(), 0..6), |case| {
        let (outcome, facts) = case.world.settle(|facts| case.token_by(facts));
        let token = outcome.is_ok();
        if let Ok(record) = outcome {
            prop_assert_eq!(case.caller.era, case.era);
            prop_assert!(case.caller.audience.is_none());
            granted(&case, &record.lineage, record.expires, &facts, true, "token-1")?;
            granted_scopes(&case, &record)?;
        }
        let (outcome, facts) = case.world.settle(|facts| case.certificate_by(facts));
        let certificate = outcome.is_ok();
        if let Ok(record) = outcome {
            prop_assert!(case.caller.audience.is_none());
            prop_assert!(record.key != case.caller.key);
            granted(&case, &record.lineage, record.expires, &facts, false, "ca-1")?;
        }
        Ok(token || certificate)
    });
}

/// INVARIANT (narrowing cuts), from the other side: what was granted before a write that cuts nothing is granted after.
#[test]
fn a_write_that_cuts_nothing_takes_nothing_away() {
    let starting = case_of(manifest(), 0..2);
    run(4_000, &(starting, proptest::collection::vec(manifest(), 1..3)), |(before, bends)| {
        let mut wished = before.clone();
        bends.into_iter().for_each(|bend| bend.apply(&mut wished));
        let mut after = before.clone();
        for node in ["contract:reseller-2026", "contract:acme-2026", "audience:billing", "application:sync"] {
            let Some(stored) = wished.world.nodes.get(&id(node)) else {
                continue;
            };
            let body = stored.node.body.clone();
            match after.world.decide(|facts| decide_write(facts, &body)) {
                Ok(Write::Put { node, cut: false, .. }) => after.world.put(*node),
                Ok(Write::Put { cut: true, .. } | Write::Unchanged) | Err(_) => {}
            }
        }
        let changed = after.world.nodes != before.world.nodes;
        if let Ok(old) = before.token() {
            let new = after.token();
            prop_assert!(new.is_ok(), "{new:?}");
            prop_assert!(new.unwrap().expires >= old.expires);
        }
        if let (Ok(old), Ok(new)) = (before.certificate(), after.certificate()) {
            prop_assert!(new.lineage == old.lineage);
        }
        Ok(changed && before.token().is_ok())
    });
}
