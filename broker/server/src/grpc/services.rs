//! The handlers, but those of the log (`audit.rs`) and of ending (`offboarding.rs`): each parses its request, calls its use case, and writes the answer. Nothing is decided here.

use std::sync::Arc;

use daypass_credential::{Name, NodeId, NodeKind, Revision, Ttl};
use daypass_issuer::Csr;
use daypass_proto::v1::{
    self, audit_service_server as audit, credential_service_server as credential,
    diagnostics_service_server as diagnostics, directory_service_server as directory,
    enrollment_service_server as enrollment, offboarding_service_server as offboarding,
    verification_service_server as verification,
};
use prost::Message;
use tonic::{Request, Response, Status, service::Routes};

use super::{
    convert::{self, instant},
    feed,
    status::status,
};
use crate::{
    broker::Broker,
    call::{Call, RequestMark},
    credential::{CertificateWish, TokenWish},
    refusal::Refusal,
    verification::Presented,
};

/// The largest message that is read.
pub(super) const MAX_MESSAGE: usize = 64 * 1024;
/// The largest plan that is read: 2,000 objects of usual size. The gate lets only those through who may write, and keeps
/// the messages of the service's other methods as small as all others.
const MAX_PLAN: usize = 2 * 1024 * 1024;
/// The most padding of a ping, in bytes.
const MAX_PADDING: usize = 8 * 1024;

/// All services of the package.
pub(crate) fn routes(broker: &Arc<Broker>) -> Routes {
    let handler = || Handler { broker: broker.clone() };
    let mut routes = Routes::builder();
    routes
        .add_service(audit::AuditServiceServer::new(handler()).max_decoding_message_size(MAX_MESSAGE))
        .add_service(
            credential::CredentialServiceServer::new(handler()).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            diagnostics::DiagnosticsServiceServer::new(handler()).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(directory::DirectoryServiceServer::new(handler()).max_decoding_message_size(MAX_PLAN))
        .add_service(
            enrollment::EnrollmentServiceServer::new(handler()).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            offboarding::OffboardingServiceServer::new(handler()).max_decoding_message_size(MAX_MESSAGE),
        )
        .add_service(
            verification::VerificationServiceServer::new(handler()).max_decoding_message_size(MAX_MESSAGE),
        );
    routes.routes()
}

/// Answers the calls that the gate let in.
pub(super) struct Handler {
    pub(super) broker: Arc<Broker>,
}

/// The call that the gate let in, and what it asks.
pub(super) fn opened<T>(request: Request<T>) -> Result<(Arc<Call>, T), Status> {
    let call = request.extensions().get::<Arc<Call>>().cloned();
    // Without the gate's word nobody is known, whatever the way that led here.
    let call = call.ok_or_else(|| status(&Refusal::NoCertificate, None))?;
    Ok((call, request.into_inner()))
}

impl Handler {
    /// The answer, or the refusal with its record.
    pub(super) async fn answer<T>(
        &self,
        call: &Call,
        result: Result<T, Refusal>,
    ) -> Result<Response<T>, Status> {
        self.answer_about(call, None, result).await
    }

    /// The same for a request about one object.
    pub(super) async fn answer_about<T>(
        &self,
        call: &Call,
        object: Option<NodeId>,
        result: Result<T, Refusal>,
    ) -> Result<Response<T>, Status> {
        match result {
            Ok(answer) => Ok(Response::new(answer)),
            Err(refusal) => {
                let event = self.broker.refused(call, &refusal, object).await;
                Err(status(&refusal, event))
            }
        }
    }

    /// The mark of a request that the caller may repeat; `content` is the request without its id.
    pub(super) fn mark<T: Message>(
        &self,
        call: &Call,
        request_id: &str,
        content: &T,
    ) -> Result<RequestMark, Refusal> {
        let (entropy, kek) = (&*self.broker.entropy, self.broker.keys.kek());
        RequestMark::of(call, request_id, || content.encode_to_vec(), entropy, kek)
    }
}

/// A lifetime on the wire; zero means that none was asked for.
fn ttl(field: &'static str, seconds: u32) -> Result<Option<Ttl>, Refusal> {
    if seconds == 0 {
        return Ok(None);
    }
    Ttl::from_secs(seconds).map(Some).map_err(|error| Refusal::bad(field, error))
}

pub(super) fn node_id(field: &'static str, text: &str) -> Result<NodeId, Refusal> {
    text.parse().map_err(|error| Refusal::bad(field, error))
}

pub(super) fn name(field: &'static str, text: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|error| Refusal::bad(field, error))
}

#[tonic::async_trait]
impl credential::CredentialService for Handler {
    async fn mint_certificate(
        &self,
        request: Request<v1::MintCertificateRequest>,
    ) -> Result<Response<v1::MintCertificateResponse>, Status> {
        let (call, ask) = opened(request)?;
        let about = convert::named(NodeKind::Audience, &ask.audience);
        let minted = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let wish = CertificateWish {
                audience: name("audience", &ask.audience)?,
                csr: Csr::parse(&ask.csr)?,
                ttl: ttl("ttl_seconds", ask.ttl_seconds)?,
            };
            let minted = self.broker.mint_certificate(&call, &wish, mark).await?;
            Ok(v1::MintCertificateResponse { certificate: Some(convert::certificate(minted)) })
        };
        self.answer_about(&call, about, minted.await).await
    }

    async fn mint_token(
        &self,
        request: Request<v1::MintTokenRequest>,
    ) -> Result<Response<v1::MintTokenResponse>, Status> {
        let (call, ask) = opened(request)?;
        let about = convert::named(NodeKind::Audience, &ask.audience);
        let minted = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let wish = TokenWish {
                audience: name("audience", &ask.audience)?,
                scopes: convert::scopes("scopes", &ask.scopes)?,
                bound_to: ask.client_certificate.to_vec(),
                ttl: ttl("ttl_seconds", ask.ttl_seconds)?,
            };
            let minted = self.broker.mint_token(&call, &wish, mark).await?;
            Ok(v1::MintTokenResponse {
                token: minted.token,
                revision: minted.revision.get(),
                expires_at: Some(instant(minted.record.expires)),
                bound_by: minted.record.bound_by.to_string(),
            })
        };
        self.answer_about(&call, about, minted.await).await
    }

    async fn get_credential(
        &self,
        request: Request<v1::GetCredentialRequest>,
    ) -> Result<Response<v1::GetCredentialResponse>, Status> {
        let (call, ask) = opened(request)?;
        let shown = self.broker.show_credential(&call, Revision::new(ask.revision)).await;
        let answer =
            shown.map(|shown| v1::GetCredentialResponse { credential: Some(convert::credential(&shown)) });
        self.answer(&call, answer).await
    }
}

#[tonic::async_trait]
impl enrollment::EnrollmentService for Handler {
    async fn open_enrollment(
        &self,
        request: Request<v1::OpenEnrollmentRequest>,
    ) -> Result<Response<v1::OpenEnrollmentResponse>, Status> {
        let (call, ask) = opened(request)?;
        let opened = async {
            let subject = node_id("subject", &ask.subject)?;
            let ttl = ttl("ttl_seconds", ask.ttl_seconds)?.unwrap_or(Ttl::minutes(60));
            let opened = self.broker.open_enrollment(&call, &subject, ttl).await?;
            Ok(v1::OpenEnrollmentResponse {
                code: opened.code.reveal(),
                expires_at: Some(instant(opened.expires)),
                id: opened.id.to_string(),
            })
        };
        self.answer_about(&call, ask.subject.parse().ok(), opened.await).await
    }

    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let (method, ask) = (super::table::ENROLL, request.into_inner());
        let parsed = ask
            .code
            .parse()
            .map_err(|error| Refusal::bad("code", error))
            .and_then(|code| Ok((code, Csr::parse(&ask.csr)?)));
        let result = match parsed {
            Ok((code, csr)) => self.broker.enroll(&method, &code, &csr).await,
            Err(refusal) => {
                self.broker.refused_stranger(&method, &refusal).await;
                Err(refusal)
            }
        };
        let enrolled = result.map_err(|refusal| status(&refusal, None))?;
        let root = enrolled.certificate.issuer.clone().into();
        let certificate = Some(convert::certificate(enrolled.certificate));
        Ok(Response::new(v1::EnrollResponse { certificate, subject: enrolled.subject.to_string(), root }))
    }

    async fn renew_identity(
        &self,
        request: Request<v1::RenewIdentityRequest>,
    ) -> Result<Response<v1::RenewIdentityResponse>, Status> {
        let (call, ask) = opened(request)?;
        let renewed = async {
            let minted = self.broker.renew_identity(&call, &Csr::parse(&ask.csr)?).await?;
            Ok(v1::RenewIdentityResponse { certificate: Some(convert::certificate(minted)) })
        };
        self.answer(&call, renewed.await).await
    }
}

#[tonic::async_trait]
impl directory::DirectoryService for Handler {
    async fn forget_person(
        &self,
        request: Request<v1::ForgetPersonRequest>,
    ) -> Result<Response<v1::ForgetPersonResponse>, Status> {
        let (call, ask) = opened(request)?;
        let forgotten = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let revision = self.broker.forget_person(&call, &name("name", &ask.name)?, mark).await?;
            Ok(v1::ForgetPersonResponse { revision: revision.get() })
        };
        self.answer_about(&call, convert::named(NodeKind::Person, &ask.name), forgotten.await).await
    }

    async fn put_object(
        &self,
        request: Request<v1::PutObjectRequest>,
    ) -> Result<Response<v1::PutObjectResponse>, Status> {
        let (call, ask) = opened(request)?;
        let about = ask.object.as_ref().and_then(convert::object_id);
        let written = async {
            let mark = self.mark(&call, &ask.request_id, &ask)?;
            let object = ask.object.ok_or_else(|| Refusal::bad("object", "say which"))?;
            let wish = convert::object_wish(object, ask.expected_revision.map(Revision::new))?;
            let written = self.broker.put_object(&call, wish, mark).await?;
            Ok(v1::PutObjectResponse {
                revision: written.revision.get(),
                written: written.written,
                cut: written.cut,
            })
        };
        self.answer_about(&call, about, written.await).await
    }

    async fn get_object(
        &self,
        request: Request<v1::GetObjectRequest>,
    ) -> Result<Response<v1::GetObjectResponse>, Status> {
        let (call, ask) = opened(request)?;
        let found = async {
            let object = self.broker.get_object(&call, &node_id("id", &ask.id)?).await?;
            Ok(v1::GetObjectResponse { object: Some(convert::stored_object(&object)) })
        };
        self.answer_about(&call, ask.id.parse().ok(), found.await).await
    }

    async fn plan_objects(
        &self,
        request: Request<v1::PlanObjectsRequest>,
    ) -> Result<Response<v1::PlanObjectsResponse>, Status> {
        let (call, ask) = opened(request)?;
        let planned = async {
            let revision = self.broker.store.head().borrow().revision.get();
            let wishes = ask.objects.into_iter().map(|object| convert::object_wish(object, None)).collect();
            let planned = self.broker.plan_objects(&call, wishes).await?;
            let objects = planned.into_iter().map(convert::planned).collect();
            Ok(v1::PlanObjectsResponse { objects, revision })
        };
        self.answer(&call, planned.await).await
    }

    async fn list_objects(
        &self,
        request: Request<v1::ListObjectsRequest>,
    ) -> Result<Response<v1::ListObjectsResponse>, Status> {
        let (call, ask) = opened(request)?;
        let listed = async {
            let kind: NodeKind = ask.kind.parse().map_err(|error| Refusal::bad("kind", error))?;
            let after = match ask.page_token.as_str() {
                "" => None,
                token => Some(name("page_token", token)?),
            };
            let limit = match usize::try_from(ask.page_size).unwrap_or(usize::MAX) {
                0 => 100,
                size => size.min(500),
            };
            let page = self.broker.list_objects(&call, kind, after.as_ref(), limit).await?;
            Ok(v1::ListObjectsResponse {
                objects: page.objects.iter().map(convert::stored_object).collect(),
                next_page_token: page.next.map(|name| name.to_string()).unwrap_or_default(),
            })
        };
        self.answer(&call, listed.await).await
    }
}

#[tonic::async_trait]
impl verification::VerificationService for Handler {
    type FollowRevocationsStream = feed::Revocations;

    async fn follow_revocations(
        &self,
        request: Request<tonic::Streaming<v1::FollowRevocationsRequest>>,
    ) -> Result<Response<Self::FollowRevocationsStream>, Status> {
        feed::follow_revocations(&self.broker, request).await
    }

    async fn list_verifiers(
        &self,
        request: Request<v1::ListVerifiersRequest>,
    ) -> Result<Response<v1::ListVerifiersResponse>, Status> {
        let (call, _) = opened(request)?;
        let listed = self.broker.verifiers().await;
        let answer = listed.map(|(verifiers, head)| v1::ListVerifiersResponse {
            verifiers: verifiers.iter().map(feed::standing).collect(),
            head: head.get(),
        });
        self.answer(&call, answer).await
    }

    async fn introspect(
        &self,
        request: Request<v1::IntrospectRequest>,
    ) -> Result<Response<v1::IntrospectResponse>, Status> {
        let (call, ask) = opened(request)?;
        let presented = Presented { token: ask.token, certificate: ask.client_certificate.into() };
        let active = self.broker.introspect(&call, &presented).await;
        self.answer(&call, active.map(convert::introspection)).await
    }

    async fn get_trust_bundle(
        &self,
        request: Request<v1::GetTrustBundleRequest>,
    ) -> Result<Response<v1::GetTrustBundleResponse>, Status> {
        let only = request.into_inner().audience;
        let keys = self.broker.keys.now();
        let bundle = convert::trust_bundle(keys.ring(), self.broker.clock.now(), &only);
        bundle.map(Response::new).map_err(|refusal| status(&refusal, None))
    }
}

#[tonic::async_trait]
impl diagnostics::DiagnosticsService for Handler {
    async fn ping(&self, request: Request<v1::PingRequest>) -> Result<Response<v1::PingResponse>, Status> {
        let (call, ask) = opened(request)?;
        let size = usize::try_from(ask.answer_size).unwrap_or(usize::MAX);
        let answer = if size > MAX_PADDING || ask.padding.len() > MAX_PADDING {
            Err(Refusal::bad("padding", "at most 8 KiB"))
        } else {
            Ok(v1::PingResponse {
                padding: vec![0; size].into(),
                subject: call.caller.subject.to_string(),
                identity: call.caller.identity.to_string(),
                revision: self.broker.store.head().borrow().revision.get(),
                time: Some(instant(self.broker.clock.now())),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            })
        };
        self.answer(&call, answer).await
    }

    async fn explain_refusal(
        &self,
        request: Request<v1::ExplainRefusalRequest>,
    ) -> Result<Response<v1::ExplainRefusalResponse>, Status> {
        let (call, ask) = opened(request)?;
        let recorded = self.broker.explain_refusal(&call, Revision::new(ask.revision)).await;
        self.answer(&call, recorded.map(convert::refusal)).await
    }
}
