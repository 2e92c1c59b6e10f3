//! The one counter of the system, and the life of one log.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The number of a commit: one counter for the whole system, without gaps, from 1. Zero is before all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);

    /// The revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The life of one log, a random number written as 16 hexadecimal digits. A restored store begins a new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Era(u64);

/// A text that is no era.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an era: 16 lower-case hexadecimal digits")]
pub struct EraError;

impl Era {
    /// The era with this number, drawn at random.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Era {
    type Err = EraError;

    fn from_str(text: &str) -> Result<Self, EraError> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 16 || !text.bytes().all(hex) {
            return Err(EraError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| EraError)
    }
}

impl Serialize for Era {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Era {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_has_one_spelling() {
        let era = Era::new(0xab);
        assert_eq!(era.to_string(), "00000000000000ab");
        assert_eq!("00000000000000ab".parse::<Era>().unwrap(), era);
        for bad in ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000abc"] {
            assert!(bad.parse::<Era>().is_err(), "`{bad}`");
        }
    }
}
