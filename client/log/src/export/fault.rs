//! What can be wrong with an export, and which entry it strikes first.

use daypass_credential::Revision;

use crate::{CheckpointError, Root, Tile};

/// Why an export is not the log that its checkpoint, and what was known before, say it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not begin as one.
    #[error("this is no audit export of Daypass, or its first line was changed")]
    NotOne,
    /// Another version of this program made it.
    #[error("the export has version {0}, and this program reads version 1")]
    Version(u32),
    /// Its checkpoint does not count.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It ends before what was known already.
    #[error(
        "the export's checkpoint is of revision {found}, and revision {known} is known: it is older, or the log was cut"
    )]
    Older {
        /// The last revision that was known.
        known: Revision,
        /// The last revision in the export.
        found: Revision,
    },
    /// It is not a continuation of what was known already.
    #[error(
        "up to revision {known} the export is another history than the one that is known, though it is signed"
    )]
    OtherHistory {
        /// The last revision that was known.
        known: Revision,
    },
    /// The tiles of the right edge do not make the signed root.
    #[error(
        "the export's first tiles do not lead to the signed root: they were changed, or are of another log"
    )]
    Root,
    /// A line that should be a tile is not the one that was signed.
    #[error("`{tile}` is not the one that was signed; no entry from revision {} on is shown", .first)]
    Tile {
        /// The tile that should be there.
        tile: Tile,
        /// The first entry below it.
        first: Revision,
    },
    /// A line that should be an entry is not the one that was signed.
    #[error("the entry of revision {revision} is not the one that was signed{}", instead(.stands))]
    Entry {
        /// The entry that should be there.
        revision: Revision,
        /// The entry near it that stands there instead: what was between is missing, doubled or moved.
        stands: Option<Revision>,
    },
    /// It breaks off.
    #[error("the export is cut short: it ends after revision {after} of {of}")]
    CutShort {
        /// The last entry that is there.
        after: Revision,
        /// The last entry that should be there.
        of: Revision,
    },
    /// It goes on after its end.
    #[error("the export goes on after revision {of}, the last that was signed")]
    Surplus {
        /// The last entry that was signed.
        of: Revision,
    },
}

impl Fault {
    /// The first entry that does not fit; nothing where the fault is not with an entry.
    #[must_use]
    pub const fn first_bad(&self) -> Option<Revision> {
        match self {
            Self::NotOne
            | Self::Version(_)
            | Self::Checkpoint(_)
            | Self::OtherHistory { .. }
            | Self::Root => None,
            Self::Older { found: before, .. }
            | Self::CutShort { after: before, .. }
            | Self::Surplus { of: before } => Some(before.next()),
            Self::Tile { first: revision, .. } | Self::Entry { revision, .. } => Some(*revision),
        }
    }
}

/// The last revision in a tree.
pub(super) const fn last(root: Root) -> Revision {
    Revision::new(root.size)
}

fn instead(stands: &Option<Revision>) -> String {
    stands.map(|revision| format!(": that of revision {revision} stands there")).unwrap_or_default()
}
