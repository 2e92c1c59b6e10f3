//! Reading the tree out of its tiles: any node, from whatever keeps the tiles.

use std::{collections::HashMap, convert::Infallible};

use crate::{
    Hash, Tile,
    tile::{HEIGHT, WIDTH},
};

/// What keeps the tiles of a log.
pub trait TileSource {
    /// Why a tile cannot be had.
    type Error;

    /// The hashes of this tile, as many as its width. A source that has the same tile wider may cut it.
    ///
    /// # Errors
    /// When it cannot be had.
    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Self::Error>;
}

/// Tiles at hand. Whoever has to wait for tiles asks with those it has, and fetches the one that is [`Missing`].
impl TileSource for HashMap<Tile, Vec<Hash>> {
    type Error = Missing;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Missing> {
        self.get(&tile).cloned().ok_or(Missing(tile))
    }
}

/// A tile that is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not at hand")]
pub struct Missing(pub Tile);

/// Why a node cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TilesError<E = Infallible> {
    /// The source does not give a tile.
    #[error("a tile of the log cannot be read")]
    Source(#[source] E),
    /// The source gives another number of hashes than the tile has.
    #[error("`{tile}` was given with {found} hashes")]
    Width {
        /// The tile.
        tile: Tile,
        /// How many hashes were given.
        found: usize,
    },
    /// The tree is too small to have it.
    #[error("a tree of {size} leaves has no node {at} at height {height}")]
    NoSuch {
        /// The height above the leaves.
        height: u32,
        /// Which one of that height.
        at: u64,
        /// The size of the tree.
        size: u64,
    },
}

/// The hash of the perfect tree of `2^height` leaves number `at`, in a tree of `size` leaves.
///
/// # Errors
/// See [`TilesError`].
pub fn node<S: TileSource>(tiles: &S, size: u64, height: u32, at: u64) -> Result<Hash, TilesError<S::Error>> {
    let none = || TilesError::NoSuch { height, at, size };
    let within = height % HEIGHT;
    let level = u8::try_from(height / HEIGHT).map_err(|_| none())?;
    let first = at.checked_mul(1 << within).ok_or_else(none)?;
    // The last of the hashes below it has to be there.
    let last = first.checked_add((1 << within) - 1).ok_or_else(none)?;
    let whole = size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
    let tile = Tile::holding(level, first, size).filter(|_| last < whole).ok_or_else(none)?;
    let hashes = read(tiles, tile)?;
    let start = usize::try_from(first % WIDTH).map_err(|_| none())?;
    hashes.get(start..start + (1 << within)).and_then(perfect).ok_or_else(none)
}

/// The tile, as wide as it has to be.
pub(crate) fn read<S: TileSource>(tiles: &S, tile: Tile) -> Result<Vec<Hash>, TilesError<S::Error>> {
    let hashes = tiles.tile(tile).map_err(TilesError::Source)?;
    if hashes.len() == usize::from(tile.width()) {
        Ok(hashes)
    } else {
        Err(TilesError::Width { tile, found: hashes.len() })
    }
}

/// The hash over a power of two of hashes; nothing for another number.
pub(crate) fn perfect(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        row = pairs.iter().map(|[left, right]| Hash::node(left, right)).collect();
    }
    row.first().copied()
}
