//! The CA of an audience: the one thing that client certificates for it rest on.

use daypass_credential::{Digest, Name, Timestamp, TrustDomain};

use crate::{
    digest,
    x509::{CERT_AND_CRL_SIGN, MAX, Read},
};

/// A CA that vouches for client certificates of one audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// SHA-256 of its certificate: which key vouched for what.
    pub(crate) id: Digest,
    pub(crate) audience: Name,
    /// The DER of its name.
    pub(crate) name: Vec<u8>,
    pub(crate) key_id: Vec<u8>,
    pub(crate) point: Vec<u8>,
    /// Beyond this it vouches for nothing.
    pub(crate) latest: Timestamp,
}

/// Why a certificate is not taken for the CA of an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Not a certificate of the form that the broker's have.
    #[error("not a certificate that the broker makes")]
    Form,
    /// A CA, but of another audience or another broker.
    #[error("not the CA of this audience")]
    Name,
    /// A certificate, but not of a CA.
    #[error("not a CA")]
    NotAuthority,
    /// Damaged: it is signed by itself, and the signature is wrong.
    #[error("its own signature is wrong")]
    Signature,
}

impl Anchor {
    /// The CA in this certificate, if it is one of this audience.
    pub(crate) fn open(der: &[u8], audience: &Name, domain: &TrustDomain) -> Result<Self, AnchorError> {
        let read = Read::parse(der).filter(|_| der.len() <= MAX).ok_or(AnchorError::Form)?;
        let said = &read.extensions;
        let named = (Some(format!("Daypass {domain}")), audience.to_string());
        if read.subject_names != named || read.issuer != read.subject || said.uris != [domain.uri()] {
            return Err(AnchorError::Name);
        }
        let authority = said.constraints == Some((true, Some(0)))
            && said.usage == Some(CERT_AND_CRL_SIGN)
            && said.client.is_none()
            && said.stamp.is_none()
            && said.issuer_key_id.is_none();
        if !authority {
            return Err(AnchorError::NotAuthority);
        }
        let point = read.point().ok_or(AnchorError::Form)?.to_vec();
        // The signature of a root proves nothing, but a damaged one should not be taken in.
        if !read.signed_by(&point) {
            return Err(AnchorError::Signature);
        }
        Ok(Self {
            id: digest(der),
            audience: audience.clone(),
            name: read.subject,
            key_id: read.extensions.key_id.ok_or(AnchorError::Form)?,
            point,
            latest: read.expires,
        })
    }
}
