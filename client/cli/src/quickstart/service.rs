//! A relying party as small as it can be: HTTPS that asks for a client certificate of its audience, follows the broker's feed,
//! judges certificate and token by itself with every request, and refuses whenever it has no clear yes.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use daypass_credential::Scope;
use daypass_sdk::{
    listen::{Connection, Listener, Protocols, Terms, Without},
    verifier::{Refused, Token, Verifier},
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::failure::Failure;

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
        scope: Scope,
        roots: &[CertificateDer<'static>],
        verifier: Verifier,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Internal(format!("the service cannot listen: {error}"));
        let (terms, certificate) =
            terms(roots).map_err(|why| Failure::Internal(format!("the service: {why}")))?;
        let port = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let listener = Listener::new(port, terms)?;
        let address = listener.address();
        let guard = Guard { wanted: Arc::new([scope]), verifier };
        let task = tokio::spawn(accept(listener, guard));
        Ok(Self { address, certificate, task })
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn terms(roots: &[CertificateDer<'static>]) -> Result<(Terms, CertificateDer<'static>), Fault> {
    let key = rcgen::KeyPair::generate()?;
    let own = rcgen::CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let chain = vec![own.der().clone()];
    let (without, protocols) = (Without::Refuse, Protocols::Http1);
    Ok((Terms { chain, key, roots: roots.to_vec(), without, protocols }, own.der().clone()))
}

async fn accept(mut listener: Listener, guard: Guard) {
    while let Some(connection) = listener.accept().await {
        let guard = guard.clone();
        tokio::spawn(async move { drop(serve(connection, guard).await) });
    }
}

async fn serve(connection: Connection, guard: Guard) -> Result<(), Fault> {
    // INVARIANT (the certificate that was seen): what is judged is this connection's own certificate.
    let shown = connection.caller().certificate.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let (guard, shown) = (guard.clone(), shown.clone());
        async move { Ok::<_, Infallible>(guard.answer(request.headers(), shown.as_ref())) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await?;
    Ok(())
}

/// Decides request by request.
#[derive(Debug, Clone)]
struct Guard {
    wanted: Arc<[Scope]>,
    verifier: Verifier,
}

impl Guard {
    fn answer(&self, headers: &http::HeaderMap, shown: Option<&CertificateDer<'_>>) -> Response<Full<Bytes>> {
        let (Some(token), Some(shown)) = (bearer(headers), shown) else {
            return refuse(StatusCode::UNAUTHORIZED, "token_missing");
        };
        match self.judge(token, shown) {
            Ok(token) => respond(
                StatusCode::OK,
                &serde_json::json!({ "application": token.claims().sub, "invoices": [] }),
            ),
            Err(Refused::Scope(_)) => refuse(StatusCode::FORBIDDEN, "insufficient_scope"),
            // Silence is refusal.
            Err(refused) if refused.is_own_state() => refuse(StatusCode::SERVICE_UNAVAILABLE, "cannot_check"),
            Err(_) => refuse(StatusCode::UNAUTHORIZED, "invalid_token"),
        }
    }

    fn judge(&self, token: &str, shown: &CertificateDer<'_>) -> Result<Token, Refused> {
        let certificate = self.verifier.read_certificate(shown)?;
        self.verifier.check_token(token, Some(&certificate), &self.wanted)
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
