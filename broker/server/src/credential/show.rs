//! Looking at one credential: what the log recorded of it, and whether it is alive.

use daypass_core::{
    Action, Denial,
    authority::may_read,
    event::{Bound, CertificateRecord, TokenRecord},
};
use daypass_credential::{Dead, Lineage, Name, NodeId, NodeKind, Rests, Revision, ScopeSet, Timestamp};

use crate::{broker::Broker, call::Call, refusal::Refusal};

/// A credential as the log recorded it.
pub(crate) enum CredentialRecord {
    /// An identity certificate, or a client certificate for an audience.
    Certificate(CertificateRecord),
    /// An access token.
    Token {
        record: TokenRecord,
        /// Which instance asked for it; none if the event does not say.
        identity: Option<Name>,
    },
}

/// A credential, and how it stands.
pub(crate) struct Shown {
    pub(crate) revision: Revision,
    pub(crate) record: CredentialRecord,
    /// What killed it, if something did.
    pub(crate) death: Option<Death>,
}

/// What a credential died of.
pub(crate) enum Death {
    /// Its time was up.
    Expired,
    /// A node that it rests on, or it itself, was cut.
    Cut { node: NodeId, at: Revision },
}

impl CredentialRecord {
    /// Whose it is.
    pub(crate) fn subject(&self) -> NodeId {
        match self {
            Self::Certificate(record) => record.subject.clone(),
            Self::Token { record, .. } => NodeId::new(NodeKind::Application, record.application.clone()),
        }
    }

    pub(crate) const fn lineage(&self) -> &Lineage {
        match self {
            Self::Certificate(record) => &record.lineage,
            Self::Token { record, .. } => &record.lineage,
        }
    }

    pub(crate) const fn life(&self) -> (Timestamp, Timestamp, Bound) {
        match self {
            Self::Certificate(record) => (record.not_before, record.expires, record.bound_by),
            Self::Token { record, .. } => (record.issued, record.expires, record.bound_by),
        }
    }

    pub(crate) const fn audience(&self) -> Option<&Name> {
        match self {
            Self::Certificate(record) => record.audience.as_ref(),
            Self::Token { record, .. } => Some(&record.audience),
        }
    }

    pub(crate) const fn scopes(&self) -> Option<&ScopeSet> {
        match self {
            Self::Certificate(_) => None,
            Self::Token { record, .. } => Some(&record.scopes),
        }
    }

    pub(crate) const fn identity(&self) -> Option<&Name> {
        match self {
            Self::Certificate(record) => Some(&record.identity),
            Self::Token { identity, .. } => identity.as_ref(),
        }
    }
}

impl Broker {
    /// What was minted under this revision; none if that was something else.
    pub(crate) async fn credential_record(
        &self,
        revision: Revision,
    ) -> Result<Option<CredentialRecord>, Refusal> {
        let Some(event) = self.event(revision).await? else {
            return Ok(None);
        };
        Ok(match event.action {
            Action::CertificateMinted(record) | Action::Enrolled(record) | Action::Renewed(record) => {
                Some(CredentialRecord::Certificate(record))
            }
            Action::TokenMinted(record) => {
                let identity = match event.actor {
                    daypass_core::Actor::Caller { identity, .. } => Some(identity),
                    _ => None,
                };
                Some(CredentialRecord::Token { record, identity })
            }
            _ => None,
        })
    }

    /// Shows a credential to whom it was minted for, to its owners, to admins and auditors.
    pub(crate) async fn show_credential(&self, call: &Call, revision: Revision) -> Result<Shown, Refusal> {
        let unknown = || Refusal::from(Denial::UnknownNode { node: NodeId::credential(revision) });
        let record = self.credential_record(revision).await?.ok_or_else(unknown)?;
        let mut facts = call.facts.clone();
        let subject = record.subject();
        self.decide(&mut facts, |facts| may_read(facts, &call.caller, &subject)).await.map_err(
            |refusal| {
                // The refusal names what was asked for, not whose it is.
                if matches!(refusal, Refusal::Denied(Denial::UnknownNode { .. })) {
                    unknown()
                } else {
                    refusal
                }
            },
        )?;
        let death = self.death(revision, &record).await?;
        Ok(Shown { revision, record, death })
    }

    async fn death(&self, revision: Revision, record: &CredentialRecord) -> Result<Option<Death>, Refusal> {
        let (_, exp, _) = record.life();
        let rests = Rests { era: self.era, rev: revision, exp, lineage: record.lineage() };
        Ok(match self.standing(&rests).await? {
            Err(Dead::Cut { node, cut }) => Some(Death::Cut { node, at: cut }),
            Err(Dead::OtherEra | Dead::BelowHorizon) => Some(Death::Expired),
            Ok(()) if exp <= self.trusted_now()? => Some(Death::Expired),
            Ok(()) => None,
        })
    }
}
