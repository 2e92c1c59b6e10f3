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
    #[error("the store has schema version {found}, this program knows {known}: use {}", newer(by.as_deref()))]
    Newer {
        /// The version that was found.
        found: u32,
        /// The newest that this program knows.
        known: u32,
        /// The version of the program that wrote it, if it says so.
        by: Option<String>,
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

fn newer(by: Option<&str>) -> String {
    by.map_or_else(|| "the newer program".to_owned(), |version| format!("daypassd {version} or newer"))
}

/// Is this a version, and nothing that could steer a terminal?
pub(crate) fn is_version(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
}
