//! Client and identity certificates: what one of ours says, from what was recorded and back again. A certificate is
//! read by deriving from its few free parts all that it has to say, and checking that it says exactly that.

use daypass_core::{event::CertificateRecord, mint::Shown};
use daypass_credential::{
    Digest, Era, Lineage, Name, NodeId, Revision, Timestamp,
    stamp::{self, identity_of},
};
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

use crate::{
    authority::{Authority, Leaf},
    check::{AltName, Mismatch, Role, check_parsed, validity},
    csr::Csr,
    extensions::Extensions,
    key_ring::{KeyRing, SignError},
};

/// The longest certificate that is read.
const MAX: usize = 16 * 1024;

/// Why a certificate is not taken for what it is shown as. Whether it has expired or is dead is not judged here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate.
    #[error("not a certificate")]
    NotACertificate,
    /// No CA of ours that is still in use signed it.
    #[error("no CA of this broker signed this certificate")]
    NotOurs,
    /// A client certificate where an identity certificate is due.
    #[error("this is a client certificate for audience `{audience}`: show the identity certificate instead")]
    ClientCertificate {
        /// For which audience it is.
        audience: Name,
    },
    /// An identity certificate where a client certificate is due.
    #[error("this is an identity certificate: show a client certificate instead")]
    IdentityCertificate,
    /// The broker's own server certificate.
    #[error("this is the certificate of the broker's own server")]
    ServerCertificate,
    /// Signed by a CA of ours, but not what it signs.
    #[error("the certificate is not what this broker issues")]
    Malformed(#[from] Mismatch),
    /// Its lineage does not name its subject, its identity and its audience, each once.
    #[error("the lineage of the certificate contradicts the rest of it")]
    Lineage,
}

impl KeyRing {
    /// Reads the identity certificate that a caller showed.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn read_identity_certificate(&self, der: &[u8]) -> Result<Shown, CertificateError> {
        let shown = self.read_certificate(der)?;
        match shown.audience {
            None => Ok(shown),
            Some(audience) => Err(CertificateError::ClientCertificate { audience }),
        }
    }

    /// Reads a client certificate, for whatever audience it is.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn read_client_certificate(&self, der: &[u8]) -> Result<Shown, CertificateError> {
        let shown = self.read_certificate(der)?;
        if shown.audience.is_none() {
            return Err(CertificateError::IdentityCertificate);
        }
        Ok(shown)
    }

    /// Which CA signed it tells for what it is; nothing is believed before that signature is verified.
    fn read_certificate(&self, der: &[u8]) -> Result<Shown, CertificateError> {
        if der.len() > MAX {
            return Err(CertificateError::NotACertificate);
        }
        let parsed = X509Certificate::from_der(der);
        let (rest, certificate) = parsed.map_err(|_| CertificateError::NotACertificate)?;
        if !rest.is_empty() {
            return Err(CertificateError::NotACertificate);
        }
        let seen = Extensions::of(&certificate).map_err(|_| CertificateError::NotOurs)?;
        let issuer = seen.issuer_key_id().map_err(|_| CertificateError::NotOurs)?;
        let authority = self
            .authorities()
            .iter()
            .find(|ca| Some(ca.key_id()) == issuer && ca.signed(der, &certificate))
            .ok_or(CertificateError::NotOurs)?;
        if seen.purpose()? == Some(Role::Server) {
            return Err(CertificateError::ServerCertificate);
        }
        self.read_signed(der, &certificate, &seen, authority)
    }

    fn read_signed(
        &self,
        der: &[u8],
        certificate: &X509Certificate<'_>,
        seen: &Extensions<'_>,
        authority: &Authority,
    ) -> Result<Shown, CertificateError> {
        let serial = certificate.raw_serial();
        let (_, rev) = stamp::read_serial(serial).ok_or(Mismatch::Serial)?;
        let text = seen.stamp()?.ok_or(Mismatch::Stamp)?;
        let (era, lineage) = stamp::read_text(&text).ok_or(Mismatch::Stamp)?;
        let subject = match seen.alt_names()?.as_slice() {
            [AltName::Uri(uri)] => self.realm().domain.subject(uri),
            _ => None,
        };
        let subject = subject.ok_or(Mismatch::Names)?;
        let (not_before, expires) = validity(certificate).ok_or(Mismatch::Validity)?;
        let said = Said { subject: &subject, serial, not_before, expires, era, lineage: &lineage };
        let spki = certificate.subject_pki.raw;
        let leaf = said.leaf(self, spki.to_vec());
        check_parsed(certificate, &authority.statement_of(leaf))?;
        let expires = Timestamp::from_secs(expires);
        if expires > authority.key().not_after {
            return Err(Mismatch::Validity.into());
        }
        let identity = identity_of(&lineage, &subject, authority.audience());
        Ok(Shown {
            identity: identity.ok_or(CertificateError::Lineage)?.clone(),
            era,
            rev,
            lineage,
            subject,
            audience: authority.audience().cloned(),
            key: crate::digest(spki),
            thumbprint: crate::digest(der),
            not_before: Timestamp::from_secs(not_before),
            expires,
        })
    }

    /// What a certificate for this record says.
    pub(crate) fn leaf(
        &self,
        authority: &Authority,
        record: &CertificateRecord,
        revision: Revision,
        csr: &Csr,
    ) -> Result<Leaf, SignError> {
        let key: Digest = csr.key();
        if key != record.key {
            return Err(SignError::OtherKey);
        }
        if record.expires > authority.key().not_after {
            return Err(SignError::OutlivesKey);
        }
        let whole = |at: Timestamp| at.floor_secs() == at;
        if !whole(record.not_before) || !whole(record.expires) || record.not_before >= record.expires {
            return Err(SignError::Unfit("a validity that is no span of whole seconds"));
        }
        let identity = identity_of(&record.lineage, &record.subject, record.audience.as_ref());
        if identity != Some(&record.identity) {
            return Err(SignError::Unfit("a lineage without its subject, identity or audience"));
        }
        let said = Said {
            subject: &record.subject,
            serial: &stamp::serial(record.nonce.0, revision),
            not_before: record.not_before.as_secs(),
            expires: record.expires.as_secs(),
            era: self.realm().era,
            lineage: &record.lineage,
        };
        Ok(said.leaf(self, csr.public_key().spki().to_vec()))
    }
}

/// The free parts of a client or identity certificate, its key aside.
struct Said<'a> {
    subject: &'a NodeId,
    serial: &'a [u8],
    not_before: u64,
    expires: u64,
    era: Era,
    lineage: &'a Lineage,
}

impl Said<'_> {
    fn leaf(&self, ring: &KeyRing, spki: Vec<u8>) -> Leaf {
        Leaf {
            serial: self.serial.to_vec(),
            common_name: self.subject.name.to_string(),
            not_before: self.not_before,
            expires: self.expires,
            spki,
            role: Role::Client,
            names: vec![AltName::Uri(ring.realm().domain.uri_of(self.subject))],
            stamp: Some(stamp::text(self.era, self.lineage)),
        }
    }
}

#[cfg(test)]
mod tests;
