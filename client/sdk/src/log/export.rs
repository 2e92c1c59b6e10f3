//! The whole log, as it comes.

use bytes::Bytes;
use daypass_proto::v1::{self, audit_service_client::AuditServiceClient};
use tonic::Streaming;

use crate::{Connection, Error, retry::Repeat};

/// An export under way, as bytes. Nothing in it has been checked: read it with `daypass_log::export::Reader`.
#[derive(Debug)]
pub struct Export {
    connection: Connection,
    chunks: Streaming<v1::ExportLogResponse>,
}

impl Connection {
    /// The whole log up to the newest checkpoint, with its tiles. For admins and auditors.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn export_log(&self) -> Result<Export, Error> {
        let send = |channel| async move {
            AuditServiceClient::new(channel).export_log(v1::ExportLogRequest {}).await
        };
        let chunks = self.call(Repeat::Harmless, send).await?;
        Ok(Export { connection: self.clone(), chunks })
    }
}

impl Export {
    /// The next piece; none after the last. A piece can end anywhere within a line.
    ///
    /// # Errors
    /// See [`Error`]. What came before it is not the whole export.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let message = self.chunks.message().await.map_err(|status| self.connection.fault(status))?;
        Ok(message.map(|message| message.chunk))
    }
}
