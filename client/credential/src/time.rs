//! Instants and durations. Nothing here asks what time it is: callers pass it in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of time: earlier than anything a broker writes.
    pub const ZERO: Self = Self(0);

    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch; what would overflow is the latest instant there is.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The same instant rounded down to a whole second, as tokens and certificates write it.
    #[must_use]
    pub const fn floor_secs(self) -> Self {
        Self(self.0 - self.0 % 1000)
    }

    /// This instant and `ttl` later.
    #[must_use]
    pub const fn after(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(ttl.as_millis()))
    }

    /// This instant and `ttl` earlier.
    #[must_use]
    pub const fn before(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_sub(ttl.as_millis()))
    }
}

/// A lifetime in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Ttl(u32);

/// Why a number or text is no [`Ttl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TtlError {
    /// Nothing lives for no time.
    #[error("a lifetime is at least one second")]
    Zero,
    /// Not a number with a unit.
    #[error("`{0}` is not a duration: write it as `90s`, `15m`, `12h` or `30d`")]
    Form(String),
}

impl Ttl {
    /// So many seconds.
    ///
    /// # Errors
    /// [`TtlError::Zero`] for zero.
    pub const fn from_secs(secs: u32) -> Result<Self, TtlError> {
        if secs == 0 { Err(TtlError::Zero) } else { Ok(Self(secs)) }
    }

    /// So many seconds; zero counts as one.
    #[must_use]
    pub const fn seconds(seconds: u16) -> Self {
        Self(if seconds == 0 { 1 } else { seconds as u32 })
    }

    /// So many minutes; zero counts as one second.
    #[must_use]
    pub const fn minutes(minutes: u16) -> Self {
        Self(if minutes == 0 { 1 } else { minutes as u32 * 60 })
    }

    /// So many days; zero counts as one second.
    #[must_use]
    pub const fn days(days: u16) -> Self {
        Self(if days == 0 { 1 } else { days as u32 * 86_400 })
    }

    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// In milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 as u64 * 1000
    }
}

impl TryFrom<u32> for Ttl {
    type Error = TtlError;

    fn try_from(secs: u32) -> Result<Self, TtlError> {
        Self::from_secs(secs)
    }
}

impl From<Ttl> for u32 {
    fn from(ttl: Ttl) -> Self {
        ttl.0
    }
}

impl FromStr for Ttl {
    type Err = TtlError;

    fn from_str(text: &str) -> Result<Self, TtlError> {
        let form = || TtlError::Form(text.chars().take(40).flat_map(char::escape_default).collect());
        let unit = text.chars().next_back().ok_or_else(form)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(form()),
        };
        let number = text.strip_suffix(unit).ok_or_else(form)?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let secs = number.parse::<u32>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(form)?;
        Self::from_secs(secs)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_written() {
        for (text, secs) in [("1s", 1), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)] {
            let ttl: Ttl = text.parse().unwrap();
            assert_eq!(ttl.as_secs(), secs);
            assert_eq!(ttl.to_string().parse::<Ttl>().unwrap(), ttl);
        }
        for bad in ["", "m", "0s", "1", "-1s", "+1s", "1w", "99999999d", "1.5h", "1ä"] {
            assert!(bad.parse::<Ttl>().is_err(), "`{bad}`");
        }
    }

    #[test]
    fn instants_never_wrap() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.after(Ttl::days(1)), end);
        assert_eq!(Timestamp::ZERO.before(Ttl::days(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::from_millis(1999).floor_secs(), Timestamp::from_secs(1));
    }
}
