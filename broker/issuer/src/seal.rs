//! Private keys at rest: AES-256-GCM under a key-encryption key that comes from a file, the environment or systemd.
//!
//! INVARIANT (sealed in place): what is sealed is bound to the name, purpose, algorithm and public half of its key, so
//! that it opens under no other key's node.

use std::fmt;

use base64::{
    Engine as _,
    alphabet::{STANDARD as STANDARD_ALPHABET, URL_SAFE as URL_SAFE_ALPHABET},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use daypass_core::node::{Key, KeyAlgorithm, KeyPurpose};
use daypass_credential::Digest;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hmac::{self, HMAC_SHA256},
    rand::{SystemRandom, generate},
};
use zeroize::Zeroizing;

/// The form of what is sealed: its first byte.
const VERSION: u8 = 1;

/// How many bytes tell which key-encryption key sealed it, so that a wrong one is not taken for damage.
const KEK_ID: usize = 4;

/// The key that the broker's private keys are sealed under.
pub struct KeyEncryptionKey(Zeroizing<[u8; 32]>);

/// Why some bytes are no key-encryption key. The bytes themselves are never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KekError {
    /// Neither form.
    #[error("not a key-encryption key: 32 raw bytes, 64 hexadecimal digits, or 32 bytes in base64")]
    Form,
    /// The system gave no randomness.
    #[error("the system gave no random bytes")]
    Random,
}

/// Why a private key cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not what this code writes.
    #[error("not a sealed key of a known form")]
    Form,
    /// Sealed under another key-encryption key.
    #[error("sealed under another key-encryption key than the one given")]
    OtherKek,
    /// Altered, or put in another key's place.
    #[error("the sealed key was altered, or belongs to another key")]
    Altered,
    /// The system gave no randomness.
    #[error("the system gave no random bytes")]
    Random,
}

impl KeyEncryptionKey {
    /// A new one.
    ///
    /// # Errors
    /// [`KekError::Random`].
    pub fn generate() -> Result<Self, KekError> {
        let bytes = random::<32>().map_err(|_| KekError::Random)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// Reads what a file, a variable or a systemd credential holds: 32 raw bytes, or text in hexadecimal or base64.
    ///
    /// # Errors
    /// [`KekError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KekError> {
        // 32 printable bytes are a text of the wrong length: chance does not make them.
        if let Ok(raw) = <[u8; 32]>::try_from(bytes)
            && !raw.iter().all(u8::is_ascii_graphic)
        {
            return Ok(Self(Zeroizing::new(raw)));
        }
        let text = bytes.trim_ascii();
        let decoded = match text.len() {
            64 => unhex(text),
            _ => unbase64(text),
        };
        let decoded = decoded.ok_or(KekError::Form)?;
        let raw = <[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| KekError::Form)?;
        Ok(Self(Zeroizing::new(raw)))
    }

    /// In base64, to write it where it is kept.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// A digest of these parts that tells nothing of them to whoever does not have this key, however few there may be to
    /// guess from: HMAC-SHA-256. `of` keeps one use from another.
    #[must_use]
    pub fn digest(&self, of: &str, parts: &[&[u8]]) -> Digest {
        let mut hash = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, self.0.as_slice()));
        for part in [b"daypass digest".as_slice(), of.as_bytes()].iter().chain(parts) {
            hash.update(&u64::try_from(part.len()).unwrap_or_default().to_be_bytes());
            hash.update(part);
        }
        let mut digest = [0; 32];
        digest.iter_mut().zip(hash.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Digest::new(digest)
    }

    /// Seals a private key for its place.
    pub(crate) fn seal(&self, key: &Key, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = random::<NONCE_LEN>().map_err(|_| SealError::Random)?;
        let mut sealed = Zeroizing::new(secret.to_vec());
        let tag = self
            .aead()?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place(key)),
                &mut sealed,
            )
            .map_err(|_| SealError::Form)?;
        Ok([&[VERSION], self.id().as_slice(), &nonce, &sealed, tag.as_ref()].concat())
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(&self, key: &Key, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Form)?;
        let (id, rest) = rest.split_first_chunk::<KEK_ID>().ok_or(SealError::Form)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Form)?;
        if *version != VERSION {
            return Err(SealError::Form);
        }
        if *id != self.id() {
            return Err(SealError::OtherKek);
        }
        let mut opened = Zeroizing::new(rest.to_vec());
        let length = self
            .aead()?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place(key)), &mut opened)
            .map_err(|_| SealError::Altered)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    fn aead(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_slice()).map_err(|_| SealError::Form)?;
        Ok(LessSafeKey::new(key))
    }

    /// Tells this key from others, and nothing else about it.
    fn id(&self) -> [u8; KEK_ID] {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        hash.update(b"daypass key-encryption key id\0");
        hash.update(self.0.as_slice());
        let mut id = [0; KEK_ID];
        id.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        id
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey(...)")
    }
}

/// Where a sealed key belongs: each part with its length before it, so that no two places read the same.
fn place(key: &Key) -> Vec<u8> {
    let (purpose, audience) = match &key.purpose {
        KeyPurpose::Identity => ("identity", ""),
        KeyPurpose::Audience { audience } => ("audience", audience.as_str()),
        KeyPurpose::Token => ("token", ""),
        KeyPurpose::Audit => ("audit", ""),
    };
    let algorithm = match key.algorithm {
        KeyAlgorithm::Es256 => "ES256",
        KeyAlgorithm::EdDsa => "EdDSA",
    };
    let texts = ["daypass sealed key", key.name.as_str(), purpose, audience, algorithm];
    let parts = texts.iter().map(|text| text.as_bytes()).chain([key.public.0.as_slice()]);
    parts.flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect()
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Unspecified>
where
    [u8; N]: ring::rand::RandomlyConstructable,
{
    Ok(generate::<[u8; N]>(&SystemRandom::new())?.expose())
}

fn unbase64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let url_safe = text.iter().any(|b| matches!(b, b'-' | b'_'));
    let alphabet = if url_safe { &URL_SAFE_ALPHABET } else { &STANDARD_ALPHABET };
    let decoded = GeneralPurpose::new(alphabet, lenient).decode(text);
    decoded.ok().map(Zeroizing::new)
}

fn unhex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.chunks(2).map(byte).collect();
    bytes.map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daypass_core::{node::Base64, text::PrivateId};
    use daypass_credential::Timestamp;

    fn key() -> Key {
        Key {
            name: "tok-1".parse().unwrap(),
            purpose: KeyPurpose::Token,
            algorithm: KeyAlgorithm::Es256,
            public: Base64(vec![1, 2, 3]),
            not_before: Timestamp::ZERO,
            not_after: Timestamp::from_secs(1),
            sealed: PrivateId::new([0; 16]),
        }
    }

    #[test]
    fn a_digest_is_of_its_key_use_and_parts_alone() {
        let kek = KeyEncryptionKey::parse(&[7; 32]).unwrap();
        let digest = kek.digest("use", &[b"a", b"bc"]);
        assert_eq!(digest, KeyEncryptionKey::parse(&[7; 32]).unwrap().digest("use", &[b"a", b"bc"]));
        for other in [
            KeyEncryptionKey::parse(&[8; 32]).unwrap().digest("use", &[b"a", b"bc"]),
            kek.digest("other", &[b"a", b"bc"]),
            kek.digest("use", &[b"ab", b"c"]),
            kek.digest("use", &[b"a"]),
        ] {
            assert_ne!(other, digest);
        }
    }

    #[test]
    fn what_is_sealed_opens_again_in_its_place() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let sealed = kek.seal(&key(), b"secret").unwrap();
        assert_eq!(kek.open(&key(), &sealed).unwrap().as_slice(), b"secret");
        assert_ne!(sealed, kek.seal(&key(), b"secret").unwrap(), "each time another nonce");
    }

    #[test]
    fn what_is_sealed_opens_in_no_other_place() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let sealed = kek.seal(&key(), b"secret").unwrap();
        let audience = "billing".parse().unwrap();
        for other in [
            Key { name: "tok-2".parse().unwrap(), ..key() },
            Key { purpose: KeyPurpose::Identity, ..key() },
            Key { purpose: KeyPurpose::Audience { audience }, ..key() },
            Key { algorithm: KeyAlgorithm::EdDsa, ..key() },
            Key { public: Base64(vec![1, 2, 4]), ..key() },
        ] {
            assert_eq!(kek.open(&other, &sealed), Err(SealError::Altered), "{other:?}");
        }
    }

    #[test]
    fn another_key_encryption_key_and_damage_are_told_apart() {
        let kek = KeyEncryptionKey::generate().unwrap();
        let sealed = kek.seal(&key(), b"secret").unwrap();
        let other = KeyEncryptionKey::generate().unwrap();
        assert_eq!(other.open(&key(), &sealed), Err(SealError::OtherKek));
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(kek.open(&key(), &bad).is_err(), "byte {at}");
            assert!(kek.open(&key(), &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_key_encryption_key_is_read_from_bytes_hexadecimal_and_base64() {
        let raw: Vec<u8> = (0u8..32).map(|n| n.wrapping_mul(37) | 0x80).collect();
        let hex: String = raw.iter().map(|b| format!("{b:02x}")).collect();
        let base64 = STANDARD.encode(&raw);
        for good in [
            raw.clone(),
            hex.clone().into_bytes(),
            hex.to_uppercase().into_bytes(),
            format!("  {base64}\n").into_bytes(),
            base64.trim_end_matches('=').replace('+', "-").replace('/', "_").into_bytes(),
        ] {
            assert_eq!(KeyEncryptionKey::parse(&good).unwrap().0.as_slice(), raw);
        }
        let (short, long) = (hex.split_at(32).0, hex.split_at(62).0);
        for bad in
            ["", "x", short, hex.trim_start_matches('8'), &format!("{long}zz"), &STANDARD.encode(&raw[1..])]
        {
            assert_eq!(KeyEncryptionKey::parse(bad.as_bytes()).err(), Some(KekError::Form), "`{bad}`");
        }
    }

    #[test]
    fn a_key_encryption_key_prints_dots() {
        let kek = KeyEncryptionKey::generate().unwrap();
        assert_eq!(format!("{kek:?}"), "KeyEncryptionKey(...)");
        assert_eq!(KeyEncryptionKey::parse(kek.to_text().as_bytes()).unwrap().0, kek.0);
    }
}
