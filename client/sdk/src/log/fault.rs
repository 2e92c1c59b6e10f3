//! Why what a broker shows is not the log that is known here.

use daypass_credential::{Era, Revision};
use daypass_log::{CheckpointError, proof::ProofError};

/// Why what a broker shows is not the log that is known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// Its checkpoint is not signed by the log's key, or is none.
    #[error("its checkpoint is not one that the known log has signed")]
    Forged(#[source] CheckpointError),
    /// It is another log.
    #[error("it is the log `{found}`, and `{known}` is known")]
    OtherLog {
        /// The name of the log that is known.
        known: String,
        /// The name of the log that it shows.
        found: String,
    },
    /// It is another life of the log.
    #[error("its log is of era {found}, and era {known} is known")]
    OtherEra {
        /// The era that is known.
        known: Era,
        /// The era that it shows.
        found: Era,
    },
    /// Its checkpoint could be of any life of the log.
    #[error("its checkpoint does not say of which era it is")]
    NoEra,
    /// It ends before what is known: it was put back, or cut.
    #[error(
        "its log ends at revision {found}, and revision {known} is known: it was put back from a backup, or cut"
    )]
    Older {
        /// The last revision that is known.
        known: Revision,
        /// The last revision that it shows.
        found: Revision,
    },
    /// It says itself that its log ends before what it had signed.
    #[error("it says itself that its log is older than what it has signed: {words}")]
    SaysOlder {
        /// The last revision that is known here; none if the answer was to another call.
        known: Option<Revision>,
        /// In its words.
        words: String,
    },
    /// It says itself that what is known here is none of its checkpoints.
    #[error("it says itself that it did not sign what is known here, up to revision {known}: {words}")]
    Disowned {
        /// The last revision that is known.
        known: Revision,
        /// In its words.
        words: String,
    },
    /// Up to what is known, it is not what is known.
    #[error("up to revision {known} its log is not shown to be the one that is known, though it is signed")]
    OtherHistory {
        /// The last revision that is known.
        known: Revision,
    },
    /// A proof is for another size, or leads nowhere.
    #[error("its proof does not fit")]
    Proof(#[source] ProofError),
    /// The log is known, and is not shown.
    #[error("it shows no log, and revision {known} of its log is known")]
    NotShown {
        /// The last revision that is known.
        known: Revision,
    },
}

impl LogFault {
    /// The stable reason code under which brokers explain it, where they have one.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Older { .. } | Self::SaysOlder { .. } => Some(Self::OLDER),
            Self::Disowned { .. } => Some(Self::UNKNOWN),
            Self::Forged(_)
            | Self::OtherLog { .. }
            | Self::OtherEra { .. }
            | Self::NoEra
            | Self::OtherHistory { .. }
            | Self::Proof(_)
            | Self::NotShown { .. } => None,
        }
    }

    /// What a broker says that knows its log to be older than what it has signed.
    pub(crate) const OLDER: &str = "log-older";
    /// What a broker says that is shown a checkpoint of another log.
    pub(crate) const UNKNOWN: &str = "checkpoint-unknown";
}
