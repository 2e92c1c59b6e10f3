//! Logs to test with, and the tree as RFC 6962, section 2.1 defines it word by word: slow, and nothing shared with the code
//! under test but the two hashes, which `known` holds against vectors.

use std::convert::Infallible;

use daypass_credential::Era;
use daypass_log::{
    Checkpoint, Hash, Root, SignedCheckpoint, Tile, TileSource, VerifierKey,
    export::{self, Fault, ReadError, Reader},
};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

pub(crate) const ORIGIN: &str = "broker.example/audit";

/// A log with all its leaves at hand.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
}

impl Log {
    /// So many entries, each unlike the others.
    pub(crate) fn of(size: u64) -> Self {
        Self::seeded(size, "")
    }

    /// The same with a mark in each entry, so that it is another log.
    pub(crate) fn seeded(size: u64, mark: &str) -> Self {
        (0..size).map(|number| format!("{{\"v\":1,\"n\":{number}{mark}}}").into_bytes()).collect()
    }

    pub(crate) fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn leaf(&self, index: u64) -> Hash {
        self.leaves[usize::try_from(index).unwrap()]
    }

    pub(crate) fn root(&self) -> Root {
        self.root_at(self.size())
    }

    pub(crate) fn root_at(&self, size: u64) -> Root {
        Root { size, hash: mth(&self.leaves[..usize::try_from(size).unwrap()]) }
    }

    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        signed(ORIGIN, self.root(), &pair(7))
    }

    pub(crate) fn export(&self) -> Vec<u8> {
        self.export_with(&self.checkpoint())
    }

    /// What the log exports with a checkpoint that need not be its own.
    pub(crate) fn export_with(&self, checkpoint: &SignedCheckpoint) -> Vec<u8> {
        let mut out = Vec::new();
        export::write(&mut out, checkpoint, self, self.entries.iter().map(Ok::<_, Infallible>)).unwrap();
        out
    }
}

impl FromIterator<Vec<u8>> for Log {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(entries: I) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        let leaves = entries.iter().map(|entry| Hash::leaf(entry)).collect();
        Self { entries, leaves }
    }
}

impl TileSource for Log {
    type Error = Infallible;

    /// The n-th tile at level l: `MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l])`.
    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Infallible> {
        let each = 256_usize.pow(u32::from(tile.level()));
        let start = usize::try_from(tile.index()).unwrap() * 256 * each;
        let leaves = &self.leaves[start..start + each * usize::from(tile.width())];
        Ok(leaves.chunks(each).map(mth).collect())
    }
}

/// MTH of RFC 6962, section 2.1.
pub(crate) fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Hash::node(&mth(left), &mth(right))
        }
    }
}

/// Sizes of logs: mostly with two levels of tiles, some with three.
pub(crate) fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 1_u64..3_000, 1 => 65_000_u64..70_000]
}

pub(crate) fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(crate) fn key(name: &str, pair: &Ed25519KeyPair) -> VerifierKey {
    VerifierKey::new(name, pair.public_key().as_ref().try_into().unwrap()).unwrap()
}

/// The key that the logs here sign with.
pub(crate) fn keys() -> Vec<VerifierKey> {
    vec![key(ORIGIN, &pair(7))]
}

pub(crate) fn signer(pair: &Ed25519KeyPair) -> impl FnOnce(&[u8]) -> Result<[u8; 64], Infallible> {
    |text| Ok(pair.sign(text).as_ref().try_into().unwrap())
}

pub(crate) fn signed(origin: &str, root: Root, pair: &Ed25519KeyPair) -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(origin, root, Era::new(0xab)).unwrap();
    checkpoint.sign(&key(origin, pair), signer(pair)).unwrap()
}

pub(crate) fn hex(hash: &Hash) -> String {
    hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads an export to the end.
pub(crate) fn verify(export: &[u8], known: Option<Root>) -> Result<SignedCheckpoint, Fault> {
    verify_by(export, &keys(), known)
}

pub(crate) fn verify_by(
    export: &[u8],
    keys: &[VerifierKey],
    known: Option<Root>,
) -> Result<SignedCheckpoint, Fault> {
    match Reader::new(export, keys, known).and_then(|reader| reader.verify(|_| {})) {
        Ok(checkpoint) => Ok(checkpoint),
        Err(ReadError::Fault(fault)) => Err(fault),
        Err(ReadError::In(error)) => panic!("memory is readable: {error}"),
    }
}

/// Its lines, each with its end.
pub(crate) fn lines(export: &[u8]) -> Vec<Vec<u8>> {
    export.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}
