//! Asking what was recorded of a refusal.

use daypass_credential::{NodeId, Revision, Timestamp};
use daypass_proto::v1::{self, diagnostics_service_client::DiagnosticsServiceClient};

use crate::{Connection, Error, retry::Repeat, wire};

/// A refusal as the log recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRefusal {
    /// When.
    pub at: Timestamp,
    /// Of which call, as `CredentialService/MintToken`.
    pub method: String,
    /// The stable code.
    pub reason: String,
    /// Who was refused; none for callers whom nobody knows.
    pub subject: Option<NodeId>,
    /// Which instance of theirs, as the broker wrote it; empty for callers whom nobody knows.
    pub identity: String,
    /// How many times: more than one where refusals were counted together.
    pub count: u64,
    /// What it was about, where that exists and whoever was refused may know of it.
    pub about: Option<NodeId>,
}

impl Connection {
    /// What is recorded of the refusal at this revision. For whom it was told, owners of that, admins and auditors.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refusal(&self, revision: Revision) -> Result<PastRefusal, Error> {
        let request = v1::ExplainRefusalRequest { revision: revision.get() };
        let send =
            |channel| async move { DiagnosticsServiceClient::new(channel).explain_refusal(request).await };
        let answer = self.call(Repeat::Harmless, send).await?;
        let node = |text: &str| (!text.is_empty()).then(|| wire::node(text)).transpose();
        Ok(PastRefusal {
            at: wire::instant(answer.at)?,
            method: answer.method,
            reason: answer.reason,
            subject: node(&answer.subject)?,
            identity: answer.identity,
            count: answer.count,
            about: node(&answer.about)?,
        })
    }
}
