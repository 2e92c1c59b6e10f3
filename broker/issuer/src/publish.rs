//! What the broker publishes of its keys: the key set of its tokens, and the CAs for those who check certificates.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_core::node::KeyAlgorithm;
use daypass_credential::{Name, Timestamp};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType,
    Jwk, JwkSet, KeyAlgorithm as JwkAlgorithm, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse,
};

use crate::{authority::Authority, key_ring::KeyRing, token::TokenKey};

/// The CAs, each certificate in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    /// The broker's own roots: for its callers, in no relying party's trust store. Their SHA-256 is what is pinned.
    pub roots: Vec<Vec<u8>>,
    /// The trust anchors of each audience, for its relying parties.
    pub audiences: BTreeMap<Name, Vec<Vec<u8>>>,
}

impl KeyRing {
    /// The key set (RFC 7517): all token keys that still vouch for something, also those that do not sign yet.
    #[must_use]
    pub fn key_set(&self, now: Timestamp) -> JwkSet {
        let alive = self.tokens().iter().filter(|key| now < key.key().not_after);
        JwkSet { keys: alive.map(jwk).collect() }
    }

    /// All CAs that still vouch for something.
    #[must_use]
    pub fn trust_bundle(&self, now: Timestamp) -> TrustBundle {
        let mut bundle = TrustBundle { roots: Vec::new(), audiences: BTreeMap::new() };
        let alive = |ca: &&Authority| now < ca.key().not_after;
        for authority in self.authorities().iter().filter(alive) {
            let place = match authority.audience() {
                None => &mut bundle.roots,
                Some(audience) => bundle.audiences.entry(audience.clone()).or_default(),
            };
            place.push(authority.certificate().to_vec());
        }
        bundle
    }
}

fn jwk(key: &TokenKey) -> Jwk {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (name, algorithm) = match key.key().algorithm {
        // An uncompressed point: `04`, then both coordinates (RFC 7518, section 6.2.1).
        KeyAlgorithm::Es256 => {
            let (x, y) = key.public().get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
            let parameters = EllipticCurveKeyParameters {
                key_type: EllipticCurveKeyType::EC,
                curve: EllipticCurve::P256,
                x: encode(x),
                y: encode(y),
            };
            (JwkAlgorithm::ES256, AlgorithmParameters::EllipticCurve(parameters))
        }
        // RFC 8037, section 2.
        KeyAlgorithm::EdDsa => {
            let parameters = OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: encode(key.public()),
            };
            (JwkAlgorithm::EdDSA, AlgorithmParameters::OctetKeyPair(parameters))
        }
    };
    Jwk {
        common: CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(name),
            key_id: Some(key.key().name.to_string()),
            ..CommonParameters::default()
        },
        algorithm,
    }
}
