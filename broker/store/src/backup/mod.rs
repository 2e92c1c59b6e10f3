//! Backups: the log, and what lies beside it, in a form of our own that no engine's files show through. The nodes are
//! not in it: the log leaves them (law 1). Sealed keys stay sealed; the key that opens them is not in it.
//!
//! A backup is a stream: a line that says what it is, then frames of a kind (1 byte), a length (4 bytes, big-endian)
//! and a payload.
//!
//! | kind | payload |
//! |---|---|
//! | `h` | what it holds, as JSON ([`Header`]) |
//! | `p` | an id (16 bytes) and a private value; it belongs to the event that follows |
//! | `e` | the exact bytes of the next event, from revision 1 on |
//! | `z` | the last revision (8 bytes), and SHA-256 of everything before this frame |
//! | `x` | why it breaks off, in words |
//!
//! INVARIANT (whole or none): a backup without its last frame is refused, whatever it holds.

mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use self::{
    read::{BackupError, Frame, Reader},
    write::{Backup, broken_off},
};

/// The first line.
const MAGIC: &[u8] = b"daypass-backup 1\n";
/// The longest frame: an event, or a private value with its id, and room to grow.
const MAX_FRAME: usize = 64 * 1024;

const HEADER: u8 = b'h';
const PRIVATE: u8 = b'p';
const EVENT: u8 = b'e';
const END: u8 = b'z';
const BROKEN: u8 = b'x';

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Which actions may be in it: [`daypass_core::event::GENERATION`] of the program that made it.
    pub event_schema: u16,
    /// The last revision in it.
    pub revision: u64,
    /// The version of the program that made it.
    pub made_by: String,
}
