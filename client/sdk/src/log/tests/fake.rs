//! A broker with a log of its own over real TLS: it shows what it is told to show, and can be put back or cut off.

use std::{
    collections::HashMap,
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use daypass_credential::{Era, Revision, Timestamp};
use daypass_log::{
    Checkpoint, Edge, Frontier, Hash, Root, SignedCheckpoint, Tile, VerifierKey, export, proof,
};
use daypass_proto::v1::{
    self, audit_service_server as audit, diagnostics_service_server as diagnostics,
    offboarding_service_server as offboarding,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, service::Routes, transport::Server};

use crate::{Address, Identity, KnownLog, PrivateKey, files, identity::Held, log::Memory, pem, tls};

pub(crate) const ORIGIN: &str = "broker.example/log";
pub(crate) const ERA: Era = Era::new(0xab);

/// A log, and who signs for it.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) origin: &'static str,
    pub(crate) era: Era,
    pub(crate) seed: u8,
}

impl Log {
    pub(crate) fn of(size: u64) -> Self {
        let entries = (0..size).map(|number| format!("{{\"n\":{number}}}").into_bytes()).collect();
        Self { entries, origin: ORIGIN, era: ERA, seed: 7 }
    }

    /// As many entries, the third of which is another.
    pub(crate) fn forked(size: u64) -> Self {
        let mut log = Self::of(size);
        log.entries[2] = b"{\"n\":\"another\"}".to_vec();
        log
    }

    pub(crate) fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.seed; 32]).unwrap()
    }

    pub(crate) fn key(&self) -> VerifierKey {
        VerifierKey::new(self.origin, self.pair().public_key().as_ref().try_into().unwrap()).unwrap()
    }

    pub(crate) fn root(&self, size: u64) -> Root {
        let mut tree = Frontier::new();
        self.entries[..usize::try_from(size).unwrap()].iter().for_each(|entry| tree.append(entry));
        tree.root()
    }

    pub(crate) fn signed(&self, root: Root) -> SignedCheckpoint {
        let sign = |text: &[u8]| Ok::<_, Infallible>(self.pair().sign(text).as_ref().try_into().unwrap());
        Checkpoint::new(self.origin, root, self.era).unwrap().sign(&self.key(), sign).unwrap()
    }

    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        self.signed(self.root(self.size()))
    }

    pub(crate) fn known(&self, size: u64) -> KnownLog {
        KnownLog::new(self.key(), self.signed(self.root(size)).note(), Timestamp::from_secs(1)).unwrap()
    }

    fn tiles(&self) -> HashMap<Tile, Vec<Hash>> {
        let (mut edge, mut tiles) = (Edge::new(), HashMap::new());
        for entry in &self.entries {
            edge.append(Hash::leaf(entry), |tile, hashes| {
                tiles.insert(tile, hashes.to_vec());
            });
        }
        tiles.extend(edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())));
        tiles
    }

    pub(crate) fn consistency(&self, from: u64) -> Vec<Hash> {
        proof::consistency(&self.tiles(), from, self.size()).unwrap()
    }

    pub(crate) fn inclusion(&self, index: u64) -> Vec<Hash> {
        proof::inclusion(&self.tiles(), index, self.size()).unwrap()
    }
}

/// What the broker shows, and what it was asked.
pub(crate) struct Scene {
    pub(crate) log: Log,
    /// Before there were logs.
    pub(crate) without_log: bool,
    /// It grows with each question about it.
    pub(crate) growing: bool,
    pub(crate) spoil: fn(&mut v1::GetCheckpointResponse),
    pub(crate) spoil_proof: fn(&mut v1::ProveEventResponse),
    /// What everything is refused with.
    pub(crate) refuse: Option<Status>,
    pub(crate) checkpoints: u32,
    pub(crate) pings: u32,
    /// What the question for a checkpoint alone is refused with.
    pub(crate) refuse_checkpoint: Option<Status>,
    pub(crate) ends: u32,
}

pub(crate) struct Fake {
    pub(crate) address: Address,
    root: CertificateDer<'static>,
    scene: Arc<Mutex<Scene>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Fake {
    pub(crate) async fn with(log: Log) -> Self {
        Self::serving(log, Routes::default()).await
    }

    /// One that serves something else besides.
    pub(crate) async fn serving(log: Log, others: Routes) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = ca.self_signed(&ca_key).unwrap().der().clone();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().der().clone();
        let scene = Scene {
            log,
            without_log: false,
            growing: false,
            spoil: |_| {},
            spoil_proof: |_| {},
            refuse: None,
            checkpoints: 0,
            pings: 0,
            refuse_checkpoint: None,
            ends: 0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let fake = Self {
            address: address.with_server_name("localhost").unwrap(),
            root,
            scene: Arc::new(Mutex::new(scene)),
            connections: Arc::default(),
        };
        fake.serve(listener, leaf, PrivatePkcs8KeyDer::from(key.serialize_der()), others);
        fake
    }

    fn serve(
        &self,
        listener: TcpListener,
        leaf: CertificateDer<'static>,
        key: PrivatePkcs8KeyDer<'static>,
        others: Routes,
    ) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (come, incoming) = mpsc::channel(8);
        let connections = Arc::clone(&self.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let (near, mut far) = tokio::io::duplex(64 * 1024);
                connections.lock().unwrap().spawn(async move {
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut far).await);
                });
                come.send(Ok::<_, std::io::Error>(near)).await.unwrap();
            }
        });
        let handler = Handler(Arc::clone(&self.scene));
        let server = Server::builder()
            .add_routes(others)
            .add_service(audit::AuditServiceServer::new(handler.clone()))
            .add_service(offboarding::OffboardingServiceServer::new(handler.clone()))
            .add_service(diagnostics::DiagnosticsServiceServer::new(handler));
        tokio::spawn(server.serve_with_incoming(ReceiverStream::new(incoming)));
    }

    pub(crate) fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap()
    }

    /// Another log in the same place, as after a restore; every connection is cut.
    pub(crate) async fn put(&self, log: Log) {
        self.scene().log = log;
        self.cut().await;
    }

    pub(crate) async fn cut(&self) {
        let mut connections = std::mem::take(&mut *self.connections.lock().unwrap());
        connections.shutdown().await;
    }

    /// Somebody who is enrolled, with a memory in this home.
    pub(crate) fn identity(&self, home: &Path) -> Identity {
        files::make_private_folder(home).unwrap();
        let pair = KeyPair::generate().unwrap();
        let text = pem::encode("PRIVATE KEY", pair.serialized_der());
        let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
        let leaf = CertificateParams::default().self_signed(&pair).unwrap().der().clone();
        Identity {
            subject: "application:sync".parse().unwrap(),
            broker: self.address.clone(),
            root: self.root.clone(),
            key,
            held: Held {
                leaf,
                above: Vec::new(),
                revision: Revision::new(7),
                expires_at: Timestamp::from_secs(u64::from(u32::MAX)),
            },
            memory: Memory::Home { folder: home.to_owned(), root: tls::fingerprint(&self.root) },
        }
    }
}

#[derive(Clone)]
struct Handler(Arc<Mutex<Scene>>);

impl Handler {
    fn scene(&self) -> Result<MutexGuard<'_, Scene>, Status> {
        let scene = self.0.lock().unwrap();
        match &scene.refuse {
            Some(status) => Err(status.clone()),
            None => Ok(scene),
        }
    }
}

pub(crate) fn wire(hashes: &[Hash]) -> Vec<Bytes> {
    hashes.iter().map(|hash| Bytes::copy_from_slice(hash.as_bytes())).collect()
}

#[tonic::async_trait]
impl audit::AuditService for Handler {
    type ReadEventsStream = tokio_stream::Empty<Result<v1::ReadEventsResponse, Status>>;
    type ExportLogStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::ExportLogResponse, Status>>>;

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let mut scene = self.scene()?;
        scene.checkpoints += 1;
        if scene.without_log {
            return Err(Status::unimplemented("unknown service"));
        }
        if let Some(status) = &scene.refuse_checkpoint {
            return Err(status.clone());
        }
        if scene.growing {
            scene.log.entries.push(b"{\"more\":true}".to_vec());
        }
        let log = &scene.log;
        let known = request.into_inner().known;
        let from = known.lines().nth(1).map(|line| line.parse::<u64>().unwrap());
        let within = from.filter(|from| (1..log.size()).contains(from));
        let mut answer = v1::GetCheckpointResponse {
            checkpoint: log.checkpoint().note().to_owned(),
            consistency: within.map(|from| wire(&log.consistency(from))).unwrap_or_default(),
            log_key: log.key().to_string(),
        };
        (scene.spoil)(&mut answer);
        Ok(Response::new(answer))
    }

    async fn prove_event(
        &self,
        request: Request<v1::ProveEventRequest>,
    ) -> Result<Response<v1::ProveEventResponse>, Status> {
        let scene = self.scene()?;
        let index = request.into_inner().revision.saturating_sub(1);
        let mut answer = v1::ProveEventResponse {
            checkpoint: scene.log.checkpoint().note().to_owned(),
            inclusion: wire(&scene.log.inclusion(index)),
            event: scene.log.entries[usize::try_from(index).unwrap()].clone().into(),
        };
        (scene.spoil_proof)(&mut answer);
        Ok(Response::new(answer))
    }

    async fn read_events(
        &self,
        _request: Request<v1::ReadEventsRequest>,
    ) -> Result<Response<Self::ReadEventsStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn export_log(
        &self,
        _request: Request<v1::ExportLogRequest>,
    ) -> Result<Response<Self::ExportLogStream>, Status> {
        let scene = self.scene()?;
        let (log, mut bytes) = (&scene.log, Vec::new());
        let entries = log.entries.iter().map(Ok::<_, Infallible>);
        export::write(&mut bytes, &log.checkpoint(), &log.tiles(), entries).unwrap();
        let chunks: Vec<_> = bytes
            .chunks(100)
            .map(|chunk| Ok(v1::ExportLogResponse { chunk: Bytes::copy_from_slice(chunk) }))
            .collect();
        Ok(Response::new(tokio_stream::iter(chunks)))
    }
}

#[tonic::async_trait]
impl offboarding::OffboardingService for Handler {
    type GetReceiptStream = tokio_stream::Empty<Result<v1::GetReceiptResponse, Status>>;

    async fn preview_offboarding(
        &self,
        _request: Request<v1::PreviewOffboardingRequest>,
    ) -> Result<Response<v1::PreviewOffboardingResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn offboard(
        &self,
        _request: Request<v1::OffboardRequest>,
    ) -> Result<Response<v1::OffboardResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_receipt(
        &self,
        _request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<Self::GetReceiptStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn end(&self, _request: Request<v1::EndRequest>) -> Result<Response<v1::EndResponse>, Status> {
        let mut scene = self.scene()?;
        scene.ends += 1;
        Ok(Response::new(v1::EndResponse { revision: scene.log.size() + 1 }))
    }

    async fn resume(
        &self,
        _request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tonic::async_trait]
impl diagnostics::DiagnosticsService for Handler {
    async fn ping(&self, _request: Request<v1::PingRequest>) -> Result<Response<v1::PingResponse>, Status> {
        let mut scene = self.scene()?;
        scene.pings += 1;
        Ok(Response::new(v1::PingResponse {
            subject: "application:sync".into(),
            identity: "i1".into(),
            revision: scene.log.size(),
            ..v1::PingResponse::default()
        }))
    }

    async fn explain_refusal(
        &self,
        _request: Request<v1::ExplainRefusalRequest>,
    ) -> Result<Response<v1::ExplainRefusalResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
