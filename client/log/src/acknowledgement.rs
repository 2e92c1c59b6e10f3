//! Acknowledgements: what a verifier signs to say up to where in the log every cut is in force at it. Broker and SDK make
//! the same text of it, and whoever holds a receipt checks it later without either.

use std::fmt;

use daypass_credential::{Era, Name, Revision, Timestamp};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::Hash;

/// What is said. Its `Display` is the text that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// The log's origin, as its checkpoints have it.
    pub log: &'a str,
    /// The life of the log.
    pub era: Era,
    /// Who says it.
    pub verifier: &'a Name,
    /// Which of its instances.
    pub identity: &'a Name,
    /// Up to which revision.
    pub revision: Revision,
    /// The hash of its leaf: another log has another one.
    pub leaf: Hash,
    /// Since when, by the verifier's clock.
    pub applied_at: Timestamp,
}

impl fmt::Display for Acknowledgement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "daypass acknowledgement v1")?;
        writeln!(f, "log {}", self.log)?;
        writeln!(f, "era {}", self.era)?;
        writeln!(f, "verifier {}", self.verifier)?;
        writeln!(f, "identity {}", self.identity)?;
        writeln!(f, "revision {}", self.revision)?;
        writeln!(f, "leaf {}", self.leaf)?;
        writeln!(f, "applied {}", self.applied_at.as_millis())
    }
}

impl Acknowledgement<'_> {
    /// Did the holder of this key sign it? The key is an uncompressed point on P-256; the signature ECDSA with SHA-256, in
    /// ASN.1 (RFC 3279, section 2.2.3).
    #[must_use]
    pub fn is_signed(&self, key: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
        key.verify(self.to_string().as_bytes(), signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
    };

    use super::*;

    fn with(said: impl FnOnce(&Acknowledgement<'_>)) {
        let (verifier, identity) = ("api".parse().unwrap(), "api-1".parse().unwrap());
        said(&Acknowledgement {
            log: "t.example/log",
            era: Era::new(7),
            verifier: &verifier,
            identity: &identity,
            revision: Revision::new(41),
            leaf: Hash::leaf(b"event"),
            applied_at: Timestamp::from_millis(1_700_000_000_123),
        });
    }

    #[test]
    fn the_text_never_changes() {
        with(|said| {
            assert_eq!(
                said.to_string(),
                format!(
                    "daypass acknowledgement v1\nlog t.example/log\nera {}\nverifier api\nidentity api-1\n\
                     revision 41\nleaf {}\napplied 1700000000123\n",
                    Era::new(7),
                    Hash::leaf(b"event")
                )
            );
        });
    }

    #[test]
    fn only_the_key_and_the_text_that_were_signed_count() {
        let random = SystemRandom::new();
        let pair = |_| {
            let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref(), &random).unwrap()
        };
        let (key, other) = (pair(()), pair(()));
        with(|said| {
            let signature = key.sign(&random, said.to_string().as_bytes()).unwrap();
            assert!(said.is_signed(key.public_key().as_ref(), signature.as_ref()));
            assert!(!said.is_signed(other.public_key().as_ref(), signature.as_ref()));
            let later = Acknowledgement { revision: Revision::new(42), ..said.clone() };
            assert!(!later.is_signed(key.public_key().as_ref(), signature.as_ref()));
            assert!(!said.is_signed(&[], signature.as_ref()));
        });
    }
}
