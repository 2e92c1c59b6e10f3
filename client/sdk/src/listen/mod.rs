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
//! whether the credential is good is to be asked with every request, with the certificate from here. Who follows the
//! broker's feed listens with `Listener::verified` and puts a `Gate` (feature `verify`) before the service; who cannot
//! follow listens with [`Listener::new`] and asks an [`Introspector`](crate::Introspector).

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig, crypto,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};

#[cfg(feature = "verify")]
use crate::verifier::Verifier;
use crate::{Error, server_tls};

mod connection;
#[cfg(feature = "verify")]
mod peer;

pub use connection::{Caller, Connection};
#[cfg(feature = "verify")]
pub use peer::peer;
pub use server_tls::Without;

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

/// A port that is listening. It closes when this is dropped, and connections that it handed on stay open.
pub struct Listener {
    connections: mpsc::Receiver<Connection>,
    address: SocketAddr,
    port: Port,
    _accepting: Accepting,
}

/// Changes the terms of a port that is listening.
#[derive(Clone)]
pub struct Port(Arc<RwLock<Arc<InForce>>>);

/// The terms in force, ready for handshakes.
struct InForce {
    config: Arc<ServerConfig>,
    clients: Clients,
    protocols: Protocols,
}

/// Who says which client certificates are good.
#[derive(Clone)]
enum Clients {
    /// CAs that were given once.
    Roots(Arc<dyn ClientCertVerifier>),
    /// A verifier, at the handshake and for as long as the connection is open.
    #[cfg(feature = "verify")]
    Verified(Verifier, Without),
}

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
        Self::on(listener, InForce::of(terms)?)
    }

    /// Accepts connections whose client certificates this verifier finds good, of any audience that it was made for, by the CAs that are in use at the moment,
    /// and closes each when its certificate is cut or expires. While the verifier is cut off for too long nobody new is
    /// let in; connections that are open stay, and each request over them is refused by itself
    /// ([`Gate`](crate::verifier::Gate), [`Connection::check`]).
    ///
    /// # Errors
    /// [`Error::BadInput`] if certificate and key do not fit together.
    #[cfg(feature = "verify")]
    pub fn verified(
        listener: TcpListener,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        verifier: &Verifier,
        protocols: Protocols,
        without: Without,
    ) -> Result<Self, Error> {
        let clients = Clients::Verified(verifier.clone(), without);
        Self::on(listener, InForce::new(chain, key, clients, protocols)?)
    }

    fn on(listener: TcpListener, terms: InForce) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(|_| Error::Unable("tell where it listens"))?;
        let port = Port(Arc::new(RwLock::new(Arc::new(terms))));
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
    /// [`Error::BadInput`] as with [`Listener::new`], and if a verifier says whom this port takes: then
    /// [`Port::replace_server`] is meant. Nothing changes then.
    pub fn replace(&self, terms: Terms) -> Result<(), Error> {
        match &self.in_force().clients {
            Clients::Roots(_) => {}
            #[cfg(feature = "verify")]
            Clients::Verified(..) => {
                return Err(Error::BadInput("the CAs of this port are those of its verifier".into()));
            }
        }
        self.put(InForce::of(terms)?);
        Ok(())
    }

    /// New connections are shown this certificate of the server's; whom the port takes stays as it is.
    ///
    /// # Errors
    /// [`Error::BadInput`] if certificate and key do not fit together; then nothing changes.
    pub fn replace_server(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), Error> {
        let now = self.in_force();
        self.put(InForce::new(chain, key, now.clients.clone(), now.protocols)?);
        Ok(())
    }

    fn put(&self, terms: InForce) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InForce {
    fn of(terms: Terms) -> Result<Self, Error> {
        let Terms { chain, key, roots, without, protocols } = terms;
        Self::new(chain, key, Clients::Roots(clients(&roots, without)?), protocols)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        clients: Clients,
        protocols: Protocols,
    ) -> Result<Self, Error> {
        let mut config = match &clients {
            Clients::Roots(roots) => server_tls::config(Arc::clone(roots), chain, key)?,
            #[cfg(feature = "verify")]
            Clients::Verified(verifier, without) => {
                crate::verifier::server_config(chain, key, verifier, *without)?
            }
        };
        config.alpn_protocols = protocols.alpn();
        Ok(Self { config: Arc::new(config), clients, protocols })
    }

    async fn handshake(&self, socket: TcpStream, address: SocketAddr) -> Option<Connection> {
        let _best_effort = socket.set_nodelay(true);
        let accept = TlsAcceptor::from(Arc::clone(&self.config)).accept(socket);
        let stream = tokio::time::timeout(HANDSHAKE, accept).await.ok()?.ok()?;
        match &self.clients {
            Clients::Roots(_) => Some(Connection::new(stream, address)),
            #[cfg(feature = "verify")]
            Clients::Verified(verifier, _) => Connection::guarded(stream, address, verifier),
        }
    }
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
        let (terms, send) = (port.in_force(), send.clone());
        let handshake = tokio::spawn(async move {
            if let Some(connection) = terms.handshake(socket, address).await {
                // Nobody to take it means that the port is closed.
                let _closed = send.send(connection).await;
            }
        });
        under_way.push_back(handshake.abort_handle());
    }
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
