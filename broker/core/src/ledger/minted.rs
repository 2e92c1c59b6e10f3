//! What an event minted, whatever kind of credential it is.

use daypass_credential::{Lineage, NodeId, NodeKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::Reach;
use crate::event::{Action, CertificateRecord, Event, TokenRecord};

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// For the broker alone.
    IdentityCertificate,
    /// For one audience, by mTLS.
    ClientCertificate,
    /// For one audience, to bear.
    Token,
}

impl Kind {
    /// Who is concerned where such a credential dies.
    pub(super) const fn reach(self) -> Reach {
        match self {
            Self::IdentityCertificate => Reach::Identities,
            Self::ClientCertificate | Self::Token => Reach::Relied,
        }
    }
}

/// A credential as its event has it.
pub(super) struct Minted<'a> {
    pub(super) kind: Kind,
    pub(super) subject: NodeId,
    pub(super) audience: Option<NodeId>,
    pub(super) lineage: &'a Lineage,
    /// The key that signs it. What it signed is under it as well: an ended key vouches for nothing.
    pub(super) signer: NodeId,
    pub(super) expires: Timestamp,
}

impl<'a> Minted<'a> {
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        match &event.action {
            Action::Enrolled(record) | Action::Renewed(record) | Action::CertificateMinted(record) => {
                Some(Self::certificate(record))
            }
            Action::TokenMinted(record) => Some(Self::token(record)),
            Action::Initialized { .. }
            | Action::CarriedOver
            | Action::Written { .. }
            | Action::EnrollmentOpened { .. }
            | Action::Ended { .. }
            | Action::Resumed { .. }
            | Action::Forgotten { .. }
            | Action::Suspended { .. }
            | Action::Refused { .. }
            | Action::RefusalsCounted { .. }
            | Action::ClockAccepted { .. }
            | Action::ReceiptClosed { .. } => None,
        }
    }

    fn certificate(record: &'a CertificateRecord) -> Self {
        let audience = record.audience.clone().map(|name| NodeId::new(NodeKind::Audience, name));
        Self {
            kind: if audience.is_some() { Kind::ClientCertificate } else { Kind::IdentityCertificate },
            subject: record.subject.clone(),
            audience,
            lineage: &record.lineage,
            signer: NodeId::new(NodeKind::Key, record.issuer.clone()),
            expires: record.expires,
        }
    }

    fn token(record: &'a TokenRecord) -> Self {
        Self {
            kind: Kind::Token,
            subject: NodeId::new(NodeKind::Application, record.application.clone()),
            audience: Some(NodeId::new(NodeKind::Audience, record.audience.clone())),
            lineage: &record.lineage,
            signer: NodeId::new(NodeKind::Key, record.key.clone()),
            expires: record.expires,
        }
    }
}
