//! The fold over the log: replaying the events rebuilds the nodes (law 1).

use std::collections::BTreeMap;

use daypass_core::{Event, Stored};
use daypass_credential::{NodeId, Revision};

use crate::Entry;

/// The nodes as the events so far leave them.
#[derive(Debug, Default)]
pub struct Fold {
    head: Revision,
    nodes: BTreeMap<NodeId, Stored>,
}

/// An entry that cannot follow.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// Not the next revision.
    #[error("revision {found} stands where {expected} has to")]
    Gap {
        /// The next revision.
        expected: Revision,
        /// The entry's.
        found: Revision,
    },
    /// Not an event.
    #[error("revision {revision} is no event")]
    Unreadable {
        /// Which.
        revision: Revision,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Fold {
    /// Takes in the next entry.
    ///
    /// # Errors
    /// [`Misfit`], and nothing is taken in.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Misfit> {
        let expected = self.head.next();
        if entry.revision != expected {
            return Err(Misfit::Gap { expected, found: entry.revision });
        }
        let unreadable = |source| Misfit::Unreadable { revision: expected, source };
        let event = Event::from_bytes(&entry.event).map_err(unreadable)?;
        self.head = expected;
        for put in event.puts {
            let id = put.node.id();
            let earlier = self.nodes.get(&id).and_then(|stored| stored.cut);
            let cut = if put.cut { Some(expected) } else { earlier };
            self.nodes.insert(id, Stored { revision: expected, cut, node: put.node });
        }
        Ok(())
    }

    /// How far it has followed.
    #[must_use]
    pub const fn head(&self) -> Revision {
        self.head
    }

    /// A node, if there is one.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Stored> {
        self.nodes.get(id)
    }

    /// All nodes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = &Stored> {
        self.nodes.values()
    }
}
