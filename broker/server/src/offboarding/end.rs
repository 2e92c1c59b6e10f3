//! Ending one node: one commit, whatever is alive under it.

use daypass_core::{
    Action, Put,
    authority::{Right, may_end},
    ending::{End, decide_end},
};
use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_store::Lane;

use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::{Call, RequestMark},
    refusal::Refusal,
    text,
};

/// What came of ending a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Everything under it with a smaller revision is dead.
    pub(crate) revision: Revision,
    /// It was ended before, by another request.
    pub(crate) already: bool,
}

impl Broker {
    /// Ends a node; the answer is the revision of its cut.
    pub(crate) async fn end(
        &self,
        call: &Call,
        id: &NodeId,
        reason: &str,
        mark: RequestMark,
    ) -> Result<Revision, Refusal> {
        self.cut(call, id, reason, mark).await.map(|cut| cut.revision)
    }

    /// Ends a node, and says whether that was new. Ending again is no error, and no event.
    pub(crate) async fn cut(
        &self,
        call: &Call,
        id: &NodeId,
        reason: &str,
        mark: RequestMark,
    ) -> Result<Cut, Refusal> {
        let subject = self.credential_subject(id).await?;
        let reason = match reason {
            "" => None,
            words => Some(text::keep(&*self.store, &*self.entropy, words, None).await?),
        };
        let mut facts = call.facts.clone();
        let right =
            self.decide(&mut facts, |facts| may_end(facts, &call.caller, id, subject.as_ref())).await?;
        let lane = match right {
            Right::Company(_) => Lane::End,
            Right::Own(_) => Lane::OwnEnd,
        };
        let recorded = self
            .record_for(call, mark, lane, facts, |facts, _| {
                let rule = may_end(facts, &call.caller, id, subject.as_ref())?.rule();
                let node = match decide_end(facts, id)? {
                    End::Already(revision) => return Ok(Decision::Settled(revision)),
                    End::Cut(node) => *node,
                };
                let action =
                    Action::Ended { node: id.clone(), reason: reason.as_ref().map(|kept| kept.reference) };
                Ok(Decision::Write(Box::new(Plan {
                    rule: Some(rule),
                    puts: vec![Put { node, cut: true }],
                    private: reason.as_ref().and_then(|kept| kept.write.clone()).into_iter().collect(),
                    ..Plan::by(call, action, Revision::ZERO)
                })))
            })
            .await?;
        Ok(match recorded {
            Recorded::Now(_, Some(revision)) | Recorded::Before(revision, _) => {
                Cut { revision, already: false }
            }
            Recorded::Now(revision, None) => Cut { revision, already: true },
        })
    }

    /// Whose credential this is, by the log; none if it is no credential that the log knows.
    async fn credential_subject(&self, id: &NodeId) -> Result<Option<NodeId>, Refusal> {
        if id.kind != NodeKind::Credential {
            return Ok(None);
        }
        let unknown = || daypass_core::Denial::UnknownNode { node: id.clone() };
        let revision = id.name.as_str().parse::<u64>().map_err(|_| unknown())?;
        // One credential has one name: `credential:007` is none.
        if NodeId::credential(Revision::new(revision)) != *id {
            return Err(unknown().into());
        }
        let record = self.credential_record(Revision::new(revision)).await?.ok_or_else(unknown)?;
        Ok(Some(record.subject()))
    }
}
