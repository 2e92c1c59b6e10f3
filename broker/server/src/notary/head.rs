//! The newest tree that may have been signed, beside its hashes: era, size and root. It is durable before a signature is
//! made, so that no restart can lead to a second tree of a size that was signed.

use std::{fs, io, path::Path};

use daypass_credential::Era;
use daypass_log::Root;
use serde::{Deserialize, Serialize};

use crate::process::durable;

/// How far the notary got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The life of the log.
    pub(super) era: Era,
    /// Size and root.
    pub(super) root: Root,
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    /// The file cannot be read.
    #[error("the notary's head cannot be read")]
    Io(#[from] io::Error),
    /// It is not what the notary wrote.
    #[error("the notary's head is not what was written")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    era: Era,
    size: u64,
    root: String,
}

const NAME: &str = "head";
/// Longer than any head.
const MOST: u64 = 1024;

/// The head in this folder, if there is one.
pub(super) fn read(folder: &Path) -> Result<Option<Head>, HeadError> {
    let path = folder.join(NAME);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > MOST => return Err(HeadError::Damaged),
        other => other?,
    };
    let Written { era, size, root } =
        serde_json::from_slice(&fs::read(path)?).map_err(|_| HeadError::Damaged)?;
    let hash = root.parse().map_err(|_| HeadError::Damaged)?;
    Ok(Some(Head { era, root: Root { size, hash } }))
}

/// Replaces the head durably.
pub(super) fn write(folder: &Path, head: &Head) -> io::Result<()> {
    let Head { era, root } = head;
    let written = Written { era: *era, size: root.size, root: root.hash.to_string() };
    durable::replace(&folder.join(NAME), &serde_json::to_vec(&written)?)
}
