//! Audit exports: a log, or its beginning, as lines of text, so that whoever has it and the log's public key can check
//! it offline, in constant memory, and learn which entry is the first that does not fit.
//!
//! | line | what |
//! |---|---|
//! | header | `{"format":"daypass-audit-export","version":1,"checkpoint":NOTE}` |
//! | tile | `{"tile":PATH,"hashes":BASE64}`: path and bytes of a tile as in C2SP tlog-tiles |
//! | entry | the exact bytes of an entry, which therefore has no line feed in it |
//!
//! First come the tiles of the right edge that are not full, highest level first: they alone make up the root that the
//! checkpoint signs. Then each full tile stands before what is below it, and each tile of level 0 before its entries
//! ([`Walk`]). So every line is known by the lines before it to be the one that was signed, and by the checkpoint's size it
//! is known which kind of line comes next: no entry can pass for a tile.
//!
//! INVARIANT (no byte unsigned): each line has one spelling, and each byte of it is signed or fixed.

mod check;
mod fault;
mod lines;
mod read;
mod walk;
mod write;

use serde::{Deserialize, Serialize};

pub use self::{
    check::{Check, Line},
    fault::Fault,
    read::{ReadError, Reader},
    walk::{Step, Walk},
    write::{WriteError, entry_line, header_line, tile_line, write},
};
use crate::{MAX_ENTRY, MAX_NOTE};

const FORMAT: &str = "daypass-audit-export";
const VERSION: u32 = 1;

/// The longest line, without its end: a header whose note had every byte escaped.
const MAX_LINE: usize = 2 * MAX_NOTE + 256;
const _: () = assert!(MAX_LINE > MAX_ENTRY, "an entry is a line");

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    format: std::borrow::Cow<'a, str>,
    version: u32,
    checkpoint: std::borrow::Cow<'a, str>,
}
