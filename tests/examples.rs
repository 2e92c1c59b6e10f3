//! The SDK's examples, run against a real broker: a partner's job, and the relying parties that it calls.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../client/sdk/examples/axum_service.rs"]
mod axum_service;
#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../client/sdk/examples/sync_job.rs"]
mod sync_job;
#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../client/sdk/examples/tls_service.rs"]
mod tls_service;
#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../client/sdk/examples/tonic_service.rs"]
mod tonic_service;

use std::{sync::Arc, time::Duration};

use daypass_sdk::{Application, Connection, Credential, Credentials, Home, PrivateKey};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use support::{World, id, name, scopes};
use sync_job::Service;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tonic::{Code, Request, Status, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// The relying party's own server certificate, which stands for itself.
fn server() -> (CertificateDer<'static>, PrivateKey) {
    let key = PrivateKey::generate().unwrap();
    let pair = rcgen::KeyPair::try_from(&key.der()).unwrap();
    let certificate =
        rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    (certificate.der().clone(), key)
}

/// A world with the verifier `billing-api` enrolled, and its home.
async fn world() -> (World, Home) {
    let world = World::new().await;
    let code = world.code("verifier:billing-api").await;
    world.broker.enroll("billing-api", &code).await.unwrap();
    let home = world.broker.home("billing-api");
    (world, home)
}

async fn port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    (listener, address)
}

#[tokio::test]
async fn the_job_fetches_from_the_service_until_its_vendor_ends() {
    let (world, home) = world().await;
    let (listener, address) = port().await;
    let (certificate, key) = server();
    let chain = vec![certificate.clone()];
    let serving: JoinHandle<Result<(), String>> = tokio::spawn(async move {
        axum_service::serve(home, listener, chain, key).await.map_err(|error| error.to_string())
    });
    let (job, service) = (world.broker.home("job"), Service { address, roots: vec![certificate] });
    let code = world.code("application:sync").await.reveal();
    sync_job::enroll(&job, &world.broker.address().to_string(), &code).await.unwrap();
    let invoices = sync_job::run(job.clone(), &service).await.unwrap();
    assert_eq!(invoices, "invoices for sync\n");

    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    let refused = sync_job::run(job, &service).await.unwrap_err();
    assert!(refused.to_string().contains("`vendor:acme` is ended"), "{refused}");
    assert!(!serving.is_finished());
    serving.abort();
}

#[tokio::test]
async fn a_service_of_tonic_judges_every_call_and_ends_what_is_streaming() {
    let (mut world, home) = world().await;
    let (listener, address) = port().await;
    let (certificate, key) = server();
    let chain = vec![certificate.clone()];
    let serving: JoinHandle<Result<(), String>> = tokio::spawn(async move {
        tonic_service::serve(home, listener, chain, key).await.map_err(|error| error.to_string())
    });
    let credentials = partner(&world).await;
    let good = credentials.credential(&name("billing"), &scopes("invoices.read")).await.unwrap();
    let other = credentials.credential(&name("billing"), &scopes("status.read")).await.unwrap();
    let mut client = connected(&address, &good, &certificate).await;
    client.check(asking(&good)).await.unwrap();
    assert_eq!(code(client.check(asking(&other)).await), Code::PermissionDenied, "another scope");
    let none = Request::new(HealthCheckRequest::default());
    assert_eq!(code(client.check(none).await), Code::Unauthenticated, "no token");
    let mut stream = client.watch(asking(&good)).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());

    // It needs no broker to judge.
    world.broker.kill();
    client.check(asking(&good)).await.unwrap();
    world.broker.serve().await;

    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    // The stream and its connection end by themselves: one with a status, or the other under it.
    soon(stream.message()).await.unwrap_err();
    soon(client.check(asking(&good))).await.unwrap_err();
    assert!(!serving.is_finished());
    serving.abort();
}

#[tokio::test]
async fn a_service_on_plain_tls_answers_line_by_line_until_the_certificate_ends() {
    let (world, home) = world().await;
    let (listener, address) = port().await;
    let (certificate, key) = server();
    let chain = vec![certificate.clone()];
    let serving: JoinHandle<Result<(), String>> = tokio::spawn(async move {
        tls_service::serve(home, listener, chain, key).await.map_err(|error| error.to_string())
    });
    let credentials = partner(&world).await;
    let good = credentials.credential(&name("billing"), &scopes("invoices.read")).await.unwrap();
    let config = Arc::new(good.proof().client_config(std::slice::from_ref(&certificate)).unwrap());
    let mut lines = BufStream::new(dial(&address, Arc::clone(&config)).await.unwrap());
    for question in ["rates\n", "terms\n"] {
        lines.write_all(question.as_bytes()).await.unwrap();
        lines.flush().await.unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).await.unwrap();
        assert_eq!(answer, format!("{} for sync\n", question.trim()));
    }

    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    assert_eq!(soon(lines.read(&mut [0; 1])).await.unwrap(), 0, "the open connection ends");
    // Whoever shows the same certificate again hears of the refusal with the first byte.
    if let Ok(mut again) = dial(&address, config).await {
        soon(again.read_u8()).await.unwrap_err();
    }
    assert!(!serving.is_finished());
    serving.abort();
}

/// The application's credentials, got by itself.
async fn partner(world: &World) -> Credentials {
    let identity = world.broker.enroll("sync", &world.code("application:sync").await).await.unwrap();
    Credentials::of(Application::over(Connection::open(&identity).await.unwrap()).unwrap())
}

/// What comes by itself, and long before anything is stale.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), event).await.unwrap()
}

async fn dial(
    address: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

fn asking(credential: &Credential) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    let bearer = format!("Bearer {}", credential.token().reveal());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    request
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map(drop).unwrap_err().code()
}

async fn connected(
    address: &str,
    credential: &Credential,
    root: &CertificateDer<'static>,
) -> HealthClient<tonic::transport::Channel> {
    let mut config = credential.proof().client_config(std::slice::from_ref(root)).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (config, at) = (Arc::new(config), address.to_owned());
    let dial = tower::service_fn(move |_| {
        let (config, at) = (Arc::clone(&config), at.clone());
        async move { dial(&at, config).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    HealthClient::new(endpoint.connect_with_connector(dial).await.unwrap())
}
