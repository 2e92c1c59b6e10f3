//! The documents of `-o json`: every shape that a program may rely on. Fields are added, never renamed or removed.
//! Instants are RFC 3339 texts in UTC, and every id is as `kind:name`.

mod audit;
mod context;
mod credential;
mod diagnosis;
pub(crate) mod directory;
mod feed;
mod receipt;

use std::fmt;

use serde::Serialize;

pub(crate) use audit::{EventProof, LogExport, LogFault, LogVerdict, ProvenEvent};
pub(crate) use context::{Context, ContextRemoved, Contexts, KnownLog};
pub(crate) use credential::{Credential, Rests, Rotated, RotatedToken};
pub(crate) use diagnosis::{Check, Diagnosis, Explanation, Explanations, PastRefusal};
pub(crate) use feed::{FeedLine, Standing, Standings};
pub(crate) use receipt::{
    Live, LiveApplication, LiveAudience, OffboardPreview, Offboarded, Receipt, ReceiptAudience, ReceiptFiles,
    ReceiptVerdict, ReceiptVerifier,
};

use crate::directory::Manifest;

/// On standard error, when a verb fails.
#[derive(Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) error: Error,
}

#[derive(Debug, Serialize)]
pub(crate) struct Error {
    /// One word for the exit code.
    pub(crate) kind: &'static str,
    /// The broker's stable reason code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    /// The revision under which the refusal stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// `key new`
#[derive(Debug, Serialize)]
pub(crate) struct KeyPair {
    pub(crate) private: String,
    pub(crate) public: String,
}

/// `enroll`, `renew`
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    pub(crate) subject: String,
    pub(crate) broker: String,
    pub(crate) home: String,
    pub(crate) revision: u64,
    pub(crate) expires_at: String,
}

/// `open-enrollment`
#[derive(Serialize)]
pub(crate) struct Opened {
    pub(crate) code: String,
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) expires_at: String,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `cert`
#[derive(Debug, Serialize)]
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) revision: u64,
    pub(crate) expires_at: String,
    pub(crate) bound_by: String,
}

/// `token`
#[derive(Serialize)]
pub(crate) struct Token<'a> {
    pub(crate) token: &'a str,
    pub(crate) revision: u64,
    pub(crate) expires_at: String,
    pub(crate) bound_by: String,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// `verify`: of a credential that is not good only `active` is said.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    pub(crate) active: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) says: Option<Says>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Says {
    pub(crate) application: String,
    pub(crate) audience: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) revision: u64,
    pub(crate) expires_at: String,
    pub(crate) lineage: Vec<String>,
}

/// `put`
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) revision: u64,
    pub(crate) written: bool,
    pub(crate) cut: bool,
}

/// `get`, and each one of `list`
#[derive(Debug, Serialize)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<u64>,
    /// `open`, `suspended` or `ended`.
    pub(crate) life: &'static str,
    /// The same with everything above it taken into account.
    pub(crate) effective_life: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<Manifest>,
}

/// `list`
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) objects: Vec<Stored>,
}

/// `end`, `credential revoke`
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) revision: u64,
}

/// `person forget`
#[derive(Debug, Serialize)]
pub(crate) struct Forgotten {
    pub(crate) id: String,
    pub(crate) revision: u64,
}

/// `end --preview`
#[derive(Debug, Serialize)]
pub(crate) struct EndPreview {
    pub(crate) id: String,
    /// As in `list`, or as of a credential: absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) life: Option<&'static str>,
    /// In words: absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) what: Option<String>,
    /// Absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rests_on_it: Option<Vec<Count>>,
}

/// `resume`
#[derive(Debug, Serialize)]
pub(crate) struct ResumedAll {
    pub(crate) resumed: Vec<Resumed>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Resumed {
    pub(crate) id: String,
    /// When it was opened, or last written if it was open already.
    pub(crate) revision: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Count {
    pub(crate) kind: &'static str,
    pub(crate) count: usize,
}

/// `completions`
#[derive(Debug, Serialize)]
pub(crate) struct Completions {
    pub(crate) script: String,
}

/// `man`
#[derive(Debug, Serialize)]
pub(crate) struct Manual {
    pub(crate) pages: Vec<String>,
}

/// `ping`
#[derive(Debug, Serialize)]
pub(crate) struct Pong {
    pub(crate) subject: String,
    pub(crate) identity: String,
    pub(crate) revision: u64,
    pub(crate) micros: u64,
}

/// `quickstart`
#[derive(Debug, Serialize)]
pub(crate) struct Tour {
    pub(crate) ok: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) total_millis: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Did happen what was expected? That may be a refusal.
    pub(crate) ok: bool,
    pub(crate) millis: u64,
    /// Where it was refused: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What happened, in words.
    pub(crate) note: String,
}

/// `bench`
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    pub(crate) noop_rps: f64,
    pub(crate) mint_rps: f64,
    pub(crate) introspect_rps: f64,
    /// The median over the rounds of mint against no-op; so are those below.
    pub(crate) mint_ratio: f64,
    pub(crate) introspect_ratio: f64,
    pub(crate) noop_p50_micros: u64,
    pub(crate) noop_p99_micros: u64,
    pub(crate) mint_p50_micros: u64,
    pub(crate) mint_p99_micros: u64,
    pub(crate) introspect_p50_micros: u64,
    pub(crate) introspect_p99_micros: u64,
    pub(crate) failures: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_credential_that_is_not_good_nothing_else_is_said() {
        assert_eq!(serde_json::to_value(Verdict::default()).unwrap(), json!({"active": false}));
    }

    #[test]
    fn secrets_are_not_printed_by_accident() {
        let (code, text) = ("hunter2".to_owned(), String::new);
        let opened = Opened { code, subject: text(), id: text(), expires_at: text() };
        let token = Token { token: "hunter2", revision: 7, expires_at: text(), bound_by: text() };
        assert_eq!(format!("{opened:?} {token:?}"), "Opened { id: \"\", .. } Token { revision: 7, .. }");
    }

    #[test]
    fn what_a_good_one_says_stands_beside_active() {
        let says = Says {
            application: "sync".into(),
            audience: "billing".into(),
            scopes: vec!["invoices.read".into()],
            revision: 7,
            expires_at: "2026-01-01T00:00:00Z".into(),
            lineage: vec!["vendor:acme".into()],
        };
        let value = serde_json::to_value(Verdict { active: true, says: Some(says) }).unwrap();
        assert_eq!(value["active"], true);
        assert_eq!(value["application"], "sync");
    }

    #[test]
    fn a_step_that_was_not_refused_has_no_reason() {
        let step = Step { name: "mint-token", ok: true, millis: 3, reason: None, note: "x".into() };
        assert_eq!(
            serde_json::to_value(step).unwrap(),
            json!({"name": "mint-token", "ok": true, "millis": 3, "note": "x"})
        );
    }
}
