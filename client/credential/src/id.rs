//! Names and node ids: how everything that authority rests on is called, in the store, in tokens and on the wire.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A name within its kind: 1 to 63 of `a-z 0-9 . _ -`, first and last a letter or digit.
/// It is spent for ever: a name whose node was ended never names anything else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 63 of a-z, 0-9, `.`, `_`, `-`, first and last a letter or digit")]
pub struct NameError(String);

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let fits = bytes.len() <= Self::MAX
            && bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
        if fits { Ok(Self(text.into())) } else { Err(NameError(shown(text))) }
    }
}

/// At most 80 characters of what a caller sent, without control characters, for an error text.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

macro_rules! node_kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The kinds of node. The order is only that of listings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum NodeKind { $($(#[$doc])* $variant,)* }

        impl NodeKind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word for this kind, as in `vendor:acme`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

node_kinds! {
    /// The outside organisation.
    Vendor = "vendor",
    /// A vendor's term.
    Contract = "contract",
    /// One partner application.
    Application = "application",
    /// A human.
    Person = "person",
    /// Something protected.
    Audience = "audience",
    /// A relying party's process.
    Verifier = "verifier",
    /// One enrolled instance of an application, person or verifier.
    Identity = "identity",
    /// A single credential, named by its revision; stored only once it has been ended by itself.
    Credential = "credential",
    /// A key of the broker's own: a CA, a token key, the audit key.
    Key = "key",
    /// A one-time enrolment code, named by its digest.
    Enrollment = "enrollment",
    /// Which identities an application, person or verifier has, so that two enrolments cannot pass its cap at once.
    Roster = "roster",
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NodeKind {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| NodeIdError::Kind(shown(text)))
    }
}

/// What a node is called everywhere: `kind:name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Which kind of node.
    pub kind: NodeKind,
    /// Its name among its kind.
    pub name: Name,
}

/// Why a text is no [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeIdError {
    /// There is no `:` in it.
    #[error("`{0}` is not an id: write it as `kind:name`, for example `vendor:acme`")]
    Form(String),
    /// The word before the `:` is not a kind.
    #[error("`{0}` is not a kind of node")]
    Kind(String),
    /// The word after the `:` is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl NodeId {
    /// The node `kind:name`.
    #[must_use]
    pub const fn new(kind: NodeKind, name: Name) -> Self {
        Self { kind, name }
    }

    /// The node of one credential: it is called by its revision.
    #[must_use]
    pub fn credential(revision: crate::Revision) -> Self {
        Self { kind: NodeKind::Credential, name: Name(revision.to_string().into()) }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let (kind, name) = text.split_once(':').ok_or_else(|| NodeIdError::Form(shown(text)))?;
        Ok(Self { kind: kind.parse()?, name: name.parse()? })
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, good: bool) {
        assert_eq!(text.parse::<Name>().is_ok(), good, "`{text}`");
    }

    #[test]
    fn names_hold_only_what_is_safe_in_paths_tokens_and_terminals() {
        for good in ["a", "acme", "acme-2026", "a.b_c-d", "0", &"x".repeat(63)] {
            check(good, true);
        }
        for bad in ["", "-a", "a-", ".", "..", "A", "a b", "a/b", "a:b", "ä", "a\n", &"x".repeat(64)] {
            check(bad, false);
        }
    }

    #[test]
    fn node_ids_read_back_as_written() {
        for kind in NodeKind::ALL {
            let id = NodeId::new(*kind, "acme".parse().unwrap());
            assert_eq!(id.to_string().parse::<NodeId>().unwrap(), id);
        }
        assert!("acme".parse::<NodeId>().is_err());
        assert!("thing:acme".parse::<NodeId>().is_err());
        assert!("vendor:".parse::<NodeId>().is_err());
    }
}
