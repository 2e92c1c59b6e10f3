//! Proofs: that an entry is in a tree, and that a tree only grew. Made as RFC 6962, sections 2.1.1 and 2.1.2 say, checked
//! by the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2, which are the same proofs.

use crate::{Hash, Root, TileSource, TilesError, node};

/// Why a proof is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The tree has no leaves, and so nothing can be shown of it.
    #[error("nothing can be proved of an empty log")]
    Empty,
    /// The tree ends before the leaf.
    #[error("the log has {size} entries, and none with index {index}")]
    OutOfRange {
        /// The leaf asked for, by index.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// The later tree is the smaller one.
    #[error("a log of {from} entries cannot have become one of {to}")]
    Shrunk {
        /// The size before.
        from: u64,
        /// The size after.
        to: u64,
    },
    /// A proof between such trees has another number of hashes.
    #[error("the proof does not have as many hashes as one for these sizes")]
    Length,
    /// It leads to another tree than the later one, or the only one.
    #[error("the proof does not lead to the root of the log")]
    Root,
    /// It leads to another tree than the earlier one.
    #[error("the proof does not lead to the earlier root: that log is not the beginning of this one")]
    EarlierRoot,
}

/// Why a proof cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError<E> {
    /// There is none.
    #[error(transparent)]
    None(#[from] ProofError),
    /// The tree cannot be read.
    #[error(transparent)]
    Tiles(#[from] TilesError<E>),
}

/// The proof that the leaf with this index is in the tree of `size` leaves: the hashes beside its way to the root,
/// lowest first.
///
/// # Errors
/// [`ProofError::OutOfRange`], or when the tree cannot be read.
pub fn inclusion<S: TileSource>(tiles: &S, index: u64, size: u64) -> Result<Vec<Hash>, MakeError<S::Error>> {
    in_range(index, size)?;
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(over(tiles, size, middle, end)?);
            end = middle;
        } else {
            path.push(over(tiles, size, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `from` leaves is the beginning of the tree of `to` leaves.
///
/// # Errors
/// [`ProofError::Empty`] and [`ProofError::Shrunk`], or when the tree cannot be read.
pub fn consistency<S: TileSource>(tiles: &S, from: u64, to: u64) -> Result<Vec<Hash>, MakeError<S::Error>> {
    grew(from, to)?;
    let (mut start, mut end) = (0, to);
    let mut path = Vec::new();
    while end != from {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(over(tiles, to, middle, end)?);
            end = middle;
        } else {
            path.push(over(tiles, to, start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        path.push(over(tiles, to, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that this leaf is in the tree, at this index.
///
/// # Errors
/// See [`ProofError`].
pub fn check_inclusion(leaf: Hash, index: u64, proof: &[Hash], root: &Root) -> Result<(), ProofError> {
    in_range(index, root.size)?;
    let (mut at, mut last) = (index, root.size - 1);
    let mut hash = leaf;
    for beside in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = Hash::node(beside, &hash);
            skip_left_edge(&mut at, &mut last);
        } else {
            hash = Hash::node(&hash, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == root.hash { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the one tree is the beginning of the other.
///
/// # Errors
/// See [`ProofError`].
pub fn check_consistency(from: &Root, to: &Root, proof: &[Hash]) -> Result<(), ProofError> {
    grew(from.size, to.size)?;
    if from.size == to.size {
        let same = if from.hash == to.hash { Ok(()) } else { Err(ProofError::EarlierRoot) };
        return if proof.is_empty() { same } else { Err(ProofError::Length) };
    }
    // A perfect tree is itself the first hash, which the proof then leaves out.
    let (first, rest) = match proof.split_first() {
        _ if from.size.is_power_of_two() => (&from.hash, proof),
        Some(parts) => parts,
        None => return Err(ProofError::Length),
    };
    let skip = (from.size - 1).trailing_ones();
    let (mut at, mut last) = ((from.size - 1) >> skip, (to.size - 1) >> skip);
    let (mut earlier, mut later) = (*first, *first);
    for beside in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            earlier = Hash::node(beside, &earlier);
            later = Hash::node(beside, &later);
            skip_left_edge(&mut at, &mut last);
        } else {
            later = Hash::node(&later, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match (last, earlier == from.hash, later == to.hash) {
        (1.., _, _) => Err(ProofError::Length),
        (0, false, _) => Err(ProofError::EarlierRoot),
        (0, true, false) => Err(ProofError::Root),
        (0, true, true) => Ok(()),
    }
}

/// On the right edge of the tree: up past the levels where there is nothing to the left.
const fn skip_left_edge(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        *at >>= 1;
        *last >>= 1;
    }
}

const fn in_range(index: u64, size: u64) -> Result<(), ProofError> {
    match size {
        0 => Err(ProofError::Empty),
        size if index < size => Ok(()),
        size => Err(ProofError::OutOfRange { index, size }),
    }
}

const fn grew(from: u64, to: u64) -> Result<(), ProofError> {
    if from == 0 || to == 0 {
        Err(ProofError::Empty)
    } else if from > to {
        Err(ProofError::Shrunk { from, to })
    } else {
        Ok(())
    }
}

/// The largest power of two below `leaves`, which are more than one.
const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The hash over the leaves from `start` to `end`, where `start` is one that the tree splits at.
fn over<S: TileSource>(tiles: &S, size: u64, start: u64, end: u64) -> Result<Hash, TilesError<S::Error>> {
    let leaves = end - start;
    if leaves.is_power_of_two() {
        return node(tiles, size, leaves.ilog2(), start / leaves);
    }
    let middle = start + split(leaves);
    Ok(Hash::node(&over(tiles, size, start, middle)?, &over(tiles, size, middle, end)?))
}
