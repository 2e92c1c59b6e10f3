//! Tiles: the tree cut into pieces of 256 hashes that never change once they are full, and the bundles of entries
//! under them (C2SP tlog-tiles). Which there are, what they are called, and how their bytes are laid out.

use std::{fmt, ops::Range, str::FromStr};

use crate::Hash;

/// How many hashes a full tile has, and how many entries a full bundle.
pub(crate) const WIDTH: u64 = 256;
/// How many levels of the tree one level of tiles spans: `WIDTH` is two to this.
pub(crate) const HEIGHT: u32 = 8;
/// The levels that tiles of a tree of [`MAX_SIZE`] have.
pub(crate) const LEVELS: u8 = 7;

/// The largest tree: seven levels of tiles, so that no sum below overflows.
pub const MAX_SIZE: u64 = (1 << (HEIGHT * LEVELS as u32)) - 1;
/// The longest entry that a bundle can hold, in bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// The place of a tile: level, index within the level, and width. Written as its path below a log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

/// The place of a bundle of entries: index, and how many entries. Written as its path below a log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bundle {
    index: u64,
    width: u16,
}

/// Why something is no tile or bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// No tree here has such a tile.
    #[error("there is no tile of level {level}, index {index} and width {width}")]
    NoSuch {
        /// The level asked for.
        level: u8,
        /// The index asked for.
        index: u64,
        /// The width asked for.
        width: u16,
    },
    /// Not the path of one.
    #[error("`{0}` is not the path of a tile")]
    Path(String),
    /// Its bytes are not as many hashes or entries as its width says.
    #[error("the bytes of a tile or bundle do not hold the {0} that its width says")]
    Bytes(u16),
    /// An entry that does not fit into a bundle.
    #[error("an entry has {0} bytes; a bundle holds entries of at most 65535")]
    Entry(usize),
}

impl Tile {
    /// The tile at this place.
    ///
    /// # Errors
    /// [`TileError::NoSuch`] for a width of 0 or above 256, and beyond [`MAX_SIZE`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        let tile = Self { level, index, width };
        // How many tiles of this level the largest tree begins.
        let begun = 1_u64.checked_shl(HEIGHT * (u32::from(LEVELS.saturating_sub(level)).saturating_sub(1)));
        let fits = level < LEVELS && begun.is_some_and(|begun| index < begun);
        if fits && (1..=256).contains(&width) {
            Ok(tile)
        } else {
            Err(TileError::NoSuch { level, index, width })
        }
    }

    /// The tile that holds the hash of the perfect tree of `256^level` leaves number `at`, in a tree of `size` leaves.
    /// Nothing if the tree does not have it yet.
    pub(crate) fn holding(level: u8, at: u64, size: u64) -> Option<Self> {
        let whole = size >> (HEIGHT * u32::from(level));
        let index = at / WIDTH;
        (at < whole).then(|| Self { level, index, width: width_of(index, whole) })
    }

    /// Its level: 0 holds the hashes of leaves.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Its index within the level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes it has, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Has it all its hashes, so that it never changes again?
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width as u64 == WIDTH
    }

    /// The leaves below it, by index.
    #[must_use]
    pub const fn leaves(&self) -> Range<u64> {
        let each = 1 << (HEIGHT * self.level as u32);
        let start = self.index * WIDTH * each;
        start..start + self.width as u64 * each
    }

    /// Its bytes, one hash after the other.
    #[must_use]
    pub fn encode(hashes: &[Hash]) -> Vec<u8> {
        hashes.iter().flat_map(Hash::as_bytes).copied().collect()
    }

    /// The hashes in its bytes.
    ///
    /// # Errors
    /// [`TileError::Bytes`] if there are more or fewer than its width.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
        let (hashes, rest) = bytes.as_chunks::<{ Hash::LEN }>();
        if hashes.len() == usize::from(self.width) && rest.is_empty() {
            Ok(hashes.iter().copied().map(Hash::new).collect())
        } else {
            Err(TileError::Bytes(self.width))
        }
    }
}

impl Bundle {
    /// The bundle of the entries under this tile of level 0; nothing for another tile.
    #[must_use]
    pub fn under(tile: &Tile) -> Option<Self> {
        (tile.level == 0).then_some(Self { index: tile.index, width: tile.width })
    }

    /// The tile over it.
    #[must_use]
    pub const fn tile(&self) -> Tile {
        Tile { level: 0, index: self.index, width: self.width }
    }

    /// Its bytes: before each entry its length in two bytes, the higher first.
    ///
    /// # Errors
    /// [`TileError::Entry`] for an entry above [`MAX_ENTRY`].
    pub fn encode<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Result<Vec<u8>, TileError> {
        let mut bytes = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            let length = u16::try_from(entry.len()).map_err(|_| TileError::Entry(entry.len()))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        Ok(bytes)
    }

    /// The entries in its bytes.
    ///
    /// # Errors
    /// [`TileError::Bytes`] if they are more or fewer than its width, or do not end where the bytes end.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, TileError> {
        let broken = || TileError::Bytes(self.width);
        let mut entries = Vec::with_capacity(usize::from(self.width));
        let mut rest = bytes;
        for _ in 0..self.width {
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
            let (entry, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(broken)?;
            entries.push(entry);
            rest = after;
        }
        if rest.is_empty() { Ok(entries) } else { Err(broken()) }
    }
}

/// The tiles that are new or other when a tree grows from one size to another, leaves first. Nothing if it does not
/// grow, and nothing above [`MAX_SIZE`].
pub fn grown(from: u64, to: u64) -> impl Iterator<Item = Tile> {
    let to = to.min(MAX_SIZE);
    (0..LEVELS).flat_map(move |level| {
        let (before, whole) = (from >> (HEIGHT * u32::from(level)), to >> (HEIGHT * u32::from(level)));
        let changed = if before < whole { before / WIDTH..whole.div_ceil(WIDTH) } else { 0..0 };
        changed.map(move |index| Tile { level, index, width: width_of(index, whole) })
    })
}

/// How wide the tile with this index is, when its level has so many hashes: one that begins below them.
fn width_of(index: u64, hashes: u64) -> u16 {
    u16::try_from(hashes.saturating_sub(index * WIDTH)).map_or(256, |width| width.min(256))
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        write_index(f, self.index, self.width)
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries/")?;
        write_index(f, self.index, self.width)
    }
}

/// `1234067` as `x001/x234/067`, and the width if there is less than all.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let mut groups = vec![index % 1000];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    for (left, group) in groups.iter().enumerate().rev() {
        if left == 0 { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
    }
    if u64::from(width) < WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
}

impl FromStr for Tile {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, TileError> {
        let read = || {
            let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
            let (index, width) = read_index(place)?;
            Self::new(level.parse().ok()?, index, width).ok()
        };
        one_spelling(path, read())
    }
}

impl FromStr for Bundle {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, TileError> {
        let read = || {
            let (index, width) = read_index(path.strip_prefix("tile/entries/")?)?;
            Self::under(&Tile::new(0, index, width).ok()?)
        };
        one_spelling(path, read())
    }
}

/// What was read, if it is written just so.
fn one_spelling<T: fmt::Display>(path: &str, read: Option<T>) -> Result<T, TileError> {
    let wrong = || TileError::Path(path.chars().take(80).flat_map(char::escape_default).collect());
    read.filter(|place| place.to_string() == path).ok_or_else(wrong)
}

fn read_index(place: &str) -> Option<(u64, u16)> {
    let (index, width) = match place.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok()?),
        None => (place, 256),
    };
    let index = index.split('/').try_fold(0_u64, |index, group| {
        let group = group.strip_prefix('x').unwrap_or(group);
        index.checked_mul(1000)?.checked_add(group.parse().ok().filter(|group| *group < 1000)?)
    });
    Some((index?, width))
}
