//! The cryptography of `jsonwebtoken`, on ring: ES256 and EdDSA, nothing else. It calls its provider with the bytes of
//! a key for every token, and would have them parsed every time; ours are no key but the number of one that was
//! parsed before. So no private key is in that library's hands at all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use daypass_core::node::KeyAlgorithm;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind, new_error},
    signature::{self, Signer, Verifier},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};

use crate::secret::Secret;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Key sets are made from public keys, without these; the library's own stand-ins would panic.
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: |_, _| Err(unsupported()),
        ed_pub_components_from_private_key: |_, _| Err(unsupported()),
        compute_digest: |_, _| Err(unsupported()),
    },
};

/// The opened token keys of this process, by number. A number is never used again.
static OPENED: RwLock<BTreeMap<u64, Arc<Secret>>> = RwLock::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Makes this the provider of the process; false if another one came first.
pub(crate) fn install() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| PROVIDER.install_default().is_ok())
}

/// A token key that this provider can sign with, for as long as this value lives.
pub(crate) struct Registered {
    number: u64,
    handle: EncodingKey,
}

impl Registered {
    pub(crate) fn new(secret: Secret) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let handle = match &secret {
            Secret::Es256(_) => EncodingKey::from_ec_der(&number.to_be_bytes()),
            Secret::EdDsa(_) => EncodingKey::from_ed_der(&number.to_be_bytes()),
        };
        let mut opened = OPENED.write().unwrap_or_else(PoisonError::into_inner);
        opened.insert(number, Arc::new(secret));
        Self { number, handle }
    }

    pub(crate) const fn handle(&self) -> &EncodingKey {
        &self.handle
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut opened = OPENED.write().unwrap_or_else(PoisonError::into_inner);
        opened.remove(&self.number);
    }
}

/// The `alg` of RFC 7518 and RFC 8037 for a key.
pub(crate) const fn algorithm(algorithm: KeyAlgorithm) -> Algorithm {
    match algorithm {
        KeyAlgorithm::Es256 => Algorithm::ES256,
        KeyAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

struct Signing {
    secret: Arc<Secret>,
    algorithm: Algorithm,
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        self.secret.sign(message).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn signer(wanted: &Algorithm, handle: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let unknown = || new_error(ErrorKind::InvalidKeyFormat);
    let number = u64::from_be_bytes(handle.as_bytes().try_into().map_err(|_| unknown())?);
    let opened = OPENED.read().unwrap_or_else(PoisonError::into_inner);
    let secret = opened.get(&number).cloned().ok_or_else(unknown)?;
    drop(opened);
    let algorithm = match *secret {
        Secret::Es256(_) => Algorithm::ES256,
        Secret::EdDsa(_) => Algorithm::EdDSA,
    };
    if algorithm != *wanted {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    Ok(Box::new(Signing { secret, algorithm }))
}

struct Verifying {
    public: UnparsedPublicKey<Vec<u8>>,
    algorithm: Algorithm,
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = self.public.verify(message, signature);
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn verifier(wanted: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let ring: &'static dyn VerificationAlgorithm = match wanted {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::EdDSA => &ED25519,
        _ => return Err(unsupported()),
    };
    if key.family() != wanted.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    let public = UnparsedPublicKey::new(ring, key.try_get_as_bytes()?.to_vec());
    Ok(Box::new(Verifying { public, algorithm: *wanted }))
}

fn unsupported() -> Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}
