//! Opening one vendor again, once somebody has confirmed it.

use daypass_core::{
    Action, Put,
    authority::may_write,
    resuming::{Resume, decide_resume},
};
use daypass_credential::{NodeId, Revision};
use daypass_store::Lane;

use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::{Call, RequestMark},
    refusal::Refusal,
};

impl Broker {
    /// Opens a suspended vendor; the answer is the revision at which it was opened. What is open already is no error, and
    /// no event.
    pub(crate) async fn resume(
        &self,
        call: &Call,
        id: &NodeId,
        mark: RequestMark,
    ) -> Result<Revision, Refusal> {
        let recorded = self
            .record_for(call, mark, Lane::Normal, call.facts.clone(), |facts, _| {
                let rule = may_write(facts, &call.caller)?;
                let node = match decide_resume(facts, id)? {
                    Resume::Already(revision) => return Ok(Decision::Settled(revision)),
                    Resume::Open(node) => *node,
                };
                Ok(Decision::Write(Box::new(Plan {
                    outcome: Revision::ZERO,
                    actor: call.actor(),
                    behalf: None,
                    action: Action::Resumed { node: id.clone() },
                    rule: Some(rule),
                    puts: vec![Put { node, cut: false }],
                    private: vec![],
                })))
            })
            .await?;
        Ok(match recorded {
            Recorded::Now(_, Some(revision))
            | Recorded::Now(revision, None)
            | Recorded::Before(revision, _) => revision,
        })
    }
}
