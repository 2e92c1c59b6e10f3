//! What stands above an application: its vendors and contracts, as the nodes stand now.

use daypass_credential::{Lineage, Name, NodeId, NodeKind, Timestamp};

use crate::{
    denial::{Denial, Stop},
    facts::{Facts, Found},
    node::{Application, Contract, Life, Vendor},
};

/// An application and everything above it, as the nodes stand now.
pub(crate) struct Chain<'a> {
    pub(crate) application: &'a Application,
    pub(crate) contracts: Vec<&'a Contract>,
    pub(crate) lineage: Vec<NodeId>,
}

impl<'a> Chain<'a> {
    /// The chain of an application; everything in it is open.
    pub(crate) fn of_application(facts: &'a Facts, name: &Name) -> Result<Self, Stop> {
        let id = NodeId::new(NodeKind::Application, name.clone());
        let application = open(facts.application(name)?, id.clone())?;
        let (vendors, contracts) =
            (vendors_above(facts, &application.vendor)?, contracts_above(facts, &application.contract)?);
        let mut lineage: Vec<NodeId> =
            vendors.iter().rev().map(|v| node_id(NodeKind::Vendor, &v.name)).collect();
        lineage.extend(contracts.iter().rev().map(|c| node_id(NodeKind::Contract, &c.name)));
        lineage.push(id);
        Ok(Self { application, contracts, lineage })
    }

    /// Are all its contracts running?
    pub(crate) fn in_force(&self, now: Timestamp) -> Result<(), Denial> {
        for contract in &self.contracts {
            let name = contract.name.clone();
            if now < contract.start {
                return Err(Denial::ContractNotBegun { contract: name, start: contract.start });
            }
            if now >= contract.end {
                return Err(Denial::ContractOver { contract: name, end: contract.end });
            }
        }
        Ok(())
    }
}

/// How many vendors, or contracts, may stand above one another.
pub(crate) const DEPTH: usize = 4;

/// A vendor and those above it, nearest first; all are open.
pub(crate) fn vendors_above<'a>(facts: &'a Facts, name: &Name) -> Result<Vec<&'a Vendor>, Stop> {
    let mut above: Vec<&Vendor> = Vec::with_capacity(DEPTH);
    let mut next = Some(name);
    while let Some(name) = next {
        let id = node_id(NodeKind::Vendor, name);
        if above.len() == DEPTH {
            return Err(Denial::ChainTooDeep { node: id }.into());
        }
        let vendor = open(facts.vendor(name)?, id)?;
        above.push(vendor);
        next = vendor.parent.as_ref();
    }
    Ok(above)
}

/// A contract and those that it rests on, nearest first; all are open.
pub(crate) fn contracts_above<'a>(facts: &'a Facts, name: &Name) -> Result<Vec<&'a Contract>, Stop> {
    let mut above: Vec<&Contract> = Vec::with_capacity(DEPTH);
    let mut next = Some(name);
    while let Some(name) = next {
        let id = node_id(NodeKind::Contract, name);
        if above.len() == DEPTH {
            return Err(Denial::ChainTooDeep { node: id }.into());
        }
        let contract = open(facts.contract(name)?, id)?;
        above.push(contract);
        next = contract.parent.as_ref();
    }
    Ok(above)
}

fn node_id(kind: NodeKind, name: &Name) -> NodeId {
    NodeId::new(kind, name.clone())
}

pub(crate) fn open<'a, T>(found: Option<Found<'a, T>>, id: NodeId) -> Result<&'a T, Stop> {
    match found {
        Some(Found { life: Life::Open, body }) => Ok(body),
        Some(Found { life, .. }) => Err(Denial::SubjectClosed { node: id, life }.into()),
        None => Err(Denial::SubjectClosed { node: id, life: Life::Ended }.into()),
    }
}

/// Adds a node that is not yet in it.
pub(crate) fn push(lineage: &mut Vec<NodeId>, node: NodeId) {
    if !lineage.contains(&node) {
        lineage.push(node);
    }
}

/// A lineage of these nodes. Chains are bounded, so that it never is too long; if it were, nothing would be minted.
pub(crate) fn rooted(nodes: Vec<NodeId>) -> Result<Lineage, Denial> {
    Lineage::new(nodes).map_err(|_| Denial::BadField { field: "lineage", why: "it rests on too many nodes" })
}
