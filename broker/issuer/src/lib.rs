//! The only code near private keys: keys at rest, tokens, certificates, and reading both back. It asks no clock and
//! keeps no state: every instant is a parameter, and a [`KeyRing`] never changes once it is open.
//!
//! Nothing is signed but for a [`daypass_core::Permit`] and the revision that recorded it, save the broker's own server
//! certificate and its audit statements.

#[cfg(test)]
extern crate self as daypass_issuer;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod common;

mod authority;
mod certificate;
mod check;
mod csr;
mod der;
mod extensions;
mod generate;
mod jwt_provider;
mod key_ring;
mod names;
mod public_key;
mod publish;
mod read;

mod seal;
mod secret;
mod server_certificate;
mod token;

use daypass_credential::Digest;
// A realm has one, so that whoever opens a ring finds it here.
pub use daypass_credential::{TrustDomain, TrustDomainError};

pub use check::Mismatch;
pub use csr::{Csr, CsrError};
pub use generate::{GenerateError, KeyPlan, NewKey, generate};
pub use key_ring::{AuditSignature, KeyRing, OpenError, Realm, SignError};
pub use public_key::{PublicKey, PublicKeyError, public_key_digest};
pub use publish::TrustBundle;
pub use read::CertificateError;
pub use seal::{KekError, KeyEncryptionKey, SealError};
pub use server_certificate::ServerCertificate;
pub use token::TokenError;

/// The SHA-256 of some bytes: a root's, to pin it; a certificate's thumbprint.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(hash.as_ref());
    Digest::new(out)
}
