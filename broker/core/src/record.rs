//! One flat view of an event, for people and programs that read the log: who, what, about what, and what came of it.
//! `broker/docs/events.md` describes each field. Nothing decides by it; the event's bytes are what counts.

mod concerns;
mod words;

use daypass_credential::{Lineage, Name, NodeId, NodeKind, Revision, ScopeSet, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::words::{ActionKind, Outcome, UnknownWord, Who};

use crate::{
    event::{Action, Actor, ChangeId, Event, Method, Reason, Rule, Suspicion},
    node::Body,
};

/// An event in one level. `T` is how instants are written: as the log has them, or as a reader wants them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Record<T = Timestamp> {
    /// When it was decided.
    pub at: T,
    /// Who caused it.
    pub actor: Who,
    /// Which of the actor's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Name>,
    /// The identity certificate that the actor showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Revision>,
    /// The vendor on whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<NodeId>,
    /// What happened.
    pub action: ActionKind,
    /// What it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<NodeId>,
    /// What a minted token may be used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeSet>,
    /// What a minted credential rests on, root first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Was it done?
    pub outcome: Outcome,
    /// Why it was refused or suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Which method was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How many refusals were counted together, or how many credentials a receipt lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// By which rule it was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// When a minted credential, or a code that was made, ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<T>,
    /// Which change or refusal it is.
    pub request_id: ChangeId,
}

impl<T> Record<T> {
    /// The same with instants written in another way.
    #[must_use]
    pub fn with_instants<U>(self, write: impl Fn(T) -> U) -> Record<U> {
        Record {
            at: write(self.at),
            actor: self.actor,
            identity: self.identity,
            credential: self.credential,
            behalf: self.behalf,
            action: self.action,
            subject: self.subject,
            scopes: self.scopes,
            lineage: self.lineage,
            outcome: self.outcome,
            reason: self.reason,
            method: self.method,
            count: self.count,
            rule: self.rule,
            expires_at: self.expires_at.map(write),
            request_id: self.request_id,
        }
    }
}

impl Action {
    /// What happened, in a word.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Initialized { .. } => ActionKind::Initialized,
            Self::CarriedOver => ActionKind::CarriedOver,
            Self::Written { .. } => ActionKind::Written,
            Self::EnrollmentOpened { .. } => ActionKind::EnrollmentOpened,
            Self::Enrolled(_) => ActionKind::Enrolled,
            Self::Renewed(_) => ActionKind::Renewed,
            Self::CertificateMinted(_) => ActionKind::CertificateMinted,
            Self::TokenMinted(_) => ActionKind::TokenMinted,
            Self::Ended { .. } => ActionKind::Ended,
            Self::Resumed { .. } => ActionKind::Resumed,
            Self::Forgotten { .. } => ActionKind::Forgotten,
            Self::Suspended { .. } => ActionKind::Suspended,
            Self::Refused { .. } => ActionKind::Refused,
            Self::RefusalsCounted { .. } => ActionKind::RefusalsCounted,
            Self::ClockAccepted { .. } => ActionKind::ClockAccepted,
            Self::ReceiptClosed { .. } => ActionKind::ReceiptClosed,
        }
    }

    /// What came of it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self.kind() {
            ActionKind::Refused | ActionKind::RefusalsCounted => Outcome::Refused,
            ActionKind::Initialized
            | ActionKind::CarriedOver
            | ActionKind::Written
            | ActionKind::EnrollmentOpened
            | ActionKind::Enrolled
            | ActionKind::Renewed
            | ActionKind::CertificateMinted
            | ActionKind::TokenMinted
            | ActionKind::Ended
            | ActionKind::Resumed
            | ActionKind::Forgotten
            | ActionKind::Suspended
            | ActionKind::ClockAccepted
            | ActionKind::ReceiptClosed => Outcome::Done,
        }
    }

    /// What it was about.
    fn subject(&self) -> Option<NodeId> {
        let audience = |name: &Name| NodeId::new(NodeKind::Audience, name.clone());
        match self {
            Self::Written { node }
            | Self::Ended { node, .. }
            | Self::Resumed { node }
            | Self::Forgotten { node, .. }
            | Self::Suspended { node, .. }
            | Self::ReceiptClosed { node, .. } => Some(node.clone()),
            Self::EnrollmentOpened { subject } => Some(subject.clone()),
            Self::Enrolled(record) | Self::Renewed(record) => {
                Some(NodeId::new(NodeKind::Identity, record.identity.clone()))
            }
            Self::CertificateMinted(record) => record.audience.as_ref().map(audience),
            Self::TokenMinted(record) => Some(audience(&record.audience)),
            Self::Refused { about, .. } => about.clone(),
            Self::Initialized { .. }
            | Self::CarriedOver
            | Self::RefusalsCounted { .. }
            | Self::ClockAccepted { .. } => None,
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } | Self::RefusalsCounted { reason, .. } => Some(reason.clone()),
            Self::Suspended { because, .. } => Some(because.reason()),
            _ => None,
        }
    }

    const fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Enrolled(record) | Self::Renewed(record) | Self::CertificateMinted(record) => {
                Some(record.expires)
            }
            Self::TokenMinted(record) => Some(record.expires),
            _ => None,
        }
    }
}

impl Suspicion {
    const fn reason(self) -> Reason {
        Reason::new(match self {
            Self::CodeReused => "code-reused",
            Self::RenewedTwice => "renewed-twice",
        })
    }
}

impl Actor {
    /// In a word.
    #[must_use]
    pub fn who(&self) -> Who {
        match self {
            Self::Broker => Who::Broker,
            Self::Stranger => Who::Stranger,
            Self::Caller { subject, .. } => Who::Node(subject.clone()),
            Self::Code { enrollment } => Who::Node(NodeId::new(NodeKind::Enrollment, enrollment.clone())),
        }
    }

    /// The instance that acted.
    #[must_use]
    pub fn identity(&self) -> Option<NodeId> {
        match self {
            Self::Caller { identity, .. } => Some(NodeId::new(NodeKind::Identity, identity.clone())),
            Self::Broker | Self::Stranger | Self::Code { .. } => None,
        }
    }
}

/// The rule of a mint whose event says none.
const ENTITLEMENT: Rule = Rule::new("entitlement");

impl Event {
    /// The event in one level.
    #[must_use]
    pub fn record(&self) -> Record {
        let (identity, credential) = match &self.actor {
            Actor::Caller { identity, credential, .. } => (Some(identity.clone()), Some(*credential)),
            Actor::Broker | Actor::Stranger | Actor::Code { .. } => (None, None),
        };
        let (method, count) = match &self.action {
            Action::Refused { method, .. } => (Some(method.clone()), None),
            Action::RefusalsCounted { method, count, .. } => (Some(method.clone()), Some(*count)),
            Action::ReceiptClosed { credentials, .. } => (None, Some(*credentials)),
            _ => (None, None),
        };
        let scopes = match &self.action {
            Action::TokenMinted(record) => Some(record.scopes.clone()),
            _ => None,
        };
        Record {
            at: self.at,
            actor: self.actor.who(),
            identity,
            credential,
            behalf: self.on_behalf(),
            action: self.action.kind(),
            subject: self.action.subject(),
            scopes,
            lineage: self.action.lineage().cloned(),
            outcome: self.action.outcome(),
            reason: self.action.reason(),
            method,
            count,
            rule: self.allowed_by(),
            expires_at: self.action.expires().or_else(|| self.code_expires()),
            request_id: self.id,
        }
    }

    /// The vendor on whose behalf: as it is said, or the one of the lineage that the application belongs to.
    fn on_behalf(&self) -> Option<NodeId> {
        let of_lineage = || {
            let nodes = self.action.lineage()?.nodes();
            nodes.iter().rfind(|node| node.kind == NodeKind::Vendor).cloned()
        };
        self.behalf.clone().or_else(of_lineage)
    }

    fn allowed_by(&self) -> Option<Rule> {
        let minted = matches!(self.action, Action::CertificateMinted(_) | Action::TokenMinted(_));
        self.rule.clone().or_else(|| minted.then(|| ENTITLEMENT.clone()))
    }

    /// When the code that was made ends.
    fn code_expires(&self) -> Option<Timestamp> {
        let Action::EnrollmentOpened { .. } = self.action else {
            return None;
        };
        self.puts.iter().find_map(|put| match &put.node.body {
            Body::Enrollment(code) => Some(code.expires),
            _ => None,
        })
    }
}
