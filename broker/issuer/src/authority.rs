//! A CA of the broker's: the Identity CA, whose certificate is the broker's root, or the CA of one audience, which is
//! a trust anchor of its own.

use daypass_core::node::Key;
use daypass_credential::{Name, Timestamp, TrustDomain};
use rcgen::PublicKeyData;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

use crate::{
    certificate::{self, BuildError},
    check::{AltName, Mismatch, Role, Statement, check_parsed, key_id},
    der,
    names::Distinguished,
    secret::Secret,
};

/// An opened CA.
pub(crate) struct Authority {
    key: Key,
    audience: Option<Name>,
    name: Distinguished,
    key_id: Vec<u8>,
    secret: Secret,
}

/// What a CA signs for whom, beyond what the CA itself fixes.
pub(crate) struct Leaf {
    pub(crate) serial: Vec<u8>,
    pub(crate) common_name: String,
    pub(crate) not_before: u64,
    pub(crate) expires: u64,
    pub(crate) spki: Vec<u8>,
    pub(crate) role: Role,
    pub(crate) names: Vec<AltName>,
    pub(crate) stamp: Option<String>,
}

impl Authority {
    /// Takes a CA into use; its certificate has to be the one that this code makes for it.
    pub(crate) fn open(
        key: Key,
        audience: Option<Name>,
        secret: Secret,
        domain: &TrustDomain,
    ) -> Result<Self, Mismatch> {
        let (rest, parsed) = X509Certificate::from_der(&key.public.0).map_err(|_| Mismatch::Form)?;
        if !rest.is_empty() {
            return Err(Mismatch::Form);
        }
        let serial = parsed.raw_serial().to_vec();
        let statement =
            Self::statement(domain, audience.as_ref(), serial, (key.not_before, key.not_after), &secret);
        check_parsed(&parsed, &statement)?;
        let opened = Self { name: statement.subject, key_id: key_id(&statement.spki), key, audience, secret };
        // The signature of a root proves nothing, but a damaged certificate should not be published.
        let (_, parsed) = X509Certificate::from_der(&opened.key.public.0).map_err(|_| Mismatch::Form)?;
        opened.signed(&opened.key.public.0, &parsed).then_some(()).ok_or(Mismatch::Form)?;
        Ok(opened)
    }

    /// The certificate of a new CA, in DER, signed by itself.
    pub(crate) fn certify(
        domain: &TrustDomain,
        audience: Option<&Name>,
        serial: Vec<u8>,
        validity: (Timestamp, Timestamp),
        secret: &Secret,
    ) -> Result<Vec<u8>, BuildError> {
        let statement = Self::statement(domain, audience, serial, validity, secret);
        certificate::sign(&statement, &Own(secret), secret)
    }

    fn statement(
        domain: &TrustDomain,
        audience: Option<&Name>,
        serial: Vec<u8>,
        (not_before, expires): (Timestamp, Timestamp),
        secret: &Secret,
    ) -> Statement {
        let name = Distinguished::authority(domain, audience);
        Statement {
            serial,
            issuer: name.clone(),
            subject: name,
            not_before: not_before.as_secs(),
            expires: expires.as_secs(),
            spki: secret.spki(),
            role: Role::Authority,
            names: vec![AltName::Uri(domain.uri())],
            issuer_key_id: None,
            stamp: None,
        }
    }

    /// What a certificate of this CA for this leaf says.
    pub(crate) fn statement_of(&self, leaf: Leaf) -> Statement {
        Statement {
            serial: leaf.serial,
            issuer: self.name.clone(),
            subject: Distinguished::leaf(&leaf.common_name),
            not_before: leaf.not_before,
            expires: leaf.expires,
            spki: leaf.spki,
            role: leaf.role,
            names: leaf.names,
            issuer_key_id: Some(self.key_id.clone()),
            stamp: leaf.stamp,
        }
    }

    /// Signs a certificate for a leaf with this public key, in DER.
    pub(crate) fn sign(&self, leaf: Leaf, key: &impl PublicKeyData) -> Result<Vec<u8>, BuildError> {
        certificate::sign(&self.statement_of(leaf), key, &self.secret)
    }

    /// Did this CA sign the certificate that was parsed from these bytes?
    ///
    /// INVARIANT (one spelling): the bytes around what is signed are compared with those that we write. The parser
    /// forgives some others, and the same certificate would have a second thumbprint.
    pub(crate) fn signed(&self, der: &[u8], certificate: &X509Certificate<'_>) -> bool {
        let tbs = certificate.tbs_certificate.as_ref();
        let signature = &certificate.signature_value.data;
        der::signed(tbs, signature) == der
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.secret.public())
                .verify(tbs, signature)
                .is_ok()
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// For which audience it signs; none for identities.
    pub(crate) const fn audience(&self) -> Option<&Name> {
        self.audience.as_ref()
    }

    pub(crate) fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// Its certificate, in DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.key.public.0
    }
}

/// The public half of a key of ours, for the code that builds certificates.
pub(crate) struct Own<'a>(pub(crate) &'a Secret);

impl PublicKeyData for Own<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}
