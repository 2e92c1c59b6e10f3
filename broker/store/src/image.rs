//! What readers see: the nodes, the newest of the log, and the head. It changes once a group, after the group is
//! durable, under one lock, so that no reader sees half of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use daypass_core::Stored;
use daypass_credential::{Name, NodeId, NodeKind, Revision, Timestamp};

use crate::{Entry, Head, committer::Group};

/// How many of the newest entries are kept parsed: whoever follows the log finds them without reading the disk.
const TAIL: usize = 2048;

/// The nodes and the newest of the log as of one head.
pub(crate) struct Image {
    head: Head,
    nodes: HashMap<NodeId, Arc<Stored>>,
    /// The names again, in the order of listings. A node is never removed: its name is spent.
    names: BTreeMap<NodeKind, BTreeSet<Name>>,
    tail: VecDeque<Entry>,
}

/// A page of the log, or where to read it.
pub(crate) enum Page {
    /// These entries follow.
    Here(Vec<Entry>),
    /// They are older than what is kept; the medium has them, up to this revision.
    Older { upto: Revision },
}

impl Image {
    /// The image of an empty log.
    pub(crate) fn empty() -> Self {
        let head = Head { revision: Revision::ZERO, at: Timestamp::ZERO };
        Self { head, nodes: HashMap::new(), names: BTreeMap::new(), tail: VecDeque::new() }
    }

    /// The image of what was found at the start.
    pub(crate) fn of(head: Head, nodes: impl IntoIterator<Item = Stored>) -> Self {
        let mut image = Self { head, ..Self::empty() };
        for stored in nodes {
            image.put(stored.node.id(), Arc::new(stored));
        }
        image
    }

    pub(crate) const fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn node(&self, id: &NodeId) -> Option<&Arc<Stored>> {
        self.nodes.get(id)
    }

    pub(crate) fn list(&self, kind: NodeKind, after: Option<&Name>, limit: usize) -> Vec<Arc<Stored>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.get(&kind).into_iter().flat_map(|names| names.range((from, Bound::Unbounded)));
        let ids = names.take(limit).map(|name| NodeId::new(kind, name.clone()));
        ids.filter_map(|id| self.nodes.get(&id).cloned()).collect()
    }

    pub(crate) fn log(&self, after: Revision, limit: usize) -> Page {
        let Some(wanted) = self.head.revision.get().checked_sub(after.get()).filter(|n| *n > 0) else {
            return Page::Here(Vec::new());
        };
        match usize::try_from(wanted).ok().and_then(|wanted| self.tail.len().checked_sub(wanted)) {
            Some(skip) => Page::Here(self.tail.iter().skip(skip).take(limit).cloned().collect()),
            None => Page::Older { upto: self.head.revision },
        }
    }

    /// Takes in a group that is durable.
    pub(crate) fn publish(&mut self, group: Group) {
        for numbered in group.entries {
            let at = if numbered.resets_time { numbered.at } else { self.head.at.max(numbered.at) };
            self.head = Head { revision: numbered.revision, at };
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(Entry { revision: numbered.revision, event: numbered.event });
        }
        for (id, written) in group.nodes {
            self.put(id, written.stored);
        }
    }

    fn put(&mut self, id: NodeId, stored: Arc<Stored>) {
        let NodeId { kind, name } = id.clone();
        if self.nodes.insert(id, stored).is_none() {
            self.names.entry(kind).or_default().insert(name);
        }
    }
}
