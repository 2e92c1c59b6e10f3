//! How far each verifier is: what the directory says of it, and what this process heard of it.

use std::sync::Arc;

use daypass_core::{Body, Facts, Life, Stored, node::Verifier};
use daypass_credential::{Name, NodeId, NodeKind, Revision, Timestamp, Ttl};

use super::{Instance, keys::open};
use crate::{broker::Broker, refusal::Refusal};

/// A verifier, with one of its instances if it has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) verifier: Name,
    pub(crate) identity: Option<Name>,
    pub(crate) audiences: Vec<Name>,
    pub(crate) following: bool,
    pub(crate) observing: bool,
    /// Zero if it never acknowledged anything to this process.
    pub(crate) acknowledged: Revision,
    pub(crate) behind: u64,
    pub(crate) heard: Option<Timestamp>,
    /// From when on it refuses by itself, if nothing more is told to it.
    pub(crate) refuses: Option<Timestamp>,
}

impl Broker {
    /// Every open verifier with each of its enrolled instances, and the newest revision.
    pub(crate) async fn verifiers(&self) -> Result<(Vec<Standing>, Revision), Refusal> {
        let (mut all, head) = (Vec::new(), self.store.head().borrow().revision);
        for stored in open(self, NodeKind::Verifier).await? {
            if let Body::Verifier(verifier) = &stored.node.body {
                self.instances(verifier, &mut all).await?;
            }
        }
        Ok((all, head))
    }

    async fn instances(&self, verifier: &Verifier, all: &mut Vec<Standing>) -> Result<(), Refusal> {
        let staleness = self.staleness(verifier).await?;
        let enrolled = self.enrolled(&verifier.name).await?;
        if enrolled.is_empty() {
            all.push(standing(verifier, None, 0, None, staleness));
        }
        for identity in enrolled {
            let instance = self.feed.attendance().of(&identity);
            let behind = instance.as_ref().map_or(0, |one| {
                let acknowledged = one.acknowledged.as_ref().map_or(Revision::ZERO, |known| known.revision);
                self.feed.recent(|recent| recent.count(acknowledged, one.told))
            });
            all.push(standing(verifier, Some(identity), behind, instance, staleness));
        }
        Ok(())
    }

    /// The longest staleness limit of its open audiences.
    async fn staleness(&self, verifier: &Verifier) -> Result<Option<Ttl>, Refusal> {
        let ids: Vec<NodeId> =
            verifier.audiences.iter().map(|name| NodeId::new(NodeKind::Audience, name.clone())).collect();
        let stored = self.store.nodes(&ids).await?;
        let limit = |stored: &Arc<Stored>| match &stored.node.body {
            Body::Audience(audience) if stored.node.life == Life::Open => Some(audience.staleness),
            _ => None,
        };
        Ok(stored.iter().flatten().filter_map(limit).max())
    }

    /// Its instances that are not over.
    async fn enrolled(&self, verifier: &Name) -> Result<Vec<Name>, Refusal> {
        let now = self.lenient_now();
        // A name that is as long as one may be has no roster, and nobody was ever enrolled.
        let Ok(roster) = format!("v.{verifier}").parse::<Name>() else { return Ok(Vec::new()) };
        let mut facts = Facts::default();
        let listed = |facts: &Facts| Ok(facts.roster(&roster)?.map(|found| found.body.identities.clone()));
        let mut enrolled = Vec::new();
        for name in self.decide(&mut facts, listed).await?.unwrap_or_default() {
            let alive = |facts: &Facts| {
                let found = facts.identity(&name)?;
                Ok(found.is_some_and(|found| found.life != Life::Ended && found.body.until > now))
            };
            if self.decide(&mut facts, alive).await? {
                enrolled.push(name);
            }
        }
        Ok(enrolled)
    }
}

fn standing(
    verifier: &Verifier,
    identity: Option<Name>,
    behind: u64,
    instance: Option<Instance>,
    staleness: Option<Ttl>,
) -> Standing {
    let heard = instance.as_ref().and_then(|instance| instance.heard);
    let streams = instance.as_ref().map_or(0, |instance| instance.streams);
    let acknowledged = instance.as_ref().and_then(|instance| instance.acknowledged.as_ref());
    Standing {
        verifier: verifier.name.clone(),
        identity,
        audiences: verifier.audiences.iter().cloned().collect(),
        following: streams > 0,
        observing: streams > 0 && instance.as_ref().is_some_and(|instance| instance.observing),
        acknowledged: acknowledged.map_or(Revision::ZERO, |known| known.revision),
        behind,
        heard,
        refuses: heard.zip(staleness).map(|(heard, limit)| heard.after(limit)),
    }
}
