//! Why a store does not open.

use std::{io, path::PathBuf};

/// Why a store does not open, or is not created.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none at this path.
    #[error("there is no store at `{}`", .0.display())]
    Missing(PathBuf),
    /// There is one at this path already.
    #[error("there is a store at `{}` already", .0.display())]
    Exists(PathBuf),
    /// Somebody has it open.
    #[error("the store at `{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A newer version of this program wrote it.
    #[error("the store has schema version {found}, this program knows {known}: use the newer program")]
    Newer {
        /// The version that was found.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// What is there is not what this program wrote.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The operating system refuses.
    #[error("the store at `{}` cannot be used", path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}
