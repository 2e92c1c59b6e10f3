//! The words of a record: who caused something, what happened, and what came of it.

use std::{fmt, str::FromStr};

use daypass_credential::{NodeId, NodeIdError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Who caused an event, in a word: the node that acted, or one of those that are no node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// The broker by itself, or whoever started it.
    Broker,
    /// Nobody known.
    Stranger,
    /// An application, person or verifier; or the enrolment code that was shown.
    Node(NodeId),
}

impl Who {
    const BROKER: &str = "broker";
    const STRANGER: &str = "stranger";
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker => f.write_str(Self::BROKER),
            Self::Stranger => f.write_str(Self::STRANGER),
            Self::Node(id) => id.fmt(f),
        }
    }
}

impl FromStr for Who {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        match text {
            Self::BROKER => Ok(Self::Broker),
            Self::STRANGER => Ok(Self::Stranger),
            other => other.parse().map(Self::Node),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A word that is none of those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not one of {0}")]
pub struct UnknownWord(String);

/// Enumerated words, written as they are in events.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                let found = Self::ALL.iter().find(|word| word.as_str() == text);
                found.copied().ok_or_else(|| {
                    UnknownWord(Self::ALL.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

words! {
    /// What happened, in a word: see [`Action`](crate::Action).
    ActionKind {
        /// The log began.
        Initialized = "initialized",
        /// Nodes of the era before.
        CarriedOver = "carried-over",
        /// A directory object was written.
        Written = "written",
        /// An enrolment code was made.
        EnrollmentOpened = "enrollment-opened",
        /// A code was spent on a new identity.
        Enrolled = "enrolled",
        /// An identity got its next certificate.
        Renewed = "renewed",
        /// A client certificate was minted.
        CertificateMinted = "certificate-minted",
        /// An access token was minted.
        TokenMinted = "token-minted",
        /// Something was ended.
        Ended = "ended",
        /// Something that was suspended is open again.
        Resumed = "resumed",
        /// The private text about a person was erased.
        Forgotten = "forgotten",
        /// An identity was suspended.
        Suspended = "suspended",
        /// A caller was refused.
        Refused = "refused",
        /// Refusals, counted together.
        RefusalsCounted = "refusals-counted",
        /// An operator vouched for the clock.
        ClockAccepted = "clock-accepted",
        /// The receipt of an ended vendor was made.
        ReceiptClosed = "receipt-closed",
    }
}

words! {
    /// What came of it.
    Outcome {
        /// It was done.
        Done = "done",
        /// It was refused.
        Refused = "refused",
    }
}
