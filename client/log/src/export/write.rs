//! Writing an export: line by line for whoever has to wait for entries, and all at once for whoever need not.

use std::{borrow::Cow, convert::Infallible, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_credential::Revision;

use super::{FORMAT, Header, Step, VERSION, Walk};
use crate::{Hash, MAX_ENTRY, SignedCheckpoint, Tile, TileSource, TilesError, tiles::read};

/// Why an export cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E = Infallible, T = Infallible> {
    /// The entry cannot be a line.
    #[error(
        "the entry of revision {0} is empty, too long or has a line feed in it, and so is no line of an export"
    )]
    Entry(Revision),
    /// There are fewer entries than the checkpoint says.
    #[error("the entry of revision {0} is wanted, and there is none")]
    Missing(Revision),
    /// An entry cannot be had.
    #[error("an entry of the log cannot be read")]
    Source(#[source] E),
    /// A tile cannot be had.
    #[error(transparent)]
    Tiles(TilesError<T>),
    /// It cannot be written where it should go.
    #[error("the export cannot be written")]
    Out(#[from] io::Error),
}

/// Writes the export of the log that the checkpoint is of. `entries` begins with revision 1; what it has beyond the
/// checkpoint is left alone.
///
/// # Errors
/// See [`WriteError`].
pub fn write<B: AsRef<[u8]>, E, S: TileSource>(
    out: &mut impl io::Write,
    checkpoint: &SignedCheckpoint,
    tiles: &S,
    entries: impl IntoIterator<Item = Result<B, E>>,
) -> Result<(), WriteError<E, S::Error>> {
    let mut entries = entries.into_iter();
    out.write_all(&header_line(checkpoint))?;
    for step in Walk::new(checkpoint.checkpoint().root().size) {
        match step {
            Step::Tile(tile) => {
                out.write_all(&tile_line(tile, &read(tiles, tile).map_err(WriteError::Tiles)?))?;
            }
            Step::Entries(range) => {
                for index in range {
                    let revision = Revision::new(index + 1);
                    let entry =
                        entries.next().ok_or(WriteError::Missing(revision))?.map_err(WriteError::Source)?;
                    out.write_all(entry_line(entry.as_ref()).ok_or(WriteError::Entry(revision))?)?;
                    out.write_all(b"\n")?;
                }
            }
        }
    }
    out.flush().map_err(WriteError::Out)
}

/// The first line, with its end.
#[must_use]
pub fn header_line(checkpoint: &SignedCheckpoint) -> Vec<u8> {
    header(checkpoint.note())
}

/// The line of a tile, with its end.
#[must_use]
pub fn tile_line(tile: Tile, hashes: &[Hash]) -> Vec<u8> {
    let mut line = before_hashes(tile).into_bytes();
    line.extend_from_slice(STANDARD.encode(Tile::encode(hashes)).as_bytes());
    line.extend_from_slice(AFTER_HASHES);
    line.push(b'\n');
    line
}

/// The line of an entry, without its end: its exact bytes, or nothing if they cannot be a line.
#[must_use]
pub fn entry_line(entry: &[u8]) -> Option<&[u8]> {
    ((1..=MAX_ENTRY).contains(&entry.len()) && !entry.contains(&b'\n')).then_some(entry)
}

/// The one spelling of the first line.
pub(super) fn header(note: &str) -> Vec<u8> {
    let header = Header { format: FORMAT.into(), version: VERSION, checkpoint: Cow::Borrowed(note) };
    // Text and numbers in a buffer always are JSON; an empty line would be no header, and refused by every reader.
    let mut line = serde_json::to_vec(&header).unwrap_or_default();
    line.push(b'\n');
    line
}

/// What stands before a tile's hashes.
pub(super) fn before_hashes(tile: Tile) -> String {
    format!("{{\"tile\":\"{tile}\",\"hashes\":\"")
}

/// What stands after them.
pub(super) const AFTER_HASHES: &[u8] = b"\"}";
