//! The hashes of the tree: RFC 6962, section 2.1, with SHA-256. Leaves and nodes begin with a byte of their own each,
//! so that a node can never be shown as a leaf.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The hash of a leaf, of a node, or of a whole tree; written in base64 (RFC 4648, section 4), as checkpoints have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// A text that is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: 32 bytes in base64 are wanted")]
pub struct HashError;

impl Hash {
    /// How many bytes a hash has.
    pub const LEN: usize = 32;

    /// The hash with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Of the tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(&[])
    }

    /// Of the leaf with this entry.
    #[must_use]
    pub fn leaf(entry: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[0]);
        context.update(entry);
        Self::taken(context.finish())
    }

    /// Of the node over these two.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut bytes = [1; 1 + 2 * Self::LEN];
        bytes[1..=Self::LEN].copy_from_slice(&left.0);
        bytes[1 + Self::LEN..].copy_from_slice(&right.0);
        Self::of(&bytes)
    }

    /// Of bytes that say themselves what they are.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::taken(digest(&SHA256, bytes))
    }

    fn taken(digest: ring::digest::Digest) -> Self {
        // SHA-256 has 32 bytes, always: no zeroes are ever taken instead.
        Self(digest.as_ref().try_into().unwrap_or_default())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let bytes = STANDARD.decode(text).map_err(|_| HashError)?;
        Ok(Self(bytes.try_into().map_err(|_| HashError)?))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let text = Hash::empty().to_string();
        assert_eq!(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(text.parse(), Ok(Hash::empty()));
        // The last digit before the padding holds two bits that belong to no byte: they have to be zero.
        for bad in ["", "47DE", &text.replace("FU=", "FV="), &text.replace('=', ""), &format!("{text}\n")] {
            assert_eq!(bad.parse::<Hash>(), Err(HashError), "`{bad}`");
        }
    }

    #[test]
    fn a_node_is_not_a_leaf_with_the_same_bytes() {
        let (left, right) = (Hash::leaf(b"a"), Hash::leaf(b"b"));
        let bytes = [*left.as_bytes(), *right.as_bytes()].concat();
        assert_ne!(Hash::node(&left, &right), Hash::leaf(&bytes));
        assert_ne!(Hash::node(&left, &right), Hash::node(&right, &left));
    }
}
