//! Checking credentials without asking: a verifier follows the broker's feed and judges by itself, request by request.

mod basis;
mod clock;
#[cfg(test)]
mod forge;
mod gate;
mod guarded;
mod tls;
mod vigil;

use std::{fmt, sync::Arc};

use daypass_credential::{Name, Scope};
use daypass_verifier::View;
pub use daypass_verifier::{Certificate, Refused, Token};
use tokio::sync::watch;

use crate::Error;
pub(crate) use clock::{Clock, SystemClock};
pub use gate::{Answering, Denied, Gate, Gated, Granted, GuardedBody, Need, Peer, PeerOf};
pub use guarded::Guarded;
#[cfg(feature = "listen")]
pub(crate) use guarded::Standing;
pub use tls::{ClientCertificates, server_config};

pub use crate::server_tls::Without;

/// Checks tokens and client certificates for some audiences, by what a broker pushes. Copies share it. Its checks never
/// wait, and refuse once nothing was heard for longer than the audience allows.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

/// What the copies share.
struct Inner {
    check: daypass_verifier::Verifier,
    clock: Arc<dyn Clock>,
    /// Moves when what was good may be good no more: with cuts, keys, horizon or era, and not with each proof of freshness.
    moved: watch::Sender<u64>,
}

impl Verifier {
    /// One that nothing feeds yet.
    pub(crate) fn new(
        audiences: impl IntoIterator<Item = Name>,
        options: &daypass_verifier::Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let check = daypass_verifier::Verifier::new(audiences, options);
        let check = check.map_err(|error| Error::BadInput(error.to_string()))?;
        Ok(Self { inner: Arc::new(Inner { check, clock, moved: watch::Sender::new(0) }) })
    }

    /// Puts a view in force. `moves` says whether what was good may be good no more.
    pub(crate) fn apply(&self, view: Arc<View>, moves: bool) {
        self.inner.check.apply(view);
        if moves {
            self.inner.moved.send_modify(|times| *times = times.wrapping_add(1));
        }
    }

    /// Is this token good, here and now? `shown` is the certificate of the connection that it came over, `wanted` what the
    /// request takes.
    ///
    /// # Errors
    /// Why not.
    pub fn check_token(
        &self,
        token: &str,
        shown: Option<&Certificate>,
        wanted: &[Scope],
    ) -> Result<Token, Refused> {
        self.inner.check.check_token(token, shown, wanted, self.inner.clock.moment())
    }

    /// Is a token that was good before still good?
    ///
    /// # Errors
    /// Why not.
    pub fn check_token_again(
        &self,
        token: &Token,
        shown: Option<&Certificate>,
        wanted: &[Scope],
    ) -> Result<(), Refused> {
        self.inner.check.check_token_again(token, shown, wanted, self.inner.clock.moment())
    }

    /// What a client certificate says, whose key the connection's handshake proved. This is no verdict.
    ///
    /// # Errors
    /// Why it is none of the broker's.
    pub fn read_certificate(&self, der: &[u8]) -> Result<Certificate, Refused> {
        self.inner.check.read_certificate(der)
    }

    /// Is this client certificate good, here and now? To be asked for each request, not only once a connection.
    ///
    /// # Errors
    /// Why not.
    pub fn check_certificate(&self, certificate: &Certificate) -> Result<(), Refused> {
        self.inner.check.check_certificate(certificate, self.inner.clock.moment())
    }

    /// Moves when what was good may be good no more; whoever keeps something open by an earlier verdict asks again then.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.inner.moved.subscribe()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}
