//! The documents of the verbs that check the log.

use serde::Serialize;

/// `audit export`
#[derive(Debug, Serialize)]
pub(crate) struct LogExport {
    pub(crate) file: String,
    pub(crate) events: u64,
    /// The last one.
    pub(crate) revision: u64,
    pub(crate) bytes: u64,
    /// The name of the log.
    pub(crate) origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) era: Option<String>,
    /// The hash over all of it, in base64.
    pub(crate) root: String,
    pub(crate) log_key: String,
}

/// `audit verify`
#[derive(Debug, Serialize)]
pub(crate) struct LogVerdict {
    pub(crate) whole: bool,
    /// `export` (also of the broker's log) or `proof`.
    pub(crate) kind: &'static str,
    pub(crate) origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) era: Option<String>,
    /// The last one that the checkpoint signs, if the checkpoint counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<String>,
    pub(crate) key: String,
    /// Up to which revision the log was known before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<u64>,
    /// What a proof shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proven: Option<ProvenEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<LogFault>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProvenEvent {
    pub(crate) revision: u64,
    pub(crate) event: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LogFault {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// The first entry that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_bad: Option<u64>,
}

/// `audit prove`
#[derive(Debug, Serialize)]
pub(crate) struct EventProof {
    pub(crate) revision: u64,
    /// Its exact bytes, as text.
    pub(crate) event: String,
    pub(crate) index: u64,
    pub(crate) leaf_hash: String,
    pub(crate) size: u64,
    pub(crate) root: String,
    /// The audit path, lowest hash first.
    pub(crate) hashes: Vec<String>,
    /// The signed note.
    pub(crate) checkpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}
