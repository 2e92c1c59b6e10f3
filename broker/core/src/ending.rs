//! Ending: one node, one event, whatever is alive under it.

use daypass_credential::{NodeId, NodeKind, Revision};

use crate::{
    denial::{Denial, Stop},
    facts::Facts,
    node::{Body, EndedCredential, Life, Node},
};

/// What comes of ending a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was ended before, at this revision. Ending again is no error and no event.
    Already(Revision),
    /// The node as it is from now on; the commit is its cut.
    Cut(Box<Node>),
}

/// What comes of ending this node? For a credential, that the log knows it is the caller's to check.
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_end(facts: &Facts, id: &NodeId) -> Result<End, Stop> {
    let stored = facts.stored(id)?;
    if let Some(stored) = stored
        && stored.node.life == Life::Ended
    {
        return Ok(End::Already(stored.cut.unwrap_or(stored.revision)));
    }
    let not_endable = || Denial::NotEndable { node: id.clone() };
    let unknown = || Denial::UnknownNode { node: id.clone() };
    let ended = match id.kind {
        // `credential:07` is not how the credential 7 is called: ending it would leave that one alive.
        NodeKind::Credential if !is_number(id) => return Err(unknown().into()),
        NodeKind::Credential => {
            Node { life: Life::Ended, body: Body::Credential(EndedCredential { name: id.name.clone() }) }
        }
        // A spent code is harmless by itself: what it led to is the identity.
        NodeKind::Enrollment if facts.enrollment(&id.name)?.is_some_and(|e| e.body.spent.is_some()) => {
            return Err(not_endable().into());
        }
        NodeKind::Vendor
        | NodeKind::Contract
        | NodeKind::Application
        | NodeKind::Person
        | NodeKind::Audience
        | NodeKind::Verifier
        | NodeKind::Identity
        | NodeKind::Enrollment => stored.ok_or_else(unknown)?.node.with_life(Life::Ended),
        NodeKind::Key | NodeKind::Roster => return Err(not_endable().into()),
    };
    Ok(End::Cut(Box::new(ended)))
}

/// Is this the one spelling of a credential's number?
fn is_number(id: &NodeId) -> bool {
    let number = id.name.as_str().parse().map(Revision::new);
    number.is_ok_and(|number| number > Revision::ZERO && NodeId::credential(number) == *id)
}
