//! The documents of the verbs about contexts.

use serde::Serialize;

/// `context list`
#[derive(Debug, Serialize)]
pub(crate) struct Contexts {
    pub(crate) contexts: Vec<Context>,
}

/// `context show`, `context use`, `context add`, and each one of `context list`
#[derive(Debug, Serialize)]
pub(crate) struct Context {
    pub(crate) name: String,
    /// Is it meant where none is named?
    pub(crate) current: bool,
    pub(crate) home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<String>,
    /// SHA-256 of the broker's root certificate, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<String>,
    /// Who is enrolled there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<String>,
    /// What is known of the broker's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<KnownLog>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// The newest checkpoint that was seen of a log.
#[derive(Debug, Serialize)]
pub(crate) struct KnownLog {
    pub(crate) key: String,
    pub(crate) era: String,
    pub(crate) revision: u64,
    /// In base64.
    pub(crate) root: String,
    pub(crate) seen_at: String,
    /// The signed note.
    pub(crate) checkpoint: String,
}

/// `context remove`
#[derive(Debug, Serialize)]
pub(crate) struct ContextRemoved {
    pub(crate) name: String,
    pub(crate) home: String,
}
