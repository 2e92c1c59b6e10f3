//! The facts that a decision rests on, each with the revision that wrote it, and the expectations that they become.
//!
//! INVARIANT (expect what was read): a decision reads nodes through [`Facts`] alone, and its commit expects every
//! fact given to it. A node that moved in between refuses the commit, and the decision is made anew.

use std::sync::Arc;

use daypass_credential::{Name, NodeId, NodeKind, Revision};

use crate::node::{Body, Life, Node};

/// A node as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The revision that wrote it.
    pub revision: Revision,
    /// The revision of its last end, suspension or narrowing.
    pub cut: Option<Revision>,
    /// The node.
    pub node: Node,
}

/// What a commit demands of the state left by all before it: that a node was last written at this revision, or is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Which node.
    pub node: NodeId,
    /// Written when; `None` if there must be none.
    pub revision: Option<Revision>,
}

/// What was read from the store for one decision.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    read: Vec<(NodeId, Option<Arc<Stored>>)>,
}

/// A decision that cannot be made yet, because it has to know this node as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled(pub NodeId);

impl Facts {
    /// Adds what the store says of a node; the first word on a node stands.
    pub fn add(&mut self, id: NodeId, stored: Option<Arc<Stored>>) {
        if !self.knows(&id) {
            self.read.push((id, stored));
        }
    }

    /// The nodes that were read.
    pub fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.read.iter().map(|(id, _)| id)
    }

    /// Was this node read?
    #[must_use]
    pub fn knows(&self, id: &NodeId) -> bool {
        self.read.iter().any(|(known, _)| known == id)
    }

    /// What the store says of a node.
    ///
    /// # Errors
    /// [`Unsettled`] if it was not asked yet.
    pub fn stored(&self, id: &NodeId) -> Result<Option<&Arc<Stored>>, Unsettled> {
        let found = self.read.iter().find(|(known, _)| known == id);
        found.map(|(_, stored)| stored.as_ref()).ok_or_else(|| Unsettled(id.clone()))
    }

    /// What to expect of the store when the decision is committed: all that was read.
    #[must_use]
    pub fn expectations(&self) -> Vec<Expect> {
        let expect = |(node, stored): &(NodeId, Option<Arc<Stored>>)| Expect {
            node: node.clone(),
            revision: stored.as_ref().map(|s| s.revision),
        };
        self.read.iter().map(expect).collect()
    }

    /// The cut of a node that was read.
    #[must_use]
    pub fn cut(&self, id: &NodeId) -> Option<Revision> {
        self.stored(id).ok().flatten().and_then(|stored| stored.cut)
    }
}

/// A node of a known kind: its life and its body.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a, T> {
    /// Where it stands.
    pub life: Life,
    /// What it is.
    pub body: &'a T,
}

macro_rules! typed {
    ($($(#[$doc:meta])* $method:ident, $kind:ident, $body:ty;)*) => {
        impl Facts {
            $($(#[$doc])*
            ///
            /// # Errors
            /// [`Unsettled`] if the store was not asked yet.
            pub fn $method(&self, name: &Name) -> Result<Option<Found<'_, $body>>, Unsettled> {
                let stored = self.stored(&NodeId::new(NodeKind::$kind, name.clone()))?;
                Ok(stored.and_then(|stored| match &stored.node.body {
                    Body::$kind(body) => Some(Found { life: stored.node.life, body }),
                    _ => None,
                }))
            })*
        }
    };
}

typed! {
    /// The vendor of this name.
    vendor, Vendor, crate::node::Vendor;
    /// The contract of this name.
    contract, Contract, crate::node::Contract;
    /// The application of this name.
    application, Application, crate::node::Application;
    /// The person of this name.
    person, Person, crate::node::Person;
    /// The audience of this name.
    audience, Audience, crate::node::Audience;
    /// The verifier of this name.
    verifier, Verifier, crate::node::Verifier;
    /// The identity of this name.
    identity, Identity, crate::node::Identity;
    /// The enrolment of this name.
    enrollment, Enrollment, crate::node::Enrollment;
    /// The roster of this name.
    roster, Roster, crate::node::Roster;
    /// The key of this name.
    key, Key, crate::node::Key;
}
