//! The order of an export, which follows from the size of the log alone. Writer and reader both walk it.

use std::ops::Range;

use crate::{
    MAX_SIZE, Tile,
    edge::partial,
    tile::{HEIGHT, LEVELS, WIDTH},
};

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The line of this tile.
    Tile(Tile),
    /// The lines of the entries with these indices.
    Entries(Range<u64>),
}

/// The steps of the export of a log of some size.
#[derive(Debug, Clone)]
pub struct Walk {
    size: u64,
    // How many leaves have been walked past.
    at: u64,
    // The tiles that stand before the next entries, the next one last.
    ahead: Vec<Tile>,
}

impl Walk {
    /// Through a log of so many entries; one above [`MAX_SIZE`] is walked up to there.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let size = size.min(MAX_SIZE);
        let mut ahead: Vec<Tile> = full_before(0, size).collect();
        let edge: Vec<Tile> = partial(size).collect();
        ahead.extend(edge.into_iter().rev());
        Self { size, at: 0, ahead }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(tile) = self.ahead.pop() {
            return Some(Step::Tile(tile));
        }
        if self.at >= self.size {
            return None;
        }
        let end = self.size.min(self.at + WIDTH);
        let entries = self.at..end;
        self.at = end;
        self.ahead.extend(full_before(end, self.size));
        Some(Step::Entries(entries))
    }
}

/// The full tiles that begin with this leaf, lowest level first. It is a multiple of 256, or the end of the log.
fn full_before(leaf: u64, size: u64) -> impl Iterator<Item = Tile> {
    (0..LEVELS).map_while(move |level| {
        let below = HEIGHT * u32::from(level);
        let at = leaf >> below;
        let begins = at.is_multiple_of(WIDTH) && at << below == leaf;
        Tile::holding(level, at, size).filter(|tile| begins && tile.is_full())
    })
}
