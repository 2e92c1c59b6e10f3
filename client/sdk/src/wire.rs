//! From the wire into the types of the domain: parsed once, here, and refused if they do not fit.

use std::time::Duration;

use bytes::Bytes;
use daypass_credential::{NodeId, Revision, Timestamp, Ttl};
use daypass_proto::v1;
use rustls_pki_types::CertificateDer;

use crate::Error;

/// A certificate that was minted, as the broker told of it.
pub(crate) struct Minted {
    pub(crate) leaf: CertificateDer<'static>,
    pub(crate) issuer: CertificateDer<'static>,
    pub(crate) revision: Revision,
    pub(crate) expires_at: Timestamp,
    pub(crate) bound_by: String,
}

pub(crate) fn minted(certificate: Option<v1::Certificate>) -> Result<Minted, Error> {
    let certificate = certificate.ok_or(Error::BadAnswer("the certificate is missing"))?;
    Ok(Minted {
        leaf: self::certificate(&certificate.der)?,
        issuer: self::certificate(&certificate.issuer)?,
        revision: Revision::new(certificate.revision),
        expires_at: instant(certificate.expires_at)?,
        bound_by: certificate.bound_by,
    })
}

pub(crate) fn certificate(der: &Bytes) -> Result<CertificateDer<'static>, Error> {
    if der.is_empty() {
        return Err(Error::BadAnswer("a certificate is empty"));
    }
    Ok(CertificateDer::from(der.to_vec()))
}

pub(crate) fn instant(timestamp: Option<prost_types::Timestamp>) -> Result<Timestamp, Error> {
    let unusable = Error::BadAnswer("an instant is missing or cannot be");
    let Some(timestamp) = timestamp else {
        return Err(unusable);
    };
    let (Ok(secs), Ok(nanos)) = (u64::try_from(timestamp.seconds), u32::try_from(timestamp.nanos)) else {
        return Err(unusable);
    };
    u64::try_from(Duration::new(secs, nanos).as_millis()).map(Timestamp::from_millis).map_err(|_| unusable)
}

/// The other way round.
pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    prost_types::Timestamp {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or_default(),
    }
}

pub(crate) fn node(text: &str) -> Result<NodeId, Error> {
    text.parse().map_err(|_| Error::BadAnswer("an id cannot be read"))
}

/// As the requests want it: 0 leaves it to the rules.
pub(crate) fn seconds(ttl: Option<Ttl>) -> u32 {
    ttl.map_or(0, Ttl::as_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_that_cannot_be_are_refused() {
        let of = |seconds, nanos| instant(Some(prost_types::Timestamp { seconds, nanos })).ok();
        assert_eq!(of(1, 999_999_999), Some(Timestamp::from_millis(1999)));
        assert_eq!(of(-1, 0), None);
        assert_eq!(of(0, -1), None);
        assert_eq!(of(i64::MAX, i32::MAX), None);
        assert!(instant(None).is_err());
    }
    #[test]
    fn an_instant_keeps_its_milliseconds() {
        let at = timestamp(Timestamp::from_millis(1_700_000_000_123));
        assert_eq!((at.seconds, at.nanos), (1_700_000_000, 123_000_000));
    }
}
