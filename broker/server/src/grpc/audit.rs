//! The handlers of the log: checkpoints, proofs, exports, and reading it.

use daypass_proto::v1::{self, audit_service_server as audit};
use tonic::{Request, Response, Status};

use super::services::Handler;

#[tonic::async_trait]
impl audit::AuditService for Handler {
    type ReadEventsStream = tokio_stream::Empty<Result<v1::ReadEventsResponse, Status>>;
    type ExportLogStream = tokio_stream::Empty<Result<v1::ExportLogResponse, Status>>;

    async fn get_checkpoint(
        &self,
        _request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        Err(Status::unimplemented("base"))
    }

    async fn prove_event(
        &self,
        _request: Request<v1::ProveEventRequest>,
    ) -> Result<Response<v1::ProveEventResponse>, Status> {
        Err(Status::unimplemented("base"))
    }

    async fn read_events(
        &self,
        _request: Request<v1::ReadEventsRequest>,
    ) -> Result<Response<Self::ReadEventsStream>, Status> {
        Err(Status::unimplemented("base"))
    }

    async fn export_log(
        &self,
        _request: Request<v1::ExportLogRequest>,
    ) -> Result<Response<Self::ExportLogStream>, Status> {
        Err(Status::unimplemented("base"))
    }
}
