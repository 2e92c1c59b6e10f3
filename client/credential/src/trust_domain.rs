//! The trust domain: how certificates call those that they are for, as SPIFFE ids.

use std::{fmt, str::FromStr};

use crate::{NodeId, stamp::is_subject};

/// The trust domain of a broker, as in `spiffe://TRUST-DOMAIN/application/sync` (SPIFFE ID, section 2.1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain(Box<str>);

/// A text that is no [`TrustDomain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a trust domain: use 1 to 56 of a-z, 0-9, `.`, `_`, `-`")]
pub struct TrustDomainError(String);

impl TrustDomain {
    /// The longest, in bytes. SPIFFE allows 255; this fits the 64 that X.520 leaves a common name.
    pub const MAX: usize = 56;

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SPIFFE id of the domain itself, which its CAs carry.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("spiffe://{self}")
    }

    /// The SPIFFE id of a subject.
    #[must_use]
    pub fn uri_of(&self, subject: &NodeId) -> String {
        format!("spiffe://{self}/{}/{}", subject.kind, subject.name)
    }

    /// The subject that a SPIFFE id of this domain names; only what [`Self::uri_of`] writes reads back.
    #[must_use]
    pub fn subject(&self, uri: &str) -> Option<NodeId> {
        let path = uri.strip_prefix("spiffe://")?.strip_prefix(self.as_str())?;
        let (kind, name) = path.strip_prefix('/')?.split_once('/')?;
        let subject = NodeId::new(kind.parse().ok()?, name.parse().ok()?);
        is_subject(subject.kind).then_some(subject)
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainError;

    fn from_str(text: &str) -> Result<Self, TrustDomainError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            let shown = text.chars().take(80).flat_map(char::escape_default);
            Err(TrustDomainError(shown.collect()))
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_from_its_spiffe_id_and_nothing_else_does() {
        let domain: TrustDomain = "daypass.example".parse().unwrap();
        let subject: NodeId = "application:sync".parse().unwrap();
        let uri = domain.uri_of(&subject);
        assert_eq!(uri, "spiffe://daypass.example/application/sync");
        assert_eq!(domain.subject(&uri), Some(subject));
        for bad in [
            "spiffe://daypass.example",
            "spiffe://daypass.example/",
            "spiffe://daypass.example/application",
            "spiffe://daypass.example/application/sync/",
            "spiffe://daypass.example/vendor/acme",
            "spiffe://daypass.example/audience/billing",
            "spiffe://daypass.example.evil/application/sync",
            "spiffe://other.example/application/sync",
            "SPIFFE://daypass.example/application/sync",
            "spiffe://daypass.example/application/SYNC",
            "spiffe://daypass.example//application/sync",
            "https://daypass.example/application/sync",
        ] {
            assert_eq!(domain.subject(bad), None, "`{bad}`");
        }
    }

    #[test]
    fn what_is_no_trust_domain_is_refused() {
        assert!("x".repeat(56).parse::<TrustDomain>().is_ok());
        for bad in ["", "A.example", "a b", "a/b", "a:1", "ä", &"x".repeat(57)] {
            assert!(bad.parse::<TrustDomain>().is_err(), "`{bad}`");
        }
    }
}
