//! A connection that rests on a client certificate, and ends with it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

use super::{
    Certificate, Refused, Verifier,
    basis::until,
    vigil::{Vigil, Watched},
};

/// Reads and writes until the certificate is cut or expires: then whoever waits is woken, both fail with
/// `PermissionDenied` (the [`Refused`] is inside), and the stream below is shut down.
///
/// A verifier that is cut off for too long refuses what comes over the connection ([`Guarded::check`]), and does not end
/// it: it may be good again in a moment.
pub struct Guarded<IO> {
    io: IO,
    standing: Standing,
    // Reading and writing may wait in two tasks.
    reading: Vigil<Standing>,
    writing: Vigil<Standing>,
}

/// The certificate of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    verifier: Verifier,
    certificate: Certificate,
}

impl Standing {
    /// Of a certificate whose key the handshake proved.
    pub(crate) fn of(der: &[u8], verifier: &Verifier) -> Result<Self, Refused> {
        let certificate = verifier.read_certificate(der)?;
        Ok(Self { verifier: verifier.clone(), certificate })
    }

    /// Is it good enough for a handshake?
    #[cfg(feature = "listen")]
    pub(crate) fn check_handshake(&self) -> Result<(), Refused> {
        self.verifier.check_handshake(&self.certificate)
    }

    /// Is it good for a request, here and now?
    pub(crate) fn check(&self) -> Result<(), Refused> {
        self.verifier.check_certificate(&self.certificate)
    }
}

impl Watched for Standing {
    fn judge(&self) -> Result<(), Refused> {
        match self.verifier.inner.still(None, Some(&self.certificate), &[]) {
            // Whoever is stale or knows nothing yet cannot say that it is over.
            Err(refused) if refused.is_own_state() => Ok(()),
            checked => checked,
        }
    }

    fn lasts(&self) -> u64 {
        until(self.certificate.expires(), self.verifier.inner.clock.moment().wall)
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.verifier.moved()
    }
}

impl<IO> Guarded<IO> {
    /// Guards a connection whose handshake proved the key of this certificate (DER), which is judged here once more.
    ///
    /// # Errors
    /// Why the certificate is not good.
    pub fn new(io: IO, der: &[u8], verifier: &Verifier) -> Result<Self, Refused> {
        let standing = Standing::of(der, verifier)?;
        standing.check()?;
        Ok(Self::resting_on(io, standing))
    }

    pub(crate) fn resting_on(io: IO, standing: Standing) -> Self {
        let (reading, writing) = (Vigil::over(standing.clone()), Vigil::over(standing.clone()));
        Self { io, standing, reading, writing }
    }

    /// Is the certificate good, here and now? To be asked for each request, before anything is done for it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Refused> {
        self.standing.check()
    }

    /// The certificate that it rests on.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.standing.certificate
    }

    /// What is guarded.
    #[must_use]
    pub const fn io(&self) -> &IO {
        &self.io
    }
}

impl<IO: AsyncWrite + Unpin> Guarded<IO> {
    /// Shuts the stream below, as far as that goes without waiting: whoever owns it hears the error and drops it.
    fn end(&mut self, refused: Refused, cx: &mut Context<'_>) -> io::Error {
        let _best_effort = Pin::new(&mut self.io).poll_shutdown(cx);
        io::Error::new(io::ErrorKind::PermissionDenied, refused)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Asked first: nothing that comes after the end is handed on.
        if let Poll::Ready(refused) = self.reading.poll_over(cx) {
            return Poll::Ready(Err(self.end(refused, cx)));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(refused) = self.writing.poll_over(cx) {
            return Poll::Ready(Err(self.end(refused, cx)));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(refused) = self.writing.poll_over(cx) {
            return Poll::Ready(Err(self.end(refused, cx)));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(refused) = self.writing.poll_over(cx) {
            return Poll::Ready(Err(self.end(refused, cx)));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<IO> fmt::Debug for Guarded<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded(…)")
    }
}

#[cfg(test)]
mod tests;
