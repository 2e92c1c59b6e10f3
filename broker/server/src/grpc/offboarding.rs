//! The handlers of ending: ends, previews, and receipts as they are made.

use std::sync::Arc;

use daypass_credential::{NodeId, NodeKind};
use daypass_log::receipt::Count;
use daypass_proto::v1::{self, get_receipt_response::Part, offboarding_service_server as offboarding};
use tonic::{Request, Response, Status};

use super::{
    convert::{instant, named},
    limits::Place,
    outlet::{Answer, Closed, Outlet, outlet},
    services::{Handler, name, node_id, opened},
};
use crate::{
    broker::Broker,
    offboarding::{LiveAudience, Preview},
    receipts::{AudienceProgress, End, Piece, Progress, Told},
    refusal::Refusal,
};

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

fn vendor(text: &str) -> Result<NodeId, Refusal> {
    name("vendor", text).map(|name| NodeId::new(NodeKind::Vendor, name))
}

fn reason(words: &str) -> Result<&str, Refusal> {
    if !words.is_empty() {
        crate::text::checked("reason", words, MAX_REASON)?;
    }
    Ok(words)
}

fn count(count: &Count) -> v1::LiveCount {
    v1::LiveCount {
        identity_certificates: count.identity_certificates,
        client_certificates: count.client_certificates,
        tokens: count.tokens,
    }
}

fn previewed(preview: &Preview) -> v1::PreviewOffboardingResponse {
    let application = |(name, live): (&_, &Count)| v1::LiveApplication {
        application: ToString::to_string(name),
        live: Some(count(live)),
    };
    let audience = |at: &LiveAudience| v1::LiveAudience {
        audience: at.audience.to_string(),
        live: Some(count(&at.live)),
        last_expiry: Some(instant(at.last_expiry)),
        verifiers: at.verifiers,
        following: at.following,
        staleness_seconds: at.staleness.as_secs(),
    };
    v1::PreviewOffboardingResponse {
        applications: preview.applications.iter().map(application).collect::<Vec<v1::LiveApplication>>(),
        total: Some(count(&preview.total)),
        audiences: preview.audiences.iter().map(audience).collect(),
        revision: preview.revision.get(),
    }
}

fn progress(end: &End, progress: Progress) -> v1::GetReceiptResponse {
    let audience = |at: AudienceProgress| v1::ReceiptAudience {
        audience: at.audience.to_string(),
        confirmed: at.confirmed,
        awaited: at.awaited,
        not_following: at.not_following,
    };
    let part = v1::ReceiptProgress {
        revision: end.revision().get(),
        audiences: progress.audiences.into_iter().map(audience).collect(),
        closes_at: progress.closes_at.map(instant),
    };
    v1::GetReceiptResponse { part: Some(Part::Progress(part)) }
}

/// Tells how far it is, once or until it is closed, and then hands it out.
async fn send(
    broker: &Arc<Broker>,
    end: &End,
    wait: bool,
    out: &mut Outlet<v1::GetReceiptResponse>,
) -> Result<(), Closed> {
    let mut told = broker.receipt(end).await?;
    let closed = loop {
        match &told {
            Told::Closed(closed) => break *closed,
            Told::Open(far) => out.send(progress(end, far.clone())).await?,
        }
        if !wait {
            return Ok(());
        }
        told = broker.receipt_moves(end, &told).await?;
    };
    let mut pieces = broker.open_receipt(end, closed).await?;
    while let Some(piece) = pieces.next().await? {
        let part = match piece {
            Piece::Statement(bytes) => Part::Statement(bytes.into()),
            Piece::List(bytes) => Part::List(bytes.into()),
        };
        out.send(v1::GetReceiptResponse { part: Some(part) }).await?;
    }
    Ok(())
}

#[tonic::async_trait]
impl offboarding::OffboardingService for Handler {
    type GetReceiptStream = Answer<v1::GetReceiptResponse>;

    async fn end(&self, request: Request<v1::EndRequest>) -> Result<Response<v1::EndResponse>, Status> {
        let (call, ask) = opened(request)?;
        let ended = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let id = node_id("id", &ask.id)?;
            let revision = self.broker.end(&call, &id, reason(&ask.reason)?, mark).await?;
            Ok(v1::EndResponse { revision: revision.get() })
        };
        self.answer_about(&call, ask.id.parse().ok(), ended.await).await
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let (call, ask) = opened(request)?;
        let resumed = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let revision = self.broker.resume(&call, &node_id("id", &ask.id)?, mark).await?;
            Ok(v1::ResumeResponse { revision: revision.get() })
        };
        self.answer(&call, resumed.await).await
    }

    async fn preview_offboarding(
        &self,
        request: Request<v1::PreviewOffboardingRequest>,
    ) -> Result<Response<v1::PreviewOffboardingResponse>, Status> {
        let (call, ask) = opened(request)?;
        let preview = async {
            let preview = self.broker.preview_offboarding(&call, &vendor(&ask.vendor)?).await?;
            Ok(previewed(&preview))
        };
        self.answer_about(&call, named(NodeKind::Vendor, &ask.vendor), preview.await).await
    }

    async fn offboard(
        &self,
        request: Request<v1::OffboardRequest>,
    ) -> Result<Response<v1::OffboardResponse>, Status> {
        let (call, ask) = opened(request)?;
        let ended = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let ended = self.broker.cut(&call, &vendor(&ask.vendor)?, reason(&ask.reason)?, mark).await?;
            Ok(v1::OffboardResponse { revision: ended.revision.get(), already: ended.already })
        };
        self.answer_about(&call, named(NodeKind::Vendor, &ask.vendor), ended.await).await
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<Self::GetReceiptStream>, Status> {
        // INVARIANT (a place while it reads): without its place nothing is read.
        let place = request.extensions().get::<Arc<Place>>().cloned();
        let (call, ask) = opened(request)?;
        let begun = async {
            let place = place.ok_or_else(|| Refusal::internal("a reader without its place"))?;
            let end = self.broker.end_for_receipt(&call, &vendor(&ask.vendor)?).await?;
            let (mut out, answer) = outlet(self.broker.clone(), call.clone());
            let broker = self.broker.clone();
            tokio::spawn(async move {
                let _place = place;
                let sent = send(&broker, &end, ask.wait, &mut out).await;
                out.close(sent).await;
            });
            Ok(answer)
        };
        let begun: Result<_, Refusal> = begun.await;
        self.answer_about(&call, named(NodeKind::Vendor, &ask.vendor), begun).await
    }
}
