//! A past refusal, as the log recorded it.

use daypass_core::{
    Action, Actor, Denial,
    authority::{may_list, may_read},
    event::{Method, Reason},
};
use daypass_credential::{Name, NodeId, Revision, Timestamp};

use crate::{broker::Broker, call::Call, refusal::Refusal};

/// What is recorded of a refusal.
pub(crate) struct RecordedRefusal {
    pub(crate) at: Timestamp,
    pub(crate) method: Method,
    pub(crate) reason: Reason,
    /// Who was refused; none for callers whom nobody knows.
    pub(crate) caller: Option<(NodeId, Name)>,
    pub(crate) count: u64,
    /// What it was about, where the one who was refused may know of it.
    pub(crate) about: Option<NodeId>,
}

impl Broker {
    /// Shows a refusal to whom it was told, to who owns that, to admins and auditors.
    pub(crate) async fn explain_refusal(
        &self,
        call: &Call,
        revision: Revision,
    ) -> Result<RecordedRefusal, Refusal> {
        let unknown = || Refusal::from(Denial::UnknownRefusal { revision });
        let event = self.event(revision).await?.ok_or_else(unknown)?;
        let (method, reason, count, about) = match event.action {
            Action::Refused { method, reason, about } => (method, reason, 1, about),
            Action::RefusalsCounted { method, reason, count } => (method, reason, count, None),
            _ => return Err(unknown()),
        };
        let caller = match event.actor {
            Actor::Caller { subject, identity, .. } => Some((subject, identity)),
            Actor::Broker | Actor::Code { .. } | Actor::Stranger => None,
        };
        let mut facts = call.facts.clone();
        let allowed = self
            .decide(&mut facts, |facts| match &caller {
                Some((subject, _)) => may_read(facts, &call.caller, subject),
                None => may_list(facts, &call.caller),
            })
            .await;
        match allowed {
            Ok(()) => Ok(RecordedRefusal { at: event.at, method, reason, caller, count, about }),
            Err(Refusal::Denied(_)) => Err(unknown()),
            Err(other) => Err(other),
        }
    }
}
