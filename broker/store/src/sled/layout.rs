//! What lies where in the one tree. The log is last, so that it grows at the right edge.
//!
//! | key | value |
//! |---|---|
//! | `m` | the schema version, 4 bytes |
//! | `w` | the version of the program that brought the store to that schema, as text (from schema 2 on) |
//! | `n` kind `:` name | schema version (2 bytes), revision (8), cut or zero (8), the node as JSON |
//! | `p` id (16 bytes) | a private value as it is, from before schema 3 |
//! | `q` id (16 bytes) | a private value, sealed; see `veil` |
//! | `r` first revision (8 bytes) | a run of events, see `pack` |
//!
//! All numbers are big-endian, so that keys sort by them.

use bytes::{Buf, BufMut};
use daypass_core::{Node, PrivateId, Stored, event};
use daypass_credential::{NodeId, Revision};

use crate::committer::Written;

/// The version of this layout.
pub(super) const SCHEMA: u32 = 3;

pub(super) const SCHEMA_KEY: &[u8] = b"m";
pub(super) const WRITER_KEY: &[u8] = b"w";
pub(super) const NODES: &[u8] = b"n";
pub(super) const RUNS: &[u8] = b"r";
const PLAIN: u8 = b'p';
const SEALED: u8 = b'q';

/// Why a node's value cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is cut short")]
    Short,
    #[error("it is of a newer schema version")]
    Newer,
    #[error("it is no node")]
    Json(#[from] serde_json::Error),
}

pub(super) fn run_key(first: Revision) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = first.get().to_be_bytes();
    [b'r', a, b, c, d, e, f, g, h]
}

/// The revision in a run's key.
pub(super) fn run_first(key: &[u8]) -> Option<Revision> {
    let number = key.strip_prefix(RUNS)?;
    number.try_into().ok().map(u64::from_be_bytes).map(Revision::new)
}

/// Where a private value lies, sealed.
pub(super) fn sealed_key(id: PrivateId) -> [u8; 17] {
    private_key(SEALED, id)
}

/// Where a private value lies that was written before any was sealed.
pub(super) fn plain_key(id: PrivateId) -> [u8; 17] {
    private_key(PLAIN, id)
}

fn private_key(kind: u8, id: PrivateId) -> [u8; 17] {
    let mut key = [kind; 17];
    for (to, from) in key.iter_mut().skip(1).zip(id.as_bytes()) {
        *to = *from;
    }
    key
}

pub(super) fn node_key(id: &NodeId) -> Vec<u8> {
    let (kind, name) = (id.kind.as_str(), id.name.as_str());
    [NODES, kind.as_bytes(), b":", name.as_bytes()].concat()
}

pub(super) fn node_value(written: &Written) -> Vec<u8> {
    let mut value = Vec::with_capacity(18 + written.json.len());
    value.put_u16(event::SCHEMA);
    value.put_u64(written.stored.revision.get());
    value.put_u64(written.stored.cut.map_or(0, Revision::get));
    value.put_slice(&written.json);
    value
}

pub(super) fn read_node(mut value: &[u8]) -> Result<Stored, Unreadable> {
    let version = value.try_get_u16().map_err(|_| Unreadable::Short)?;
    if version > event::SCHEMA {
        return Err(Unreadable::Newer);
    }
    let revision = value.try_get_u64().map_err(|_| Unreadable::Short)?;
    let cut = value.try_get_u64().map_err(|_| Unreadable::Short)?;
    let node: Node = serde_json::from_slice(value)?;
    let cut = (cut > 0).then(|| Revision::new(cut));
    Ok(Stored { revision: Revision::new(revision), cut, node })
}
