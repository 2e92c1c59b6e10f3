//! Who refuses what was ended: for each audience that something of it was for, its verifiers, and what is known of each.

use std::{collections::BTreeSet, time::Duration};

use daypass_core::{Body, Life, enroll::roster_name};
use daypass_credential::{Name, NodeId, NodeKind, Timestamp, Ttl};
use daypass_log::receipt::{Count, Totals};
use tokio::time::Instant;

use super::{Ended, State};
use crate::{
    broker::Broker,
    feed::{Acknowledged, Instance},
    refusal::Refusal,
};

/// How far a receipt is, as whoever waits for it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) audiences: Vec<AudienceProgress>,
    /// When it is closed at the latest; none until that is known.
    pub(crate) closes_at: Option<Timestamp>,
}

/// The same for one audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AudienceProgress {
    pub(crate) audience: Name,
    pub(crate) confirmed: u32,
    pub(crate) awaited: u32,
    pub(crate) not_following: u32,
}

/// A verifier with the audiences that it checks for, and its instances.
pub(crate) struct Checker {
    pub(crate) verifier: Name,
    pub(crate) audiences: BTreeSet<Name>,
    pub(crate) identities: Vec<Name>,
}

/// What is known at an audience.
pub(super) struct AtAudience {
    pub(super) audience: Name,
    pub(super) credentials: Count,
    pub(super) last_expiry: Timestamp,
    pub(super) staleness: Ttl,
    pub(super) verifiers: Vec<Who>,
}

/// One who checks for it.
pub(super) struct Who {
    pub(super) verifier: Name,
    pub(super) identity: Option<Name>,
    pub(super) stands: Stands,
}

/// What is known of one who checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stands {
    Confirmed(Box<Acknowledged>),
    /// It may still accept something, up to this instant.
    Awaited(Timestamp),
    /// It was last told before the end, and its limit has passed.
    RefusesFrom(Timestamp),
    NotFollowing,
}

/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest: many acknowledgements come at once.
const REST: Duration = Duration::from_millis(10);

/// Waits until everybody who may still accept something has confirmed the end, or refuses by themselves.
pub(super) async fn settled(
    broker: &Broker,
    ended: &Ended,
    totals: &Totals,
) -> Result<Vec<AtAudience>, Refusal> {
    let mut changes = broker.feed.attendance().changes();
    loop {
        changes.mark_unchanged();
        let standing = standing(broker, ended, totals).await?;
        let awaited = standing.iter().flat_map(|at| &at.verifiers);
        let waits = awaited.filter_map(|who| match who.stands {
            Stands::Awaited(until) => Some(until),
            Stands::Confirmed(_) | Stands::RefusesFrom(_) | Stands::NotFollowing => None,
        });
        let Some(last) = waits.max() else { return Ok(standing) };
        broker.receipts.set(ended.revision, State::Open(progress(&standing, last)));
        tokio::time::sleep(REST).await;
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn progress(standing: &[AtAudience], last: Timestamp) -> Progress {
    let audience = |at: &AtAudience| {
        let count = |is: fn(&Stands) -> bool| {
            let number = at.verifiers.iter().filter(|who| is(&who.stands)).count();
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        AudienceProgress {
            audience: at.audience.clone(),
            confirmed: count(|stands| matches!(stands, Stands::Confirmed(_))),
            awaited: count(|stands| matches!(stands, Stands::Awaited(_))),
            not_following: count(|stands| matches!(stands, Stands::NotFollowing)),
        }
    };
    Progress { audiences: standing.iter().map(audience).collect(), closes_at: Some(last) }
}

/// How it stands now.
async fn standing(broker: &Broker, ended: &Ended, totals: &Totals) -> Result<Vec<AtAudience>, Refusal> {
    let concerned: BTreeSet<Name> = totals.audiences.iter().map(|(name, ..)| name.clone()).collect();
    let checkers = checkers(broker, &concerned).await?;
    let now = broker.trusted_now().ok();
    let mut standing = Vec::new();
    for (audience, credentials, last_expiry) in totals.audiences.iter().cloned() {
        let staleness = staleness(broker, &audience).await?;
        let hour = Hour { began: broker.feed.attendance().began(), now, limit: staleness, ended };
        let theirs = checkers.iter().filter(|checker| checker.audiences.contains(&audience));
        let mut verifiers: Vec<Who> = theirs.flat_map(|checker| hour.of(broker, checker)).collect();
        verifiers
            .sort_by(|one, other| (&one.verifier, &one.identity).cmp(&(&other.verifier, &other.identity)));
        standing.push(AtAudience { audience, credentials, last_expiry, staleness, verifiers });
    }
    Ok(standing)
}

/// How long verifiers of an audience may go without proof that nothing is missing.
pub(crate) async fn staleness(broker: &Broker, audience: &Name) -> Result<Ttl, Refusal> {
    let id = NodeId::new(NodeKind::Audience, audience.clone());
    let stored = broker.store.nodes(&[id]).await?.into_iter().next().flatten();
    match stored.map(|stored| stored.node.body.clone()) {
        Some(Body::Audience(audience)) => Ok(audience.staleness),
        _ => Err(Refusal::internal(format!("there is no `audience:{audience}`"))),
    }
}

/// Every open verifier that checks for one of these audiences, with its instances in force or heard of.
pub(crate) async fn checkers(broker: &Broker, of: &BTreeSet<Name>) -> Result<Vec<Checker>, Refusal> {
    let (mut checkers, mut after) = (Vec::new(), None);
    if of.is_empty() {
        return Ok(checkers);
    }
    loop {
        let page = broker.store.list(NodeKind::Verifier, after.as_ref(), 256).await?;
        let Some(last) = page.last() else { return Ok(checkers) };
        after = Some(last.node.id().name);
        for stored in page.iter().filter(|stored| stored.node.life == Life::Open) {
            let Body::Verifier(verifier) = &stored.node.body else { continue };
            let audiences: BTreeSet<Name> = verifier.audiences.intersection(of).cloned().collect();
            if !audiences.is_empty() {
                let identities = identities(broker, &stored.node.id()).await?;
                checkers.push(Checker { verifier: verifier.name.clone(), audiences, identities });
            }
        }
    }
}

/// Its instances in force, and those that were heard of.
async fn identities(broker: &Broker, verifier: &NodeId) -> Result<Vec<Name>, Refusal> {
    // A name that is as long as one may be has no roster, and nobody was ever enrolled.
    let Ok(roster) = roster_name(verifier) else { return Ok(Vec::new()) };
    let roster = NodeId::new(NodeKind::Roster, roster);
    let roster = broker.store.nodes(&[roster]).await?.into_iter().next().flatten();
    let Some(Body::Roster(roster)) = roster.map(|stored| stored.node.body.clone()) else {
        return Ok(Vec::new());
    };
    let ids: Vec<NodeId> =
        roster.identities.into_iter().map(|name| NodeId::new(NodeKind::Identity, name)).collect();
    let now = broker.lenient_now();
    let stored = broker.store.nodes(&ids).await?;
    let there = |stored: Option<std::sync::Arc<daypass_core::Stored>>| match &stored?.node {
        node if node.life != Life::Open => None,
        node => match &node.body {
            Body::Identity(identity) => {
                let heard = || broker.feed.attendance().of(&identity.name).is_some();
                (identity.until > now || heard()).then(|| identity.name.clone())
            }
            _ => None,
        },
    };
    Ok(stored.into_iter().filter_map(there).collect())
}

/// By what the instances of one audience are judged.
struct Hour<'a> {
    began: Timestamp,
    /// None under a clock that is not believed.
    now: Option<Timestamp>,
    limit: Ttl,
    ended: &'a Ended,
}

impl Hour<'_> {
    fn of(&self, broker: &Broker, checker: &Checker) -> Vec<Who> {
        let who =
            |identity: Option<Name>, stands| Who { verifier: checker.verifier.clone(), identity, stands };
        if checker.identities.is_empty() {
            return vec![who(None, Stands::NotFollowing)];
        }
        let attendance = broker.feed.attendance();
        let each = checker.identities.iter();
        each.map(|name| who(Some(name.clone()), self.stands(attendance.of(name)))).collect()
    }

    /// Whoever was not heard of may have been told by an earlier process, right up to its end, that nothing is missing.
    fn stands(&self, instance: Option<Instance>) -> Stands {
        let (heard, known) = match instance {
            Some(Instance { acknowledged: Some(said), .. }) if said.revision >= self.ended.revision => {
                return Stands::Confirmed(Box::new(said));
            }
            Some(instance) if instance.observing => return Stands::NotFollowing,
            Some(instance) => (instance.heard, true),
            None => (None, false),
        };
        // What it was told once the end was in the log, was told after the end itself.
        let until = heard.unwrap_or(self.began).min(self.ended.seen).after(self.limit);
        match (self.is_over(until), known) {
            (false, _) => Stands::Awaited(until),
            (true, true) => Stands::RefusesFrom(until),
            (true, false) => Stands::NotFollowing,
        }
    }

    /// By a clock that is believed; or else by a steady one, which counts the whole limit from when the end was there.
    fn is_over(&self, until: Timestamp) -> bool {
        let limit = Duration::from_millis(self.limit.as_millis());
        self.now.is_some_and(|now| until <= now) || Instant::now() >= self.ended.since + limit
    }
}
