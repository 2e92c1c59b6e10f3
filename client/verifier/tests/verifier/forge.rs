//! Tokens and certificates that the broker would never make, signed with keys that the verifier trusts all the same.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_verifier::{Algorithm, Published, PublishedAudience, PublishedKey};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};

use crate::{
    common::{END, NOW, name, realm},
    rig::{ERA, LIMIT, Rig},
};

/// A token key whose private half is here.
pub(crate) enum Signer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let rng = SystemRandom::new();
        match algorithm {
            Algorithm::Es256 => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng);
                Self::Es256(pair.unwrap())
            }
            Algorithm::EdDsa => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
                Self::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
            }
        }
    }

    pub(crate) fn public(&self) -> Vec<u8> {
        match self {
            Self::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    pub(crate) fn published(&self, kid: &str) -> PublishedKey {
        PublishedKey { kid: name(kid), algorithm: self.algorithm(), public: self.public(), latest: END }
    }

    pub(crate) fn header(&self, kid: &str) -> String {
        format!(r#"{{"typ":"at+jwt","alg":"{}","kid":"{kid}"}}"#, self.algorithm().as_str())
    }

    /// A token with exactly these texts in it.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes())))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

pub(crate) const LINEAGE: &str =
    "vendor:acme contract:acme-2026 application:sync identity:i1 credential:40 audience:billing";

/// The claims of an unbound token that is good.
pub(crate) fn claims() -> String {
    format!(
        r#"{{"iss":"https://broker.example","sub":"sync","aud":"billing","exp":{},"iat":{},"jti":"{ERA}-41","client_id":"sync","scope":"invoices.read","dp_era":"{ERA}","dp_rev":41,"dp_lin":"{LINEAGE}"}}"#,
        NOW.as_secs() + 900,
        NOW.as_secs(),
    )
}

/// A CA of an audience whose private half is here.
pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub(crate) der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(audience: &str) -> Self {
        Self::with(audience, |_| {})
    }

    pub(crate) fn with(audience: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        let domain = realm().domain;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, format!("Daypass {domain}"));
        params.distinguished_name.push(DnType::CommonName, audience);
        params.subject_alt_names = vec![SanType::URI(domain.uri().as_str().try_into().unwrap())];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2027, 1, 1));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    /// A leaf like the broker's, changed.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = leaf();
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// The private extension with this text, shorter than 128 bytes.
pub(crate) fn stamp(text: &str) -> CustomExtension {
    let content = [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    CustomExtension::from_oid_content(daypass_credential::stamp::LINEAGE_OID, content)
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(
        daypass_credential::stamp::serial([9; 8], daypass_credential::Revision::new(41)).to_vec().into(),
    );
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "sync");
    params.subject_alt_names = vec![uri("spiffe://daypass.example/application/sync")];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    // The tests stand in November 2023.
    (params.not_before, params.not_after) = (date_time_ymd(2023, 11, 1), date_time_ymd(2023, 12, 1));
    params.custom_extensions.push(stamp(&format!("1 {ERA} application:sync identity:i1 audience:billing")));
    params
}

/// What a broker with these keys alone publishes.
pub(crate) fn published(signers: &[(&str, &Signer)], authorities: &[(&str, &Authority)]) -> Published {
    let audience = |(audience, authority): &(&str, &Authority)| PublishedAudience {
        name: name(audience),
        staleness: LIMIT,
        anchors: vec![authority.der.clone()],
    };
    Published {
        era: ERA,
        issuer: realm().issuer,
        domain: realm().domain,
        tokens: signers.iter().map(|(kid, signer)| signer.published(kid)).collect(),
        audiences: authorities.iter().map(audience).collect(),
        log_keys: Vec::new(),
    }
}

/// An audience without CAs, for tokens alone.
pub(crate) fn audience(audience: &str) -> PublishedAudience {
    PublishedAudience { name: name(audience), staleness: LIMIT, anchors: Vec::new() }
}

/// A verifier that trusts a key whose private half is here.
pub(crate) fn trusting(signer: &Signer) -> Rig {
    let audiences = vec![audience("billing"), audience("payroll")];
    Rig::following_with(Published { audiences, ..published(&[("k1", signer)], &[]) })
}
