//! Lines: credentials that differ in number, expiry and the certificate that they are bound to alone. Thousands of tokens
//! share one, with all else that they rest on.

use std::{collections::HashMap, sync::Arc};

use super::{Kind, NodeNo, Place};

/// The number of a line; another after the next compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineNo(u32);

impl LineNo {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the credentials of a line have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Face {
    pub(super) kind: Kind,
    pub(super) subject: NodeNo,
    pub(super) audience: Option<NodeNo>,
    /// The lineage, root first, and the key that signs; without the certificate that each is bound to.
    pub(super) rests: Box<[NodeNo]>,
}

impl Face {
    /// The same with other numbers.
    pub(super) fn moved(&self, mut number: impl FnMut(NodeNo) -> NodeNo) -> Self {
        Self {
            kind: self.kind,
            rests: self.rests.iter().map(|no| number(*no)).collect(),
            subject: number(self.subject),
            audience: self.audience.map(number),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) face: Arc<Face>,
    /// The newest of its credentials that was not found dead; from it a chain leads to the older ones.
    pub(super) newest: Place,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    numbers: HashMap<Arc<Face>, LineNo>,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    pub(super) fn get(&self, no: LineNo) -> Option<&Line> {
        self.lines.get(no.index())
    }

    pub(super) fn get_mut(&mut self, no: LineNo) -> Option<&mut Line> {
        self.lines.get_mut(no.index())
    }

    /// The number of a line, which gets one if it has none.
    pub(super) fn intern(&mut self, face: Face) -> LineNo {
        if let Some(no) = self.numbers.get(&face) {
            return *no;
        }
        let (no, face) = (LineNo(u32::try_from(self.lines.len()).unwrap_or(u32::MAX)), Arc::new(face));
        self.numbers.insert(Arc::clone(&face), no);
        self.lines.push(Line { face, newest: Place::NONE });
        no
    }
}
