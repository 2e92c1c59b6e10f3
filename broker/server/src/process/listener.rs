//! The one port: accepts connections, does the handshake beside the accept loop, reads who is at the other end.

use std::{
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
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::{broker::Broker, grpc::Peer};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes may be under way at once.
const HANDSHAKES: usize = 256;

/// One connection after its handshake.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    /// Its place among all connections.
    _place: OwnedSemaphorePermit,
}

/// Accepts connections until nobody takes them any more.
pub(crate) fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    broker: Arc<Broker>,
    most: usize,
) -> mpsc::Receiver<io::Result<Connection>> {
    let (send, receive) = mpsc::channel(64);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(most));
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            // Beyond the most, connections wait in the kernel's queue, where they cost nothing.
            let (Ok(place), Ok(busy)) = (
                places.clone().acquire_owned().await,
                handshakes.clone().acquire_owned().await,
            ) else {
                return;
            };
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
                () = send.closed() => return,
            };
            let (acceptor, broker, send) = (acceptor.clone(), broker.clone(), send.clone());
            tokio::spawn(async move {
                let connection = handshake(socket, address, &acceptor, &broker, place).await;
                drop(busy);
                if let Some(connection) = connection {
                    // Nobody to take it means that the broker is going down.
                    let _gone = send.send(Ok(connection)).await;
                }
            });
        }
    });
    receive
}

async fn handshake(
    socket: TcpStream,
    address: SocketAddr,
    acceptor: &TlsAcceptor,
    broker: &Broker,
    place: OwnedSemaphorePermit,
) -> Option<Connection> {
    let _best_effort = socket.set_nodelay(true);
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => {
            let peer = peer(&stream, broker);
            Some(Connection {
                stream,
                peer,
                _place: place,
            })
        }
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%address, "handshake took too long");
            None
        }
    }
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
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
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
