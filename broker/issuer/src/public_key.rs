//! Public keys from outside: which kinds are good enough, and how an admin's key file is read.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_credential::Digest;
use rcgen::PublicKeyData as _;
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use x509_parser::{
    der_parser::asn1_rs::FromDer as _,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
    },
    public_key::PublicKey as Parsed,
    x509::SubjectPublicKeyInfo,
};

/// The longest key file that is read.
const MAX_TEXT: usize = 8 * 1024;

/// The DER of a SubjectPublicKeyInfo up to the key itself: P-256 (RFC 5480) and Ed25519 (RFC 8410).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

/// A public key of a kind that we accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    spki: Vec<u8>,
    bare: Vec<u8>,
    built: rcgen::SubjectPublicKeyInfo,
}

/// Why something is no public key that we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Neither form.
    #[error(
        "not a public key: give a PEM `PUBLIC KEY`, or one OpenSSH line with `ssh-ed25519` or `ecdsa-sha2-nistp256`"
    )]
    Form,
    /// A private key, which should not have come here.
    #[error("this is a private key: give the public one, and keep this to yourself")]
    Private,
    /// RSA under 2048 bits.
    #[error("weak key: RSA takes at least 2048 bits")]
    Weak,
    /// Another kind of key.
    #[error("unsupported kind of key: use P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits")]
    Unsupported,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let (rest, parsed) = SubjectPublicKeyInfo::from_der(der).map_err(|_| PublicKeyError::Form)?;
        if !rest.is_empty() {
            return Err(PublicKeyError::Form);
        }
        let kind = kind(&parsed)?;
        let built = rcgen::SubjectPublicKeyInfo::from_der(der).map_err(|_| PublicKeyError::Unsupported)?;
        // One key, one spelling: else its digest would not be that of the key in the certificate.
        if built.subject_public_key_info() != der {
            return Err(PublicKeyError::Form);
        }
        Ok(Self { kind, spki: der.to_vec(), bare: parsed.subject_public_key.data.to_vec(), built })
    }

    /// SHA-256 over its DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::digest(&self.spki)
    }

    /// The same key as an OpenSSH line without comment, if it is of a kind that we read in that form.
    #[must_use]
    pub fn openssh(&self) -> Option<String> {
        let (name, parts): (&str, Vec<&[u8]>) = match self.kind {
            Kind::Ed25519 => (SSH_ED25519, vec![&self.bare]),
            Kind::P256 => (SSH_P256, vec![b"nistp256", &self.bare]),
            Kind::P384 | Kind::Rsa => return None,
        };
        let wire = [name.as_bytes()].into_iter().chain(parts).flat_map(|part| {
            let length = u32::try_from(part.len()).unwrap_or_default();
            [&length.to_be_bytes(), part].concat()
        });
        Some(format!("{name} {}", STANDARD.encode(wire.collect::<Vec<u8>>())))
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its DER SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The key itself, without what says its kind.
    pub(crate) fn bare(&self) -> &[u8] {
        &self.bare
    }

    /// The same for the code that builds certificates.
    pub(crate) const fn built(&self) -> &rcgen::SubjectPublicKeyInfo {
        &self.built
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        if text.len() > MAX_TEXT {
            return Err(PublicKeyError::Form);
        }
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(PublicKeyError::Private);
        }
        if text.starts_with("-----BEGIN") {
            let der =
                SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| PublicKeyError::Form)?;
            return Self::from_spki(&der);
        }
        Self::from_spki(&openssh_spki(text)?)
    }
}

/// SHA-256 over the DER SubjectPublicKeyInfo of the key in an admin's public key file.
///
/// # Errors
/// See [`PublicKeyError`].
pub fn public_key_digest(text: &str) -> Result<Digest, PublicKeyError> {
    Ok(text.parse::<PublicKey>()?.digest())
}

fn kind(spki: &SubjectPublicKeyInfo<'_>) -> Result<Kind, PublicKeyError> {
    let (oid, bits) = (&spki.algorithm.algorithm, &spki.subject_public_key.data);
    let curve = || spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    if *oid == OID_SIG_ED25519 {
        return (bits.len() == 32).then_some(Kind::Ed25519).ok_or(PublicKeyError::Form);
    }
    if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let (kind, length) = match curve() {
            Some(curve) if curve == OID_EC_P256 => (Kind::P256, 65),
            Some(curve) if curve == OID_NIST_EC_P384 => (Kind::P384, 97),
            _ => return Err(PublicKeyError::Unsupported),
        };
        // Only uncompressed points (RFC 5480, section 2.2): other code would not read the rest.
        let fits = bits.len() == length && bits.first() == Some(&4);
        return fits.then_some(kind).ok_or(PublicKeyError::Unsupported);
    }
    if *oid != OID_PKCS1_RSAENCRYPTION {
        return Err(PublicKeyError::Unsupported);
    }
    let Ok(Parsed::RSA(rsa)) = spki.parsed() else {
        return Err(PublicKeyError::Form);
    };
    match bit_length(rsa.modulus) {
        0..2048 => Err(PublicKeyError::Weak),
        2048..=8192 => Ok(Kind::Rsa),
        _ => Err(PublicKeyError::Unsupported),
    }
}

/// The bits of a big-endian number, leading zeros aside.
fn bit_length(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    let top = number.get(zeros).map_or(0, |b| b.leading_zeros() as usize);
    (number.len() - zeros) * 8 - top
}

pub(crate) fn p256_spki(point: &[u8]) -> Vec<u8> {
    [&P256_PREFIX[..], point].concat()
}

pub(crate) fn ed25519_spki(bytes: &[u8]) -> Vec<u8> {
    [&ED25519_PREFIX[..], bytes].concat()
}

const SSH_ED25519: &str = "ssh-ed25519";
const SSH_P256: &str = "ecdsa-sha2-nistp256";

/// The SubjectPublicKeyInfo of an OpenSSH line: a kind, base64 of the wire form (RFC 8709, RFC 5656), perhaps a comment.
fn openssh_spki(line: &str) -> Result<Vec<u8>, PublicKeyError> {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(blob), 1) = (words.next(), words.next(), line.lines().count()) else {
        return Err(PublicKeyError::Form);
    };
    if kind != SSH_ED25519 && kind != SSH_P256 {
        let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| kind.starts_with(start));
        return Err(if known { PublicKeyError::Unsupported } else { PublicKeyError::Form });
    }
    let blob = STANDARD.decode(blob).map_err(|_| PublicKeyError::Form)?;
    let fields = fields(&blob).ok_or(PublicKeyError::Form)?;
    match fields.as_slice() {
        [name, key] if *name == kind.as_bytes() && kind == SSH_ED25519 && key.len() == 32 => {
            Ok(ed25519_spki(key))
        }
        [name, b"nistp256", point] if *name == kind.as_bytes() && kind == SSH_P256 && point.len() == 65 => {
            Ok(p256_spki(point))
        }
        _ => Err(PublicKeyError::Form),
    }
}

/// The strings of an SSH wire form (RFC 4251, section 5), with nothing after the last.
fn fields(mut wire: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !wire.is_empty() {
        let (length, rest) = wire.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        fields.push(field);
        wire = rest;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -t ed25519` and `-t ecdsa`, and the same keys by `ssh-keygen -e -m PKCS8`.
    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPEsnYVHupQtQnrnwMiyUdFkiqei2m1FULarbBworkFS ada@laptop";
    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFF8ovmdlwolj7orQq8yLfsFqOcFo9kI7TYPZi7hDe++zewydpTXnLUZ9oZMv5wjKxxke25lDeoG00OANENECV4= ada on laptop";
    const P256_PEM: &str = "\
-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUXyi+Z2XCiWPuitCrzIt+wWo5wWj\n\
        2QjtNg9mLuEN777N7DJ2lNectRn2hky/nCMrHGR7bmUN6gbTQ4A0Q0QJXg==\n\
        -----END PUBLIC KEY-----";

    #[test]
    fn the_same_key_has_the_same_digest_in_either_form() {
        assert_eq!(public_key_digest(P256).unwrap(), public_key_digest(P256_PEM).unwrap());
        let mut with_crlf = P256_PEM.replace('\n', "\r\n");
        with_crlf.insert(0, '\n');
        assert_eq!(public_key_digest(&with_crlf).unwrap(), public_key_digest(P256).unwrap());
    }

    #[test]
    fn an_openssh_line_reads_back_without_its_comment() {
        for line in [ED25519, P256] {
            let key: PublicKey = line.parse().unwrap();
            let canonical = key.openssh().unwrap();
            assert!(line.starts_with(&canonical), "{canonical}");
            assert_eq!(canonical.parse::<PublicKey>().unwrap(), key);
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let check = |text: &str, error| assert_eq!(public_key_digest(text), Err(error), "`{text}`");
        check("", PublicKeyError::Form);
        check("hello", PublicKeyError::Form);
        check("ssh-ed25519", PublicKeyError::Form);
        check("ssh-ed25519 !!!!", PublicKeyError::Form);
        check("ssh-rsa AAAA", PublicKeyError::Unsupported);
        check("sk-ssh-ed25519@openssh.com AAAA", PublicKeyError::Unsupported);
        check(&format!("{ED25519}\n{ED25519}"), PublicKeyError::Form);
        check(&ED25519.replace("ssh-ed25519 ", "ecdsa-sha2-nistp256 "), PublicKeyError::Form);
        check("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", PublicKeyError::Private);
        check("-----BEGIN OPENSSH PRIVATE KEY-----", PublicKeyError::Private);
        check("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", PublicKeyError::Form);
        check(&"x".repeat(MAX_TEXT + 1), PublicKeyError::Form);
    }

    #[test]
    fn the_bits_of_a_modulus_are_counted_without_leading_zeros() {
        for (number, bits) in [(&[][..], 0), (&[0], 0), (&[1], 1), (&[0, 0x80], 8), (&[0x7f, 0], 15)] {
            assert_eq!(bit_length(number), bits);
        }
    }
}
