//! Who gives way to an end. An end by the company expects the nodes that it rests on to be as they were read, like every
//! commit; who may write one of those over and over, as an identity that renews, could win every time. So an end that
//! lost once claims the node, and until it is through nothing else that rests on it is recorded.
//!
//! INVARIANT (an end loses a few times at the most): what was decided before the claim may still win, for each revision of
//! the node once; what is decided after it waits.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use daypass_credential::NodeId;

/// The nodes that ends have claimed.
#[derive(Default)]
pub(crate) struct RightOfWay {
    claimed: Mutex<Vec<NodeId>>,
    /// How many there are, for those who need not ask further: that is nearly everybody.
    many: AtomicUsize,
}

/// A claim; it is over when this is dropped.
pub(crate) struct Claim<'a> {
    way: &'a RightOfWay,
    node: NodeId,
}

impl RightOfWay {
    /// An end claims this node.
    pub(crate) fn claim(&self, node: NodeId) -> Claim<'_> {
        let mut claimed = self.lock();
        claimed.push(node.clone());
        self.many.store(claimed.len(), Ordering::Release);
        Claim { way: self, node }
    }

    /// Is none of these claimed?
    pub(crate) fn clear<'n>(&self, mut nodes: impl Iterator<Item = &'n NodeId>) -> bool {
        if self.many.load(Ordering::Acquire) == 0 {
            return true;
        }
        let claimed = self.lock();
        !nodes.any(|node| claimed.contains(node))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<NodeId>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.way.lock();
        if let Some(at) = claimed.iter().position(|node| *node == self.node) {
            claimed.swap_remove(at);
        }
        self.way.many.store(claimed.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use daypass_core::{Action, Denial, Life, Put};
    use daypass_credential::{NodeId, NodeKind, Revision};
    use daypass_store::Lane;

    use crate::{
        broker::{Broker, Decision, Plan, Recorded},
        call::{Call, RequestMark},
        refusal::Refusal,
        rig::Rig,
    };

    fn identity(call: &Call) -> NodeId {
        NodeId::new(NodeKind::Identity, call.caller.identity.clone())
    }

    /// Writes the caller's own identity again, as a renewal does.
    async fn renew(broker: &Broker, call: &Call) -> Result<Revision, Refusal> {
        let mark = RequestMark::single(&*broker.entropy)?;
        let id = identity(call);
        let recorded = broker
            .record(mark, Lane::Normal, call.facts.clone(), |facts, _| {
                let node = facts.stored(&id)?.ok_or(Denial::CallerEnded)?.node.clone();
                if node.life != Life::Open {
                    return Err(Denial::CallerEnded.into());
                }
                let plan = Plan::by(call, Action::Written { node: id.clone() }, ());
                Ok(Decision::Write(Box::new(Plan { puts: vec![Put { node, cut: false }], ..plan })))
            })
            .await?;
        match recorded {
            Recorded::Now((), Some(revision)) => Ok(revision),
            Recorded::Now((), None) | Recorded::Before(..) => panic!("each is recorded"),
        }
    }

    #[tokio::test]
    async fn an_end_that_lost_to_a_renewal_loses_to_no_further_one() {
        let rig = Rig::new().await;
        let call = rig.call().await;
        let again = || {
            let (broker, call) = (rig.broker.clone(), call.clone());
            tokio::spawn(async move { renew(&broker, &call).await })
        };
        rig.faults.stall();
        let first = again();
        rig.faults.stalled().await;
        let (broker, by, mark) = (rig.broker.clone(), call.clone(), rig.single());
        let id = identity(&call);
        let node = id.clone();
        let end = tokio::spawn(async move { broker.end(&by, &node, "", mark).await });
        // Until the end has read the identity and waits behind the renewal.
        tokio::task::yield_now().await;
        rig.faults.step();
        let renewed = first.await.unwrap().unwrap();
        // It lost, was decided anew, and is being written.
        rig.faults.stalled().await;
        let late = again().await.unwrap().unwrap_err();
        assert!(matches!(late, Refusal::Busy { .. }), "{late}");
        rig.faults.release();
        assert_eq!(end.await.unwrap().unwrap(), renewed.next(), "nothing came between");
        let after = again().await.unwrap().unwrap_err();
        assert_eq!(after.reason().as_str(), "caller-ended", "the claim is over");
    }
}
