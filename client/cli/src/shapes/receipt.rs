//! The documents of offboarding and of receipts.

use serde::Serialize;

/// `offboard --preview`
#[derive(Debug, Serialize)]
pub(crate) struct OffboardPreview {
    pub(crate) vendor: String,
    /// As of which revision.
    pub(crate) revision: u64,
    pub(crate) live: Live,
    pub(crate) applications: Vec<LiveApplication>,
    pub(crate) audiences: Vec<LiveAudience>,
}

/// How many credentials, by kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Live {
    pub(crate) identity_certificates: u64,
    pub(crate) client_certificates: u64,
    pub(crate) tokens: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct LiveApplication {
    pub(crate) application: String,
    pub(crate) live: Live,
}

#[derive(Debug, Serialize)]
pub(crate) struct LiveAudience {
    pub(crate) audience: String,
    pub(crate) live: Live,
    pub(crate) last_expiry: String,
    pub(crate) verifiers: u32,
    /// How many of those follow the feed.
    pub(crate) following: u32,
    pub(crate) staleness_seconds: u32,
}

/// `offboard`
#[derive(Debug, Serialize)]
pub(crate) struct Offboarded {
    pub(crate) id: String,
    pub(crate) revision: u64,
    /// It was ended before, and nothing was written.
    pub(crate) already: bool,
    /// With `--wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<Receipt>,
}

/// `receipt get`
#[derive(Debug, Serialize)]
pub(crate) struct ReceiptFiles {
    pub(crate) file: String,
    pub(crate) list: String,
    pub(crate) receipt: Receipt,
}

/// `receipt verify`
#[derive(Debug, Serialize)]
pub(crate) struct ReceiptVerdict {
    pub(crate) good: bool,
    /// Was the list held against it? Without it nothing is shown of single credentials.
    pub(crate) list_checked: bool,
    pub(crate) key: String,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<Receipt>,
}

/// What a receipt says.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    /// At which revision it was ended.
    pub(crate) revision: u64,
    pub(crate) ended_at: String,
    pub(crate) closed_at: String,
    pub(crate) log: String,
    pub(crate) era: String,
    /// How many credentials died, and which by the list.
    pub(crate) died: Live,
    /// SHA-256 of the statement and of the list, in base64url, as the log's closing event has them.
    pub(crate) statement_sha256: String,
    pub(crate) list_sha256: String,
    pub(crate) audiences: Vec<ReceiptAudience>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReceiptAudience {
    pub(crate) audience: String,
    pub(crate) died: Live,
    pub(crate) last_expiry: String,
    pub(crate) staleness_seconds: u32,
    pub(crate) verifiers: Vec<ReceiptVerifier>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReceiptVerifier {
    pub(crate) verifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    /// `confirmed`, `refuses-from` or `not-following`.
    pub(crate) state: &'static str,
    /// When the confirmation came, or from when on it refuses by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
}
