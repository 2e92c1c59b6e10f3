//! Forgetting a person: the texts about them are erased, the log stays as it is.
//!
//! INVARIANT (erased as recorded): what an event says it erases is erased in its own commit, and nothing else ever is.

use daypass_credential::{Name, NodeId, NodeKind, Revision};

use crate::{
    denial::{Denial, Stop},
    facts::Facts,
    node::{Body, Life, Node, Person},
    text::PrivateId,
};

/// How many texts one event erases at the most, so that it is no larger than others.
pub const MAX_ERASED: usize = 64;

/// What comes of forgetting a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forget {
    /// They were forgotten at this revision, and nothing is left. Again is no error and no event.
    Already(Revision),
    /// They are forgotten now, and these texts with them.
    Erase {
        /// The person as the log knows them from now on.
        node: Box<Node>,
        /// The texts; at most [`MAX_ERASED`] of those given.
        texts: Vec<PrivateId>,
    },
}

/// What comes of forgetting this person, about whom these texts are still there?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Denial::NotEnded`] while the person is in the directory.
pub fn decide_forget(facts: &Facts, name: &Name, texts: &[PrivateId]) -> Result<Forget, Stop> {
    let id = NodeId::new(NodeKind::Person, name.clone());
    let unknown = || Denial::UnknownNode { node: id.clone() };
    let stored = facts.stored(&id)?.ok_or_else(unknown)?;
    let Body::Person(person) = &stored.node.body else {
        return Err(unknown().into());
    };
    match stored.node.life {
        Life::Ended => {}
        Life::Open | Life::Suspended => return Err(Denial::NotEnded { node: id }.into()),
    }
    if person.forgotten && texts.is_empty() {
        return Ok(Forget::Already(stored.revision));
    }
    let body = Body::Person(Person { forgotten: true, ..person.clone() });
    let node = Box::new(Node { life: Life::Ended, body });
    Ok(Forget::Erase { node, texts: texts.iter().take(MAX_ERASED).copied().collect() })
}
