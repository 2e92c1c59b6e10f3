//! Carrying over: what of a directory comes into a new era when its log is given up.
//!
//! INVARIANT (nothing opens by itself): a vendor comes suspended, so that nothing is minted under it before somebody
//! confirmed it; what was ended stays ended, since its name is spent. Identities, codes and keys do not come at all.

use std::collections::BTreeMap;

use daypass_credential::Name;

use crate::{
    event::Put,
    node::{Body, Life, Node},
};

/// What comes over, in an order in which nothing names what comes later.
#[must_use]
pub fn carried(nodes: &[Node]) -> Vec<Put> {
    let parents = Parents::of(nodes);
    let mut ranked: Vec<_> =
        nodes.iter().filter_map(|node| Some((parents.rank(&node.body)?, node.id(), node))).collect();
    ranked.sort_by(|(rank, id, _), (other_rank, other, _)| (rank, id).cmp(&(other_rank, other)));
    ranked.into_iter().map(|(_, _, node)| carry(node)).collect()
}

fn carry(node: &Node) -> Put {
    let life = match (&node.body, node.life) {
        (Body::Vendor(_), Life::Open) => Life::Suspended,
        (_, life) => life,
    };
    Put { node: node.clone().with_life(life), cut: life != Life::Open }
}

/// Which vendor or contract stands above which.
struct Parents<'a> {
    vendors: BTreeMap<&'a Name, Option<&'a Name>>,
    contracts: BTreeMap<&'a Name, Option<&'a Name>>,
}

impl<'a> Parents<'a> {
    fn of(nodes: &'a [Node]) -> Self {
        let mut parents = Self { vendors: BTreeMap::new(), contracts: BTreeMap::new() };
        for node in nodes {
            match &node.body {
                Body::Vendor(vendor) => {
                    parents.vendors.insert(&vendor.name, vendor.parent.as_ref());
                }
                Body::Contract(contract) => {
                    parents.contracts.insert(&contract.name, contract.parent.as_ref());
                }
                _ => {}
            }
        }
        parents
    }

    /// What comes first has the smaller rank; none for what does not come.
    fn rank(&self, body: &Body) -> Option<(u8, usize)> {
        match body {
            Body::Person(_) => Some((0, 0)),
            Body::Vendor(vendor) => Some((1, above(&self.vendors, &vendor.name))),
            Body::Contract(contract) => Some((2, above(&self.contracts, &contract.name))),
            Body::Audience(_) => Some((3, 0)),
            Body::Application(_) => Some((4, 0)),
            Body::Verifier(_) => Some((5, 0)),
            Body::Identity(_)
            | Body::Credential(_)
            | Body::Key(_)
            | Body::Enrollment(_)
            | Body::Roster(_) => None,
        }
    }
}

/// How many stand above this one. Chains are short; a ring, which no decision makes, ends the count as well.
fn above(parents: &BTreeMap<&Name, Option<&Name>>, name: &Name) -> usize {
    let parent = |name: &&Name| parents.get(*name).copied().flatten();
    std::iter::successors(parents.get(name).copied().flatten(), parent).take(crate::chain::DEPTH).count()
}
