//! The tree as whoever keeps its tiles grows it: the tiles of its right edge, and each tile at the moment it is full.

use crate::{
    Frontier, Hash, MAX_SIZE, Root, Tile, TileSource, TilesError,
    tile::{HEIGHT, LEVELS, WIDTH},
    tiles::{perfect, read},
};

/// The tiles of the right edge that are not full. They are all that has to be read to go on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    // INVARIANT (a digit a level): level n has as many hashes as the nth digit of `size` to the base 256.
    levels: [Vec<Hash>; LEVELS as usize],
}

impl Edge {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, levels: [const { Vec::new() }; LEVELS as usize] }
    }

    /// A tree of so many leaves, taken up again from its tiles. Compare its [`Edge::root`] with what was signed.
    ///
    /// # Errors
    /// When a tile of the right edge cannot be had, or the tree would be above [`MAX_SIZE`].
    pub fn restore<S: TileSource>(size: u64, tiles: &S) -> Result<Self, TilesError<S::Error>> {
        if size > MAX_SIZE {
            return Err(TilesError::NoSuch { height: 0, at: size - 1, size });
        }
        let mut edge = Self { size, ..Self::new() };
        for tile in partial(size) {
            if let Some(level) = edge.levels.get_mut(usize::from(tile.level())) {
                *level = read(tiles, tile)?;
            }
        }
        Ok(edge)
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash. `full` is handed each tile that this completes, lowest level first.
    pub fn append(&mut self, leaf: Hash, mut full: impl FnMut(Tile, &[Hash])) {
        self.size += 1;
        let mut hash = leaf;
        for (level, hashes) in (0_u8..).zip(&mut self.levels) {
            hashes.push(hash);
            let at = (self.size >> (HEIGHT * u32::from(level))) - 1;
            let Some(tile) = Tile::holding(level, at, self.size).filter(Tile::is_full) else { return };
            let Some(over) = perfect(hashes) else { return };
            full(tile, hashes);
            hashes.clear();
            hash = over;
        }
    }

    /// The tiles of the right edge that are not full, highest level first.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        partial(self.size).filter_map(|tile| Some((tile, self.hashes(tile.level())?)))
    }

    /// The hashes of the tile of the edge on this level.
    pub(crate) fn hashes(&self, level: u8) -> Option<&[Hash]> {
        self.levels.get(usize::from(level)).map(Vec::as_slice)
    }

    /// The tree as it is now.
    #[must_use]
    pub fn root(&self) -> Root {
        let mut frontier = Frontier::new();
        for (tile, hashes) in self.partial() {
            let height = HEIGHT * u32::from(tile.level());
            hashes.iter().for_each(|hash| frontier.append_perfect(height, *hash));
        }
        frontier.root()
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self::new()
    }
}

/// The tiles of the right edge of a tree of this size that are not full, highest level first.
pub(crate) fn partial(size: u64) -> impl Iterator<Item = Tile> {
    (0..LEVELS).rev().filter_map(move |level| {
        let whole = size >> (HEIGHT * u32::from(level));
        let last = whole.checked_sub(1).filter(|_| !whole.is_multiple_of(WIDTH))?;
        Tile::holding(level, last, size)
    })
}
