//! The Merkle tree over the log, as broker, command line and SDK share it: hashes, tiles, proofs, signed checkpoints,
//! and exports that show where they were changed. The leaf of revision *n* has index *n* − 1. No I/O but what a caller
//! hands in, no clock, no runtime, and no private key: signing is the caller's.

mod acknowledgement;
mod checkpoint;
mod edge;
pub mod export;
mod hash;
mod key;
mod note;
pub mod proof;
pub mod receipt;
mod tile;
mod tiles;
mod tree;

pub use acknowledgement::Acknowledgement;
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use edge::Edge;
pub use hash::{Hash, HashError};
pub use key::{KeyError, VerifierKey};
pub use note::{MAX_NOTE, MAX_SIGNATURES, NoteError, SignError, open, sign};
pub use tile::{Bundle, MAX_ENTRY, MAX_SIZE, Tile, TileError, grown};
pub use tiles::{Missing, TileSource, TilesError, node};
pub use tree::{Frontier, FrontierError, Root};
