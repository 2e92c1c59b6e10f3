//! What every use case stands on: reading facts until a decision settles, and recording what was decided.
//!
//! INVARIANT (record before sign): a use case gets the revision to sign with from [`Broker::record`] alone, after the
//! commit is durable.

use std::{sync::Arc, time::Duration};

use daypass_core::{
    Action, Actor, Event, Facts, Life, PrivateId, Put, Stop, event::Rule, mint::judge_caller,
};
use daypass_credential::{Era, NodeId, Revision, Timestamp, Ttl};
use daypass_store::{Change, CommitError, Lane, Store};
use zeroize::Zeroizing;

use crate::{
    audit::Audit,
    call::{Call, RequestMark},
    clock::ClockGuard,
    entropy::Entropy,
    feed::Feed,
    keys::Cabinet,
    notary::Notary,
    receipts::Receipts,
    refusal::Refusal,
    refusals::Refusals,
    right_of_way::RightOfWay,
    space::Space,
};

/// How often a decision is made anew because others were faster, before the caller is asked to come again.
const TRIES: usize = 16;
/// When to come again then.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// How many nodes one decision may rest on.
const MOST_FACTS: usize = 256;

/// The broker's parts, shared by all calls.
pub(crate) struct Broker {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ClockGuard,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) keys: Cabinet,
    pub(crate) era: Era,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) refusals: Refusals,
    pub(crate) space: Space,
    pub(crate) notary: Notary,
    pub(crate) audit: Audit,
    pub(crate) feed: Feed,
    pub(crate) receipts: Receipts,
    pub(crate) right_of_way: RightOfWay,
}

/// The broker's own limits on what it mints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) identity_ttl: Ttl,
    pub(crate) certificate_ttl: Ttl,
    pub(crate) token_ttl: Ttl,
}

/// What was decided.
pub(crate) enum Decision<T> {
    /// Nothing is to be written.
    Settled(T),
    /// This is to be written.
    Write(Box<Plan<T>>),
}

/// What is to be written, and what comes of it.
pub(crate) struct Plan<T> {
    pub(crate) outcome: T,
    pub(crate) actor: Actor,
    /// The vendor whose application acts, where no lineage names it.
    pub(crate) behalf: Option<NodeId>,
    pub(crate) action: Action,
    /// By which rule it is allowed; mints and renewals do not say.
    pub(crate) rule: Option<Rule>,
    pub(crate) puts: Vec<Put>,
    pub(crate) private: Vec<(PrivateId, Zeroizing<Vec<u8>>)>,
}

impl<T> Plan<T> {
    /// What the caller of this call causes. What else belongs to it is added.
    pub(crate) fn by(call: &Call, action: Action, outcome: T) -> Self {
        // A lineage names the vendor already.
        let behalf = if action.lineage().is_none() { call.caller.behalf().cloned() } else { None };
        Self { behalf, ..Self::of(call.actor(), action, outcome) }
    }

    /// The same for somebody who shows no certificate.
    pub(crate) const fn of(actor: Actor, action: Action, outcome: T) -> Self {
        Self { outcome, actor, behalf: None, action, rule: None, puts: Vec::new(), private: Vec::new() }
    }
}

/// What came of recording.
pub(crate) enum Recorded<T> {
    /// It was recorded now, or nothing had to be (then there is no revision).
    Now(T, Option<Revision>),
    /// The same request was recorded before.
    Before(Revision, Box<Event>),
}

/// Does this end or suspend something? An alarm is no less urgent than an end.
fn closes(puts: &[Put]) -> bool {
    puts.iter().any(|put| put.cut && put.node.life != Life::Open)
}

impl Broker {
    /// The time for what must not happen under a wrong clock.
    pub(crate) fn trusted_now(&self) -> Result<Timestamp, Refusal> {
        let last = self.store.head().borrow().at;
        Ok(self.clock.trusted(last)?)
    }

    /// Reads these nodes into the facts.
    pub(crate) async fn read(&self, facts: &mut Facts, ids: Vec<NodeId>) -> Result<(), Refusal> {
        let ids: Vec<NodeId> = ids.into_iter().filter(|id| !facts.knows(id)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        if facts.ids().count() + ids.len() > MOST_FACTS {
            return Err(Refusal::internal("a decision that rests on too many nodes"));
        }
        let stored = self.store.nodes(&ids).await?;
        ids.into_iter().zip(stored).for_each(|(id, stored)| facts.add(id, stored));
        Ok(())
    }

    /// Decides, reading from the store whatever the decision turns out to need.
    pub(crate) async fn decide<T>(
        &self,
        facts: &mut Facts,
        decide: impl Fn(&Facts) -> Result<T, Stop>,
    ) -> Result<T, Refusal> {
        loop {
            match decide(facts) {
                Ok(decision) => return Ok(decision),
                Err(Stop::Denied(denial)) => return Err(denial.into()),
                Err(Stop::Need(id)) => self.read(facts, vec![id]).await?,
            }
        }
    }

    /// As [`Self::record`], for a decision that does not judge the caller by itself: the caller has to be in force at
    /// the instant of the commit, not only when the gate looked.
    pub(crate) async fn record_for<T>(
        &self,
        call: &Call,
        mark: RequestMark,
        lane: Lane,
        facts: Facts,
        decide: impl Fn(&Facts, Timestamp) -> Result<Decision<T>, Stop>,
    ) -> Result<Recorded<T>, Refusal> {
        self.record(mark, lane, facts, |facts, now| {
            judge_caller(facts, &call.caller, self.era, now)?;
            decide(facts, now)
        })
        .await
    }

    /// Decides and records; where a node moved in between, decides anew from the store. A request that was recorded
    /// before is not decided again.
    pub(crate) async fn record<T>(
        &self,
        mark: RequestMark,
        lane: Lane,
        mut facts: Facts,
        decide: impl Fn(&Facts, Timestamp) -> Result<Decision<T>, Stop>,
    ) -> Result<Recorded<T>, Refusal> {
        if mark.digest.is_some()
            && let Some(revision) = self.store.recorded(mark.id).await?
        {
            return self.before(mark, revision).await;
        }
        let mut claims = Vec::new();
        for _ in 0..TRIES {
            let now = self.now_for(lane)?;
            let plan = match self.decide(&mut facts, |facts| decide(facts, now)).await? {
                Decision::Settled(outcome) => return Ok(Recorded::Now(outcome, None)),
                Decision::Write(plan) => *plan,
            };
            let lane = if closes(&plan.puts) { lane.min(Lane::OwnEnd) } else { lane };
            self.room_for(lane)?;
            self.notary.sound()?;
            if lane > Lane::OwnEnd && !self.right_of_way.clear(facts.ids()) {
                return Err(Refusal::Busy { retry_after: RETRY_AFTER });
            }
            let Plan { outcome, actor, behalf, action, rule, puts, private } = plan;
            let event = Event::new(self.stamp(), mark.id, actor, action);
            let event = Event { behalf, rule, request: mark.digest, puts, ..event };
            let change = Change { event, expect: facts.expectations(), private };
            match self.store.commit(change, lane).await {
                Ok(revision) => return Ok(Recorded::Now(outcome, Some(revision))),
                Err(CommitError::Conflict { node }) => {
                    if lane == Lane::End {
                        claims.push(self.right_of_way.claim(node));
                    }
                    facts = self.anew(&facts).await?;
                }
                Err(CommitError::Repeated { revision }) => return self.before(mark, revision).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Refusal::Busy { retry_after: RETRY_AFTER })
    }

    /// The instant to write on an event.
    pub(crate) fn stamp(&self) -> Timestamp {
        let last = self.store.head().borrow().at;
        self.clock.stamp(last)
    }

    /// The instant to judge callers by. Under a clock that is not believed it is the earlier of the clock's and the
    /// log's time, so that no wrong clock keeps anybody from ending things; nothing is minted or written then.
    pub(crate) fn lenient_now(&self) -> Timestamp {
        let last = self.store.head().borrow().at;
        self.clock.trusted(last).unwrap_or_else(|_| self.clock.now().min(last))
    }

    /// Ends go on under any clock; everything else needs one that can be believed.
    fn now_for(&self, lane: Lane) -> Result<Timestamp, Refusal> {
        match lane {
            Lane::End | Lane::OwnEnd | Lane::Background => Ok(self.lenient_now()),
            Lane::Normal => self.trusted_now(),
        }
    }

    /// Ends and suspensions go on as long as there is any space at all.
    pub(crate) fn room_for(&self, lane: Lane) -> Result<(), Refusal> {
        match lane {
            Lane::End | Lane::OwnEnd => Ok(()),
            Lane::Normal | Lane::Background => self.space.room(),
        }
    }

    /// The same nodes, read again.
    async fn anew(&self, facts: &Facts) -> Result<Facts, Refusal> {
        let mut fresh = Facts::default();
        self.read(&mut fresh, facts.ids().cloned().collect()).await?;
        Ok(fresh)
    }

    /// The event of a request that was recorded before, if it asked for the same.
    async fn before<T>(&self, mark: RequestMark, revision: Revision) -> Result<Recorded<T>, Refusal> {
        let event = self.event(revision).await?.ok_or_else(|| Refusal::internal("an event is missing"))?;
        if mark.digest.is_none() || event.request != mark.digest {
            return Err(Refusal::RequestIdReused);
        }
        Ok(Recorded::Before(revision, Box::new(event)))
    }

    /// The event of a revision, if there is one.
    pub(crate) async fn event(&self, revision: Revision) -> Result<Option<Event>, Refusal> {
        let Some(before) = revision.get().checked_sub(1) else {
            return Ok(None);
        };
        let entries = self.store.log(Revision::new(before), 1).await?;
        let event = entries.first().map(|entry| Event::from_bytes(&entry.event));
        event.transpose().map_err(|error| Refusal::internal(format!("event {revision}: {error}")))
    }
}
