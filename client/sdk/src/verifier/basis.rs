//! What something that is open rests on: the credential that let it in. Whether that is still good is asked anew each time.

use std::sync::Arc;

use daypass_credential::{Scope, Timestamp};
use tokio::sync::watch;

use super::{Certificate, Refused, Token, Verifier, vigil::Watched};

/// The credential that a request, a stream or a connection rests on.
#[derive(Debug, Clone)]
pub(super) struct Basis {
    pub(super) verifier: Verifier,
    pub(super) token: Option<Token>,
    /// The certificate of the connection.
    pub(super) certificate: Option<Certificate>,
    /// What the request takes of the token.
    pub(super) wanted: Arc<[Scope]>,
}

impl Watched for Basis {
    fn judge(&self) -> Result<(), Refused> {
        self.verifier.inner.still(self.token.as_ref(), self.certificate.as_ref(), &self.wanted)
    }

    fn lasts(&self) -> u64 {
        let now = self.verifier.inner.clock.moment();
        let fresh = |audience| self.verifier.inner.check.fresh_for(audience, now);
        let token = self.token.as_ref().map(|token| (token.rests().exp, token.audience()));
        let certificate = self.certificate.as_ref().map(|shown| (shown.expires(), shown.audience()));
        let both = [token, certificate].into_iter().flatten();
        both.map(|(expires, audience)| until(expires, now.wall).min(fresh(audience))).min().unwrap_or(0)
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.verifier.moved()
    }
}

/// Milliseconds from now until then.
pub(super) const fn until(then: Timestamp, now: Timestamp) -> u64 {
    then.as_millis().saturating_sub(now.as_millis())
}
