//! The X.509 that certificates of ours have, and no more: read into plain values, or not at all. What the values have to
//! be is said in `anchor.rs` and `certificate.rs`.

use daypass_credential::{Timestamp, stamp::LINEAGE_OID};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::{
    certificate::{TbsCertificate, X509Certificate},
    der_parser::asn1_rs::{FromDer as _, Utf8String},
    extensions::{AuthorityKeyIdentifier, ExtendedKeyUsage, GeneralName, ParsedExtension, X509Extension},
    oid_registry::{OID_SIG_ECDSA_WITH_SHA256, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME},
    x509::{X509Name, X509Version},
};

/// The longest certificate that is read.
pub(crate) const MAX: usize = 16 * 1024;

/// `ecdsa-with-SHA256` as an AlgorithmIdentifier, without parameters (RFC 5758, section 3.2).
const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// The DER of a P-256 SubjectPublicKeyInfo up to the point (RFC 5480), which is uncompressed.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// `keyUsage` bits: what a leaf's key may do, and what a CA's may.
pub(crate) const DIGITAL_SIGNATURE: u16 = 1;
pub(crate) const CERT_AND_CRL_SIGN: u16 = 1 << 5 | 1 << 6;

/// What the bytes of a certificate say.
pub(crate) struct Read {
    tbs: Vec<u8>,
    signature: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    /// The DER of the issuer's name.
    pub(crate) issuer: Vec<u8>,
    /// The DER of the subject's name.
    pub(crate) subject: Vec<u8>,
    /// `O`, if the subject has one, and `CN`.
    pub(crate) subject_names: (Option<String>, String),
    pub(crate) not_before: Timestamp,
    /// The first second after the validity.
    pub(crate) expires: Timestamp,
    spki: Vec<u8>,
    pub(crate) extensions: Extensions,
}

/// The extensions that ours may have, each at most once, each as critical as it has to be.
#[derive(Default)]
pub(crate) struct Extensions {
    pub(crate) uris: Vec<String>,
    pub(crate) usage: Option<u16>,
    /// Is client authentication the one purpose; none if no purpose is named.
    pub(crate) client: Option<bool>,
    /// Whether it is a CA, and how many may stand below.
    pub(crate) constraints: Option<(bool, Option<u32>)>,
    pub(crate) key_id: Option<Vec<u8>>,
    pub(crate) issuer_key_id: Option<Vec<u8>>,
    /// The text of the private extension.
    pub(crate) stamp: Option<String>,
}

impl Read {
    /// Reads a certificate with an ECDSA signature; any part that ours do not have makes it none.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let tbs = &certificate.tbs_certificate;
        let signature = &certificate.signature_value.data;
        let plain = tbs.version == X509Version::V3
            && tbs.issuer_uid.is_none()
            && tbs.subject_uid.is_none()
            && tbs.signature.algorithm == OID_SIG_ECDSA_WITH_SHA256
            && tbs.signature.parameters.is_none();
        if !rest.is_empty() || !plain || signed(tbs.as_ref(), signature)? != der {
            return None;
        }
        let (not_before, expires) = validity(tbs)?;
        let mut extensions = Extensions::default();
        tbs.extensions().iter().try_for_each(|extension| extensions.take(extension))?;
        Some(Self {
            tbs: tbs.as_ref().to_vec(),
            signature: signature.to_vec(),
            serial: tbs.raw_serial().to_vec(),
            issuer: tbs.issuer.as_raw().to_vec(),
            subject: tbs.subject.as_raw().to_vec(),
            subject_names: names(&tbs.subject)?,
            not_before,
            expires,
            spki: tbs.subject_pki.raw.to_vec(),
            extensions,
        })
    }

    /// Did this P-256 key sign it?
    pub(crate) fn signed_by(&self, point: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&self.tbs, &self.signature).is_ok()
    }

    /// Its public key, if that is a point on P-256.
    pub(crate) fn point(&self) -> Option<&[u8]> {
        self.spki.strip_prefix(&P256).filter(|point| point.len() == 65 && point.first() == Some(&4))
    }
}

impl Extensions {
    /// Takes in an extension of ours, if it is the first of its kind and as critical as it has to be.
    fn take(&mut self, extension: &X509Extension<'_>) -> Option<()> {
        let (first, must_be_critical) = match extension.parsed_extension() {
            ParsedExtension::KeyUsage(usage) => (self.usage.replace(usage.flags).is_none(), true),
            ParsedExtension::BasicConstraints(said) => {
                (self.constraints.replace((said.ca, said.path_len_constraint)).is_none(), true)
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                (self.client.replace(*usage == client_only()).is_none(), false)
            }
            ParsedExtension::SubjectKeyIdentifier(id) => {
                (self.key_id.replace(id.0.to_vec()).is_none(), false)
            }
            ParsedExtension::AuthorityKeyIdentifier(AuthorityKeyIdentifier {
                key_identifier: Some(id),
                authority_cert_issuer: None,
                authority_cert_serial: None,
            }) => (self.issuer_key_id.replace(id.0.to_vec()).is_none(), false),
            ParsedExtension::SubjectAlternativeName(names) => {
                let first = self.uris.is_empty() && !names.general_names.is_empty();
                self.uris = names.general_names.iter().map(uri).collect::<Option<_>>()?;
                (first, false)
            }
            ParsedExtension::UnsupportedExtension { oid }
                if oid.iter().is_some_and(|arcs| arcs.eq(LINEAGE_OID.iter().copied())) =>
            {
                (self.stamp.replace(text(extension.value)?).is_none(), false)
            }
            _ => return None,
        };
        (first && extension.critical == must_be_critical).then_some(())
    }
}

/// The bytes of a certificate of this content and signature. The parser forgives other spellings around what is signed,
/// and the same certificate would have a second thumbprint.
fn signed(tbs: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    // One byte before the signature says that all its bits count. An ECDSA signature is short, a certificate is not.
    let bits = u8::try_from(signature.len() + 1).ok().filter(|length| *length < 0x80)?;
    let content = [tbs, &ECDSA_WITH_SHA256, &[0x03, bits, 0], signature].concat();
    let [high, low] = u16::try_from(content.len()).ok().filter(|length| *length > 0xff)?.to_be_bytes();
    Some([&[0x30, 0x82, high, low], content.as_slice()].concat())
}

/// `O` and `CN`, or `CN` alone, each once and in this order.
fn names(name: &X509Name<'_>) -> Option<(Option<String>, String)> {
    let mut parts = Vec::new();
    for set in name.iter_rdn() {
        let mut attributes = set.iter();
        let (Some(one), None) = (attributes.next(), attributes.next()) else {
            return None;
        };
        parts.push((one.attr_type(), one.as_str().ok()?.to_owned()));
    }
    match parts.as_slice() {
        [(cn, common_name)] if **cn == OID_X509_COMMON_NAME => Some((None, common_name.clone())),
        [(o, organization), (cn, common_name)]
            if **o == OID_X509_ORGANIZATION_NAME && **cn == OID_X509_COMMON_NAME =>
        {
            Some((Some(organization.clone()), common_name.clone()))
        }
        _ => None,
    }
}

fn validity(tbs: &TbsCertificate<'_>) -> Option<(Timestamp, Timestamp)> {
    let secs = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).ok();
    let (first, last) = (secs(tbs.validity.not_before)?, secs(tbs.validity.not_after)?);
    Some((Timestamp::from_secs(first), Timestamp::from_secs(last.checked_add(1)?)))
}

const fn client_only() -> ExtendedKeyUsage<'static> {
    ExtendedKeyUsage {
        any: false,
        server_auth: false,
        client_auth: true,
        code_signing: false,
        email_protection: false,
        time_stamping: false,
        ocsp_signing: false,
        other: Vec::new(),
    }
}

fn uri(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    }
}

fn text(der: &[u8]) -> Option<String> {
    let (rest, text) = Utf8String::from_der(der).ok()?;
    rest.is_empty().then(|| text.as_ref().to_owned())
}
