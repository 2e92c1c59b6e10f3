//! Why something is refused: one enum for all decisions, each variant with its stable code. What a caller may not
//! know to exist is refused in the words for what does not exist.

use daypass_credential::{Name, NodeId, NodeKind, Revision, Scope, Timestamp};

use crate::{
    event::{Bound, Reason},
    facts::Unsettled,
    node::{Classification, Life, Tier},
};

/// Why a decision was not a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It has to know this node as well: read it, and decide again.
    Need(NodeId),
    /// It is a no.
    Denied(Denial),
}

impl From<Unsettled> for Stop {
    fn from(unsettled: Unsettled) -> Self {
        Self::Need(unsettled.0)
    }
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// What kind of no it is, for those who map it to a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Who asks is not known, or not any more.
    Unauthenticated,
    /// Who asks may not.
    Forbidden,
    /// It does not exist, or the caller may not know.
    NotFound,
    /// Not as things stand; something else has to change first.
    NotNow,
    /// The request itself is wrong.
    Invalid,
    /// It exists already, as something else.
    Exists,
    /// A cap is reached.
    Exhausted,
}

macro_rules! denials {
    ($($(#[$doc:meta])* $variant:ident $({ $($field:ident: $type:ty),* })? = $code:literal, $class:ident, $text:literal;)*) => {
        /// Why something is refused. The text is for the caller; the code never changes its meaning.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Denial {
            $($(#[$doc])* #[error($text)] $variant $({ $(#[doc = "What it is about."] $field: $type),* })?,)*
        }

        impl Denial {
            /// The codes of all denials, in the order of this file.
            pub const CODES: &[&str] = &[$($code,)*];

            /// The stable code.
            #[must_use]
            pub const fn reason(&self) -> Reason {
                match self { $(Self::$variant $({ $($field: _),* })? => Reason::new($code),)* }
            }

            /// What kind of no it is.
            #[must_use]
            pub const fn class(&self) -> Class {
                match self { $(Self::$variant $({ $($field: _),* })? => Class::$class,)* }
            }
        }
    };
}

denials! {
    /// The certificate that asks has expired.
    CallerExpired { expired: Timestamp } = "caller-expired", Unauthenticated, "the identity certificate has expired: enrol again";
    /// Something that the caller rests on was ended, or suspended.
    CallerDead { node: NodeId, life: Life } = "caller-dead", Unauthenticated, "`{node}` is {life}, and this identity rests on it";
    /// The caller's own certificate was ended.
    CallerEnded = "caller-ended", Unauthenticated, "this identity certificate was ended";
    /// The certificate is for an audience, and says nothing to the broker.
    NotAnIdentity = "not-an-identity", Unauthenticated, "this certificate is for an audience: show the broker the identity certificate";
    /// The certificate is of another life of the log.
    CallerOfOtherEra = "caller-of-other-era", Unauthenticated, "this identity certificate is from before the broker was recovered: enrol again";
    /// Something the identity rests on was narrowed or resumed since: a new certificate first.
    RenewFirst { node: NodeId } = "renew-first", NotNow, "`{node}` has changed since this identity certificate was issued: renew it, then ask again";
    /// Only applications are given credentials.
    NotAnApplication = "not-an-application", Forbidden, "only an application can ask for this";
    /// The contract is not yet running.
    ContractNotBegun { contract: Name, start: Timestamp } = "contract-not-begun", NotNow, "contract `{contract}` has not begun yet";
    /// The contract is over.
    ContractOver { contract: Name, end: Timestamp } = "contract-over", Forbidden, "contract `{contract}` is over";
    /// The application has no entitlement there, whether or not there is such an audience.
    UnknownAudience { audience: Name } = "unknown-audience", NotFound, "there is no audience `{audience}` that this application is entitled to";
    /// The audience is ended or suspended.
    AudienceClosed { audience: Name, life: Life } = "audience-closed", NotNow, "audience `{audience}` is {life}";
    /// The audience stands elsewhere.
    OtherEnvironment { audience: Name, environment: Name } = "other-environment", Forbidden, "audience `{audience}` is not in environment `{environment}`, where this application belongs";
    /// No scope was asked for.
    NoScope = "no-scope", Invalid, "name at least one scope";
    /// The application is not entitled to it.
    ScopeNotEntitled { scope: Scope } = "scope-not-entitled", Forbidden, "the application is not entitled to scope `{scope}`: its owner can ask an admin to change that";
    /// The audience has no such scope any more.
    UnknownScope { scope: Scope } = "unknown-scope", NotFound, "the audience declares no scope `{scope}`";
    /// More sensitive than the application may touch.
    AboveClassification { scope: Scope, classification: Classification } = "above-classification", Forbidden, "scope `{scope}` opens {classification} data, which is above what the application may touch";
    /// The contract does not allow such data.
    OutsideContract { scope: Scope, classification: Classification, contract: Name } = "outside-contract", Forbidden, "scope `{scope}` opens {classification} data, which contract `{contract}` does not allow";
    /// The entitlement alone does not suffice.
    GrantRequired { scope: Scope, tier: Tier } = "grant-required", NotNow, "scope `{scope}` takes a {tier} grant as well";
    /// A token has to be bound to a client certificate.
    BindingRequired { scope: Scope } = "binding-required", NotNow, "a token with scope `{scope}` is bound to a client certificate: ask for one first, and name it";
    /// The named certificate is not this application's, for this audience.
    WrongCertificate = "wrong-certificate", Forbidden, "the certificate named is no client certificate of this application for this audience";
    /// The named certificate is dead.
    CertificateDead = "certificate-dead", NotNow, "the client certificate named has ended: ask for a new one first";
    /// Nothing is left of the lifetime.
    NothingLeft { bound_by: Bound } = "nothing-left", NotNow, "not a second is left: the limit is the {bound_by}";
    /// The broker has no key to sign with.
    NoSigningKey = "no-signing-key", NotNow, "the broker has no key in force to sign this with: tell its operator";
    /// The code is unknown here.
    CodeUnknown = "code-unknown", Unauthenticated, "this broker knows no such enrolment code";
    /// The code is past its time.
    CodeExpired = "code-expired", Unauthenticated, "the enrolment code has expired: ask for a new one";
    /// The code was withdrawn.
    CodeWithdrawn = "code-withdrawn", Unauthenticated, "the enrolment code was withdrawn";
    /// The code was spent on another key.
    CodeSpent = "code-spent", Unauthenticated, "the enrolment code was spent before, with another key: if that was not you, tell the owners";
    /// The code is for one key, and this is another.
    OtherKeyExpected = "other-key-expected", Unauthenticated, "the enrolment code is for another key";
    /// What the code is for is ended or suspended.
    SubjectClosed { node: NodeId, life: Life } = "subject-closed", NotNow, "`{node}` is {life}";
    /// No place is free.
    InstanceCap { subject: NodeId, cap: usize } = "instance-cap", Exhausted, "`{subject}` has {cap} instances enrolled, which is its cap: end one, or let one expire";
    /// Too much of its own that it ended has to be remembered.
    TooManyEnded { application: Name, free_at: Timestamp } = "too-many-ended", Exhausted, "application `{application}` has ended as much of its own as verifiers remember at once: nothing more is opened for it before some of that is over";
    /// The same key again, where there has to be a new one.
    KeyReused = "key-reused", Invalid, "use a new key: this one is in use already";
    /// A certificate renews once.
    RenewedTwice = "renewed-twice", Unauthenticated, "this identity was renewed before, with another key: it is suspended; tell the owners";
    /// Not a caller who may.
    NotAllowed = "not-allowed", Forbidden, "this takes a role or an ownership that the caller does not have";
    /// No such thing, or not for this caller.
    UnknownNode { node: NodeId } = "unknown-node", NotFound, "there is no `{node}`, or the caller may not know of it";
    /// No such refusal, or not for this caller.
    UnknownRefusal { revision: Revision } = "unknown-refusal", NotFound, "there is no refusal at revision {revision}, or the caller may not know of it";
    /// Only what is over can be forgotten.
    NotEnded { node: NodeId } = "not-ended", NotNow, "`{node}` is not ended: end it first, then it can be forgotten";
    /// This kind is not ended in this way.
    NotEndable { node: NodeId } = "not-endable", Invalid, "`{node}` cannot be ended by itself";
    /// Nothing to open again.
    NotResumable { node: NodeId } = "not-resumable", Invalid, "`{node}` cannot be resumed: only a vendor can";
    /// A name is spent for ever.
    NameSpent { node: NodeId } = "name-spent", Exists, "`{node}` was ended, and its name is spent: choose another";
    /// What the object names is not there, or not open.
    Dangling { node: NodeId } = "dangling-reference", Invalid, "it names `{node}`, which does not exist or is not open";
    /// What cannot change once it is written.
    Immutable { field: &'static str } = "immutable", Invalid, "`{field}` cannot change once it is written: make a new one instead";
    /// Too deep a chain of vendors or contracts.
    ChainTooDeep { node: NodeId } = "chain-too-deep", Invalid, "more than four vendors or contracts stand above one another at `{node}`";
    /// A field that does not fit.
    BadField { field: &'static str, why: &'static str } = "bad-field", Invalid, "`{field}`: {why}";
    /// The object was written by somebody else meanwhile.
    StaleWrite { node: NodeId } = "stale-write", NotNow, "`{node}` was written since it was read: read it again";
}

impl Denial {
    /// What it is about, if it names a node. Whether there is one, and who may know of it, is not said by it.
    #[must_use]
    pub fn about(&self) -> Option<NodeId> {
        let node = |kind, name: &Name| Some(NodeId::new(kind, name.clone()));
        match self {
            Self::CallerDead { node, .. }
            | Self::RenewFirst { node }
            | Self::SubjectClosed { node, .. }
            | Self::InstanceCap { subject: node, .. }
            | Self::UnknownNode { node }
            | Self::NotEnded { node }
            | Self::NotEndable { node }
            | Self::NotResumable { node }
            | Self::NameSpent { node }
            | Self::Dangling { node }
            | Self::ChainTooDeep { node }
            | Self::StaleWrite { node } => Some(node.clone()),
            Self::ContractNotBegun { contract, .. }
            | Self::ContractOver { contract, .. }
            | Self::OutsideContract { contract, .. } => node(NodeKind::Contract, contract),
            Self::TooManyEnded { application, .. } => node(NodeKind::Application, application),
            Self::UnknownAudience { audience }
            | Self::AudienceClosed { audience, .. }
            | Self::OtherEnvironment { audience, .. } => node(NodeKind::Audience, audience),
            Self::CallerExpired { .. }
            | Self::CallerEnded
            | Self::NotAnIdentity
            | Self::CallerOfOtherEra
            | Self::NotAnApplication
            | Self::NoScope
            | Self::ScopeNotEntitled { .. }
            | Self::UnknownScope { .. }
            | Self::AboveClassification { .. }
            | Self::GrantRequired { .. }
            | Self::BindingRequired { .. }
            | Self::WrongCertificate
            | Self::CertificateDead
            | Self::NothingLeft { .. }
            | Self::NoSigningKey
            | Self::CodeUnknown
            | Self::CodeExpired
            | Self::CodeWithdrawn
            | Self::CodeSpent
            | Self::OtherKeyExpected
            | Self::KeyReused
            | Self::RenewedTwice
            | Self::NotAllowed
            | Self::UnknownRefusal { .. }
            | Self::Immutable { .. }
            | Self::BadField { .. } => None,
        }
    }
}
