//! The partner's side of a call to the service: a TLS connection with the client certificate, and the token in a header.

use std::sync::Arc;

use bytes::Bytes;
use daypass_sdk::{ClientCertificate, Token};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::service::Service;
use crate::failure::Failure;

/// What the service said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The field `error` of its document, if it is there.
    pub(super) error: Option<String>,
}

/// Calls the service over a connection of its own.
pub(super) async fn call(
    service: &Service,
    certificate: &ClientCertificate,
    token: &Token,
) -> Result<Answer, Failure> {
    request(service, certificate, token)
        .await
        .map_err(|why| Failure::Internal(format!("the service cannot be called: {why}")))
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn request(service: &Service, certificate: &ClientCertificate, token: &Token) -> Result<Answer, Fault> {
    let stream = TcpStream::connect(service.address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let config = certificate.proof().client_config(std::slice::from_ref(&service.certificate))?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/invoices")
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), 64 * 1024).collect().await?.to_bytes();
    connection.abort();
    let document: serde_json::Value = serde_json::from_slice(&body)?;
    let error = document.get("error").and_then(|error| error.as_str()).map(str::to_owned);
    Ok(Answer { status, error })
}
