//! Certificate signing requests (PKCS #10, RFC 2986): all that is taken from one is its public key, once the requester
//! has proved to hold the private half. The subject it names is ignored, as every tool writes some; a request for
//! alternative names or for a CA is refused, because whoever asks for that expects to get it.

use daypass_credential::Digest;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use x509_parser::{
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    der_parser::asn1_rs::{FromDer as _, Oid},
    extensions::{ParsedExtension, X509Extension},
    oid_registry::{
        OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
        OID_SHA1_WITH_RSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ED25519,
        OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_SUBJECT_ALT_NAME,
    },
};

use crate::public_key::{Kind, PublicKey, PublicKeyError};

/// A request whose sender holds the private half of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    key: PublicKey,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Over [`Csr::MAX`].
    #[error("a certificate request of more than 8 KiB")]
    TooLong,
    /// Not PKCS #10, or something after it.
    #[error("not a certificate request: send PKCS #10 in DER")]
    NotARequest,
    /// Signed with another key, or altered.
    #[error("bad signature: the certificate request is not signed by its own key")]
    BadSignature,
    /// RSA under 2048 bits, or SHA-1.
    #[error("weak key: RSA takes at least 2048 bits, and signatures SHA-256")]
    WeakKey,
    /// A key or signature of another kind.
    #[error("unsupported algorithm: use P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits")]
    UnsupportedAlgorithm,
    /// It asks for alternative names.
    #[error("the certificate request asks for alternative names: leave them out, the broker writes its own")]
    AsksForNames,
    /// It asks to be a CA.
    #[error("the certificate request asks for a CA certificate")]
    AsksForAuthority,
}

impl Csr {
    /// The longest request, in bytes.
    pub const MAX: usize = 8 * 1024;

    /// Reads a request in DER.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > Self::MAX {
            return Err(CsrError::TooLong);
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::NotARequest)?;
        if !rest.is_empty() || request.certification_request_info.version.0 != 0 {
            return Err(CsrError::NotARequest);
        }
        let key = PublicKey::from_spki(request.certification_request_info.subject_pki.raw)?;
        prove_possession(&request, &key)?;
        for attribute in request.certification_request_info.iter_attributes() {
            if let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() {
                asked.extensions.iter().try_for_each(refuse_wishes)?;
            }
        }
        Ok(Self { key })
    }

    /// SHA-256 over the DER SubjectPublicKeyInfo of its key.
    #[must_use]
    pub fn key(&self) -> Digest {
        self.key.digest()
    }

    pub(crate) const fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl From<PublicKeyError> for CsrError {
    fn from(error: PublicKeyError) -> Self {
        match error {
            PublicKeyError::Form | PublicKeyError::Private => Self::NotARequest,
            PublicKeyError::Weak => Self::WeakKey,
            PublicKeyError::Unsupported => Self::UnsupportedAlgorithm,
        }
    }
}

fn prove_possession(request: &X509CertificationRequest<'_>, key: &PublicKey) -> Result<(), CsrError> {
    let algorithm = verification(key.kind(), &request.signature_algorithm.algorithm)?;
    let signature = &request.signature_value;
    let proof = UnparsedPublicKey::new(algorithm, key.bare())
        .verify(request.certification_request_info.raw, &signature.data);
    match proof {
        Ok(()) if signature.unused_bits == 0 => Ok(()),
        _ => Err(CsrError::BadSignature),
    }
}

/// How a signature by this kind of key under this name is verified.
fn verification(kind: Kind, oid: &Oid<'_>) -> Result<&'static dyn VerificationAlgorithm, CsrError> {
    if [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA, ECDSA_WITH_SHA1].contains(oid) {
        return Err(CsrError::WeakKey);
    }
    let known: &[(Kind, Oid<'_>, &'static dyn VerificationAlgorithm)] = &[
        (Kind::P256, OID_SIG_ECDSA_WITH_SHA256, &ECDSA_P256_SHA256_ASN1),
        (Kind::P256, OID_SIG_ECDSA_WITH_SHA384, &ECDSA_P256_SHA384_ASN1),
        (Kind::P384, OID_SIG_ECDSA_WITH_SHA256, &ECDSA_P384_SHA256_ASN1),
        (Kind::P384, OID_SIG_ECDSA_WITH_SHA384, &ECDSA_P384_SHA384_ASN1),
        (Kind::Ed25519, OID_SIG_ED25519, &ED25519),
        (Kind::Rsa, OID_PKCS1_SHA256WITHRSA, &RSA_PKCS1_2048_8192_SHA256),
        (Kind::Rsa, OID_PKCS1_SHA384WITHRSA, &RSA_PKCS1_2048_8192_SHA384),
        (Kind::Rsa, OID_PKCS1_SHA512WITHRSA, &RSA_PKCS1_2048_8192_SHA512),
    ];
    let found = known.iter().find(|(of, name, _)| *of == kind && name == oid);
    found.map(|(_, _, algorithm)| *algorithm).ok_or(CsrError::UnsupportedAlgorithm)
}

/// `ecdsa-with-SHA1` (RFC 3279, section 2.2.3).
const ECDSA_WITH_SHA1: Oid<'static> = x509_parser::der_parser::asn1_rs::oid!(1.2.840.10045.4.1);

/// By name, not by content: what cannot be read is refused as well.
fn refuse_wishes(extension: &X509Extension<'_>) -> Result<(), CsrError> {
    if extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME {
        return Err(CsrError::AsksForNames);
    }
    let parsed = extension.parsed_extension();
    let authority = if extension.oid == OID_X509_EXT_BASIC_CONSTRAINTS {
        !matches!(parsed, ParsedExtension::BasicConstraints(constraints) if !constraints.ca)
    } else if extension.oid == OID_X509_EXT_KEY_USAGE {
        !matches!(parsed, ParsedExtension::KeyUsage(usage) if !usage.key_cert_sign() && !usage.crl_sign())
    } else {
        false
    };
    if authority { Err(CsrError::AsksForAuthority) } else { Ok(()) }
}
