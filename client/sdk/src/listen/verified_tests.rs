//! The port over a verifier, with real sockets and handshakes: new, open and resumed connections, before and after an end.

use std::sync::Arc;

use rustls::{
    ClientConfig, HandshakeKind,
    client::{ResolvesClientCert, Resumption},
    crypto::ring::sign::any_ecdsa_type,
    sign::CertifiedKey,
};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::{
    PrivateKey, Proof,
    verifier::{
        Refused,
        forge::{Authority, Forge, LIMIT, Leaf, server},
    },
};

/// A port over a verifier, which greets each connection with a byte and hands it out.
struct Scene {
    forge: Forge,
    root: CertificateDer<'static>,
    address: SocketAddr,
    port: Port,
    came: mpsc::UnboundedReceiver<Connection>,
}

impl Scene {
    async fn new(without: Without) -> Self {
        let (forge, (root, key)) = (Forge::new(), server());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (chain, verifier) = (vec![root.clone()], &forge.verifier);
        let mut listener =
            Listener::verified(socket, chain, key.der(), verifier, Protocols::Both, without).unwrap();
        let (address, port) = (listener.address(), listener.port());
        let (send, came) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(mut connection) = listener.accept().await {
                connection.write_u8(1).await.unwrap();
                connection.flush().await.unwrap();
                let _nobody_asks = send.send(connection);
            }
        });
        Self { forge, root, address, port, came }
    }

    fn with(&self, proof: &Proof) -> Arc<ClientConfig> {
        Arc::new(proof.client_config(std::slice::from_ref(&self.root)).unwrap())
    }

    /// Both ends of a connection. A client of TLS 1.3 knows only by the first byte that it was let in.
    async fn connect(&mut self, config: Arc<ClientConfig>) -> io::Result<(Tls, Connection)> {
        let tls = greeted(self.address, config).await?;
        Ok((tls, self.came.recv().await.unwrap()))
    }

    async fn is_let_in(&mut self, proof: &Proof) -> bool {
        let config = self.with(proof);
        self.connect(config).await.is_ok()
    }
}

type Tls = client::TlsStream<TcpStream>;

async fn greeted(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Tls> {
    let stream = TcpStream::connect(address).await?;
    let mut tls =
        TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    tls.read_u8().await?;
    Ok(tls)
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_refuses_what_is_new() {
    let mut scene = Scene::new(Without::Refuse).await;
    let proof = scene.forge.billing.proof(&Leaf::default());
    let bystander = scene.forge.billing.proof(&Leaf { instance: "i2", revision: 43, ..Leaf::default() });
    let (config, others) = (scene.with(&proof), scene.with(&bystander));
    let (mut tls, mut connection) = scene.connect(config).await.unwrap();
    let (mut other_tls, mut other) = scene.connect(others).await.unwrap();
    assert_eq!(connection.check(), Ok(()));
    tls.write_all(b"a").await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), b'a');
    let waiting = tokio::spawn(async move { (connection.read_u8().await.unwrap_err(), connection) });
    tokio::task::yield_now().await;

    scene.forge.cut("identity:i1");
    let (error, connection) = waiting.await.unwrap();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(matches!(connection.check(), Err(Refused::Cut { .. })));
    assert_eq!(tls.read(&mut [0; 1]).await.unwrap(), 0, "an end in good order, though nobody dropped it");
    assert!(!scene.is_let_in(&proof).await);

    other_tls.write_all(b"b").await.unwrap();
    assert_eq!(other.read_u8().await.unwrap(), b'b');
    assert!(scene.is_let_in(&bystander).await);
}

#[tokio::test]
async fn whoever_would_resume_is_checked_anew_each_time() {
    let mut scene = Scene::new(Without::Refuse).await;
    let proof = scene.forge.billing.proof(&Leaf::default());
    let mut config = proof.client_config(std::slice::from_ref(&scene.root)).unwrap();
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = Arc::new(config);
    for _ in 0..3 {
        let (tls, _connection) = scene.connect(Arc::clone(&config)).await.unwrap();
        let session = tls.get_ref().1;
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!((session.tls13_tickets_received(), session.is_early_data_accepted()), (0, false));
    }
    scene.forge.cut("vendor:acme");
    assert!(scene.connect(config).await.is_err());
}

#[tokio::test]
async fn only_good_certificates_of_these_audiences_are_taken_at_the_handshake() {
    let mut scene = Scene::new(Without::Refuse).await;
    let good = scene.forge.billing.proof(&Leaf::default());
    assert!(scene.is_let_in(&good).await);
    assert!(!scene.is_let_in(&Forge::new().billing.proof(&Leaf::default())).await, "a foreign CA's");
    let own = Proof { chain: vec![server().0], ..good.clone() };
    assert!(own.client_config(std::slice::from_ref(&scene.root)).is_err(), "one without its key");
    let nobody = scene.connect(without(&scene.root)).await;
    assert!(nobody.is_err(), "nobody's");
    let stolen = scene.connect(stolen(&scene.root, &good)).await;
    assert!(stolen.is_err(), "a good one without its key");
    let short = scene.forge.billing.proof(&Leaf { lasts: 20, ..Leaf::default() });
    assert!(scene.is_let_in(&short).await);
    scene.forge.skip(20_000);
    assert!(!scene.is_let_in(&short).await, "expired");
    assert!(scene.is_let_in(&good).await);
}

fn roots(
    root: &CertificateDer<'static>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut trusted = RootCertStore::empty();
    trusted.add(root.clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(trusted)
}

fn without(root: &CertificateDer<'static>) -> Arc<ClientConfig> {
    Arc::new(roots(root).with_no_client_auth())
}

/// A client that shows somebody's certificate and signs with a key of its own.
fn stolen(root: &CertificateDer<'static>, whose: &Proof) -> Arc<ClientConfig> {
    #[derive(Debug)]
    struct Thief(Arc<CertifiedKey>);
    impl ResolvesClientCert for Thief {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let key = any_ecdsa_type(&PrivateKey::generate().unwrap().der()).unwrap();
    let shown = Thief(Arc::new(CertifiedKey::new(whose.chain.clone(), key)));
    Arc::new(roots(root).with_client_cert_resolver(Arc::new(shown)))
}

#[tokio::test]
async fn silence_keeps_what_is_open_and_lets_nobody_new_in() {
    let mut scene = Scene::new(Without::Refuse).await;
    let proof = scene.forge.billing.proof(&Leaf::default());
    let config = scene.with(&proof);
    let (mut tls, mut connection) = scene.connect(config).await.unwrap();
    scene.forge.skip(LIMIT.as_millis());
    assert!(!scene.is_let_in(&proof).await);
    assert_eq!(connection.check(), Err(Refused::Stale), "each request is refused");
    tls.write_all(b"a").await.unwrap();
    assert_eq!(connection.read_u8().await.unwrap(), b'a');
    scene.forge.refresh();
    assert_eq!(connection.check(), Ok(()));
    assert!(scene.is_let_in(&proof).await);
}

#[tokio::test]
async fn who_shows_nothing_is_let_in_only_where_that_is_said_and_is_good_for_nothing() {
    let mut scene = Scene::new(Without::LetIn).await;
    let config = without(&scene.root);
    let (_tls, connection) = scene.connect(config).await.unwrap();
    assert_eq!(connection.caller().certificate, None);
    assert_eq!(connection.check(), Err(Refused::CertificateMissing));
    assert!(
        !scene.is_let_in(&Forge::new().billing.proof(&Leaf::default())).await,
        "another's is refused still"
    );
    assert!(scene.is_let_in(&scene.forge.billing.proof(&Leaf::default())).await);
}

#[tokio::test]
async fn another_ca_is_followed_without_a_word_to_the_port() {
    let mut scene = Scene::new(Without::Refuse).await;
    let next = Authority::new("billing");
    let (old, new) = (scene.forge.billing.proof(&Leaf::default()), next.proof(&Leaf::default()));
    assert!(!scene.is_let_in(&new).await);
    scene.forge.trust(&[&scene.forge.billing, &next]);
    assert!(scene.is_let_in(&old).await && scene.is_let_in(&new).await);
    let config = scene.with(&old);
    let (_tls, mut connection) = scene.connect(config).await.unwrap();
    scene.forge.trust(&[&next]);
    assert!(!scene.is_let_in(&old).await && scene.is_let_in(&new).await);
    let error = connection.read_u8().await.unwrap_err();
    assert_eq!(
        error.get_ref().unwrap().downcast_ref(),
        Some(&Refused::UnknownKey),
        "it vouches for nothing now"
    );
}

#[tokio::test]
async fn the_servers_certificate_is_renewed_and_whom_it_takes_stays() {
    let mut scene = Scene::new(Without::Refuse).await;
    let proof = scene.forge.billing.proof(&Leaf::default());
    let (next, key) = server();
    scene.port.replace_server(vec![next.clone()], key.der()).unwrap();
    assert!(!scene.is_let_in(&proof).await, "the client knows the former one alone");
    scene.root = next.clone();
    assert!(scene.is_let_in(&proof).await);
    scene.forge.cut("vendor:acme");
    assert!(!scene.is_let_in(&proof).await);
    let other_key = PrivateKey::generate().unwrap().der();
    assert!(matches!(scene.port.replace_server(vec![next.clone()], other_key), Err(Error::BadInput(_))));
    let (chain, roots) = (vec![next.clone()], vec![next]);
    let (without, protocols) = (Without::LetIn, Protocols::Both);
    let terms = Terms { chain, key: key.der(), roots, without, protocols };
    let refused = scene.port.replace(terms);
    assert!(matches!(refused, Err(Error::BadInput(_))), "no way around the verifier");
}
