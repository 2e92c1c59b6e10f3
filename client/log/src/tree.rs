//! The tree's head and its right edge: all that has to be kept to go on with a tree whose leaves are elsewhere
//! (RFC 6962, section 2.1).

use crate::{Hash, MAX_SIZE};

/// A tree by its size and the hash over all its leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root {
    /// How many leaves it has: the last revision in it.
    pub size: u64,
    /// The hash over them.
    pub hash: Hash,
}

impl Root {
    /// The tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, hash: Hash::empty() }
    }
}

/// The right edge of a tree: the perfect trees that it falls into, largest first, one for each bit of its size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    // INVARIANT (a peak a bit): as many as `size` has bits set; the nth belongs to the nth highest of them.
    peaks: Vec<Hash>,
}

/// Why a tree cannot be taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrontierError {
    /// The hashes do not belong to a tree of that size.
    #[error("a tree of {size} leaves has {wanted} hashes at its right edge, not {found}")]
    Peaks {
        /// The size that was named.
        size: u64,
        /// How many hashes it takes.
        wanted: u32,
        /// How many were given.
        found: usize,
    },
    /// More leaves than a tree here may have.
    #[error("a tree of {0} leaves is larger than any log")]
    TooLarge(u64),
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// A tree taken up again where [`Frontier::size`] and [`Frontier::peaks`] were kept.
    ///
    /// # Errors
    /// See [`FrontierError`].
    pub fn restore(size: u64, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        if size > MAX_SIZE {
            return Err(FrontierError::TooLarge(size));
        }
        let (wanted, found) = (size.count_ones(), peaks.len());
        if usize::try_from(wanted) != Ok(found) {
            return Err(FrontierError::Peaks { size, wanted, found });
        }
        Ok(Self { size, peaks })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of its perfect trees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf with this entry.
    pub fn append(&mut self, entry: &[u8]) {
        self.append_leaf(Hash::leaf(entry));
    }

    /// Adds a leaf by its hash.
    pub fn append_leaf(&mut self, leaf: Hash) {
        self.append_perfect(0, leaf);
    }

    /// Adds a perfect tree of `2^height` leaves. The size has to be a multiple of that.
    pub(crate) fn append_perfect(&mut self, height: u32, hash: Hash) {
        let mut merged = hash;
        let mut trees = self.size >> height;
        while trees & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            merged = Hash::node(&left, &merged);
            trees >>= 1;
        }
        self.peaks.push(merged);
        // Nothing appends 2^56 leaves, and `restore` refuses to begin there.
        self.size = self.size.saturating_add(1 << height);
    }

    /// The tree as it is now.
    #[must_use]
    pub fn root(&self) -> Root {
        let hash = self.peaks.iter().rev().copied().reduce(|right, left| Hash::node(&left, &right));
        Root { size: self.size, hash: hash.unwrap_or_else(Hash::empty) }
    }
}
