//! The public half of a key that signs notes: name, id and Ed25519 key (C2SP signed-note, *Signatures*), written as
//! one line that can be handed around.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, UnparsedPublicKey},
};

/// The type of signature that is Ed25519 over the text of the note.
const ED25519_TYPE: u8 = 1;

/// A key whose signatures count, written `NAME+ID+KEY`: the id in eight hexadecimal digits, the key in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A name that no line of a note can hold.
    #[error("a key's name is not empty and has no spaces, control characters or `+`")]
    Name,
    /// Not the three parts.
    #[error("not a key: it is written as name, id and key with `+` between them")]
    Form,
    /// Another kind of key.
    #[error("not an Ed25519 key")]
    Algorithm,
    /// The id is not that of this name and key.
    #[error("the key's id does not belong to its name and bytes: it was copied wrongly or changed")]
    Id,
}

impl VerifierKey {
    /// The Ed25519 key with these bytes (RFC 8032), under this name.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), id: id_of(name, &public), public })
    }

    /// Its name; that of a log's key is the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of the hash of name and key, by which a signature names it.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Is this its signature over these bytes?
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

/// May a key of a note be called so?
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c < ' ' || c == '+')
}

fn id_of(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let named = [name.as_bytes(), b"\n", &[ED25519_TYPE], public].concat();
    digest(&SHA256, &named).as_ref().first_chunk().copied().unwrap_or_default()
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519_TYPE];
        typed.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(typed))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
        let (id, typed) = rest.split_once('+').ok_or(KeyError::Form)?;
        let typed = STANDARD.decode(typed).map_err(|_| KeyError::Form)?;
        let (kind, public) = typed.split_first().ok_or(KeyError::Form)?;
        if *kind != ED25519_TYPE {
            return Err(KeyError::Algorithm);
        }
        let key = Self::new(name, public.try_into().map_err(|_| KeyError::Algorithm)?)?;
        if id == format!("{:08x}", u32::from_be_bytes(key.id)) { Ok(key) } else { Err(KeyError::Id) }
    }
}
