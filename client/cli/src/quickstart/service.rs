//! A relying party as small as it can be: HTTPS that asks for a client certificate of its audience, asks the broker
//! about the token with every request, and refuses whenever it has no clear yes.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use daypass_credential::{Name, Scope};
use daypass_sdk::Verifier;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::failure::Failure;

/// What the service guards.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    pub(super) audience: Name,
    pub(super) scope: Scope,
}

/// A service that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) address: SocketAddr,
    /// Its server certificate, which its callers are to trust.
    pub(super) certificate: CertificateDer<'static>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    /// Starts it. `roots` are the CA certificates of its audience, and nobody else's.
    pub(super) async fn start(
        guarded: Guarded,
        roots: &[CertificateDer<'static>],
        verifier: Verifier,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Internal(format!("the service cannot listen: {error}"));
        let (config, certificate) =
            config(roots).map_err(|why| Failure::Internal(format!("the service: {why}")))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let guard = Guard { guarded: Arc::new(guarded), verifier };
        let task = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), guard));
        Ok(Self { address, certificate, task })
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn config(roots: &[CertificateDer<'static>]) -> Result<(ServerConfig, CertificateDer<'static>), Fault> {
    let provider = Arc::new(ring::default_provider());
    let mut trusted = RootCertStore::empty();
    for root in roots {
        trusted.add(root.clone())?;
    }
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(&provider)).build()?;
    let key = rcgen::KeyPair::generate()?;
    let own = rcgen::CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![own.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    // A resumed session would skip the check of the client certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, own.der().clone()))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, guard: Guard) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, guard) = (acceptor.clone(), guard.clone());
        tokio::spawn(async move { drop(serve(stream, acceptor, guard).await) });
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, guard: Guard) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let tls = acceptor.accept(stream).await?;
    // INVARIANT (the certificate that was seen): what is asked about is this connection's own certificate.
    let shown = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    let answer = service_fn(move |request: Request<Incoming>| {
        let (guard, shown) = (guard.clone(), shown.clone());
        async move { Ok::<_, Infallible>(guard.answer(request.headers(), shown.as_ref()).await) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(tls), answer).await?;
    Ok(())
}

/// Decides request by request.
#[derive(Debug, Clone)]
struct Guard {
    guarded: Arc<Guarded>,
    verifier: Verifier,
}

impl Guard {
    async fn answer(
        &self,
        headers: &http::HeaderMap,
        shown: Option<&CertificateDer<'_>>,
    ) -> Response<Full<Bytes>> {
        let Some(token) = bearer(headers) else {
            return refuse(StatusCode::UNAUTHORIZED, "token_missing");
        };
        match self.verifier.introspect(token, shown).await {
            Ok(Some(live)) if live.audience != self.guarded.audience => {
                refuse(StatusCode::UNAUTHORIZED, "invalid_token")
            }
            Ok(Some(live)) if !live.scopes.contains(&self.guarded.scope) => {
                refuse(StatusCode::FORBIDDEN, "insufficient_scope")
            }
            Ok(Some(live)) => respond(
                StatusCode::OK,
                &serde_json::json!({ "application": live.application, "invoices": [] }),
            ),
            Ok(None) => refuse(StatusCode::UNAUTHORIZED, "invalid_token"),
            // Silence is refusal.
            Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "cannot_check"),
        }
    }
}

fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn refuse(status: StatusCode, error: &'static str) -> Response<Full<Bytes>> {
    let mut response = respond(status, &serde_json::json!({ "error": error }));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_taken() {
        let with = |value: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(bearer(&http::HeaderMap::new()), None);
    }

    #[test]
    fn an_unauthorized_answer_says_how_to_authorize() {
        let answer = refuse(StatusCode::UNAUTHORIZED, "invalid_token");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer");
        assert!(!refuse(StatusCode::FORBIDDEN, "x").headers().contains_key(header::WWW_AUTHENTICATE));
    }
}
