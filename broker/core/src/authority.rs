//! Who may do what in the directory: plain rules from roles and ownership. Whatever is not allowed here is refused.

use daypass_credential::{Name, NodeId, NodeKind};

use crate::{
    denial::{Denial, Stop},
    event::Rule,
    facts::Facts,
    mint::{Shown, renewed_since},
    node::{Body, Life, Owners, Role},
};

/// By what right somebody ends something, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// For the company: an admin, or an owner of what is ended.
    Company(Rule),
    /// A partner's application ends something of its own.
    Own(Rule),
}

impl Right {
    /// The rule.
    #[must_use]
    pub fn rule(self) -> Rule {
        match self {
            Self::Company(rule) | Self::Own(rule) => rule,
        }
    }
}

/// Does the caller have this role?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Denial::NotAllowed`] if not.
pub fn has_role(facts: &Facts, caller: &Shown, role: Role) -> Result<(), Stop> {
    if caller.subject.kind != NodeKind::Person {
        return Err(Denial::NotAllowed.into());
    }
    let person = facts.person(&caller.subject.name)?.ok_or(Denial::NotAllowed)?;
    if person.life == Life::Open && person.body.roles.contains(&role) {
        Ok(())
    } else {
        Err(Denial::NotAllowed.into())
    }
}

/// May the caller write the directory, and by which rule?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Denial::NotAllowed`] if not.
pub fn may_write(facts: &Facts, caller: &Shown) -> Result<Rule, Stop> {
    renewed_since(facts, caller)?;
    has_role(facts, caller, Role::Admin).map(|()| Rule::ADMIN)
}

/// May the caller make an enrolment code for this subject? Admins may for all, the technical owner of an application
/// for that application.
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] if not.
pub fn may_open_enrollment(facts: &Facts, caller: &Shown, subject: &NodeId) -> Result<Rule, Stop> {
    renewed_since(facts, caller)?;
    match has_role(facts, caller, Role::Admin) {
        Err(Stop::Denied(Denial::NotAllowed)) => {}
        other => return other.map(|()| Rule::ADMIN),
    }
    let person = acting_person(caller).ok_or(Denial::NotAllowed)?;
    let owned = subject.kind == NodeKind::Application
        && facts.application(&subject.name)?.is_some_and(|a| a.body.owners.technical == *person);
    if owned { Ok(Rule::TECHNICAL_OWNER) } else { Err(Denial::NotAllowed.into()) }
}

/// May the caller read this object? Admins and auditors read everything; an owner what they own; an application or a
/// verifier itself.
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Denial::UnknownNode`] if not, whether or not there is such a thing.
pub fn may_read(facts: &Facts, caller: &Shown, node: &NodeId) -> Result<(), Stop> {
    for role in [Role::Admin, Role::Auditor] {
        match has_role(facts, caller, role) {
            Err(Stop::Denied(Denial::NotAllowed)) => {}
            other => return other,
        }
    }
    let itself = *node == caller.subject || (node.kind == NodeKind::Identity && node.name == caller.identity);
    if itself || owns(facts, caller, node)?.is_some() {
        return Ok(());
    }
    Err(Denial::UnknownNode { node: node.clone() }.into())
}

/// May a record of the caller's own call name this node? Only if it exists, and the caller knows of it: because it rests
/// on it, may read it, or is entitled to something there. Whatever else a caller names stays out of the log.
///
/// # Errors
/// [`Stop::Need`] until all facts are there.
pub fn may_be_told_of(facts: &Facts, caller: &Shown, node: &NodeId) -> Result<bool, Stop> {
    if facts.stored(node)?.is_none() {
        return Ok(false);
    }
    if caller.lineage.contains(node) || *node == caller.id() {
        return Ok(true);
    }
    if node.kind == NodeKind::Audience && caller.subject.kind == NodeKind::Application {
        let application = facts.application(&caller.subject.name)?;
        return Ok(application.is_some_and(|a| a.body.entitlements.iter().any(|e| e.audience == node.name)));
    }
    match may_read(facts, caller, node) {
        Ok(()) => Ok(true),
        Err(Stop::Denied(_)) => Ok(false),
        Err(need @ Stop::Need(_)) => Err(need),
    }
}

/// May the caller list a kind of object? Admins and auditors may.
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Denial::NotAllowed`] if not.
pub fn may_list(facts: &Facts, caller: &Shown) -> Result<(), Stop> {
    match has_role(facts, caller, Role::Admin) {
        Err(Stop::Denied(Denial::NotAllowed)) => has_role(facts, caller, Role::Auditor),
        other => other,
    }
}

/// May the caller end this node, and by what right? `subject` is whose credential it is, where the node is one.
/// Unlike writes and mints, an end never waits for a renewal (law 8).
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Denial::UnknownNode`] where the caller may not know of it.
pub fn may_end(
    facts: &Facts,
    caller: &Shown,
    node: &NodeId,
    subject: Option<&NodeId>,
) -> Result<Right, Stop> {
    match has_role(facts, caller, Role::Admin) {
        Ok(()) => return Ok(Right::Company(Rule::ADMIN)),
        Err(Stop::Denied(Denial::NotAllowed)) => {}
        Err(other) => return Err(other),
    }
    let theirs = match node.kind {
        NodeKind::Credential => subject.cloned(),
        NodeKind::Identity => facts.identity(&node.name)?.map(|found| found.body.subject.clone()),
        NodeKind::Enrollment => facts.enrollment(&node.name)?.map(|found| found.body.subject.clone()),
        _ => Some(node.clone()),
    };
    let unknown = || Denial::UnknownNode { node: node.clone() };
    let theirs = theirs.ok_or_else(unknown)?;
    let small = matches!(node.kind, NodeKind::Credential | NodeKind::Identity);
    if small && theirs == caller.subject {
        let rule = if node.kind == NodeKind::Identity { Rule::ITSELF } else { Rule::OWN_CREDENTIAL };
        let partner = caller.subject.kind == NodeKind::Application;
        return Ok(if partner { Right::Own(rule) } else { Right::Company(rule) });
    }
    if let Some(rule) = owns(facts, caller, &theirs)? {
        return Ok(Right::Company(rule));
    }
    Err(unknown().into())
}

/// By which rule, if any, is the caller a person who owns this? Its three owners own an application; the relationship
/// owner owns a vendor, its contracts, and those of the vendors under it.
fn owns(facts: &Facts, caller: &Shown, node: &NodeId) -> Result<Option<Rule>, Stop> {
    let Some(person) = acting_person(caller) else {
        return Ok(None);
    };
    let relationship = |owns: bool| owns.then_some(Rule::RELATIONSHIP_OWNER);
    match node.kind {
        NodeKind::Application => match facts.application(&node.name)? {
            Some(found) => match owner(&found.body.owners, person) {
                None => owns_vendor(facts, person, &found.body.vendor).map(relationship),
                own => Ok(own),
            },
            None => Ok(None),
        },
        NodeKind::Vendor => owns_vendor(facts, person, &node.name).map(relationship),
        NodeKind::Contract => match facts.contract(&node.name)? {
            Some(found) => owns_vendor(facts, person, &found.body.vendor).map(relationship),
            None => Ok(None),
        },
        NodeKind::Person
        | NodeKind::Audience
        | NodeKind::Verifier
        | NodeKind::Identity
        | NodeKind::Credential
        | NodeKind::Key
        | NodeKind::Enrollment
        | NodeKind::Roster => Ok(None),
    }
}

/// Which of an application's owners is this person? Who is several is the first of them.
fn owner(owners: &Owners, person: &Name) -> Option<Rule> {
    let rules = [
        (&owners.technical, Rule::TECHNICAL_OWNER),
        (&owners.business, Rule::BUSINESS_OWNER),
        (&owners.relationship, Rule::RELATIONSHIP_OWNER),
    ];
    rules.into_iter().find(|(owner, _)| *owner == person).map(|(_, rule)| rule)
}

/// Does this person answer for the vendor, or for one above it? Whether those are open does not matter: what is
/// suspended can still be ended.
fn owns_vendor(facts: &Facts, person: &Name, vendor: &Name) -> Result<bool, Stop> {
    let mut next = Some(vendor);
    for _ in 0..crate::chain::DEPTH {
        let Some(name) = next else { return Ok(false) };
        let Some(found) = facts.vendor(name)? else {
            return Ok(false);
        };
        if found.body.owner == *person {
            return Ok(true);
        }
        next = found.body.parent.as_ref();
    }
    Ok(false)
}

/// The person who calls, if it is one.
fn acting_person(caller: &Shown) -> Option<&Name> {
    (caller.subject.kind == NodeKind::Person).then_some(&caller.subject.name)
}

/// The life of a node with everything above it taken into account: a child is alive when all above it are.
///
/// # Errors
/// [`Stop::Need`] until all facts are there.
pub fn effective_life(facts: &Facts, node: &NodeId) -> Result<Life, Stop> {
    let Some(stored) = facts.stored(node)? else {
        return Ok(Life::Ended);
    };
    let above: Vec<NodeId> = match &stored.node.body {
        Body::Vendor(v) => v.parent.iter().map(|p| NodeId::new(NodeKind::Vendor, p.clone())).collect(),
        Body::Contract(c) => {
            let parent = c.parent.iter().map(|p| NodeId::new(NodeKind::Contract, p.clone()));
            parent.chain([NodeId::new(NodeKind::Vendor, c.vendor.clone())]).collect()
        }
        Body::Application(a) => vec![
            NodeId::new(NodeKind::Vendor, a.vendor.clone()),
            NodeId::new(NodeKind::Contract, a.contract.clone()),
        ],
        Body::Identity(i) => vec![i.subject.clone()],
        Body::Person(_)
        | Body::Audience(_)
        | Body::Verifier(_)
        | Body::Credential(_)
        | Body::Key(_)
        | Body::Enrollment(_)
        | Body::Roster(_) => Vec::new(),
    };
    let mut life = stored.node.life;
    for id in above {
        let up = effective_life(facts, &id)?;
        life = match (life, up) {
            (Life::Ended, _) | (_, Life::Ended) => Life::Ended,
            (Life::Suspended, _) | (_, Life::Suspended) => Life::Suspended,
            (Life::Open, Life::Open) => Life::Open,
        };
    }
    Ok(life)
}
