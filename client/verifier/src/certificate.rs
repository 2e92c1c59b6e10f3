//! What a client certificate says, once the signature of an audience's CA over its exact bytes is checked. Which CA
//! signed it tells for which audience it is. Nothing here judges time or life.

use std::sync::Arc;

use daypass_credential::{
    Digest, Era, Lineage, Name, NodeId, Rests, Revision, Timestamp,
    stamp::{identity_of, read_serial, read_text},
};

use crate::{
    Bundle, Refused,
    anchor::Anchor,
    x509::{DIGITAL_SIGNATURE, Read},
};

/// A client certificate that was read. Having one says nothing about whether it is good:
/// [`crate::Verifier::check_certificate`] does.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<Said>);

#[derive(Debug)]
struct Said {
    thumbprint: Digest,
    subject: NodeId,
    identity: Name,
    audience: Name,
    era: Era,
    rev: Revision,
    lineage: Lineage,
    not_before: Timestamp,
    expires: Timestamp,
    /// Which CA vouched for it.
    anchor: Digest,
}

impl Certificate {
    /// Reads a certificate that one of these CAs signed.
    pub(crate) fn read(bundle: &Bundle, der: &[u8], thumbprint: Digest) -> Result<Self, Refused> {
        let read = Read::parse(der).ok_or(Refused::Malformed)?;
        let said = &read.extensions;
        let named = |anchor: &&Anchor| {
            anchor.name == read.issuer && said.issuer_key_id.as_ref() == Some(&anchor.key_id)
        };
        let mut known = bundle.anchors().filter(named).peekable();
        if known.peek().is_none() {
            return Err(Refused::UnknownKey);
        }
        let anchor = known.find(|anchor| read.signed_by(&anchor.point)).ok_or(Refused::BadSignature)?;
        let subject = subject(bundle, &read).ok_or(Refused::Malformed)?;
        let (_, rev) = read_serial(&read.serial).ok_or(Refused::Malformed)?;
        let stamp = said.stamp.as_deref().and_then(read_text);
        let (era, lineage) = stamp.ok_or(Refused::Malformed)?;
        let identity = identity_of(&lineage, &subject, Some(&anchor.audience)).cloned();
        Ok(Self(Arc::new(Said {
            thumbprint,
            identity: identity.ok_or(Refused::Inconsistent)?,
            subject,
            audience: anchor.audience.clone(),
            era,
            rev,
            lineage,
            not_before: read.not_before,
            expires: read.expires,
            anchor: anchor.id,
        })))
    }

    /// SHA-256 of its bytes, which tokens bound to it name.
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        self.0.thumbprint
    }

    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> &NodeId {
        &self.0.subject
    }

    /// Which of its subject's instances.
    #[must_use]
    pub fn identity(&self) -> &Name {
        &self.0.identity
    }

    /// For which audience it is.
    #[must_use]
    pub fn audience(&self) -> &Name {
        &self.0.audience
    }

    /// Valid from.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Valid up to, and not including.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.0.expires
    }

    /// What decides whether it is alive.
    #[must_use]
    pub fn rests(&self) -> Rests<'_> {
        Rests { era: self.0.era, rev: self.0.rev, exp: self.0.expires, lineage: &self.0.lineage }
    }

    /// The latest expiry that the CA that signed it vouches for; none if that CA is not in use any more.
    pub(crate) fn vouched_until(&self, bundle: &Bundle) -> Option<Timestamp> {
        bundle.anchor(&self.0.audience, &self.0.anchor).map(|anchor| anchor.latest)
    }
}

/// Whose certificate it is, if it is of the form that leaves have: for client authentication alone, no CA, its subject
/// named once as a SPIFFE id of this trust domain and once as a common name.
fn subject(bundle: &Bundle, read: &Read) -> Option<NodeId> {
    let said = &read.extensions;
    let leaf = said.constraints == Some((false, None))
        && said.usage == Some(DIGITAL_SIGNATURE)
        && said.client == Some(true)
        && said.key_id.is_some();
    let [uri] = said.uris.as_slice() else {
        return None;
    };
    let subject = bundle.domain().subject(uri).filter(|_| leaf)?;
    let (None, common_name) = &read.subject_names else {
        return None;
    };
    (*common_name == subject.name.as_str()).then_some(subject)
}
