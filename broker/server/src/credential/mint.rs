//! What minting any credential has in common: record the permit, or find what the same request was given before.

use daypass_core::{
    Action, Event, Facts, Permit, Stop,
    event::{CertificateRecord, TokenRecord},
};
use daypass_credential::{Dead, Lineage, NodeId, Rests, Revision, Timestamp, standing};
use daypass_store::Lane;

use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::{Call, RequestMark},
    refusal::Refusal,
};

/// A record of a credential for an application.
pub(crate) trait Minted: Clone {
    /// The event that records it.
    fn action(&self) -> Action;
    /// The permit that a recorded event proves.
    fn again(event: &Event) -> Option<Permit<Self>>;
    /// When it ends, and what it rests on.
    fn life(&self) -> (Timestamp, &Lineage);
}

impl Minted for TokenRecord {
    fn action(&self) -> Action {
        Action::TokenMinted(self.clone())
    }

    fn again(event: &Event) -> Option<Permit<Self>> {
        Permit::token_again(event)
    }

    fn life(&self) -> (Timestamp, &Lineage) {
        (self.expires, &self.lineage)
    }
}

impl Minted for CertificateRecord {
    fn action(&self) -> Action {
        Action::CertificateMinted(self.clone())
    }

    fn again(event: &Event) -> Option<Permit<Self>> {
        Permit::certificate_again(event)
    }

    fn life(&self) -> (Timestamp, &Lineage) {
        (self.expires, &self.lineage)
    }
}

impl Broker {
    /// Records what is decided, and returns what may be signed now. A repeat gets what was recorded before, as long as
    /// that is alive.
    pub(crate) async fn mint<R: Minted>(
        &self,
        call: &Call,
        mark: RequestMark,
        facts: Facts,
        decide: impl Fn(&Facts, Timestamp) -> Result<Permit<R>, Stop>,
    ) -> Result<(Permit<R>, Revision), Refusal> {
        let recorded = self
            .record(mark, Lane::Normal, facts, |facts, now| {
                let permit = decide(facts, now)?;
                self.feed.own_ends().room(&call.caller.subject)?;
                let action = permit.record().action();
                Ok(Decision::Write(Box::new(Plan::by(call, action, permit))))
            })
            .await?;
        match recorded {
            Recorded::Now(permit, Some(revision)) => Ok((permit, revision)),
            Recorded::Now(_, None) => Err(Refusal::internal("a mint that was not recorded")),
            Recorded::Before(revision, event) => {
                let permit = R::again(&event).ok_or(Refusal::RequestIdReused)?;
                let (exp, lineage) = permit.record().life();
                let rests = Rests { era: self.era, rev: revision, exp, lineage };
                let alive = self.alive(&rests, self.trusted_now()?).await?;
                if alive { Ok((permit, revision)) } else { Err(Refusal::AnswerOver { revision }) }
            }
        }
    }

    /// Is a credential of this broker alive, by its expiry and by the store as it is now?
    pub(crate) async fn alive(&self, rests: &Rests<'_>, now: Timestamp) -> Result<bool, Refusal> {
        Ok(rests.exp > now && self.standing(rests).await?.is_ok())
    }

    /// Law 3, by the store as it is now: is what a credential rests on uncut? Its expiry is not looked at.
    pub(crate) async fn standing(&self, rests: &Rests<'_>) -> Result<Result<(), Dead>, Refusal> {
        let ids: Vec<NodeId> =
            rests.lineage.nodes().iter().cloned().chain([NodeId::credential(rests.rev)]).collect();
        let nodes = self.store.nodes(&ids).await?;
        let cut_of = |id: &NodeId| {
            let at = ids.iter().position(|known| known == id)?;
            nodes.get(at)?.as_ref()?.cut
        };
        Ok(standing(rests, self.era, Timestamp::ZERO, cut_of))
    }
}
