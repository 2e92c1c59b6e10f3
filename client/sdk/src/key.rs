//! Private keys: made or read here, never sent anywhere, never printed.

use std::{fmt, sync::Arc};

#[cfg(feature = "verify")]
use rcgen::SigningKey as _;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use crate::{Error, pem};

/// A private key. Its `Debug` prints dots, and its bytes are wiped with its last copy.
#[derive(Clone)]
pub struct PrivateKey {
    pair: Arc<Zeroizing<KeyPair>>,
}

impl PrivateKey {
    /// A new one, on P-256.
    ///
    /// # Errors
    /// [`Error::Unable`] if the system has no randomness to give.
    pub fn generate() -> Result<Self, Error> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
        pair.map(Self::new).map_err(|_| Error::Unable("make a key: the system gives no randomness"))
    }

    fn new(pair: KeyPair) -> Self {
        Self { pair: Arc::new(Zeroizing::new(pair)) }
    }

    /// The key in a PKCS #8 PEM text: P-256, P-384, Ed25519 or RSA.
    ///
    /// # Errors
    /// [`Error::BadInput`] if there is none that can be used.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let unfit = || {
            Error::BadInput(
                "there is no usable private key in it: give an unencrypted `BEGIN PRIVATE KEY` (PKCS #8; \
                 `openssl pkcs8 -topk8 -nocrypt` converts) on P-256, P-384, Ed25519 or RSA"
                    .into(),
            )
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| unfit())?;
        KeyPair::try_from(&der).map(Self::new).map_err(|_| unfit())
    }

    /// As PKCS #8 PEM, in a buffer that is wiped.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", self.pair.serialized_der())
    }

    /// The public half, as PEM.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.public_der()).to_string()
    }

    /// The public half: SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// For a TLS library, which keeps and wipes it by itself.
    #[must_use]
    pub fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialized_der().to_vec()).into()
    }

    /// A PKCS #10 request in DER. It proves that the key is held and asks for no name and no extension:
    /// what a certificate says is the broker's to write.
    ///
    /// # Errors
    /// [`Error::Unable`] if the key cannot sign.
    pub fn csr(&self) -> Result<Vec<u8>, Error> {
        let mut plain = CertificateParams::default();
        plain.distinguished_name = DistinguishedName::new();
        let csr = plain
            .serialize_request(&**self.pair)
            .map_err(|_| Error::Unable("sign a request with the key"))?;
        Ok(csr.der().to_vec())
    }

    /// The public half as an uncompressed point, if it is one on P-256.
    #[cfg(feature = "verify")]
    pub(crate) fn point(&self) -> Option<&[u8]> {
        (self.pair.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256).then(|| self.pair.public_key_raw())
    }

    /// Signs with the algorithm of the key; of one on P-256, ECDSA with SHA-256, in ASN.1.
    #[cfg(feature = "verify")]
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.pair.sign(message).map_err(|_| Error::Unable("sign with the key of the identity"))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

    use super::*;

    #[test]
    fn a_key_reads_back_and_is_not_printed() {
        let key = PrivateKey::generate().unwrap();
        let again = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
        assert_eq!(again.public_der(), key.public_der());
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
        assert!(key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    }

    #[test]
    fn a_request_proves_the_key_and_asks_for_nothing_else() {
        let key = PrivateKey::generate().unwrap();
        let der = key.csr().unwrap();
        let (rest, csr) = X509CertificationRequest::from_der(&der).unwrap();
        assert!(rest.is_empty());
        csr.verify_signature().unwrap();
        assert_eq!(csr.certification_request_info.subject_pki.raw, key.public_der());
        assert_eq!(csr.certification_request_info.subject.iter().count(), 0);
        assert_eq!(csr.certification_request_info.attributes().len(), 0);
    }

    #[test]
    fn what_is_no_private_key_is_refused_without_repeating_it() {
        let key = PrivateKey::generate().unwrap();
        let other_label = key.to_pem().replace("PRIVATE KEY", "EC PRIVATE KEY");
        for bad in ["", "hunter2", &key.public_pem(), &other_label] {
            let error = PrivateKey::from_pem(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("PKCS #8") && !error.contains("hunter2"), "{error}");
        }
    }
}
