//! The decision on a request, by its head alone: which certificate its connection showed, which token it brings, what it
//! needs, and what the verifier says to that.

use std::sync::Arc;

use daypass_credential::Scope;
use http::{HeaderMap, header::AUTHORIZATION, request::Parts};

use super::{Basis, Certificate, Denied, Granted, Need, Peer, Terms};

impl Terms {
    /// Is this request let in?
    pub(super) fn admit(&self, parts: &Parts) -> Result<Granted, Denied> {
        let certificate = self.certificate((self.peer)(&parts.extensions))?;
        let basis = match (self.needs)(parts).ok_or(Denied::NoRule)? {
            Need::Certificate if certificate.is_none() => return Err(Denied::NoCertificate),
            Need::Certificate => self.basis(certificate),
            Need::Token(wanted) => self.token(bearer(&parts.headers)?, certificate, wanted)?,
        };
        Ok(Granted { basis: Arc::new(basis) })
    }

    /// INVARIANT (the certificate that was seen): the one of this connection, not one that the request names. One that is
    /// not good lets nobody in, whatever comes with it.
    fn certificate(&self, peer: Peer<'_>) -> Result<Option<Certificate>, Denied> {
        let der = match peer {
            Peer::Unknown => return Err(Denied::NoConnection),
            Peer::Bare => return Ok(None),
            Peer::Shown(der) => der,
        };
        let good = |certificate| self.verifier.check_certificate(&certificate).map(|()| certificate);
        let checked = self.verifier.read_certificate(der).and_then(good);
        checked.map(Some).map_err(Denied::Certificate)
    }

    fn token(
        &self,
        token: &str,
        certificate: Option<Certificate>,
        wanted: Arc<[Scope]>,
    ) -> Result<Basis, Denied> {
        let checked = self.verifier.check_token(token, certificate.as_ref(), &wanted);
        let token = checked.map_err(Denied::Token)?;
        // Reading the token took a while, and one that is bound to nothing says nothing of the certificate.
        let still = self.verifier.inner.still(None, certificate.as_ref(), &[]);
        still.map_err(Denied::Certificate)?;
        Ok(Basis { token: Some(token), wanted, ..self.basis(certificate) })
    }

    fn basis(&self, certificate: Option<Certificate>) -> Basis {
        Basis { verifier: self.verifier.clone(), token: None, certificate, wanted: Arc::default() }
    }
}

/// The token of a request (RFC 6750, section 2.1): in one header, and nowhere else.
fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(Denied::NoToken),
        (Some(value), None) => value.to_str().map_err(|_| Denied::Unreadable)?,
        // Whoever stands between could have read the other one.
        (Some(_), Some(_)) => return Err(Denied::Unreadable),
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::NoToken);
    }
    let token = token.trim_start_matches(' ');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(allowed) { Err(Denied::Unreadable) } else { Ok(token) }
}
