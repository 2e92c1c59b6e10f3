//! The port with real sockets and handshakes: who is let in, and that nobody holds up others.

#[cfg(feature = "verify")]
mod verified;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, HandshakeKind, pki_types::ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::{PrivateKey, Proof};

/// A CA, which signs certificates.
struct Ca {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    fn proof(&self) -> Proof {
        let (leaf, key) = self.sign("sync.example");
        let pem = crate::pem::encode("PRIVATE KEY", key.serialized_der());
        Proof { chain: vec![leaf], key: PrivateKey::from_pem(pem.as_bytes()).unwrap() }
    }
}

/// A server's CA, and that of its audience.
struct World {
    server: Ca,
    audience: Ca,
}

impl World {
    fn new() -> Self {
        Self { server: Ca::new(), audience: Ca::new() }
    }

    fn terms(&self, without: Without) -> Terms {
        let (leaf, key) = self.server.sign("localhost");
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Terms {
            chain: vec![leaf],
            key,
            roots: vec![self.audience.root.clone()],
            without,
            protocols: Protocols::Both,
        }
    }

    async fn listen(&self, without: Without) -> Listener {
        Listener::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), self.terms(without)).unwrap()
    }

    fn with(&self, proof: &Proof) -> ClientConfig {
        proof.client_config(std::slice::from_ref(&self.server.root)).unwrap()
    }

    fn without(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.root.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// Connects, and waits for the server's one byte: in TLS 1.3 a client knows only then that it was let in.
async fn connect(
    address: SocketAddr,
    config: impl Into<Arc<ClientConfig>>,
) -> io::Result<client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = TlsConnector::from(config.into()).connect(name, stream).await?;
    tls.read_u8().await?;
    Ok(tls)
}

/// Takes connections, greets each with a byte, and tells who came.
fn greet(mut listener: Listener) -> mpsc::UnboundedReceiver<Caller> {
    let (send, came) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(mut connection) = listener.accept().await {
            connection.write_u8(1).await.unwrap();
            connection.flush().await.unwrap();
            send.send(connection.caller().clone()).unwrap();
            tokio::spawn(async move { connection.read_u8().await });
        }
    });
    came
}

#[tokio::test]
async fn the_certificate_that_was_shown_comes_with_the_connection() {
    let world = World::new();
    let listener = world.listen(Without::Refuse).await;
    let (address, mut came) = (listener.address(), greet(listener));
    let proof = world.audience.proof();
    connect(address, world.with(&proof)).await.unwrap();
    assert_eq!(came.recv().await.unwrap().certificate.as_ref(), proof.chain.first());
}

#[tokio::test]
async fn only_certificates_of_the_audience_are_taken() {
    let world = World::new();
    let listener = world.listen(Without::Refuse).await;
    let (address, mut came) = (listener.address(), greet(listener));
    for (whose, config) in [
        ("another audience's", world.with(&Ca::new().proof())),
        ("the server's own CA's", world.with(&world.server.proof())),
        ("nobody's", world.without()),
    ] {
        assert!(connect(address, config).await.is_err(), "{whose}");
    }
    connect(address, world.with(&world.audience.proof())).await.unwrap();
    assert!(came.recv().await.unwrap().certificate.is_some());
    assert!(came.try_recv().is_err(), "nobody else came in");
}

#[tokio::test]
async fn who_shows_nothing_comes_in_only_where_that_is_said() {
    let world = World::new();
    let listener = world.listen(Without::LetIn).await;
    let (address, mut came) = (listener.address(), greet(listener));
    assert!(connect(address, world.with(&Ca::new().proof())).await.is_err(), "another's is refused still");
    connect(address, world.without()).await.unwrap();
    assert_eq!(came.recv().await.unwrap().certificate, None);
}

#[tokio::test]
async fn handshakes_that_stall_keep_nobody_waiting() {
    let world = World::new();
    let listener = world.listen(Without::Refuse).await;
    let (address, mut came) = (listener.address(), greet(listener));
    let mut mute = Vec::new();
    for _ in 0..HANDSHAKES + 40 {
        mute.push(TcpStream::connect(address).await.unwrap());
    }
    let honest = connect(address, world.with(&world.audience.proof()));
    tokio::time::timeout(Duration::from_secs(3), honest).await.unwrap().unwrap();
    assert!(came.recv().await.is_some());
    // The oldest were let go for the others.
    let first = mute.first_mut().unwrap();
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(3), first.read(&mut [0; 1])).await.unwrap().unwrap(),
        0
    );
}

#[tokio::test]
async fn no_handshake_is_resumed() {
    let world = World::new();
    let listener = world.listen(Without::Refuse).await;
    let (address, mut came) = (listener.address(), greet(listener));
    let mut config = world.with(&world.audience.proof());
    // A client that would resume if it could.
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    for _ in 0..3 {
        let tls = connect(address, Arc::clone(&config)).await.unwrap();
        assert_eq!(tls.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert!(came.recv().await.unwrap().certificate.is_some());
    }
}

#[tokio::test]
async fn terms_change_for_connections_to_come() {
    let (world, next) = (World::new(), World::new());
    let listener = world.listen(Without::Refuse).await;
    let (address, port, mut came) = (listener.address(), listener.port(), greet(listener));
    let mut open = connect(address, world.with(&world.audience.proof())).await.unwrap();
    port.replace(next.terms(Without::Refuse)).unwrap();
    connect(address, next.with(&next.audience.proof())).await.unwrap();
    assert!(connect(address, world.with(&world.audience.proof())).await.is_err());
    open.write_all(&[1]).await.unwrap();
    assert!(came.recv().await.is_some() && came.recv().await.is_some());
}

#[tokio::test]
async fn terms_that_do_not_do_are_refused() {
    let world = World::new();
    let listener = world.listen(Without::Refuse).await;
    let no_root = Terms { roots: Vec::new(), ..world.terms(Without::Refuse) };
    let damaged = Terms { roots: vec![CertificateDer::from(vec![1; 9])], ..world.terms(Without::Refuse) };
    let other_key = Terms { key: PrivateKey::generate().unwrap().der(), ..world.terms(Without::Refuse) };
    for terms in [no_root, damaged, other_key] {
        assert!(matches!(listener.port().replace(terms), Err(Error::BadInput(_))));
    }
}

#[tokio::test]
async fn the_port_closes_with_its_owner() {
    let world = World::new();
    let listener = world.listen(Without::Refuse).await;
    let (address, incoming) = (listener.address(), listener.incoming());
    TcpStream::connect(address).await.unwrap();
    drop(incoming);
    let mut closed = false;
    for _ in 0..500 {
        closed = TcpStream::connect(address).await.is_err();
        if closed {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(closed);
}
