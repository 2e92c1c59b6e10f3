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

use daypass_credential::Name;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
    time::Sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::{
    broker::Broker,
    grpc::{Counted, Peer, Remote, Tally, VENDORS_PART, Who},
};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How many handshakes may be under way at once; one more, and the oldest is let go. An honest one takes
/// milliseconds, so that mute connections cannot keep the port shut.
const HANDSHAKES: usize = 256;
/// How long a connection may be open before its first bytes come: HTTP/2 clients speak at once, and what has spoken
/// is kept honest by the keep-alive.
const FIRST_BYTES: Duration = Duration::from_secs(5);
/// Strangers, persons and verifiers have places of their own, each this part of those for applications.
const PART: usize = 8;
/// How many connections of one identity may be open at once.
const PER_IDENTITY: usize = 64;
/// How many connections without a certificate of ours may be open at once from one address.
const PER_ADDRESS: usize = 32;

/// One connection after its handshake.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    remote: Arc<Remote>,
    /// Runs out unless bytes come before; gone once they did.
    first_bytes: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// What one connection holds while it is open.
struct Place {
    _counted: Counted,
    _vendor: Option<Counted<Name>>,
    _kind: OwnedSemaphorePermit,
}

/// What every connection needs.
struct Port {
    acceptor: TlsAcceptor,
    broker: Arc<Broker>,
    tally: Tally,
    vendors: Tally<Name>,
    most_of_vendor: usize,
    kinds: [Arc<Semaphore>; Who::KINDS],
    send: mpsc::Sender<io::Result<Connection>>,
}

impl Port {
    /// A place for a connection, if there is one: nobody takes another kind's, nor all of their own.
    fn place(&self, who: Who) -> Option<Place> {
        let kind = self.kinds.get(who.kind())?.clone();
        let most = match &who {
            Who::Identity(..) | Who::Partner(..) => PER_IDENTITY,
            Who::Stranger(_) => PER_ADDRESS,
        };
        let vendor = match who.vendor() {
            Some(vendor) => Some(self.vendors.count(vendor.clone(), self.most_of_vendor)?),
            None => None,
        };
        let counted = self.tally.count(who, most)?;
        Some(Place { _counted: counted, _vendor: vendor, _kind: kind.try_acquire_owned().ok()? })
    }
}

/// Accepts connections until nobody takes them any more. One for which there is no place is closed after its
/// handshake. `most` is how many applications may have open.
pub(crate) fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    broker: Arc<Broker>,
    most: usize,
) -> mpsc::Receiver<io::Result<Connection>> {
    let (send, receive) = mpsc::channel(64);
    let part = (most / PART).max(1);
    // In the order of `Who::kind`: strangers, persons, verifiers, applications.
    let kinds = [part, part, part, most].map(|places| Arc::new(Semaphore::new(places)));
    let (tally, vendors, most_of_vendor) = (Tally::default(), Tally::default(), most.div_ceil(VENDORS_PART));
    let port = Arc::new(Port { acceptor, broker, tally, vendors, most_of_vendor, kinds, send });
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
    let remote = Remote { peer: peer(&stream, &port.broker), address: address.ip() };
    let Some(place) = port.place(remote.who()) else {
        tracing::warn!(%address, "no place for another connection");
        return None;
    };
    let first_bytes = Some(Box::pin(tokio::time::sleep(FIRST_BYTES)));
    Some(Connection { stream, remote: Arc::new(remote), first_bytes, _place: place })
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
    type ConnectInfo = Arc<Remote>;

    fn connect_info(&self) -> Arc<Remote> {
        self.remote.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.first_bytes = None;
        }
        if read.is_pending()
            && let Some(late) = &mut this.first_bytes
            && late.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
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
