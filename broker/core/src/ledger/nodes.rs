//! The nodes that credentials rest on, each once and by a number: their cuts, and the latest expiry under them.

use std::collections::HashMap;

use daypass_credential::{NodeId, NodeKind, Revision, Timestamp};

use super::{Kind, LineNo, Reach};

/// The number of a node; another after the next compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeNo(u32);

/// What a node is called. Most are credentials, and a number is shorter than its digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Credential(Revision),
    Named(NodeId),
}

impl Id {
    pub(super) fn of(id: &NodeId) -> Self {
        let number = Some(id.name.as_str())
            .filter(|digits| id.kind == NodeKind::Credential && (*digits == "0" || !digits.starts_with('0')))
            .and_then(|digits| digits.parse().ok());
        number.map_or_else(|| Self::Named(id.clone()), |number| Self::Credential(Revision::new(number)))
    }

    pub(super) fn node(&self) -> NodeId {
        match self {
            Self::Credential(revision) => NodeId::credential(*revision),
            Self::Named(id) => id.clone(),
        }
    }

    pub(super) const fn credential(&self) -> Option<Revision> {
        match self {
            Self::Credential(revision) => Some(*revision),
            Self::Named(_) => None,
        }
    }
}

/// A cut that killed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fell {
    pub(super) at: Revision,
    pub(super) until: Timestamp,
    /// Is it for verifiers?
    pub(super) told: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: Id,
    /// The latest expiry of what rests on it.
    pub(super) latest: Timestamp,
    /// Oldest first.
    pub(super) cuts: Vec<Fell>,
    /// The newest that was minted on it, for the broker and for relying parties.
    newest: [Revision; 2],
    /// The lines that rest on it and may hold something alive.
    identities: Vec<LineNo>,
    relied: Vec<LineNo>,
}

impl Entry {
    /// The latest cut up to a revision.
    pub(super) fn cut(&self, up_to: Revision) -> Option<Revision> {
        self.cuts.iter().rev().map(|fell| fell.at).find(|at| *at <= up_to)
    }

    /// The cut that verifiers know.
    pub(super) fn told(&self) -> Option<&Fell> {
        self.cuts.iter().rfind(|fell| fell.told)
    }

    /// The newest of this reach that was minted on it.
    pub(super) const fn newest(&self, reach: Reach) -> Option<Revision> {
        let [identity, relied] = self.newest;
        match reach {
            Reach::Nothing => None,
            Reach::Identities => Some(identity),
            Reach::Relied => Some(relied),
        }
    }

    pub(super) const fn newest_mut(&mut self, kind: Kind) -> &mut Revision {
        let [identity, relied] = &mut self.newest;
        match kind {
            Kind::IdentityCertificate => identity,
            Kind::ClientCertificate | Kind::Token => relied,
        }
    }

    pub(super) fn under(&self, reach: Reach) -> &[LineNo] {
        match reach {
            Reach::Nothing => &[],
            Reach::Identities => &self.identities,
            Reach::Relied => &self.relied,
        }
    }

    pub(super) const fn under_list(&mut self, reach: Reach) -> &mut Vec<LineNo> {
        match reach {
            Reach::Nothing | Reach::Identities => &mut self.identities,
            Reach::Relied => &mut self.relied,
        }
    }

    pub(super) const fn under_mut(&mut self, kind: Kind) -> &mut Vec<LineNo> {
        self.under_list(kind.reach())
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Nodes {
    entries: Vec<Entry>,
    numbers: HashMap<Id, NodeNo>,
}

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn number(&self, id: &Id) -> Option<NodeNo> {
        self.numbers.get(id).copied()
    }

    pub(super) fn find(&self, id: &Id) -> Option<&Entry> {
        self.entry(self.number(id)?)
    }

    pub(super) fn entry(&self, no: NodeNo) -> Option<&Entry> {
        self.entries.get(no.0 as usize)
    }

    pub(super) fn entry_mut(&mut self, no: NodeNo) -> Option<&mut Entry> {
        self.entries.get_mut(no.0 as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.entries.into_iter()
    }

    /// The number of a node, which gets one if it has none.
    pub(super) fn intern(&mut self, id: Id) -> NodeNo {
        if let Some(no) = self.numbers.get(&id) {
            return *no;
        }
        let no = NodeNo(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.numbers.insert(id.clone(), no);
        let (cuts, identities, relied) = (Vec::new(), Vec::new(), Vec::new());
        let (latest, newest) = (Timestamp::ZERO, [Revision::ZERO; 2]);
        self.entries.push(Entry { id, latest, cuts, newest, identities, relied });
        no
    }

    /// The number here of a node that has that number there.
    pub(super) fn intern_from(&mut self, there: &Self, no: NodeNo) -> NodeNo {
        // A number that is none there is none here either.
        there.entry(no).map_or(no, |entry| self.intern(entry.id.clone()))
    }
}
