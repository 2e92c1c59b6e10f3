//! The documents of the verbs that look at the feed.

use serde::Serialize;

/// One line of `follow`
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FeedLine {
    pub(crate) at: String,
    /// `connected`, `lost`, `snapshot`, `resumed`, `fresh`, `cut`, `horizon`, `keys` or `checkpoint`.
    pub(crate) what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// What was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Of a cut, the latest expiry of what rests on it; of a horizon, the instant itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) era: Option<String>,
    /// How many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cuts: Option<usize>,
    /// What there are keys for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) audiences: Option<Vec<String>>,
    /// Why the stream is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Does that show a log that was put back or tampered with, if it is no broker that lags?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alarming: Option<bool>,
}

/// `verifier list`
#[derive(Debug, Serialize)]
pub(crate) struct Standings {
    /// The newest revision.
    pub(crate) head: u64,
    pub(crate) verifiers: Vec<Standing>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    pub(crate) verifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) following: bool,
    pub(crate) observing: bool,
    /// Up to where it said that every cut is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acknowledged: Option<u64>,
    pub(crate) behind: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heard_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refuses_at: Option<String>,
}
