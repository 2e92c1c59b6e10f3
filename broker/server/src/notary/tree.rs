//! The tree as it grows: the edge in memory, every hash in its file.

use std::{io, mem, sync::Arc};

use daypass_log::{Edge, Hash, Root, TilesError};
use daypass_store::Entry;

use super::hashes::{Hashes, LEVELS};

/// The tree over the log, up to some revision.
pub(super) struct Tree {
    hashes: Arc<Hashes>,
    edge: Edge,
    /// The levels written since they were last made durable.
    unsynced: [bool; LEVELS],
    /// Is there perhaps more in the files than the tree has?
    torn: bool,
}

/// Why entries cannot be added.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    /// The log goes on with another revision than the next one.
    #[error("the log gives revision {found} where {wanted} is next")]
    Gap { wanted: u64, found: u64 },
    /// The files cannot be written.
    #[error("the notary's files cannot be written")]
    Files(#[from] io::Error),
}

impl Tree {
    /// A tree without leaves; what the files hold does not count.
    pub(super) fn empty(hashes: Arc<Hashes>) -> Self {
        Self { hashes, edge: Edge::new(), unsynced: [false; LEVELS], torn: true }
    }

    /// The tree that the files hold, if it is this one.
    pub(super) fn resume(hashes: Arc<Hashes>, root: &Root) -> Result<Option<Self>, TilesError<io::Error>> {
        if !hashes.hold(root.size).map_err(TilesError::Source)? {
            return Ok(None);
        }
        let edge = Edge::restore(root.size, &*hashes)?;
        let fits = edge.root() == *root;
        Ok(fits.then(|| Self { hashes, edge, unsynced: [false; LEVELS], torn: true }))
    }

    pub(super) const fn hashes(&self) -> &Arc<Hashes> {
        &self.hashes
    }

    pub(super) const fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(super) fn root(&self) -> Root {
        self.edge.root()
    }

    /// Adds entries of the log, all of them or none.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), AppendError> {
        let size = self.size();
        if mem::take(&mut self.torn)
            && let Err(error) = self.hashes.cut(size)
        {
            self.torn = true;
            return Err(error.into());
        }
        let mut edge = self.edge.clone();
        let mut rows: [Vec<Hash>; LEVELS] = [const { Vec::new() }; LEVELS];
        for entry in entries {
            let (wanted, found) = (edge.size() + 1, entry.revision.get());
            if wanted != found {
                return Err(AppendError::Gap { wanted, found });
            }
            add(&mut edge, &mut rows, Hash::leaf(&entry.event));
        }
        for (level, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            if let Err(error) = self.hashes.add(level, size, row) {
                self.torn = true;
                return Err(error.into());
            }
            if let Some(unsynced) = self.unsynced.get_mut(level) {
                *unsynced = true;
            }
        }
        self.edge = edge;
        Ok(())
    }

    /// Makes all that was added durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        for (level, unsynced) in self.unsynced.iter_mut().enumerate().filter(|(_, unsynced)| **unsynced) {
            self.hashes.sync(level)?;
            *unsynced = false;
        }
        Ok(())
    }
}

/// Adds a leaf: each tile that is full with it adds one hash to the level above.
fn add(edge: &mut Edge, rows: &mut [Vec<Hash>; LEVELS], leaf: Hash) {
    let mut push = |level: usize, hash: Option<&Hash>| {
        if let Some(row) = rows.get_mut(level) {
            row.extend(hash.copied());
        }
    };
    push(0, Some(&leaf));
    let mut full = 0;
    edge.append(leaf, |tile, hashes| {
        full = usize::from(tile.level()) + 1;
        if tile.level() > 0 {
            push(usize::from(tile.level()), hashes.last());
        }
    });
    // The highest full tile has put its hash into a tile that is not full.
    if full > 0 {
        let mut tiles = edge.partial();
        let above = tiles.find(|(tile, _)| usize::from(tile.level()) == full);
        push(full, above.and_then(|(_, hashes)| hashes.last()));
    }
}
