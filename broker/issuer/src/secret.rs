//! An opened private key. It can sign and tell its public half, and nothing else: it is never printed or written.

use daypass_core::node::KeyAlgorithm;
use ring::{
    error::Unspecified,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _,
    },
};
use zeroize::Zeroizing;

use crate::public_key::{ed25519_spki, p256_spki};

/// How an ECDSA signature is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Writing {
    /// As in a JWS: both numbers at their full length (RFC 7518, section 3.4).
    Jws,
    /// As in X.509: a DER sequence (RFC 3279, section 2.2.3).
    X509,
}

/// An opened private key.
pub(crate) enum Secret {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Secret {
    /// A new private key, in PKCS #8.
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let rng = SystemRandom::new();
        let document = match algorithm {
            KeyAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng)?,
            KeyAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&rng)?,
        };
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Opens a private key in PKCS #8; its halves have to fit each other.
    pub(crate) fn open(pkcs8: &[u8], algorithm: KeyAlgorithm, writing: Writing) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::Es256 => {
                let alg = match writing {
                    Writing::Jws => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    Writing::X509 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                };
                let pair = EcdsaKeyPair::from_pkcs8(alg, pkcs8, &SystemRandom::new());
                pair.ok().map(Self::Es256)
            }
            KeyAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).ok().map(Self::EdDsa),
        }
    }

    /// Its signature over these bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match self {
            Self::Es256(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Self::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The bare public key: an uncompressed point, or 32 bytes.
    pub(crate) fn public(&self) -> &[u8] {
        match self {
            Self::Es256(pair) => pair.public_key().as_ref(),
            Self::EdDsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Es256(_) => p256_spki(self.public()),
            Self::EdDsa(_) => ed25519_spki(self.public()),
        }
    }
}
