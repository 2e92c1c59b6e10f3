//! The one port: accepts connections, does the handshake beside the accept loop, reads who is at the other end.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::{
    broker::Broker,
    grpc::{End, Peer},
};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many handshakes may be under way at once; one more, and the oldest is let go. An honest one takes
/// milliseconds, so that mute connections cannot keep the port shut.
const HANDSHAKES: usize = 256;
/// Of all places for connections, one in so many may be taken by those who show no certificate of ours.
const STRANGERS: usize = 8;

/// One connection after its handshake.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    end: Arc<End>,
}

/// What every connection needs.
struct Port {
    acceptor: TlsAcceptor,
    broker: Arc<Broker>,
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    send: mpsc::Sender<io::Result<Connection>>,
}

/// Accepts connections until nobody takes them any more. Beyond the most at once, a connection is closed after its
/// handshake.
pub(crate) fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    broker: Arc<Broker>,
    most: usize,
) -> mpsc::Receiver<io::Result<Connection>> {
    let (send, receive) = mpsc::channel(64);
    let (known, strangers) =
        (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new((most / STRANGERS).max(1))));
    let port = Arc::new(Port { acceptor, broker, known, strangers, send });
    tokio::spawn(accept(listener, port));
    receive
}

async fn accept(listener: TcpListener, port: Arc<Port>) {
    let mut under_way: VecDeque<JoinHandle<()>> = VecDeque::with_capacity(HANDSHAKES);
    loop {
        let (socket, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or a connection that was gone at once: neither ends the listener.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = port.send.closed() => return,
        };
        if under_way.len() >= HANDSHAKES {
            under_way.retain(|handshake| !handshake.is_finished());
        }
        if under_way.len() >= HANDSHAKES
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.abort();
        }
        let port = port.clone();
        under_way.push_back(tokio::spawn(async move {
            if let Some(connection) = handshake(socket, address, &port).await {
                // Nobody to take it means that the broker is going down.
                let _gone = port.send.send(Ok(connection)).await;
            }
        }));
    }
}

async fn handshake(socket: TcpStream, address: SocketAddr, port: &Port) -> Option<Connection> {
    let _best_effort = socket.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, port.acceptor.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!(%address, "handshake took too long");
            return None;
        }
    };
    let peer = peer(&stream, &port.broker);
    let places = if matches!(peer, Peer::Known(_)) { &port.known } else { &port.strangers };
    let Ok(place) = places.clone().try_acquire_owned() else {
        tracing::warn!(%address, "no place for another connection");
        return None;
    };
    Some(Connection { stream, end: Arc::new(End { peer, address: address.ip(), _place: place }) })
}

/// Whose certificate was shown.
fn peer(stream: &TlsStream<TcpStream>, broker: &Broker) -> Peer {
    let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else {
        return Peer::Nobody;
    };
    match broker.keys.now().ring().read_identity_certificate(certificate) {
        Ok(shown) => Peer::Known(Arc::new(shown)),
        Err(error) => Peer::Refused(Arc::new(error)),
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<End>;

    fn connect_info(&self) -> Arc<End> {
        self.end.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
