//! Ending things, and opening again what a new era suspended.

use daypass_credential::{NodeId, Revision};
use daypass_proto::v1::{self, offboarding_service_client::OffboardingServiceClient};

use crate::{
    Connection, Error,
    retry::{self, Repeat},
};

impl Connection {
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
