//! The gate: every request passes it before its handler. It finds the method's row, judges the caller, holds the
//! limits, and hands the handler a [`Call`]. Whatever is not in the table is refused here.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use daypass_core::{
    Facts, Shown,
    authority::{may_list, may_write},
    event::Method,
    mint::judge_caller,
};
use daypass_credential::NodeKind;
use daypass_issuer::CertificateError;
use http_body_util::Limited;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{
    limits::{Limits, Who},
    services::MAX_MESSAGE,
    status::status,
    table::{Callers, Row, TABLE, find},
};
use crate::{broker::Broker, call::Call, refusal::Refusal};

/// Who is at the other end of a connection, by the certificate shown. Read once a connection; judged at each request.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// No certificate was shown.
    Nobody,
    /// One that is no identity certificate of ours.
    Refused(Arc<CertificateError>),
    /// An identity certificate of ours.
    Known(Arc<Shown>),
}

/// Puts the gate before all services.
#[derive(Clone)]
pub(crate) struct GateLayer {
    broker: Arc<Broker>,
    limits: Arc<Limits>,
}

impl GateLayer {
    /// The gate of this broker.
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        let limits = Arc::new(Limits::new());
        Self { broker, limits }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { broker: self.broker.clone(), limits: self.limits.clone(), inner }
    }
}

/// See [`GateLayer`].
#[derive(Clone)]
pub(crate) struct Gate<S> {
    broker: Arc<Broker>,
    limits: Arc<Limits>,
    inner: S,
}

type Request = http::Request<Body>;
type Response = http::Response<Body>;

impl<S> Service<Request> for Gate<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        // The service that was polled ready goes with the request; its clone waits for the next one.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (broker, limits) = (self.broker.clone(), self.limits.clone());
        Box::pin(async move {
            let Some((index, row)) = find(request.uri().path()) else {
                let refusal = Refusal::UnknownMethod;
                note_stranger(&broker, Method::new("unknown"), Refusal::UnknownMethod);
                return Ok(status(&refusal, None).into_http());
            };
            if let Err(refusal) = broker.notary.sound() {
                return Ok(status(&refusal, None).into_http());
            }
            let Some(remote) = request.extensions().get::<Arc<Remote>>().cloned() else {
                return Ok(status(&Refusal::internal("a request without its connection"), None).into_http());
            };
            let Some(place) = limits.place(index, remote.who()) else {
                return Ok(status(&Refusal::Busy { retry_after: RETRY_AFTER }, None).into_http());
            };
            // Dropped here, or later where a handler that goes on has taken it.
            let place = Arc::new(place);
            if row.streams() {
                request.extensions_mut().insert(place.clone());
            }
            let answered = async {
                match admit(&broker, row, &remote.peer).await {
                    Ok(None) => {}
                    Ok(Some(call)) => {
                        request.extensions_mut().insert(Arc::new(call));
                    }
                    Err(refused) => return Ok(refused.into_http()),
                }
                if row.keeps_small() {
                    request = request.map(|body| Body::new(Limited::new(body, MAX_MESSAGE)));
                }
                inner.call(request).await
            };
            let answer = tokio::time::timeout(row.deadline, answered).await;
            drop(place);
            answer.unwrap_or_else(|_| Ok(status(&Refusal::Deadline, None).into_http()))
        })
    }
}

/// When to try again if there is no place for a call.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection, and from where.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) peer: Peer,
    pub(crate) address: IpAddr,
}

impl Remote {
    /// With whom it is counted.
    pub(crate) fn who(&self) -> Who {
        match &self.peer {
            Peer::Known(shown) => match (shown.subject.kind, shown.behalf()) {
                (NodeKind::Application, Some(vendor)) => {
                    Who::Partner(shown.identity.clone(), vendor.name.clone())
                }
                (kind, _) => Who::Identity(shown.identity.clone(), kind),
            },
            Peer::Nobody | Peer::Refused(_) => Who::Stranger(self.address),
        }
    }
}

/// Lets a caller in, or says why not.
async fn admit(broker: &Arc<Broker>, row: &Row, peer: &Peer) -> Result<Option<Call>, tonic::Status> {
    if row.callers == Callers::Open {
        return Ok(None);
    }
    let refusal = match peer {
        Peer::Known(caller) => return admit_known(broker, row, caller).await.map(Some),
        Peer::Nobody => Refusal::NoCertificate,
        Peer::Refused(error) => Refusal::Certificate((**error).clone()),
    };
    let refused = status(&refusal, None);
    note_stranger(broker, row.method.clone(), refusal);
    Err(refused)
}

/// Counts a stranger's refusal, beside the request: whom nobody knows waits for no store.
fn note_stranger(broker: &Arc<Broker>, method: Method, refusal: Refusal) {
    let broker = broker.clone();
    tokio::spawn(async move { broker.refused_stranger(&method, &refusal).await });
}

async fn admit_known(broker: &Broker, row: &Row, caller: &Arc<Shown>) -> Result<Call, tonic::Status> {
    let mut call = Call { method: row.method.clone(), caller: caller.clone(), facts: Facts::default() };
    match judged(broker, row, caller, &mut call.facts).await {
        Ok(()) => Ok(call),
        Err(refusal) => {
            let event = broker.refused(&call, &refusal, None).await;
            Err(status(&refusal, event))
        }
    }
}

/// Judges the reader of an answer that goes on for long as if they asked for it now.
pub(super) async fn judged_again(broker: &Broker, call: &Call) -> Result<(), Refusal> {
    broker.notary.sound()?;
    let row = TABLE.iter().find(|row| row.method == call.method).ok_or(Refusal::UnknownMethod)?;
    judged(broker, row, &call.caller, &mut Facts::default()).await
}

async fn judged(broker: &Broker, row: &Row, caller: &Shown, facts: &mut Facts) -> Result<(), Refusal> {
    let lineage = caller.lineage.nodes().iter().cloned().chain([caller.id()]).collect();
    broker.read(facts, lineage).await?;
    let now = if row.any_clock { broker.lenient_now() } else { broker.trusted_now()? };
    broker.decide(facts, |facts| judge_caller(facts, caller, broker.era, now)).await?;
    match row.callers {
        Callers::Only(kind) if kind != caller.subject.kind => {
            Err(Refusal::WrongCaller { kind: caller.subject.kind })
        }
        Callers::Writers | Callers::Readers if caller.subject.kind != NodeKind::Person => {
            Err(Refusal::WrongCaller { kind: caller.subject.kind })
        }
        Callers::Writers => broker.decide(facts, |facts| may_write(facts, caller)).await.map(drop),
        Callers::Readers => broker.decide(facts, |facts| may_list(facts, caller)).await,
        Callers::Only(_) | Callers::Known | Callers::Open => Ok(()),
    }
}
