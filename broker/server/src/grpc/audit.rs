//! The handlers of the log: checkpoints, proofs, exports, and reading it.

use daypass_credential::Revision;
use daypass_log::Hash;
use daypass_proto::v1::{self, audit_service_server as audit};
use prost::bytes::Bytes;
use tonic::{Request, Response, Status};

use super::{
    outlet::{Answer, Closed, Outlet, outlet},
    services::{Handler, opened},
};
use crate::notary::Export;

fn hashes(hashes: &[Hash]) -> Vec<Bytes> {
    hashes.iter().map(|hash| Bytes::copy_from_slice(hash.as_bytes())).collect()
}

/// Sends an export to its end.
async fn send(export: &mut Export, out: &mut Outlet<v1::ExportLogResponse>) -> Result<(), Closed> {
    while let Some(piece) = export.next().await? {
        out.send(v1::ExportLogResponse { chunk: piece.into() }).await?;
    }
    Ok(())
}

#[tonic::async_trait]
impl audit::AuditService for Handler {
    type ReadEventsStream = tokio_stream::Empty<Result<v1::ReadEventsResponse, Status>>;
    type ExportLogStream = Answer<v1::ExportLogResponse>;

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let (call, ask) = opened(request)?;
        let continued = self.broker.checkpoint(&ask.known).await;
        let answer = continued.map(|continued| v1::GetCheckpointResponse {
            checkpoint: continued.noted.signed().note().to_owned(),
            consistency: hashes(&continued.consistency),
            log_key: continued.noted.key().to_string(),
        });
        self.answer(&call, answer).await
    }

    async fn prove_event(
        &self,
        request: Request<v1::ProveEventRequest>,
    ) -> Result<Response<v1::ProveEventResponse>, Status> {
        let (call, ask) = opened(request)?;
        let proven = self.broker.prove_event(&call, Revision::new(ask.revision)).await;
        let answer = proven.map(|proven| v1::ProveEventResponse {
            checkpoint: proven.noted.signed().note().to_owned(),
            inclusion: hashes(&proven.inclusion),
            event: proven.entry.event,
        });
        self.answer(&call, answer).await
    }

    async fn read_events(
        &self,
        _request: Request<v1::ReadEventsRequest>,
    ) -> Result<Response<Self::ReadEventsStream>, Status> {
        Err(Status::unimplemented("base"))
    }

    async fn export_log(
        &self,
        request: Request<v1::ExportLogRequest>,
    ) -> Result<Response<Self::ExportLogStream>, Status> {
        let (call, _) = opened(request)?;
        let export = self.broker.notary.export(self.broker.store.clone()).await;
        let begun = export.map(|mut export| {
            let (mut out, answer) = outlet(self.broker.clone(), call.clone());
            tokio::spawn(async move {
                let sent = send(&mut export, &mut out).await;
                out.close(sent).await;
            });
            answer
        });
        self.answer(&call, begun).await
    }
}
