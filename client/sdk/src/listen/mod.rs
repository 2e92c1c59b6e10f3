//! For relying parties: a TCP port that speaks TLS 1.3 with client certificates of one audience, and hands every
//! connection on together with the certificate that was shown on it.
//!
//! - With axum: `axum::serve(listener, app.into_make_service_with_connect_info::<Caller>())`, and a handler takes
//!   `ConnectInfo<Caller>`.
//! - With tonic: `Server::builder()…serve_with_incoming(listener.incoming())`, and a request's extensions hold a
//!   [`Caller`].
//! - With anything else: [`Listener::accept`].
//!
//! The handshake shows that the caller holds the key of a certificate which the audience's CA signed, and nothing else:
//! whether the credential is good is to be asked with every request ([`Introspector`](crate::Introspector)), with the
//! certificate from here.
//!
//! INVARIANT (no resumption): a resumed handshake would skip the certificate, so there is none.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig, crypto,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};

use crate::Error;

mod connection;

pub use connection::{Caller, Connection};

/// What a port shows and whom it lets in.
#[derive(Debug)]
pub struct Terms {
    /// The server's own certificate, then those above it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The CA certificates of the audience ([`TrustBundle`](crate::TrustBundle)), and nobody else's.
    pub roots: Vec<CertificateDer<'static>>,
    /// What to do with callers without a certificate.
    pub without: Without,
    /// What is spoken after the handshake.
    pub protocols: Protocols,
}

/// What is spoken after the handshake. It is offered to callers (ALPN), so it has to be what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocols {
    /// HTTP/2 or HTTP/1.1, as the caller likes: `axum::serve`.
    #[default]
    Both,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: tonic.
    Http2,
}

impl Protocols {
    fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Both => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// What to do with callers who show no certificate. One of somebody else's is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    /// They are refused.
    #[default]
    Refuse,
    /// They are let in, for what needs none: a health check, or tokens that are not bound.
    LetIn,
}

/// A port that is listening. It closes when this is dropped, and connections that it handed on stay open.
pub struct Listener {
    connections: mpsc::Receiver<Connection>,
    address: SocketAddr,
    port: Port,
    _accepting: Accepting,
}

/// Changes the terms of a port that is listening.
#[derive(Clone)]
pub struct Port(Arc<RwLock<Arc<ServerConfig>>>);

struct Accepting(JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Accepts connections on these terms. Handshakes run beside each other: one that stalls is given up after five
    /// seconds, or sooner if 256 are under way, and keeps nobody waiting.
    ///
    /// # Errors
    /// [`Error::BadInput`] if a root cannot be read, none is given, or certificate and key do not fit together.
    pub fn new(listener: TcpListener, terms: Terms) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(|_| Error::Unable("tell where it listens"))?;
        let port = Port(Arc::new(RwLock::new(Arc::new(config(terms)?))));
        let (send, connections) = mpsc::channel(WAITING);
        let _accepting = Accepting(tokio::spawn(accept(listener, port.clone(), send)));
        Ok(Self { connections, address, port, _accepting })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// To change its terms later.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port.clone()
    }

    /// The next connection; none once the port is closed.
    pub async fn accept(&mut self) -> Option<Connection> {
        self.connections.recv().await
    }

    /// All connections, as tonic wants them.
    pub fn incoming(self) -> impl Stream<Item = io::Result<Connection>> + Send + Unpin + 'static {
        let Self { connections, _accepting, .. } = self;
        ReceiverStream::new(connections).map(move |connection| {
            // The port is open for as long as somebody takes connections.
            let _open = &_accepting;
            Ok(connection)
        })
    }
}

impl Port {
    /// New connections are accepted on these terms: after a renewal of the server's certificate, or when the audience
    /// has another CA. Those that are open stay as they are.
    ///
    /// # Errors
    /// [`Error::BadInput`] as with [`Listener::new`]; then nothing changes.
    pub fn replace(&self, terms: Terms) -> Result<(), Error> {
        let next = Arc::new(config(terms)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn config(terms: Terms) -> Result<ServerConfig, Error> {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Error::Unable("speak TLS 1.3"))?
        .with_client_cert_verifier(clients(&terms.roots, terms.without)?)
        .with_single_cert(terms.chain, terms.key)
        .map_err(|_| Error::BadInput("the server's certificate and its key do not fit together".into()))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = terms.protocols.alpn();
    Ok(config)
}

fn clients(
    roots: &[CertificateDer<'static>],
    without: Without,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut trusted = RootCertStore::empty();
    for root in roots {
        let unreadable = |_| Error::BadInput("a CA certificate of the audience cannot be read".into());
        trusted.add(root.clone()).map_err(unreadable)?;
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider);
    let verifier = match without {
        Without::Refuse => verifier,
        Without::LetIn => verifier.allow_unauthenticated(),
    };
    verifier.build().map_err(|_| Error::BadInput("no CA certificate of the audience is given".into()))
}

async fn accept(listener: TcpListener, port: Port, send: mpsc::Sender<Connection>) {
    let mut under_way: VecDeque<AbortHandle> = VecDeque::with_capacity(HANDSHAKES);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = send.closed() => return,
        };
        let Ok((socket, address)) = accepted else {
            // Out of descriptors, or a connection that was gone at once: neither ends the port.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if under_way.len() >= HANDSHAKES {
            under_way.retain(|handshake| !handshake.is_finished());
        }
        if under_way.len() >= HANDSHAKES
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.abort();
        }
        let (acceptor, send) = (port.acceptor(), send.clone());
        let handshake = tokio::spawn(async move {
            if let Some(connection) = handshake(socket, address, acceptor).await {
                // Nobody to take it means that the port is closed.
                let _closed = send.send(connection).await;
            }
        });
        under_way.push_back(handshake.abort_handle());
    }
}

async fn handshake(socket: TcpStream, address: SocketAddr, acceptor: TlsAcceptor) -> Option<Connection> {
    let _best_effort = socket.set_nodelay(true);
    let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await.ok()?.ok()?;
    Some(Connection::new(stream, address))
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many may be under way at once; one more, and the oldest is let go. An honest one takes milliseconds.
const HANDSHAKES: usize = 256;
/// How many connections may wait to be taken.
const WAITING: usize = 64;
/// How long to wait after an accept that failed.
const PAUSE: Duration = Duration::from_millis(50);

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => {
                let address = connection.caller().address;
                (connection, address)
            }
            // The task that accepts ends with this value, never before.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, Listener>> for Caller {
    fn connect_info(stream: axum::serve::IncomingStream<'_, Listener>) -> Self {
        stream.io().caller().clone()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port(…)")
    }
}

#[cfg(test)]
mod tests;
