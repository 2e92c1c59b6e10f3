//! Events: one a commit, and the leaf of the log. The nodes are what the events put, so that replaying the log
//! rebuilds them. No free text, personal data or secret is in an event, only references to where it lies.

use std::fmt;
use std::str::FromStr;

use daypass_credential::{Digest, Era, Lineage, Name, NodeId, Revision, ScopeSet, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    node::Node,
    text::{HexError, PrivateId, TextRef, hex16},
};

/// The version of the event schema that this code writes.
pub const SCHEMA: u16 = 1;

/// How many times actions were added to the schema, the first time included: what a backup says of the events in it, so
/// that a program without the newest calls it newer, and not damaged.
pub const GENERATION: u16 = 3;

/// The longest event, in bytes of JSON.
pub const MAX_EVENT: usize = 4096;

hex16! {
    /// What tells that two attempts are the same change: derived from caller, method and the caller's request id,
    /// or drawn at random where the caller named none.
    ChangeId
}

/// One change, or one refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The version of this schema.
    pub v: u16,
    /// When it was decided.
    pub at: Timestamp,
    /// Which change it is.
    pub id: ChangeId,
    /// Who caused it.
    pub actor: Actor,
    /// On whose behalf: the vendor whose application acted. Only where no lineage in the event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<NodeId>,
    /// What happened.
    pub action: Action,
    /// By which rule it was allowed ([`Rule::ALL`]). None where no caller was judged by one: what the broker does by
    /// itself, and refusals. None for mints and renewals either, the most frequent events by far: there the entitlement
    /// in force decides, and the identity that renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// A digest of the request under a secret key, where the caller may repeat it: the request may hold what must not be
    /// guessed from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
    /// The nodes as they are from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub puts: Vec<Put>,
}

/// A node as it is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The node.
    pub node: Node,
    /// Does this kill what was minted under it before?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Actor {
    /// The broker by itself, or whoever started it.
    Broker,
    /// Somebody who showed an identity certificate.
    Caller {
        /// The application, person or verifier.
        subject: NodeId,
        /// Which of its instances.
        identity: Name,
        /// The certificate that was shown.
        credential: Revision,
    },
    /// Somebody who showed an enrolment code that exists.
    Code {
        /// The code's node.
        enrollment: Name,
    },
    /// Nobody known.
    Stranger,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// The log began.
    Initialized {
        /// Its life.
        era: Era,
        /// The `iss` of its tokens.
        issuer: String,
        /// The trust domain of its certificates.
        trust_domain: String,
        /// The log that it takes the place of, where it begins a new era.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<Previous>,
    },
    /// Nodes of the era before, as they are in this one.
    CarriedOver,
    /// A directory object was written.
    Written {
        /// Which.
        node: NodeId,
    },
    /// An enrolment code was made.
    EnrollmentOpened {
        /// For whom.
        subject: NodeId,
    },
    /// A code was spent on a new identity, with its first certificate.
    Enrolled(CertificateRecord),
    /// An identity got its next certificate.
    Renewed(CertificateRecord),
    /// A client certificate was minted.
    CertificateMinted(CertificateRecord),
    /// An access token was minted.
    TokenMinted(TokenRecord),
    /// Something was ended, down to one credential.
    Ended {
        /// What.
        node: NodeId,
        /// Why, in words that lie beside the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<TextRef>,
    },
    /// Something that was suspended is open again.
    Resumed {
        /// What.
        node: NodeId,
    },
    /// The private text about a person was erased.
    Forgotten {
        /// Who.
        node: NodeId,
        /// The texts that were there until then, and are gone from this commit on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        erased: Vec<PrivateId>,
    },
    /// An identity was suspended, because something of it was used twice.
    Suspended {
        /// What.
        node: NodeId,
        /// Why.
        because: Suspicion,
    },
    /// A known caller was refused.
    Refused {
        /// Which method was called.
        method: Method,
        /// Why.
        reason: Reason,
        /// About what; only something that exists, and that the caller may know of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<NodeId>,
    },
    /// Callers whom nobody knows were refused.
    RefusalsCounted {
        /// Which method they called.
        method: Method,
        /// Why.
        reason: Reason,
        /// How many since the last such event.
        count: u64,
    },
    /// An operator vouched for the clock.
    ClockAccepted {
        /// The newest event before.
        previous: Timestamp,
    },
    /// The receipt of an ended vendor was made, once for that end.
    ReceiptClosed {
        /// Which vendor.
        node: NodeId,
        /// At which revision it was ended.
        ended: Revision,
        /// SHA-256 of the signed statement.
        statement: Digest,
        /// SHA-256 of the list of what the end killed.
        list: Digest,
        /// How many credentials are in it.
        credentials: u64,
    },
}

/// The head of the log that a new era takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its life.
    pub era: Era,
    /// Size and root of the log that was carried over.
    pub head: TreeHead,
    /// The newest checkpoint that was known of it, where that shows that the log had gone on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<TreeHead>,
}

/// A tree over the log (RFC 6962, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeHead {
    /// The last revision in it.
    pub size: Revision,
    /// The hash over all entries up to that.
    pub root: Digest,
}

/// Why an identity was suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suspicion {
    /// A spent enrolment code was shown again, with another key.
    CodeReused,
    /// A certificate was renewed a second time, with another key.
    RenewedTwice,
}

/// Everything that a certificate says, but its revision (the event's) and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// For whom: the application, person or verifier.
    pub subject: NodeId,
    /// Which of its instances.
    pub identity: Name,
    /// For which audience; none for an identity certificate, which is for the broker alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Name>,
    /// What it rests on.
    pub lineage: Lineage,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// The random half of its serial number, in hexadecimal.
    pub nonce: Nonce,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid up to, and not including.
    pub expires: Timestamp,
    /// What bound its lifetime.
    pub bound_by: Bound,
    /// The CA that signs it.
    pub issuer: Name,
}

/// Everything that an access token says, but its revision (the event's) and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// For which application.
    pub application: Name,
    /// For which audience.
    pub audience: Name,
    /// What it may be used for.
    pub scopes: ScopeSet,
    /// What it rests on.
    pub lineage: Lineage,
    /// SHA-256 of the client certificate that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<Digest>,
    /// Valid from.
    pub issued: Timestamp,
    /// Valid up to, and not including.
    pub expires: Timestamp,
    /// What bound its lifetime.
    pub bound_by: Bound,
    /// The token key that signs it.
    pub key: Name,
}

/// What bound a lifetime: the smallest of all that had a say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// What was asked for.
    Asked,
    /// A scope's maximum.
    Scope,
    /// The application's maximum.
    Application,
    /// The contract's end.
    Contract,
    /// The certificate that asked, or that the token is bound to.
    Parent,
    /// The key that signs it.
    SigningKey,
    /// The broker's own limit for this kind of credential.
    Broker,
}

impl Bound {
    /// The word for it, as answers carry it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Scope => "scope",
            Self::Application => "application",
            Self::Contract => "contract",
            Self::Parent => "parent",
            Self::SigningKey => "signing-key",
            Self::Broker => "broker",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The random half of a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub [u8; 8]);

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", u64::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u64::from_str_radix(&text, 16).map_err(de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A word from a fixed list that a later version may lengthen: a method or a reason, never a caller's text.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::borrow::Cow<'static, str>);

        impl $name {
            /// The word, from the program's own text.
            #[must_use]
            pub const fn new(word: &'static str) -> Self {
                Self(std::borrow::Cow::Borrowed(word))
            }

            /// The word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word! {
    /// A method of the broker, as `CredentialService/MintToken`.
    Method
}
word! {
    /// The rule that allowed something, as `admin` or `technical-owner`.
    Rule
}
word! {
    /// The code of a refusal, as `scope-not-entitled`.
    Reason
}

impl Action {
    /// What the credential that it records rests on, where it records one.
    #[must_use]
    pub const fn lineage(&self) -> Option<&Lineage> {
        match self {
            Self::Enrolled(record) | Self::Renewed(record) | Self::CertificateMinted(record) => {
                Some(&record.lineage)
            }
            Self::TokenMinted(record) => Some(&record.lineage),
            Self::Initialized { .. }
            | Self::CarriedOver
            | Self::Written { .. }
            | Self::EnrollmentOpened { .. }
            | Self::Ended { .. }
            | Self::Resumed { .. }
            | Self::Forgotten { .. }
            | Self::Suspended { .. }
            | Self::Refused { .. }
            | Self::RefusalsCounted { .. }
            | Self::ClockAccepted { .. }
            | Self::ReceiptClosed { .. } => None,
        }
    }

    /// The private values that are gone from this commit on.
    #[must_use]
    pub fn erases(&self) -> &[PrivateId] {
        match self {
            Self::Forgotten { erased, .. } => erased,
            _ => &[],
        }
    }
}

impl Event {
    /// An event of this schema version.
    #[must_use]
    pub const fn new(at: Timestamp, id: ChangeId, actor: Actor, action: Action) -> Self {
        Self { v: SCHEMA, at, id, actor, behalf: None, action, rule: None, request: None, puts: Vec::new() }
    }

    /// With these nodes, which kill nothing.
    #[must_use]
    pub fn put(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.puts.extend(nodes.into_iter().map(|node| Put { node, cut: false }));
        self
    }

    /// With this node, which kills what was minted under it before.
    #[must_use]
    pub fn cut(mut self, node: Node) -> Self {
        self.puts.push(Put { node, cut: true });
        self
    }

    /// Its bytes: what is stored, hashed and exported.
    ///
    /// # Errors
    /// As `serde_json`; there is no event that it cannot write.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads an event back.
    ///
    /// # Errors
    /// If the bytes are no event of a known schema.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let event: Self = serde_json::from_slice(bytes)?;
        if event.v == SCHEMA {
            Ok(event)
        } else {
            let unknown = format_args!("schema version {} is not known", event.v);
            Err(de::Error::custom(unknown))
        }
    }
}
