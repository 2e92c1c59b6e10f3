//! What may be written into the directory: each object's own rules, what cannot change, and whether a change narrows.
//!
//! INVARIANT (narrowing cuts): a change that takes something away from what was minted before is a cut; the node
//! stays open for new mints. A change that only adds, or concerns neither, cuts nothing.

use std::collections::BTreeSet;

use daypass_credential::{Name, NodeId, NodeKind, Ttl};

use crate::{
    chain::{contracts_above, vendors_above},
    denial::{Denial, Stop},
    facts::Facts,
    node::{Application, Audience, Body, Contract, Life, Node, Person, ScopeRule, Tier, Vendor, Verifier},
};

/// The longest name of a directory object, so that names made from it fit as well.
pub const NAME_MAX: usize = 60;

/// The largest object, in bytes of JSON: the event that ends it holds it once more, and has to fit as well.
pub const OBJECT_MAX: usize = 3400;

/// The largest audience: the event that makes it holds its CA as well.
pub const AUDIENCE_MAX: usize = 2400;

/// What comes of writing an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It is as asked already.
    Unchanged,
    /// It is written, and kills what was minted under it before if it takes something away.
    Put {
        /// As it is from now on.
        node: Box<Node>,
        /// Is it new?
        new: bool,
        /// Does it take something away?
        cut: bool,
    },
}

/// May this object stand in the directory as it is, and what does it change?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_write(facts: &Facts, body: &Body) -> Result<Write, Stop> {
    let node = Node::open(body.clone());
    let id = node.id();
    if id.name.as_str().len() > NAME_MAX {
        return Err(bad("name", "at most 60 characters"));
    }
    let bytes = serde_json::to_vec(&node).map_or(usize::MAX, |json| json.len());
    if bytes > OBJECT_MAX {
        return Err(bad("object", "too large: at most 3400 bytes as JSON"));
    }
    if matches!(body, Body::Audience(_)) && bytes > AUDIENCE_MAX {
        return Err(bad("scopes", "too long altogether: at most 2400 bytes as JSON"));
    }
    check(facts, body)?;
    let Some(stored) = facts.stored(&id)? else {
        return Ok(Write::Put { node: Box::new(node), new: true, cut: false });
    };
    if stored.node.life == Life::Ended {
        return Err(Denial::NameSpent { node: id }.into());
    }
    let cut = compare(&stored.node.body, body)?;
    if stored.node.body == *body {
        return Ok(Write::Unchanged);
    }
    let node = Node { life: stored.node.life, body: body.clone() };
    Ok(Write::Put { node: Box::new(node), new: false, cut })
}

fn bad(field: &'static str, why: &'static str) -> Stop {
    Denial::BadField { field, why }.into()
}

/// Is the object right by itself, and does what it names exist and stand open?
fn check(facts: &Facts, body: &Body) -> Result<(), Stop> {
    match body {
        Body::Vendor(vendor) => check_vendor(facts, vendor),
        Body::Contract(contract) => check_contract(facts, contract),
        Body::Application(application) => check_application(facts, application),
        Body::Person(_) => Ok(()),
        Body::Audience(audience) => check_audience(audience),
        Body::Verifier(verifier) => check_verifier(facts, verifier),
        Body::Identity(_) | Body::Credential(_) | Body::Key(_) | Body::Enrollment(_) | Body::Roster(_) => {
            Err(bad("kind", "the broker alone writes nodes of this kind"))
        }
    }
}

/// Is there an open node of this name?
fn present(facts: &Facts, kind: NodeKind, name: &Name) -> Result<(), Stop> {
    let id = NodeId::new(kind, name.clone());
    match facts.stored(&id)? {
        Some(stored) if stored.node.life == Life::Open => Ok(()),
        _ => Err(Denial::Dangling { node: id }.into()),
    }
}

/// A chain above that is not open dangles; one that is too deep says so.
fn dangling(stop: Stop) -> Stop {
    match stop {
        Stop::Denied(Denial::SubjectClosed { node, .. }) => Denial::Dangling { node }.into(),
        other => other,
    }
}

fn check_vendor(facts: &Facts, vendor: &Vendor) -> Result<(), Stop> {
    present(facts, NodeKind::Person, &vendor.owner)?;
    if let Some(parent) = &vendor.parent {
        let above = vendors_above(facts, parent).map_err(dangling)?;
        if above.len() >= crate::chain::DEPTH || above.iter().any(|v| v.name == vendor.name) {
            let node = NodeId::new(NodeKind::Vendor, vendor.name.clone());
            return Err(Denial::ChainTooDeep { node }.into());
        }
    }
    Ok(())
}

fn check_contract(facts: &Facts, contract: &Contract) -> Result<(), Stop> {
    present(facts, NodeKind::Vendor, &contract.vendor)?;
    if contract.start >= contract.end {
        return Err(bad("end", "a contract ends after it starts"));
    }
    if contract.classifications.is_empty() {
        return Err(bad("classifications", "a contract allows at least one"));
    }
    let vendor = facts.vendor(&contract.vendor)?.ok_or(Denial::NotAllowed)?.body;
    match (&vendor.parent, &contract.parent) {
        (None, None) => Ok(()),
        (None, Some(_)) => {
            Err(bad("parent", "the vendor sits under no other, so the contract rests on none"))
        }
        (Some(_), None) => {
            Err(bad("parent", "the vendor sits under another: name the contract this one rests on"))
        }
        (Some(above), Some(parent)) => check_parent_contract(facts, contract, above, parent),
    }
}

fn check_parent_contract(
    facts: &Facts,
    contract: &Contract,
    above: &Name,
    parent: &Name,
) -> Result<(), Stop> {
    let chain = contracts_above(facts, parent).map_err(dangling)?;
    let Some(parent) = chain.first() else {
        return Err(bad("parent", "there is no such contract"));
    };
    if parent.vendor != *above {
        return Err(bad("parent", "it is no contract of the vendor above"));
    }
    if chain.len() >= crate::chain::DEPTH {
        let node = NodeId::new(NodeKind::Contract, contract.name.clone());
        return Err(Denial::ChainTooDeep { node }.into());
    }
    if contract.start < parent.start || contract.end > parent.end {
        return Err(bad("end", "the term reaches beyond that of the contract above"));
    }
    if !contract.classifications.is_subset(&parent.classifications) {
        return Err(bad("classifications", "the contract above does not allow all of them"));
    }
    Ok(())
}

fn check_application(facts: &Facts, application: &Application) -> Result<(), Stop> {
    present(facts, NodeKind::Vendor, &application.vendor)?;
    present(facts, NodeKind::Contract, &application.contract)?;
    let owners = &application.owners;
    for owner in [&owners.business, &owners.technical, &owners.relationship] {
        present(facts, NodeKind::Person, owner)?;
    }
    let contract = facts.contract(&application.contract)?.ok_or(Denial::NotAllowed)?.body;
    if contract.vendor != application.vendor {
        return Err(bad("contract", "it is another vendor's"));
    }
    if contract.classifications.iter().max() < Some(&application.classification) {
        return Err(bad("classification", "it is above what the contract allows"));
    }
    if !(1..=32).contains(&application.instances) {
        return Err(bad("instances", "1 to 32"));
    }
    if application.entitlements.len() > 16 {
        return Err(bad("entitlements", "at most 16 audiences"));
    }
    check_entitlements(facts, application)
}

fn check_entitlements(facts: &Facts, application: &Application) -> Result<(), Stop> {
    let mut audiences = BTreeSet::new();
    for entitlement in &application.entitlements {
        present(facts, NodeKind::Audience, &entitlement.audience)?;
        if !audiences.insert(&entitlement.audience) {
            return Err(bad("entitlements", "an audience is named twice"));
        }
        if entitlement.scopes.is_empty() {
            return Err(bad("entitlements", "name at least one scope"));
        }
        let audience = facts.audience(&entitlement.audience)?.ok_or(Denial::NotAllowed)?.body;
        if audience.environment != application.environment {
            let environment = application.environment.clone();
            return Err(Denial::OtherEnvironment { audience: audience.name.clone(), environment }.into());
        }
        for scope in entitlement.scopes.iter() {
            let rule = audience.rule(scope).ok_or_else(|| Denial::UnknownScope { scope: scope.clone() })?;
            if rule.classification > application.classification {
                let (scope, classification) = (scope.clone(), rule.classification);
                return Err(Denial::AboveClassification { scope, classification }.into());
            }
        }
    }
    Ok(())
}

fn check_audience(audience: &Audience) -> Result<(), Stop> {
    if audience.scopes.is_empty() || audience.scopes.len() > 24 {
        return Err(bad("scopes", "1 to 24"));
    }
    let names: BTreeSet<_> = audience.scopes.iter().map(|rule| &rule.scope).collect();
    if names.len() != audience.scopes.len() {
        return Err(bad("scopes", "a scope is declared twice"));
    }
    if audience.scopes.iter().any(|rule| rule.max_ttl > Ttl::days(1)) {
        return Err(bad("scopes", "a lifetime of more than a day"));
    }
    if !(5..=900).contains(&audience.staleness.as_secs()) {
        return Err(bad("staleness", "5 seconds to 15 minutes"));
    }
    Ok(())
}

fn check_verifier(facts: &Facts, verifier: &Verifier) -> Result<(), Stop> {
    if verifier.audiences.is_empty() || verifier.audiences.len() > 32 {
        return Err(bad("audiences", "1 to 32"));
    }
    verifier.audiences.iter().try_for_each(|name| present(facts, NodeKind::Audience, name))
}

/// Does the change from `old` to `new` take something away? What cannot change is refused.
fn compare(old: &Body, new: &Body) -> Result<bool, Denial> {
    match (old, new) {
        (Body::Vendor(old), Body::Vendor(new)) => {
            same("parent", &old.parent, &new.parent)?;
            Ok(false)
        }
        (Body::Contract(old), Body::Contract(new)) => compare_contract(old, new),
        (Body::Application(old), Body::Application(new)) => compare_application(old, new),
        (Body::Person(Person { .. }), Body::Person(Person { .. })) => Ok(false),
        (Body::Audience(old), Body::Audience(new)) => {
            same("environment", &old.environment, &new.environment)?;
            Ok(old.scopes.iter().any(|rule| new.rule(&rule.scope).is_none_or(|now| stricter(rule, now))))
        }
        // Which audiences a verifier may ask about is looked up at each question.
        (Body::Verifier(Verifier { .. }), Body::Verifier(Verifier { .. })) => Ok(false),
        _ => Err(Denial::Immutable { field: "kind" }),
    }
}

fn same<T: PartialEq>(field: &'static str, old: &T, new: &T) -> Result<(), Denial> {
    if old == new { Ok(()) } else { Err(Denial::Immutable { field }) }
}

fn compare_contract(old: &Contract, new: &Contract) -> Result<bool, Denial> {
    same("vendor", &old.vendor, &new.vendor)?;
    same("parent", &old.parent, &new.parent)?;
    let shorter = new.end < old.end || new.start > old.start;
    Ok(shorter || !old.classifications.is_subset(&new.classifications))
}

fn compare_application(old: &Application, new: &Application) -> Result<bool, Denial> {
    same("vendor", &old.vendor, &new.vendor)?;
    same("environment", &old.environment, &new.environment)?;
    let lost = old.entitlements.iter().any(|before| {
        let now = new.entitlements.iter().find(|now| now.audience == before.audience);
        now.is_none_or(|now| before.scopes.iter().any(|scope| !now.scopes.contains(scope)))
    });
    let shorter = new.max_ttl.is_some_and(|now| old.max_ttl.is_none_or(|before| now < before));
    Ok(lost || shorter || new.classification < old.classification || new.contract != old.contract)
}

fn stricter(old: &ScopeRule, new: &ScopeRule) -> bool {
    let rank = |tier: Tier| match tier {
        Tier::Standing => 0,
        Tier::Jit => 1,
        Tier::BreakGlass => 2,
    };
    // A contract allows a set of classifications: a lower one may be outside it.
    new.classification != old.classification
        || rank(new.tier) > rank(old.tier)
        || new.max_ttl < old.max_ttl
        || (old.unbound && !new.unbound)
}
