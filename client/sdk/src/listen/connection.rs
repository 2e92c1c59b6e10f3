//! One connection of a relying party's port, and who is at its other end.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

#[cfg(feature = "verify")]
use crate::verifier::{Guarded, Refused, Standing, Verifier};

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Caller {
    /// From where.
    pub address: SocketAddr,
    /// The client certificate that was shown, whose key the caller holds. Only
    /// [`Without::LetIn`](super::Without::LetIn) lets it be missing.
    pub certificate: Option<CertificateDer<'static>>,
}

/// A connection after its handshake.
pub struct Connection {
    stream: Pin<Box<dyn Stream>>,
    caller: Caller,
    #[cfg(feature = "verify")]
    standing: Option<Standing>,
}

/// What is read from and written to: TLS by itself, or as long as a certificate is good.
trait Stream: AsyncRead + AsyncWrite + Send + Sync {}

impl<IO: AsyncRead + AsyncWrite + Send + Sync> Stream for IO {}

impl Connection {
    pub(super) fn new(stream: TlsStream<TcpStream>, address: SocketAddr) -> Self {
        let caller = Caller::at(&stream, address);
        Self {
            stream: Box::pin(stream),
            caller,
            #[cfg(feature = "verify")]
            standing: None,
        }
    }

    /// One that ends with its certificate; none if it is over already. Whoever showed none has nothing that could end.
    #[cfg(feature = "verify")]
    pub(super) fn guarded(
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
        verifier: &Verifier,
    ) -> Option<Self> {
        let caller = Caller::at(&stream, address);
        let Some(shown) = &caller.certificate else {
            return Some(Self::new(stream, address));
        };
        let standing =
            Standing::of(shown, verifier).ok().filter(|standing| standing.check_handshake().is_ok())?;
        let stream = Box::pin(Guarded::resting_on(stream, standing.clone()));
        Some(Self { stream, caller, standing: Some(standing) })
    }

    /// Is the certificate of this connection good, here and now? To be asked for each request, where no
    /// [`Gate`](crate::verifier::Gate) does. Where no certificate is shown, or no verifier was given, or
    /// one for several audiences, it is not.
    ///
    /// # Errors
    /// Why not.
    #[cfg(feature = "verify")]
    pub fn check(&self) -> Result<(), Refused> {
        self.standing.as_ref().ok_or(Refused::CertificateMissing)?.check()
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Caller {
    /// INVARIANT (the certificate that was seen): what is known of the caller is this connection's own handshake.
    fn at(stream: &TlsStream<TcpStream>, address: SocketAddr) -> Self {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        Self { address, certificate: shown.map(|certificate| certificate.clone().into_owned()) }
    }
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection(from {})", self.caller.address)
    }
}
