//! Ending things, what comes before and after, and opening again what a new era suspended.

use bytes::Bytes;
use daypass_credential::{Name, NodeId, Revision};
use daypass_proto::v1::{
    self, get_receipt_response::Part, offboarding_service_client::OffboardingServiceClient,
};
use tonic::Streaming;

use crate::{
    Connection, Error,
    retry::{self, Repeat},
};

/// What came of offboarding a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offboarded {
    /// Everything under it with a smaller revision is dead; its receipt goes by this number.
    pub revision: Revision,
    /// It was ended before, and nothing was written.
    pub already: bool,
}

/// A receipt as it comes. Nothing in it has been checked: read it with `daypass_log::receipt::Receipt`.
#[derive(Debug)]
pub struct ReceiptParts {
    connection: Connection,
    parts: Streaming<v1::GetReceiptResponse>,
}

/// A part of a receipt, or how far it is.
#[derive(Debug, Clone)]
pub enum ReceiptPart {
    /// It is not closed yet.
    Progress(v1::ReceiptProgress),
    /// The next piece of the statement.
    Statement(Bytes),
    /// The next piece of the list, which comes after the statement.
    List(Bytes),
}

impl ReceiptParts {
    /// The next part; none after the last.
    ///
    /// # Errors
    /// See [`Error`]. What came before it is not the whole receipt.
    pub async fn next(&mut self) -> Result<Option<ReceiptPart>, Error> {
        let message = self.parts.message().await.map_err(|status| self.connection.fault(status))?;
        let Some(message) = message else { return Ok(None) };
        Ok(Some(match message.part.ok_or(Error::BadAnswer("a part of a receipt is empty"))? {
            Part::Progress(progress) => ReceiptPart::Progress(progress),
            Part::Statement(bytes) => ReceiptPart::Statement(bytes),
            Part::List(bytes) => ReceiptPart::List(bytes),
        }))
    }
}

impl Connection {
    /// What offboarding a vendor would kill; for whoever may do it. It changes nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn preview_offboarding(&self, vendor: &Name) -> Result<v1::PreviewOffboardingResponse, Error> {
        let request = v1::PreviewOffboardingRequest { vendor: vendor.to_string() };
        let send = |channel| {
            let request = request.clone();
            async move { OffboardingServiceClient::new(channel).preview_offboarding(request).await }
        };
        self.call(Repeat::Harmless, send).await
    }

    /// Ends a vendor with all that is under it, as [`end`](Self::end) does. Again is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn offboard(&self, vendor: &Name, reason: &str) -> Result<Offboarded, Error> {
        let request = v1::OffboardRequest {
            vendor: vendor.to_string(),
            reason: reason.to_owned(),
            request_id: retry::request_id()?,
        };
        let send = |channel| {
            let request = request.clone();
            async move { OffboardingServiceClient::new(channel).offboard(request).await }
        };
        let answer = self.call(Repeat::Ending, send).await?;
        Ok(Offboarded { revision: Revision::new(answer.revision), already: answer.already })
    }

    /// The receipt of an ended vendor: how far it is, or all of it. With `wait` it goes on until it is closed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn receipt(&self, vendor: &Name, wait: bool) -> Result<ReceiptParts, Error> {
        let request = v1::GetReceiptRequest { vendor: vendor.to_string(), wait };
        let send = |channel| {
            let request = request.clone();
            async move { OffboardingServiceClient::new(channel).get_receipt(request).await }
        };
        let parts = self.call(Repeat::Harmless, send).await?;
        Ok(ReceiptParts { connection: self.clone(), parts })
    }

    /// Ends a node, down to a single credential. Everything under it with a smaller revision than the answer's is
    /// dead from then on. The reason is kept beside the log.
    ///
    /// Ending goes first: it is asked for also where the log cannot be looked at before, because the notary is not ready,
    /// or because what is known cannot be read or kept here. A broker that shows another log than the known one is not asked.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end(&self, id: &NodeId, reason: &str) -> Result<Revision, Error> {
        let request = v1::EndRequest {
            id: id.to_string(),
            reason: reason.to_owned(),
            request_id: retry::request_id()?,
        };
        let send = |channel| {
            let request = request.clone();
            async move { OffboardingServiceClient::new(channel).end(request).await }
        };
        Ok(Revision::new(self.call(Repeat::Ending, send).await?.revision))
    }

    /// Opens a vendor again that a new era suspended; for admins. What is open already stays as it is, and the answer is
    /// when it was last written.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn resume(&self, id: &NodeId) -> Result<Revision, Error> {
        let request = v1::ResumeRequest { id: id.to_string(), request_id: retry::request_id()? };
        let send = |channel| {
            let request = request.clone();
            async move { OffboardingServiceClient::new(channel).resume(request).await }
        };
        Ok(Revision::new(self.call(Repeat::Harmless, send).await?.revision))
    }
}
