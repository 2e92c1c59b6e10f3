//! Resuming: opening again what a new era suspended. Only what was confirmed may mint, so that it is one vendor at a time.

use daypass_credential::{NodeId, NodeKind, Revision};

use crate::{
    denial::{Denial, Stop},
    facts::Facts,
    node::{Life, Node},
};

/// What comes of resuming a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// It is open, and was last written at this revision. Resuming again is no error and no event.
    Already(Revision),
    /// The node as it is from now on. What its suspension cut stays dead.
    Open(Box<Node>),
}

/// What comes of resuming this node? What stands above or below it stays as it is.
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_resume(facts: &Facts, id: &NodeId) -> Result<Resume, Stop> {
    if id.kind != NodeKind::Vendor {
        return Err(Denial::NotResumable { node: id.clone() }.into());
    }
    let Some(stored) = facts.stored(id)? else {
        return Err(Denial::UnknownNode { node: id.clone() }.into());
    };
    match stored.node.life {
        Life::Open => Ok(Resume::Already(stored.revision)),
        Life::Suspended => Ok(Resume::Open(Box::new(stored.node.clone().with_life(Life::Open)))),
        Life::Ended => Err(Denial::SubjectClosed { node: id.clone(), life: Life::Ended }.into()),
    }
}
