//! The nodes: everything that authority rests on, as the store keeps it. Free fields are public; what a node may
//! hold is checked where it comes in (see [`crate::authority`]) and where it is used (see [`crate::mint`]).

use std::{collections::BTreeSet, fmt, str::FromStr};

use daypass_credential::{Digest, Name, NodeId, NodeKind, Revision, Scope, ScopeSet, Timestamp, Ttl};
use serde::{Deserialize, Serialize};

use crate::text::{PrivateId, TextRef};

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// In use.
    Open,
    /// Held back: what rested on it is dead, and nothing new is minted until it is resumed.
    Suspended,
    /// Over for ever.
    Ended,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        })
    }
}

/// A node: what it is, and where it stands in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Where it stands.
    pub life: Life,
    /// What it is.
    #[serde(flatten)]
    pub body: Body,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Body {
    /// See [`Vendor`].
    Vendor(Vendor),
    /// See [`Contract`].
    Contract(Contract),
    /// See [`Application`].
    Application(Application),
    /// See [`Person`].
    Person(Person),
    /// See [`Audience`].
    Audience(Audience),
    /// See [`Verifier`].
    Verifier(Verifier),
    /// See [`Identity`].
    Identity(Identity),
    /// See [`EndedCredential`].
    Credential(EndedCredential),
    /// See [`Key`].
    Key(Key),
    /// See [`Enrollment`].
    Enrollment(Enrollment),
    /// See [`Roster`].
    Roster(Roster),
}

impl Node {
    /// An open node.
    #[must_use]
    pub const fn open(body: Body) -> Self {
        Self { life: Life::Open, body }
    }

    /// The same node in another state.
    #[must_use]
    pub fn with_life(&self, life: Life) -> Self {
        Self { life, body: self.body.clone() }
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> NodeId {
        let (kind, name) = match &self.body {
            Body::Vendor(b) => (NodeKind::Vendor, &b.name),
            Body::Contract(b) => (NodeKind::Contract, &b.name),
            Body::Application(b) => (NodeKind::Application, &b.name),
            Body::Person(b) => (NodeKind::Person, &b.name),
            Body::Audience(b) => (NodeKind::Audience, &b.name),
            Body::Verifier(b) => (NodeKind::Verifier, &b.name),
            Body::Identity(b) => (NodeKind::Identity, &b.name),
            Body::Credential(b) => (NodeKind::Credential, &b.name),
            Body::Key(b) => (NodeKind::Key, &b.name),
            Body::Enrollment(b) => (NodeKind::Enrollment, &b.name),
            Body::Roster(b) => (NodeKind::Roster, &b.name),
        };
        NodeId::new(kind, name.clone())
    }
}

/// An outside organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vendor {
    /// Its name.
    pub name: Name,
    /// The vendor that it sits under: a reseller or managed service provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// The person who answers for the relationship, and may end it.
    pub owner: Name,
}

/// A vendor's term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub vendor: Name,
    /// What it is called on paper.
    pub reference: Reference,
    /// The contract of the vendor above that this one rests on; demanded where the vendor has a parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// From this instant on.
    pub start: Timestamp,
    /// Up to, and not including, this instant.
    pub end: Timestamp,
    /// The data classifications that it allows.
    pub classifications: BTreeSet<Classification>,
}

/// One partner application identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub vendor: Name,
    /// The term that it lives under.
    pub contract: Name,
    /// Where it works; it cannot mint for an audience elsewhere.
    pub environment: Name,
    /// What it is for, in words that lie beside the log.
    pub purpose: TextRef,
    /// The highest classification that it may touch.
    pub classification: Classification,
    /// Who answers for it.
    pub owners: Owners,
    /// What it may ask for.
    pub entitlements: Vec<Entitlement>,
    /// How many instances may be enrolled at once.
    pub instances: u8,
    /// The longest that a credential minted for it lives, if shorter than its scopes say; identities last longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<Ttl>,
}

/// The three persons who answer for an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// Why it is there.
    pub business: Name,
    /// How it works.
    pub technical: Name,
    /// The vendor relationship.
    pub relationship: Name,
}

/// What an application may ask for at one audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// At which audience.
    pub audience: Name,
    /// Which scopes.
    pub scopes: ScopeSet,
}

/// A human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Their name here; how to reach them lies beside the log.
    pub name: Name,
    /// What they may do overall.
    pub roles: BTreeSet<Role>,
    /// How to reach them.
    pub contact: TextRef,
    /// Was the text about them erased?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

/// What a person may do overall; being an owner comes from what they own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Writes the directory, opens enrolments, ends anything.
    Admin,
    /// Reads everything.
    Auditor,
}

/// Something protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Its name, and the `aud` of its tokens.
    pub name: Name,
    /// Where it stands.
    pub environment: Name,
    /// What may be asked of it.
    pub scopes: Vec<ScopeRule>,
    /// How long a verifier may go without news before it refuses.
    pub staleness: Ttl,
}

impl Audience {
    /// The rule for a scope, if it has that scope.
    #[must_use]
    pub fn rule(&self, scope: &Scope) -> Option<&ScopeRule> {
        self.scopes.iter().find(|rule| rule.scope == *scope)
    }
}

/// What one scope of an audience means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRule {
    /// The scope.
    pub scope: Scope,
    /// What data it opens.
    pub classification: Classification,
    /// What it takes to get it.
    pub tier: Tier,
    /// The longest that a credential with it lives.
    pub max_ttl: Ttl,
    /// May a token with it do without a certificate?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbound: bool,
}

/// A relying party's process that asks whether credentials are alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// Its name.
    pub name: Name,
    /// The audiences that it checks for.
    pub audiences: BTreeSet<Name>,
}

/// One enrolled instance: it holds identity certificates, one key after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name, drawn at random.
    pub name: Name,
    /// The application, person or verifier that it is an instance of.
    pub subject: NodeId,
    /// SHA-256 of the public key (SubjectPublicKeyInfo) that it holds now.
    pub key: Digest,
    /// The one before: it may ask again for `key`, and for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The certificate that asked for `key`: an older one asks for nothing any more, whichever key it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<Revision>,
    /// When the newest certificate ends; after that the instance is gone and its place free.
    pub until: Timestamp,
}

/// A credential that was ended by itself. Only ended ones are nodes: the log records the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedCredential {
    /// Its revision.
    pub name: Name,
}

/// A key of the broker's own. Its secret half lies sealed beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its name; for a token key the `kid`.
    pub name: Name,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// How it signs.
    pub algorithm: KeyAlgorithm,
    /// Its public half: a DER certificate for a CA, SubjectPublicKeyInfo otherwise; in base64.
    pub public: Base64,
    /// It signs from this instant on.
    pub not_before: Timestamp,
    /// The latest `exp` that it vouches for.
    pub not_after: Timestamp,
    /// Where the sealed secret half lies.
    pub sealed: PrivateId,
}

/// What a key of the broker's signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "for")]
pub enum KeyPurpose {
    /// Identity certificates and the broker's own; its certificate is the broker's root.
    Identity,
    /// Client certificates for one audience.
    Audience {
        /// Which.
        audience: Name,
    },
    /// Access tokens.
    Token,
    /// Checkpoints and receipts.
    Audit,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A one-time enrolment code. The code itself is nowhere; the node is named by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// The first 40 hexadecimal digits of the SHA-256 of the code's secret.
    pub name: Name,
    /// Whose instance it enrols.
    pub subject: NodeId,
    /// From this instant on it is void.
    pub expires: Timestamp,
    /// The only key that may use it, where that was fixed beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// What it was spent on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
}

/// What an enrolment code was spent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The identity.
    pub identity: Name,
    /// SHA-256 of the public key that it began with.
    pub key: Digest,
}

/// Which identities a subject has. Nothing that mints reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// `a.` (application), `p.` (person) or `v.` (verifier), and the subject's name.
    pub name: Name,
    /// Whose.
    pub subject: NodeId,
    /// The identities that were alive at the last enrolment.
    pub identities: Vec<Name>,
}

/// How sensitive data is; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classification {
    /// For anybody.
    Public,
    /// For the company and those who work with it.
    Internal,
    /// For those who need it.
    Confidential,
    /// Personal data and trade secrets.
    Restricted,
}

/// What it takes to get a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The entitlement suffices.
    Standing,
    /// A just-in-time grant as well.
    Jit,
    /// A break-glass grant as well.
    BreakGlass,
}

/// What something is called on paper: 1 to 64 of letters, digits, space and `. _ / # -`, no space at either end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference(String);

/// A text that is no [`Reference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a reference: use 1 to 64 of letters, digits, spaces, `.`, `_`, `/`, `#`, `-`, no space at either end"
)]
pub struct ReferenceError;

impl Reference {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let fits = (1..=64).contains(&text.len())
            && text.trim() == text
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'.' | b'_' | b'/' | b'#' | b'-'));
        if fits { Ok(Self(text.to_owned())) } else { Err(ReferenceError) }
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.0
    }
}

/// Bytes that are written in base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64(pub Vec<u8>);

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).map(Self)
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes.0)
    }
}

macro_rules! words {
    ($kind:ident, $($variant:ident = $text:literal),*) => {
        impl $kind {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    Classification,
    Public = "public",
    Internal = "internal",
    Confidential = "confidential",
    Restricted = "restricted"
);
words!(Tier, Standing = "standing", Jit = "jit", BreakGlass = "break-glass");
words!(Role, Admin = "admin", Auditor = "auditor");
