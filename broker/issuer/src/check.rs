//! What a certificate must say, compared field by field with what its bytes say. The bytes are built by `rcgen` and
//! read here by `x509-parser`, so that an error in building is seen before it is signed.
//!
//! INVARIANT (check before signing): the CA's key signs a certificate only after [`check`] found that these very bytes
//! say what was decided, and nothing else. Reading a certificate back runs the same check.

use std::net::IpAddr;

use x509_parser::{
    certificate::TbsCertificate,
    der_parser::asn1_rs::FromDer as _,
    extensions::BasicConstraints,
    oid_registry::{OID_SIG_ECDSA_WITH_SHA256, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME},
    x509::{X509Name, X509Version},
};

use crate::{extensions::Extensions, names::Distinguished};

/// Everything that a certificate of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer: Distinguished,
    pub(crate) subject: Distinguished,
    /// In seconds since the epoch.
    pub(crate) not_before: u64,
    /// The first second at which it is over: one after X.509's `notAfter`, which is part of the validity.
    pub(crate) expires: u64,
    /// DER SubjectPublicKeyInfo.
    pub(crate) spki: Vec<u8>,
    pub(crate) role: Role,
    pub(crate) names: Vec<AltName>,
    /// The issuer's key id; none if it signs itself.
    pub(crate) issuer_key_id: Option<Vec<u8>>,
    /// The text of the private extension.
    pub(crate) stamp: Option<String>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Authority,
    Client,
    Server,
}

/// One subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AltName {
    Uri(String),
    Dns(String),
    Ip(IpAddr),
}

/// In which part a certificate does not say what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is no certificate, or has parts that ours never have.
    #[error("not the form of a certificate of ours")]
    Form,
    /// The serial number.
    #[error("the serial number differs")]
    Serial,
    /// The algorithm of the signature.
    #[error("the signature algorithm differs")]
    Algorithm,
    /// The name of the CA.
    #[error("the issuer differs")]
    Issuer,
    /// The name of the subject.
    #[error("the subject differs")]
    Subject,
    /// From when or until when.
    #[error("the validity differs")]
    Validity,
    /// The public key.
    #[error("the public key differs")]
    Key,
    /// The subject alternative names.
    #[error("the alternative names differ")]
    Names,
    /// What its key may do.
    #[error("the key usage differs")]
    Usage,
    /// Whether it is a CA.
    #[error("the basic constraints differ")]
    Constraints,
    /// The key ids.
    #[error("the key identifiers differ")]
    KeyIds,
    /// Era and lineage.
    #[error("era and lineage differ")]
    Stamp,
    /// An extension that ours do not have, or one twice, or critical where it must not be.
    #[error("an extension too many")]
    Extension,
}

/// Do these bytes say this, and nothing else?
pub(crate) fn check(tbs: &[u8], statement: &Statement) -> Result<(), Mismatch> {
    let (rest, tbs) = TbsCertificate::from_der(tbs).map_err(|_| Mismatch::Form)?;
    if !rest.is_empty() {
        return Err(Mismatch::Form);
    }
    check_parsed(&tbs, statement)
}

/// The same for what was parsed before.
pub(crate) fn check_parsed(tbs: &TbsCertificate<'_>, statement: &Statement) -> Result<(), Mismatch> {
    let said = |right: bool, mismatch| if right { Ok(()) } else { Err(mismatch) };
    let plain = tbs.version == X509Version::V3 && tbs.issuer_uid.is_none() && tbs.subject_uid.is_none();
    said(plain, Mismatch::Form)?;
    said(tbs.raw_serial() == statement.serial, Mismatch::Serial)?;
    let ecdsa = tbs.signature.algorithm == OID_SIG_ECDSA_WITH_SHA256 && tbs.signature.parameters.is_none();
    said(ecdsa, Mismatch::Algorithm)?;
    said(distinguished(&tbs.issuer).as_ref() == Some(&statement.issuer), Mismatch::Issuer)?;
    said(distinguished(&tbs.subject).as_ref() == Some(&statement.subject), Mismatch::Subject)?;
    said(validity(tbs) == Some((statement.not_before, statement.expires)), Mismatch::Validity)?;
    said(tbs.subject_pki.raw == statement.spki, Mismatch::Key)?;
    check_extensions(&Extensions::of(tbs)?, statement)
}

fn check_extensions(seen: &Extensions<'_>, statement: &Statement) -> Result<(), Mismatch> {
    let said = |right: bool, mismatch| if right { Ok(()) } else { Err(mismatch) };
    said(seen.alt_names()? == statement.names, Mismatch::Names)?;
    let (flags, purpose, constraints) = match statement.role {
        Role::Authority => (KEY_CERT_SIGN | CRL_SIGN, None, authority_constraints()),
        Role::Client => (DIGITAL_SIGNATURE, Some(Role::Client), leaf_constraints()),
        Role::Server => (DIGITAL_SIGNATURE, Some(Role::Server), leaf_constraints()),
    };
    said(seen.usage.is_some_and(|usage| usage.flags == flags), Mismatch::Usage)?;
    said(seen.purpose()? == purpose, Mismatch::Usage)?;
    said(seen.constraints == Some(&constraints), Mismatch::Constraints)?;
    let own_id = key_id(&statement.spki);
    let issuer_id = seen.issuer_key_id()?;
    said(seen.key_id.is_some_and(|id| id.0 == own_id), Mismatch::KeyIds)?;
    said(issuer_id == statement.issuer_key_id.as_deref(), Mismatch::KeyIds)?;
    said(seen.stamp()? == statement.stamp, Mismatch::Stamp)
}

const DIGITAL_SIGNATURE: u16 = 1;
const KEY_CERT_SIGN: u16 = 1 << 5;
const CRL_SIGN: u16 = 1 << 6;

const fn authority_constraints() -> BasicConstraints {
    BasicConstraints { ca: true, path_len_constraint: Some(0) }
}

const fn leaf_constraints() -> BasicConstraints {
    BasicConstraints { ca: false, path_len_constraint: None }
}

/// The id of a key: the first 20 bytes of the SHA-256 over its SubjectPublicKeyInfo (RFC 7093, section 2, method 4).
pub(crate) fn key_id(spki: &[u8]) -> Vec<u8> {
    crate::digest(spki).as_bytes().iter().copied().take(20).collect()
}

/// The name, if it is of the form that ours have.
fn distinguished(name: &X509Name<'_>) -> Option<Distinguished> {
    let mut parts = Vec::new();
    for set in name.iter_rdn() {
        let mut attributes = set.iter();
        let (Some(one), None) = (attributes.next(), attributes.next()) else {
            return None;
        };
        parts.push((one.attr_type(), one.as_str().ok()?));
    }
    match parts.as_slice() {
        [(cn, common_name)] if **cn == OID_X509_COMMON_NAME => Some(Distinguished::leaf(common_name)),
        [(o, organization), (cn, common_name)]
            if **o == OID_X509_ORGANIZATION_NAME && **cn == OID_X509_COMMON_NAME =>
        {
            Some(Distinguished {
                organization: Some((*organization).to_owned()),
                common_name: (*common_name).to_owned(),
            })
        }
        _ => None,
    }
}

/// The first second of the validity, and the first one after it.
pub(crate) fn validity(tbs: &TbsCertificate<'_>) -> Option<(u64, u64)> {
    let secs = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).ok();
    let last = secs(tbs.validity.not_after)?;
    Some((secs(tbs.validity.not_before)?, last.checked_add(1)?))
}
