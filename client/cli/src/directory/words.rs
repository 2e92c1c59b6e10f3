//! The words of the file format: classifications, tiers, roles, instants and durations as people write them.

use std::{fmt, str::FromStr};

use daypass_proto::v1;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($variant:ident = $word:literal),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum $name { $(#[serde(rename = $word)] $variant),* }

        impl $name {
            /// As people write them.
            pub(super) const WORDS: &'static [&'static str] = &[$($word),*];

            /// As it goes over the wire.
            pub(super) fn to_wire(self) -> i32 {
                match self { $(Self::$variant => v1::$name::$variant.into()),* }
            }

            /// As it came over the wire.
            pub(super) fn from_wire(number: i32) -> Result<Self, String> {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => Ok(Self::$variant),)*
                    Ok(v1::$name::Unspecified) | Err(_) => Err(format!("a word that is not known here ({number})")),
                }
            }
        }
    };
}

words! {
    /// How sensitive data is.
    Classification: Public = "public", Internal = "internal", Confidential = "confidential", Restricted = "restricted"
}
words! {
    /// What it takes to get a scope.
    Tier: Standing = "standing", Jit = "jit", BreakGlass = "break-glass"
}
words! {
    /// What a person may do overall.
    Role: Admin = "admin", Auditor = "auditor"
}

/// An instant, as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instant(jiff::Timestamp);

impl Instant {
    pub(super) fn to_wire(self) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds: self.0.as_second(), nanos: self.0.subsec_nanosecond() }
    }

    pub(super) fn from_wire(at: Option<prost_types::Timestamp>) -> Result<Self, String> {
        let at = at.ok_or("an instant is missing")?;
        jiff::Timestamp::new(at.seconds, at.nanos).map(Self).map_err(|error| error.to_string())
    }
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = || text.chars().take(40).flat_map(char::escape_default).collect::<String>();
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{}` is no instant: write it as `2026-01-31T00:00:00Z`", shown()))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// In JSON a text; in TOML a text, or an instant of its own.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Toml(toml::value::Datetime),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Toml(instant) => instant.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

/// A duration, as `15m`.
pub(super) mod ttl {
    use daypass_credential::Ttl;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(ttl: &Ttl, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(ttl)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ttl, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }

    /// The same, where it may be left out.
    pub(in super::super) mod optional {
        use daypass_credential::Ttl;
        use serde::{Deserializer, Serializer};

        pub(in super::super::super) fn serialize<S: Serializer>(
            ttl: &Option<Ttl>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match ttl {
                Some(ttl) => super::serialize(ttl, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Ttl>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct At {
        at: Instant,
    }

    #[test]
    fn an_instant_may_be_a_text_or_tomls_own() {
        for text in
            ["at = \"2026-01-31T00:00:00Z\"", "at = 2026-01-31T00:00:00Z", "at = 2026-01-31T01:00:00+01:00"]
        {
            let read: At = toml::from_str(text).unwrap();
            assert_eq!(read.at.to_string(), "2026-01-31T00:00:00Z", "{text}");
        }
        for bad in ["at = \"yesterday\"", "at = 2026-01-31", "at = 7"] {
            assert!(toml::from_str::<At>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_the_same_on_the_wire() {
        for word in [Tier::Standing, Tier::Jit, Tier::BreakGlass] {
            assert_eq!(Tier::from_wire(word.to_wire()), Ok(word));
        }
        assert!(Tier::from_wire(0).is_err());
        assert!(Tier::from_wire(99).is_err());
        assert_eq!(serde_json::to_string(&Tier::BreakGlass).unwrap(), "\"break-glass\"");
    }
}
