//! Who acknowledges: the instance at the end of one connection, with the key of its certificate.

use daypass_credential::{
    Era, Name, Timestamp,
    stamp::{LINEAGE_OID, identity_of, read_text},
};
use daypass_log::Acknowledgement;
use daypass_proto::v1;
use daypass_verifier::Position;
use x509_parser::{
    certificate::X509Certificate,
    der_parser::asn1_rs::{FromDer as _, Utf8String},
};

use super::wire;
use crate::{Error, Identity, PrivateKey, wire::timestamp};

/// An instance of a verifier with its key.
pub(super) struct Signer {
    verifier: Name,
    identity: Name,
    key: PrivateKey,
    point: Vec<u8>,
}

impl Signer {
    pub(super) fn of(identity: &Identity) -> Result<Self, Error> {
        let point = identity.key.point().ok_or_else(|| {
            Error::BadInput(
                "acknowledgements are signed on P-256, and the key of this identity is another: enrol it with one on \
                 P-256, as is made where none is given"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            verifier: identity.subject().name.clone(),
            identity: instance(identity)
                .ok_or(Error::BadAnswer("the identity certificate does not name its instance"))?,
            key: identity.key.clone(),
            point: point.to_vec(),
        })
    }

    /// The public key: an uncompressed point.
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }

    /// Says that every cut up to a place of this log has been in force since then.
    pub(super) fn acknowledge(
        &self,
        (log, era): (&str, Era),
        at: Position,
        applied_at: Timestamp,
    ) -> Result<v1::FollowAcknowledgement, Error> {
        let text = Acknowledgement {
            log,
            era,
            verifier: &self.verifier,
            identity: &self.identity,
            revision: at.revision,
            leaf: at.leaf,
            applied_at,
        };
        let signature = self.key.sign(text.to_string().as_bytes())?;
        Ok(v1::FollowAcknowledgement {
            position: Some(wire::position(at)),
            applied_at: Some(timestamp(applied_at)),
            signature: signature.into(),
        })
    }
}

/// The instance that an identity certificate is for, from its lineage.
fn instance(identity: &Identity) -> Option<Name> {
    let (_, certificate) = X509Certificate::from_der(identity.certificate()).ok()?;
    let ours = |arcs: &mut dyn Iterator<Item = u64>| arcs.eq(LINEAGE_OID.iter().copied());
    let stamp = certificate
        .extensions()
        .iter()
        .find(|extension| extension.oid.iter().is_some_and(|mut arcs| ours(&mut arcs)))?;
    let (_, text) = Utf8String::from_der(stamp.value).ok()?;
    let (_, lineage) = read_text(text.as_ref())?;
    identity_of(&lineage, identity.subject(), None).cloned()
}
