//! The gate over the wire: axum and tonic behind a port that a verifier guards, and callers of HTTP/1.1, HTTP/2 and gRPC.

use std::{io, net::SocketAddr};

use axum::{Router, body::Body, extract::ConnectInfo, routing::any};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Status,
    transport::{Endpoint, Server},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};

use super::*;
use crate::{
    listen::{self, Caller, Listener, Protocols},
    verifier::{Without, forge::server},
};

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// A broker, a service that follows it, and a partner.
struct Wired {
    forge: Forge,
    proof: Proof,
    root: CertificateDer<'static>,
    address: SocketAddr,
}

impl Wired {
    /// Serves `/` at once, `/stream` with one word and then silence, and `/large` in one piece.
    async fn axum() -> Self {
        let (wired, listener) = Self::listening(Protocols::Both).await;
        let gate = Gate::new(&wired.forge.verifier, listen::peer, read());
        let streamed = || async {
            let words = tokio_stream::iter([Ok::<_, Infallible>("one")]);
            Body::from_stream(tokio_stream::StreamExt::chain(words, tokio_stream::pending()))
        };
        let large = || async { vec![7; LARGE] };
        let app = Router::new().route("/", any(async || "fine")).route("/stream", any(streamed));
        let app = app.route("/large", any(large)).layer(gate);
        let app = app.into_make_service_with_connect_info::<Caller>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        wired
    }

    async fn tonic() -> Self {
        let (wired, listener) = Self::listening(Protocols::Http2).await;
        let gate = Gate::new(&wired.forge.verifier, listen::peer, read());
        let server = Server::builder().add_service(gate.layer(HealthServer::new(Watched)));
        tokio::spawn(server.serve_with_incoming(listener.incoming()));
        wired
    }

    async fn listening(protocols: Protocols) -> (Self, Listener) {
        let (forge, (root, key)) = (Forge::new(), server());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (chain, verifier) = (vec![root.clone()], &forge.verifier);
        let listener =
            Listener::verified(socket, chain, key.der(), verifier, protocols, Without::Refuse).unwrap();
        let proof = forge.billing.proof(&Leaf::default());
        (Self { forge, proof, root, address: listener.address() }, listener)
    }

    /// A token with this number.
    fn token(&self, revision: u64) -> String {
        self.forge.token(&Claim { bound: Some(&self.proof), revision, ..Claim::default() })
    }

    async fn tls(&self, protocol: &[u8]) -> io::Result<Stream> {
        let mut config = self.proof.client_config(std::slice::from_ref(&self.root)).unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    async fn http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let stream = TokioIo::new(self.tls(b"h2").await.unwrap());
        let (send, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        send
    }

    async fn grpc(&self) -> HealthClient<tonic::transport::Channel> {
        let stream = self.tls(b"h2").await.unwrap();
        let mut stream = Some(TokioIo::new(stream));
        let dial = service_fn(move |_| {
            let taken = stream.take().ok_or_else(|| io::Error::other("one connection is enough"));
            async { taken }
        });
        let endpoint = Endpoint::from_static("https://localhost");
        HealthClient::new(endpoint.connect_with_connector(dial).await.unwrap())
    }
}

fn asking(path: &str, token: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(format!("https://localhost{path}")).header(header::HOST, "localhost");
    request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(Empty::new()).unwrap()
}

async fn word(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = http_body_util::BodyExt::frame(body).await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test]
async fn two_requests_over_one_connection_are_judged_one_by_one() {
    let wired = Wired::axum().await;
    let (ending, lasting) = (wired.token(42), wired.token(43));
    let mut connection = wired.http2().await;
    let mut ask = async |token: &str| connection.send_request(asking("/", token)).await.unwrap().status();
    assert_eq!(ask(&ending).await, StatusCode::OK);
    wired.forge.cut("credential:42");
    assert_eq!(ask(&ending).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&lasting).await, StatusCode::OK, "the connection rests on the certificate");
    let other = wired.forge.billing.proof(&Leaf { revision: 44, ..Leaf::default() });
    let others = wired.forge.token(&Claim { bound: Some(&other), ..Claim::default() });
    assert_eq!(ask(&others).await, StatusCode::UNAUTHORIZED, "another connection's");
}

#[tokio::test]
async fn an_idle_stream_of_http2_is_reset_and_its_connection_goes_on() {
    let wired = Wired::axum().await;
    let mut connection = wired.http2().await;
    let response = connection.send_request(asking("/stream", &wired.token(42))).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(word(&mut body).await.unwrap().unwrap(), "one");
    let waiting = tokio::spawn(async move { word(&mut body).await });
    wired.forge.cut("credential:42");
    assert!(waiting.await.unwrap().unwrap().is_err(), "a reset, and no end that looks whole");
    let response = connection.send_request(asking("/", &wired.token(43))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_too_large_to_be_on_its_way_is_not_sent_after_the_cut() {
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let wired = Wired::axum().await;
        let stream = TokioIo::new(wired.tls(protocol).await.unwrap());
        let asked = asking("/large", &wired.token(42));
        let response = if protocol == b"h2" {
            let (mut send, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            send.send_request(asked).await.unwrap()
        } else {
            let (mut send, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            send.send_request(asked).await.unwrap()
        };
        let mut body = response.into_body();
        let mut came = word(&mut body).await.unwrap().unwrap().len();
        // The certificate stays good, and so does the connection.
        wired.forge.cut("credential:42");
        let broken = loop {
            match word(&mut body).await {
                Some(Ok(more)) => came += more.len(),
                over => break over.is_some(),
            }
        };
        assert!(broken && came < LARGE, "{came} of {LARGE} bytes, cut off: {broken}");
    }
}

/// More than windows and sockets hold.
const LARGE: usize = 64 * 1024 * 1024;

#[tokio::test]
async fn whoever_asks_for_another_protocol_is_handed_none_that_nobody_watches() {
    for watched in [false, true] {
        let (wired, listener) = Wired::listening(Protocols::Http1).await;
        let gate = Gate::new(&wired.forge.verifier, listen::peer, read());
        let gate = if watched { gate.upgrading() } else { gate };
        let app = Router::new().route("/", any(upgrade)).layer(gate);
        let app = app.into_make_service_with_connect_info::<Caller>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut tls = wired.tls(b"http/1.1").await.unwrap();
        let token = wired.token(42);
        let head = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: words\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        let mut heard = vec![0; 12];
        tls.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, b"HTTP/1.1 101", "whatever the service answers");
        wired.forge.cut("credential:42");
        // One that nobody goes on with is dropped.
        let _ended = tls.read_to_end(&mut heard).await;
        assert_eq!(heard.ends_with(b"over"), watched, "{}", String::from_utf8_lossy(&heard));
    }
}

/// Goes on until what let it in is over, and says so then.
async fn upgrade(mut request: axum::extract::Request) -> Response<Body> {
    let granted = request.extensions().get::<Granted>().unwrap().clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut connection = TokioIo::new(upgrade.await?);
        granted.over().await;
        connection.write_all(b"over").await.unwrap();
        connection.shutdown().await.unwrap();
        Ok::<_, hyper::Error>(())
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    response
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "words")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn an_idle_stream_of_http1_ends_with_its_connection() {
    let wired = Wired::axum().await;
    let stream = TokioIo::new(wired.tls(b"http/1.1").await.unwrap());
    let (mut send, connection) = http1::handshake::<_, Empty<Bytes>>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = send.send_request(asking("/stream", &wired.token(42))).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(word(&mut body).await.unwrap().unwrap(), "one");
    wired.forge.cut("credential:42");
    assert!(word(&mut body).await.unwrap().is_err(), "cut off, and no end that looks whole");
    let _closed = connection.await.unwrap();
    assert!(send.ready().await.is_err());
}

#[tokio::test]
async fn the_end_of_a_certificate_closes_its_connection_and_no_new_one_opens() {
    let wired = Wired::axum().await;
    let mut connection = wired.http2().await;
    let response = connection.send_request(asking("/stream", &wired.token(42))).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(word(&mut body).await.unwrap().unwrap(), "one");
    wired.forge.cut("vendor:acme");
    assert!(word(&mut body).await.is_none_or(|word| word.is_err()));
    assert!(connection.send_request(asking("/", &wired.token(43))).await.is_err());
    // A client of TLS 1.3 hears of the refusal with what it reads first.
    let Ok(mut tls) = wired.tls(b"h2").await else { return };
    assert!(tls.read_u8().await.is_err());
}

#[tokio::test]
async fn a_head_without_end_is_refused_before_anybody_judges_it() {
    let wired = Wired::axum().await;
    let stream = TokioIo::new(wired.tls(b"http/1.1").await.unwrap());
    let (mut send, connection) = http1::handshake::<_, Empty<Bytes>>(stream).await.unwrap();
    tokio::spawn(connection);
    let long = send.send_request(asking("/", &"a".repeat(9_000))).await.unwrap();
    assert_eq!(long.status(), StatusCode::UNAUTHORIZED, "longer than any token");
    let huge = send.send_request(asking("/", &"a".repeat(2_000_000))).await;
    assert!(huge.is_err() || huge.is_ok_and(|answer| answer.status().is_client_error()));
}

#[tokio::test]
async fn a_service_that_is_not_told_who_calls_refuses() {
    let (wired, listener) = Wired::listening(Protocols::Both).await;
    let gate = Gate::new(&wired.forge.verifier, listen::peer, read());
    let app = Router::new().route("/", any(async || "fine")).layer(gate);
    // Without connect info.
    tokio::spawn(async move { axum::serve(listener, app).await });
    let response = wired.http2().await.send_request(asking("/", &wired.token(42))).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn axum_and_tonic_both_say_who_calls() {
    let certificate = Some(CertificateDer::from(vec![7]));
    let caller = Caller { address: ([127, 0, 0, 1], 1).into(), certificate };
    let mut extensions = Extensions::new();
    assert!(matches!(listen::peer(&extensions), Peer::Unknown));
    extensions.insert(ConnectInfo(caller.clone()));
    assert!(matches!(listen::peer(&extensions), Peer::Shown(shown) if shown[..] == [7]));
    let mut extensions = Extensions::new();
    extensions.insert(caller.clone());
    assert!(matches!(listen::peer(&extensions), Peer::Shown(_)));
    extensions.insert(Caller { certificate: None, ..caller });
    assert!(matches!(listen::peer(&extensions), Peer::Bare));
}

/// A service whose streams say one thing and then nothing.
struct Watched;

#[tonic::async_trait]
impl Health for Watched {
    type WatchStream = std::pin::Pin<
        Box<dyn tokio_stream::Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>,
    >;

    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        Ok(tonic::Response::new(HealthCheckResponse { status: 1 }))
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let one = tokio_stream::iter([Ok(HealthCheckResponse { status: 1 })]);
        let stream = tokio_stream::StreamExt::chain(one, tokio_stream::pending());
        Ok(tonic::Response::new(Box::pin(stream)))
    }
}

fn call(token: Option<&str>) -> tonic::Request<HealthCheckRequest> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

#[tokio::test]
async fn calls_and_streams_of_grpc_are_refused_and_ended_with_their_statuses() {
    let wired = Wired::tonic().await;
    let (ending, lasting) = (wired.token(42), wired.token(43));
    let other =
        wired.forge.token(&Claim { bound: Some(&wired.proof), scope: "status.read", ..Claim::default() });
    let mut client = wired.grpc().await;
    let mut code =
        async |token: Option<&str>| client.check(call(token)).await.map_or_else(|no| no.code(), |_| Code::Ok);
    assert_eq!(code(Some(&ending)).await, Code::Ok);
    assert_eq!(code(None).await, Code::Unauthenticated);
    assert_eq!(code(Some(&other)).await, Code::PermissionDenied);

    let mut stream = client.clone().watch(call(Some(&ending))).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let waiting = tokio::spawn(async move { stream.message().await });
    wired.forge.cut("credential:42");
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::Unauthenticated);
    let mut code =
        async |token: Option<&str>| client.check(call(token)).await.map_or_else(|no| no.code(), |_| Code::Ok);
    assert_eq!(code(Some(&ending)).await, Code::Unauthenticated);
    assert_eq!(code(Some(&lasting)).await, Code::Ok);

    wired.forge.skip(LIMIT.as_millis());
    assert_eq!(code(Some(&lasting)).await, Code::Unavailable);
    wired.forge.refresh();
    assert_eq!(code(Some(&lasting)).await, Code::Ok);
}
