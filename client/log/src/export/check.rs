//! Checking an export line by line, without reading anything by itself: every line is held against what the lines
//! before it have shown to be signed.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_credential::Revision;

use super::{
    FORMAT, Fault, Header, Step, VERSION, Walk,
    fault::last,
    write::{AFTER_HASHES, before_hashes, header},
};
use crate::{
    Checkpoint, Frontier, Hash, MAX_ENTRY, Root, SignedCheckpoint, Tile, VerifierKey,
    tile::{HEIGHT, LEVELS, WIDTH},
    tiles::perfect,
};

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A tile.
    Tile(Tile),
    /// The entry of this revision, in its exact bytes.
    Entry(Revision),
}

/// An export that has been checked as far as its lines were given.
#[derive(Debug)]
pub struct Check {
    checkpoint: SignedCheckpoint,
    known: Option<Root>,
    walk: Walk,
    // The entries that come next, and after them the next step of the walk.
    entries: Range<u64>,
    // INVARIANT (signed above): a tile is kept here only once its hash was found in the tile above it or in the root.
    edge: Vec<(Tile, Vec<Hash>)>,
    full: [Vec<Hash>; LEVELS as usize],
    // The tree of the leaves that are signed, up to the bundle in which the known one ends.
    shown: Frontier,
}

impl Check {
    /// Begins with the header's line, without its end. One of the keys has to have signed its checkpoint; the log has to
    /// be a continuation of the `known` one, where one is known.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn new(line: &[u8], keys: &[VerifierKey], known: Option<Root>) -> Result<Self, Fault> {
        let Ok(read) = serde_json::from_slice::<Header<'_>>(line) else { return Err(Fault::NotOne) };
        if read.format != FORMAT {
            return Err(Fault::NotOne);
        }
        if read.version != VERSION {
            return Err(Fault::Version(read.version));
        }
        if header(&read.checkpoint).strip_suffix(b"\n") != Some(line) {
            return Err(Fault::NotOne);
        }
        let checkpoint = Checkpoint::open(read.checkpoint.as_bytes(), keys)?;
        let root = checkpoint.checkpoint().root();
        let check = Self {
            checkpoint,
            known,
            walk: Walk::new(root.size),
            entries: 0..0,
            edge: Vec::new(),
            full: [const { Vec::new() }; LEVELS as usize],
            shown: Frontier::new(),
        };
        check.not_older()?;
        Ok(check)
    }

    /// The checkpoint. Its signature was checked; that the entries are those that it signs is known at the end.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Takes the next line, without its end.
    ///
    /// # Errors
    /// The first [`Fault`]. After one nothing more can be said of the export.
    pub fn line(&mut self, line: &[u8]) -> Result<Line, Fault> {
        self.take(line, || Hash::leaf(line))
    }

    /// Takes the next line with a zero before it.
    pub(super) fn leaf(&mut self, leaf: &[u8]) -> Result<Line, Fault> {
        self.take(leaf.get(1..).unwrap_or_default(), || Hash::of(leaf))
    }

    fn take(&mut self, line: &[u8], hash: impl FnOnce() -> Hash) -> Result<Line, Fault> {
        if self.entries.is_empty() {
            match self.walk.next() {
                Some(Step::Tile(tile)) => {
                    self.tile(tile, line)?;
                    return Ok(Line::Tile(tile));
                }
                Some(Step::Entries(entries)) => {
                    self.show(entries.start)?;
                    self.entries = entries;
                }
                None => {}
            }
        }
        let surplus = Fault::Surplus { of: last(self.root()) };
        let index = self.entries.next().ok_or(surplus)?;
        if line.len() > MAX_ENTRY {
            return Err(Fault::Entry { revision: Revision::new(index + 1), stands: None });
        }
        self.entry(index, hash())?;
        Ok(Line::Entry(Revision::new(index + 1)))
    }

    /// Says that there are no more lines: the log is whole, or cut short.
    ///
    /// # Errors
    /// [`Fault::CutShort`].
    pub fn end(&self) -> Result<(), Fault> {
        let after = match self.walk.clone().next() {
            _ if !self.entries.is_empty() => self.entries.start,
            Some(Step::Tile(tile)) if tile.is_full() => tile.leaves().start,
            Some(Step::Tile(_)) => 0,
            Some(Step::Entries(entries)) => entries.start,
            None => return Ok(()),
        };
        Err(Fault::CutShort { after: Revision::new(after), of: last(self.root()) })
    }

    const fn root(&self) -> Root {
        self.checkpoint.checkpoint().root()
    }

    fn entry(&self, index: u64, leaf: Hash) -> Result<(), Fault> {
        let leaves = self.tile_over(0, index).unwrap_or_default();
        let here = place(index);
        if here.and_then(|here| leaves.get(here)) == Some(&leaf) {
            return Ok(());
        }
        let near = leaves.iter().position(|other| *other == leaf);
        let stands = near.and_then(|near| u64::try_from(near).ok());
        Err(Fault::Entry {
            revision: Revision::new(index + 1),
            stands: stands.map(|near| Revision::new(index - index % WIDTH + near + 1)),
        })
    }

    fn tile(&mut self, tile: Tile, line: &[u8]) -> Result<(), Fault> {
        let hashes = read_tile(tile, line);
        if !tile.is_full() {
            // Without one of these no entry is shown: none is named as if those before it had been.
            return self.edge_tile(tile, hashes.ok_or(Fault::Root)?);
        }
        let fault = Fault::Tile { tile, first: Revision::new(tile.leaves().start + 1) };
        let hashes = hashes.ok_or(fault.clone())?;
        let over = self.tile_over(tile.level() + 1, tile.index()).unwrap_or_default();
        let signed = place(tile.index()).and_then(|here| over.get(here)).copied();
        if signed.is_none() || signed != perfect(&hashes) {
            return Err(fault);
        }
        if let Some(kept) = self.full.get_mut(usize::from(tile.level())) {
            *kept = hashes;
        }
        Ok(())
    }

    /// Tiles of the right edge count together, once the last of them is there.
    fn edge_tile(&mut self, tile: Tile, hashes: Vec<Hash>) -> Result<(), Fault> {
        self.edge.push((tile, hashes));
        if matches!(self.walk.clone().next(), Some(Step::Tile(next)) if !next.is_full()) {
            return Ok(());
        }
        let mut tree = Frontier::new();
        for (tile, hashes) in &self.edge {
            hashes.iter().for_each(|hash| tree.append_perfect(HEIGHT * u32::from(tile.level()), *hash));
        }
        if tree.root() == self.root() { Ok(()) } else { Err(Fault::Root) }
    }

    /// The hashes of the tile that holds number `at` of its level.
    fn tile_over(&self, level: u8, at: u64) -> Option<&[Hash]> {
        let of_edge = self.edge.iter().find(|(tile, _)| tile.level() == level && tile.index() == at / WIDTH);
        of_edge.map(|(_, hashes)| hashes).or_else(|| self.full.get(usize::from(level))).map(Vec::as_slice)
    }

    /// What can be said of the known log by the two sizes alone.
    fn not_older(&self) -> Result<(), Fault> {
        let root = self.root();
        match self.known {
            Some(known) if known.size > root.size => {
                Err(Fault::Older { known: last(known), found: last(root) })
            }
            Some(known) if known.size == root.size && known.hash != root.hash => {
                Err(Fault::OtherHistory { known: last(known) })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes the signed leaves of the next entries into the tree, up to where the known one ends: it has to be that.
    fn show(&mut self, first: u64) -> Result<(), Fault> {
        let Some(known) = self.known.filter(|known| known.size >= first) else { return Ok(()) };
        let leaves = self.tile_over(0, first).unwrap_or_default();
        if let Some(leaves) = place_below(leaves.len(), known.size - first).and_then(|end| leaves.get(..end))
        {
            let mut tree = self.shown.clone();
            leaves.iter().for_each(|leaf| tree.append_leaf(*leaf));
            let same = tree.root() == known;
            return if same { Ok(()) } else { Err(Fault::OtherHistory { known: last(known) }) };
        }
        let bundle = first / WIDTH;
        let over = self.tile_over(1, bundle).and_then(|over| over.get(place(bundle)?)).copied();
        over.into_iter().for_each(|hash| self.shown.append_perfect(HEIGHT, hash));
        Ok(())
    }
}

/// A number of leaves, if it is below how many there are.
fn place_below(leaves: usize, end: u64) -> Option<usize> {
    usize::try_from(end).ok().filter(|end| *end < leaves)
}

/// Where in its tile the hash number `at` of a level stands.
fn place(at: u64) -> Option<usize> {
    usize::try_from(at % WIDTH).ok()
}

fn read_tile(tile: Tile, line: &[u8]) -> Option<Vec<Hash>> {
    let coded = line.strip_prefix(before_hashes(tile).as_bytes())?.strip_suffix(AFTER_HASHES)?;
    tile.decode(&STANDARD.decode(coded).ok()?).ok()
}
