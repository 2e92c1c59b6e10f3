//! Builds certificates with `rcgen`, from a [`Statement`] alone: nothing is taken from a request but its public key.

use std::{cell::OnceCell, time::Duration};

use daypass_credential::stamp::LINEAGE_OID;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SignatureAlgorithm, SigningKey, date_time_ymd,
};

use crate::{
    check::{AltName, Mismatch, Role, Statement, check},
    der,
    names::Distinguished,
    secret::Secret,
};

/// Why a certificate was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BuildError {
    /// It cannot be written in X.509.
    #[error("this cannot be written in a certificate")]
    Unwritable,
    /// What was built is not what was to be said.
    #[error("the certificate built is not the one decided on")]
    Refused(#[source] Mismatch),
    /// The key did not sign.
    #[error("the key did not sign")]
    NotSigned,
}

/// Signs a certificate that says this, for this public key, in DER.
pub(crate) fn sign(
    statement: &Statement,
    public_key: &impl PublicKeyData,
    authority: &Secret,
) -> Result<Vec<u8>, BuildError> {
    let params = params(statement).ok_or(BuildError::Unwritable)?;
    sign_built(&params, statement, public_key, authority)
}

fn sign_built(
    params: &CertificateParams,
    statement: &Statement,
    public_key: &impl PublicKeyData,
    authority: &Secret,
) -> Result<Vec<u8>, BuildError> {
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = distinguished(&statement.issuer);
    if let Some(id) = &statement.issuer_key_id {
        issuer.key_identifier_method = KeyIdMethod::PreSpecified(id.clone());
    }
    let guarded = Guarded { statement, secret: authority, refused: OnceCell::new() };
    let signed = params.signed_by(public_key, &Issuer::from_params(&issuer, &guarded));
    match (guarded.refused.get(), signed) {
        (Some(mismatch), _) => Err(BuildError::Refused(*mismatch)),
        (None, Ok(certificate)) => Ok(certificate.der().to_vec()),
        (None, Err(_)) => Err(BuildError::NotSigned),
    }
}

/// The CA's key behind the check of INVARIANT (check before signing).
struct Guarded<'a> {
    statement: &'a Statement,
    secret: &'a Secret,
    refused: OnceCell<Mismatch>,
}

impl PublicKeyData for Guarded<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.secret.public()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Guarded<'_> {
    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if let Err(mismatch) = check(tbs, self.statement) {
            self.refused.get_or_init(|| mismatch);
            return Err(rcgen::Error::RemoteKeyError);
        }
        self.secret.sign(tbs).map_err(|_| rcgen::Error::RingUnspecified)
    }
}

fn params(statement: &Statement) -> Option<CertificateParams> {
    let epoch = date_time_ymd(1970, 1, 1);
    let instant = |secs: u64| match secs {
        0..=LAST_SECOND => epoch.checked_add(Duration::from_secs(secs).try_into().ok()?),
        _ => None,
    };
    let mut params = CertificateParams::default();
    params.serial_number = Some(statement.serial.clone().into());
    params.distinguished_name = distinguished(&statement.subject);
    params.not_before = instant(statement.not_before)?;
    params.not_after = instant(statement.expires.checked_sub(1)?)?;
    params.subject_alt_names = statement.names.iter().map(alt_name).collect::<Option<_>>()?;
    params.use_authority_key_identifier_extension = statement.issuer_key_id.is_some();
    (params.is_ca, params.key_usages, params.extended_key_usages) = match statement.role {
        Role::Authority => (
            IsCa::Ca(BasicConstraints::Constrained(0)),
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            vec![],
        ),
        Role::Client => leaf(ExtendedKeyUsagePurpose::ClientAuth),
        Role::Server => leaf(ExtendedKeyUsagePurpose::ServerAuth),
    };
    if let Some(stamp) = &statement.stamp {
        let extension = CustomExtension::from_oid_content(LINEAGE_OID, der::utf8_string(stamp));
        params.custom_extensions.push(extension);
    }
    Some(params)
}

fn leaf(purpose: ExtendedKeyUsagePurpose) -> (IsCa, Vec<KeyUsagePurpose>, Vec<ExtendedKeyUsagePurpose>) {
    (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature], vec![purpose])
}

fn distinguished(name: &Distinguished) -> DistinguishedName {
    let mut built = DistinguishedName::new();
    if let Some(organization) = &name.organization {
        built.push(DnType::OrganizationName, organization.as_str());
    }
    built.push(DnType::CommonName, name.common_name.as_str());
    built
}

fn alt_name(name: &AltName) -> Option<SanType> {
    Some(match name {
        AltName::Uri(uri) => SanType::URI(uri.as_str().try_into().ok()?),
        AltName::Dns(name) => SanType::DnsName(name.as_str().try_into().ok()?),
        AltName::Ip(ip) => SanType::IpAddress(*ip),
    })
}

/// The last second that X.509 can write: 9999-12-31T23:59:59Z (RFC 5280, section 4.1.2.5).
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
