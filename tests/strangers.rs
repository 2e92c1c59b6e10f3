//! Strangers who hammer the broker with every kind of attempt, from many addresses, under many names, with many codes:
//! the log hardly grows, and not one word of theirs is in it or beside it. `DAYPASS_HAMMER_SECS` says for how long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use daypass_core::Event;
use daypass_credential::{Digest, EnrollmentCode};
use daypass_proto::v1::{
    self, audit_service_client::AuditServiceClient, credential_service_client::CredentialServiceClient,
    directory_service_client::DirectoryServiceClient, enrollment_service_client::EnrollmentServiceClient,
    verification_service_client::VerificationServiceClient,
};
use daypass_sdk::{PrivateKey, Proof, Trust};
use daypass_store::{Check, Options, Sled, Store};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use support::World;
use tokio::{io::AsyncWriteExt, net::TcpSocket};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

/// A word that the broker never says by itself: it stands in everything that a stranger sends.
const WORD: &str = "mallory7f3a";
/// How many attempts a connection makes before there is another.
const CALLS: u64 = 24;
/// How many hammer at once, each from addresses of its own.
const STRANGERS: u8 = 8;

/// What there is to be tried.
const KINDS: &[Kind] = &[
    Kind::UnknownCode,
    Kind::BadCode,
    Kind::BadRequest,
    Kind::NoCertificate,
    Kind::Audit,
    Kind::UnknownMethod,
    Kind::Headers,
    Kind::OwnCertificate,
    Kind::NoTls,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    UnknownCode,
    BadCode,
    BadRequest,
    NoCertificate,
    Audit,
    UnknownMethod,
    Headers,
    OwnCertificate,
    NoTls,
}

/// The broker that is hammered, and how often it was.
struct Target {
    address: SocketAddr,
    root: CertificateDer<'static>,
    pin: Digest,
    attempts: [AtomicU64; KINDS.len()],
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_neither_fill_the_log_nor_write_a_word_into_it() {
    let seconds = u64::try_from(support::size("DAYPASS_HAMMER_SECS", 4)).unwrap();
    let mut world = World::new().await;
    let Trust::Root(root) = world.broker.home("dana").identity().unwrap().trust() else { panic!("no root") };
    let target = Arc::new(Target {
        address: world.broker.address().to_string().parse().unwrap(),
        root,
        pin: world.broker.first_code().root(),
        attempts: Default::default(),
    });
    let mark = world.revision().await;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let hammering: Vec<_> =
        (0..STRANGERS).map(|stranger| tokio::spawn(hammer(target.clone(), stranger, until))).collect();
    for hammering in hammering {
        hammering.await.unwrap();
    }
    let elapsed = begun.elapsed().as_secs();
    // Whoever is known is still served.
    let application = world.application("sync", "sync").await;
    support::mint(&application).await.unwrap();
    let own = 4;
    let grown = world.revision().await.get() - mark.get() - own;
    assert!(world.broker.stop().await, "{}", world.broker.log());
    let said = words_in_events(&world.broker.store_path()).await;
    let beside = files_with_the_word(&world.broker.path().join("data"));
    let kinds: Vec<u64> = target.attempts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    let attempts: u64 = kinds.iter().sum();
    support::show(&json!({
        "attempts": attempts,
        "log_growth_events": grown,
        "strangers_text_in_log": said,
        "strangers_text_in_files": beside.len(),
        "seconds": elapsed,
        "kinds": kinds.iter().filter(|count| **count > 0).count(),
        "addresses": u64::from(STRANGERS) * u64::from(ADDRESSES),
    }));
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    assert_eq!((said, beside), (0, Vec::new()));
    // One event at once and one count a minute for each method and reason, and there are few of both.
    assert!(grown <= 60 + 40 * (elapsed / 60), "{grown} events for {attempts} attempts");
}

/// How many addresses each stranger has.
const ADDRESSES: u8 = 30;

async fn hammer(target: Arc<Target>, stranger: u8, until: Instant) {
    let mut round = 0_u64;
    while Instant::now() < until {
        let host = u8::try_from(round % u64::from(ADDRESSES)).unwrap() + 2;
        let from = Ipv4Addr::new(127, 0, stranger + 1, host);
        let own = round % 3 == 2;
        if round % 4 == 1 {
            let _closed = no_tls(&target, from, round).await;
            target.count(Kind::NoTls);
        }
        // A connection that is refused is an attempt too, of whatever it would have carried.
        match channel(&target, from, own.then(|| proof(round))).await {
            Ok(channel) => {
                for call in 0..CALLS {
                    let kind =
                        if own { Kind::OwnCertificate } else { KINDS[usize::try_from(call % 7).unwrap()] };
                    let answer = attempt(&target, channel.clone(), kind, round * CALLS + call).await;
                    assert!(answer.is_err(), "{kind:?} was let in");
                    target.count(kind);
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
        round += 1;
    }
}

impl Target {
    fn count(&self, kind: Kind) {
        let at = KINDS.iter().position(|known| *known == kind).unwrap();
        self.attempts[at].fetch_add(1, Ordering::Relaxed);
    }
}

/// A self-signed certificate with a name of the stranger's choice.
fn proof(n: u64) -> Proof {
    let key = PrivateKey::generate().unwrap();
    let signer = rcgen::KeyPair::try_from(key.der().secret_der()).unwrap();
    let mut params = rcgen::CertificateParams::new([format!("{WORD}-{n}.example")]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("{WORD} {n}"));
    let certificate = params.self_signed(&signer).unwrap();
    Proof { chain: vec![certificate.der().clone()], key }
}

async fn channel(
    target: &Target,
    from: Ipv4Addr,
    proof: Option<Proof>,
) -> Result<Channel, tonic::transport::Error> {
    let config = match proof {
        Some(proof) => proof.client_config(std::slice::from_ref(&target.root)).unwrap(),
        None => without_certificate(target),
    };
    let (config, address) = (Arc::new(config), target.address);
    Endpoint::from_shared(format!("https://{address}"))
        .unwrap()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(10))
        .connect_with_connector(tower::service_fn(move |_| dial(from, address, config.clone())))
        .await
}

fn without_certificate(target: &Target) -> tokio_rustls::rustls::ClientConfig {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, version::TLS13};
    let mut roots = RootCertStore::empty();
    roots.add(target.root.clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn dial(
    from: Ipv4Addr,
    to: SocketAddr,
    mut config: Arc<tokio_rustls::rustls::ClientConfig>,
) -> std::io::Result<TokioIo<TlsStream<tokio::net::TcpStream>>> {
    Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(to).await?;
    let name = ServerName::try_from(to.ip().to_string()).unwrap();
    Ok(TokioIo::new(TlsConnector::from(config).connect(name, stream).await?))
}

/// Words instead of a handshake.
async fn no_tls(target: &Target, from: Ipv4Addr, n: u64) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(target.address).await?;
    stream.write_all(format!("GET /{WORD}-{n} HTTP/1.1\r\nHost: {WORD}\r\n\r\n").as_bytes()).await?;
    stream.shutdown().await
}

async fn attempt(target: &Target, channel: Channel, kind: Kind, n: u64) -> Result<(), Status> {
    let word = || format!("{WORD}-{n}");
    let mut enrollment = EnrollmentServiceClient::new(channel.clone());
    match kind {
        Kind::UnknownCode => {
            let code = EnrollmentCode::new(u128::from(n).to_be_bytes(), target.pin).reveal();
            let request = v1::EnrollRequest { code, csr: csr(n) };
            enrollment.enroll(request).await.map(drop)
        }
        Kind::BadCode => enrollment.enroll(v1::EnrollRequest { code: word(), csr: csr(n) }).await.map(drop),
        Kind::BadRequest => {
            let code = EnrollmentCode::new(u128::from(n).to_be_bytes(), target.pin).reveal();
            enrollment.enroll(v1::EnrollRequest { code, csr: word().into() }).await.map(drop)
        }
        Kind::NoCertificate => {
            let request = v1::IntrospectRequest { token: word(), client_certificate: word().into() };
            VerificationServiceClient::new(channel).introspect(request).await.map(drop)
        }
        Kind::Audit => {
            let request = v1::GetCheckpointRequest { known: word() };
            AuditServiceClient::new(channel).get_checkpoint(request).await.map(drop)
        }
        Kind::UnknownMethod => {
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.map_err(|_| Status::unavailable("closed"))?;
            let path = format!("/daypass.v1.{WORD}/Call{n}").parse().unwrap();
            let codec = tonic_prost::ProstCodec::<v1::PingRequest, v1::PingResponse>::default();
            client.unary(Request::new(v1::PingRequest::default()), path, codec).await.map(drop)
        }
        Kind::Headers => {
            let mut request = Request::new(v1::GetObjectRequest { id: format!("vendor:{}", word()) });
            request.metadata_mut().insert("x-name", word().parse().unwrap());
            request.metadata_mut().insert("authorization", format!("Bearer {}", word()).parse().unwrap());
            DirectoryServiceClient::new(channel).get_object(request).await.map(drop)
        }
        Kind::OwnCertificate => {
            let request = v1::MintTokenRequest {
                audience: word(),
                scopes: vec![word()],
                request_id: word(),
                ..v1::MintTokenRequest::default()
            };
            CredentialServiceClient::new(channel).mint_token(request).await.map(drop)
        }
        Kind::NoTls => Err(Status::unavailable("not over a connection")),
    }
}

fn csr(n: u64) -> Bytes {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([format!("{WORD}-{n}.example")]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("{WORD} {n}"));
    params.serialize_request(&key).unwrap().der().to_vec().into()
}

/// In how many events a word of the strangers' stands.
async fn words_in_events(path: &Path) -> usize {
    let options = Options { check: Check::Whole, ..Options::default() };
    let store = Sled::open(path, options).unwrap();
    let (mut after, mut said) = (daypass_credential::Revision::ZERO, 0);
    loop {
        let entries = store.log(after, 4096).await.unwrap();
        let Some(last) = entries.last() else { return said };
        after = last.revision;
        for entry in &entries {
            Event::from_bytes(&entry.event).unwrap();
            said += usize::from(holds_the_word(&entry.event));
        }
    }
}

fn holds_the_word(bytes: &[u8]) -> bool {
    bytes.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD.as_bytes()))
}

/// The files of the broker in which the word stands, whatever they are for.
fn files_with_the_word(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with_the_word(&path));
        } else if holds_the_word(&fs::read(&path).unwrap_or_default()) {
            found.push(path.display().to_string());
        }
    }
    found
}
