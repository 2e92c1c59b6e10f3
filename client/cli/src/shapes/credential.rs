//! The documents of the verbs about single credentials.

use serde::Serialize;

/// `credential show`
#[derive(Debug, Serialize)]
pub(crate) struct Credential {
    pub(crate) revision: u64,
    /// `identity`, `certificate` or `token`.
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) not_before: String,
    pub(crate) expires_at: String,
    pub(crate) bound_by: String,
    pub(crate) alive: bool,
    /// What killed it: a node, or `expiry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead_since: Option<u64>,
    pub(crate) lineage: Vec<Rests>,
}

/// What a credential rests on.
#[derive(Debug, Serialize)]
pub(crate) struct Rests {
    pub(crate) id: String,
    /// `open`, `suspended` or `ended`; of a credential `alive`, `dead` or `expired`. Absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) life: Option<&'static str>,
}

/// `credential rotate`
#[derive(Debug, Serialize)]
pub(crate) struct Rotated {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) audience: String,
    pub(crate) revision: u64,
    pub(crate) expires_at: String,
    pub(crate) bound_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<RotatedToken>,
    pub(crate) ended: super::Ended,
}

#[derive(Debug, Serialize)]
pub(crate) struct RotatedToken {
    pub(crate) file: String,
    pub(crate) revision: u64,
    pub(crate) expires_at: String,
}
