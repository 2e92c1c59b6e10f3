//! Scopes: what a credential may be used for at its audience.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One scope, as in `invoices.read`: 1 to 64 of `a-z A-Z 0-9 . _ : / -`, a part of what RFC 6749, section 3.3 allows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

/// Why a text is no scope or list of scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A character that no scope has, or too long.
    #[error("`{0}` is not a scope: use 1 to 64 of letters, digits, `.`, `_`, `:`, `/`, `-`")]
    Form(String),
    /// More than [`ScopeSet::MAX`] in one set.
    #[error("more than 32 scopes at once")]
    TooMany,
    /// The same one twice.
    #[error("scope `{0}` is named twice")]
    Twice(Scope),
}

impl Scope {
    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-'));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(ScopeError::Form(text.chars().take(80).flat_map(char::escape_default).collect()))
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Some scopes, each once, in order. Written with single spaces between, as the `scope` claim of RFC 8693, section 4.2.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// The most scopes in one set.
    pub const MAX: usize = 32;

    /// The set of these.
    ///
    /// # Errors
    /// [`ScopeError::Twice`] and [`ScopeError::TooMany`].
    pub fn new(mut scopes: Vec<Scope>) -> Result<Self, ScopeError> {
        if scopes.len() > Self::MAX {
            return Err(ScopeError::TooMany);
        }
        scopes.sort();
        for pair in scopes.windows(2) {
            if let [a, b] = pair
                && a == b
            {
                return Err(ScopeError::Twice(a.clone()));
            }
        }
        Ok(Self(scopes))
    }

    /// Is this one in it?
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    /// Those in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Is nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromStr for ScopeSet {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::new(text.split(' ').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_spelling() {
        let set: ScopeSet = "b.write a.read".parse().unwrap();
        assert_eq!(set.to_string(), "a.read b.write");
        assert!(set.contains(&"a.read".parse().unwrap()));
        assert!(!set.contains(&"c".parse().unwrap()));
        assert!("".parse::<ScopeSet>().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for bad in [" ", "a  b", "a b a", "a\"b", "a\\b", "ä", &"x".repeat(65), "a\u{0}"] {
            assert!(bad.parse::<ScopeSet>().is_err(), "`{bad}`");
        }
        let many: Vec<String> = (0..33).map(|n| format!("s{n}")).collect();
        assert_eq!(many.join(" ").parse::<ScopeSet>(), Err(ScopeError::TooMany));
    }
}
