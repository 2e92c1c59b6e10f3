//! Looking at the connection itself.

use bytes::Bytes;
use daypass_credential::{Name, NodeId, Revision, Timestamp};
use daypass_proto::v1::{self, diagnostics_service_client::DiagnosticsServiceClient};

use crate::{Connection, Error, retry::Repeat, wire};

/// Whom the broker takes the caller for, and how far its log has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// The application, person or verifier.
    pub subject: NodeId,
    /// Which of its instances.
    pub identity: Name,
    /// The newest revision.
    pub revision: Revision,
    /// The broker's clock; none if it does not tell.
    pub time: Option<Timestamp>,
    /// The broker's version; empty if it does not tell.
    pub version: String,
}

impl Connection {
    /// Does the way that every call takes, and nothing else.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ping(&self) -> Result<Pong, Error> {
        self.ping_padded(Bytes::new(), 0).await
    }

    /// The same with a request and an answer of some size; at most 8 KiB each.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ping_padded(&self, padding: Bytes, answer_size: u32) -> Result<Pong, Error> {
        let request = v1::PingRequest { padding, answer_size };
        let send = |channel| {
            let request = request.clone();
            async move { DiagnosticsServiceClient::new(channel).ping(request).await }
        };
        let answer = self.call(Repeat::Harmless, send).await?;
        Ok(Pong {
            subject: wire::node(&answer.subject)?,
            identity: answer.identity.parse().map_err(|_| Error::BadAnswer("the identity is no name"))?,
            revision: Revision::new(answer.revision),
            time: answer.time.map(|time| wire::instant(Some(time))).transpose()?,
            version: answer.version,
        })
    }
}
