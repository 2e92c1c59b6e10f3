//! The documents of the verbs that say what is wrong: `doctor` and `explain`.

use serde::Serialize;

/// `explain` without a reason
#[derive(Debug, Serialize)]
pub(crate) struct Explanations {
    pub(crate) reasons: Vec<Explanation>,
}

/// `explain`
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) reason: String,
    pub(crate) means: String,
    pub(crate) what_to_do: String,
    /// What the log recorded, where a revision was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<PastRefusal>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PastRefusal {
    pub(crate) revision: u64,
    pub(crate) at: String,
    pub(crate) method: String,
    /// Absent for callers whom nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    pub(crate) count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<String>,
}

/// `doctor`
#[derive(Debug, Serialize)]
pub(crate) struct Diagnosis {
    /// Is there no problem?
    pub(crate) well: bool,
    pub(crate) home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// `ok`, `warning`, `problem` or `skipped`.
    pub(crate) status: &'static str,
    pub(crate) message: String,
    /// The broker's reason code, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}
