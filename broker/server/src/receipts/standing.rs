//! Who refuses what was ended: for each audience that something of it was for, its verifiers, and what is known of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use daypass_core::{Body, Life, Stored, enroll::roster_name};
use daypass_credential::{Name, NodeId, NodeKind, Timestamp, Ttl};
use daypass_log::receipt::{Count, Totals};

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
    /// Those that it checked for before, each with when that changed.
    before: BTreeMap<Name, Timestamp>,
    /// It was not ended.
    pub(crate) open: bool,
    pub(crate) identities: Vec<Name>,
    /// Those that are not in force any longer. They are told nothing more, and accept what they did until their limit.
    gone: BTreeSet<Name>,
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
/// The shortest, of all receipts together: many acknowledgements come at once, and each look reads every verifier.
const REST: Duration = Duration::from_millis(10);

/// Waits until everybody who may still accept something has confirmed the end, or refuses by themselves.
pub(super) async fn settled(
    broker: &Broker,
    ended: &Ended,
    totals: &Totals,
) -> Result<Vec<AtAudience>, Refusal> {
    let mut changes = broker.feed.attendance().changes();
    loop {
        let turn = broker.receipts.looking.acquire().await.map_err(Refusal::internal)?;
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
        drop(turn);
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
    let (steady, now) = (broker.clock.steady(), broker.trusted_now().ok());
    let mut standing = Vec::new();
    for (audience, credentials, last_expiry) in totals.audiences.iter().cloned() {
        let staleness = staleness(broker, &audience).await?;
        let (began, before) =
            (broker.feed.attendance().began(), broker.feed.terms().limits_before(&audience));
        let hour = Hour { began, now, steady, limit: staleness, before, ended };
        let mut verifiers: Vec<Who> =
            checkers.iter().flat_map(|checker| hour.of(broker, checker, &audience)).collect();
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

/// Every verifier that checks for one of these audiences, with its instances in force or heard of, and those that are gone.
pub(crate) async fn checkers(broker: &Broker, of: &BTreeSet<Name>) -> Result<Vec<Checker>, Refusal> {
    let (mut checkers, mut after) = (Vec::new(), None);
    if of.is_empty() {
        return Ok(checkers);
    }
    loop {
        let page = broker.store.list(NodeKind::Verifier, after.as_ref(), 256).await?;
        let Some(last) = page.last() else { return Ok(checkers) };
        after = Some(last.node.id().name);
        for stored in page {
            let Body::Verifier(verifier) = &stored.node.body else { continue };
            let audiences: BTreeSet<Name> = verifier.audiences.intersection(of).cloned().collect();
            let mut before = broker.feed.terms().checked_before(&verifier.name);
            before.retain(|audience, _| of.contains(audience));
            if !audiences.is_empty() || !before.is_empty() {
                let checker =
                    Checker { audiences, before, ..checker(broker, &stored, &verifier.name).await? };
                checkers.push(checker);
            }
        }
    }
}

async fn checker(broker: &Broker, stored: &Stored, verifier: &Name) -> Result<Checker, Refusal> {
    let open = stored.node.life == Life::Open;
    let roster = roster(broker, &stored.node.id()).await?;
    let in_force = if open { in_force(broker, &roster).await? } else { Vec::new() };
    // A roster forgets who is over once somebody else is enrolled.
    let mut gone: BTreeSet<Name> = broker.feed.attendance().of_verifier(verifier).into_iter().collect();
    gone.extend(roster);
    gone.retain(|identity| !in_force.contains(identity));
    let (audiences, before) = (BTreeSet::new(), BTreeMap::new());
    Ok(Checker { verifier: verifier.clone(), audiences, before, open, identities: in_force, gone })
}

async fn roster(broker: &Broker, verifier: &NodeId) -> Result<Vec<Name>, Refusal> {
    // A name that is as long as one may be has no roster, and nobody was ever enrolled.
    let Ok(roster) = roster_name(verifier) else { return Ok(Vec::new()) };
    let roster = NodeId::new(NodeKind::Roster, roster);
    let roster = broker.store.nodes(&[roster]).await?.into_iter().next().flatten();
    Ok(match roster.map(|stored| stored.node.body.clone()) {
        Some(Body::Roster(roster)) => roster.identities,
        _ => Vec::new(),
    })
}

/// Those in force, and those that were heard of.
async fn in_force(broker: &Broker, roster: &[Name]) -> Result<Vec<Name>, Refusal> {
    let ids: Vec<NodeId> = roster.iter().map(|name| NodeId::new(NodeKind::Identity, name.clone())).collect();
    let now = broker.lenient_now();
    let stored = broker.store.nodes(&ids).await?;
    let there = |stored: Option<std::sync::Arc<Stored>>| match &stored?.node {
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
    steady: Duration,
    limit: Ttl,
    /// The limits that there were before, each with when it was replaced: who was told last before that goes by it.
    before: Vec<(Ttl, Timestamp)>,
    ended: &'a Ended,
}

impl Hour<'_> {
    fn of(&self, broker: &Broker, checker: &Checker, audience: &Name) -> Vec<Who> {
        let who =
            |identity: Option<Name>, stands| Who { verifier: checker.verifier.clone(), identity, stands };
        let (checks, upto) = (checker.audiences.contains(audience), checker.before.get(audience).copied());
        if !checks && upto.is_none() {
            return Vec::new();
        }
        let upto = upto.filter(|_| !checks);
        let attendance = broker.feed.attendance();
        let stands = |name: &Name| self.stands(attendance.of(name), upto);
        let here = checker.identities.iter().map(|name| (checks, name, stands(name)));
        let gone = checker.gone.iter().map(|name| (false, name, stands(name)));
        let all = here.chain(gone).filter(|(in_force, _, stands)| *in_force || self.concerns(stands));
        let all: Vec<Who> = all.map(|(_, name, stands)| who(Some(name.clone()), stands)).collect();
        if all.is_empty() && checker.open && checks { vec![who(None, Stands::NotFollowing)] } else { all }
    }

    /// Did the end concern one who is gone? One who refused everything before it has nothing to do with it.
    fn concerns(&self, stands: &Stands) -> bool {
        match stands {
            Stands::Confirmed(_) | Stands::Awaited(_) => true,
            Stands::RefusesFrom(from) => *from > self.ended.at,
            Stands::NotFollowing => false,
        }
    }

    /// How an instance stands that checked for the audience up to an instant, if not still.
    ///
    /// Whoever was not heard of may have been told by an earlier process, right up to its end, that nothing is missing.
    fn stands(&self, instance: Option<Instance>, upto: Option<Timestamp>) -> Stands {
        let (heard, known) = match instance {
            Some(Instance { acknowledged: Some(said), .. }) if said.revision >= self.ended.revision => {
                return Stands::Confirmed(Box::new(said));
            }
            // What it hears counts for nothing, and what it heard from an earlier process is not known.
            Some(instance) if instance.observing => (None, false),
            Some(instance) => (instance.heard, true),
            None => (None, false),
        };
        // What it was told once the end was in the log, was told after the end itself.
        let earliest = |one: Timestamp, other: Option<Timestamp>| other.map_or(one, |other| one.min(other));
        let last = earliest(earliest(heard.unwrap_or(self.began), self.ended.seen.at), upto);
        let by_old = self.before.iter().map(|(limit, replaced)| last.min(*replaced).after(*limit));
        let until = by_old.fold(last.after(self.limit), Timestamp::max);
        match (self.is_over(until), known) {
            (false, _) => Stands::Awaited(until),
            (true, true) => Stands::RefusesFrom(until),
            (true, false) => Stands::NotFollowing,
        }
    }

    /// By a clock that is believed now and was when the end came, and by a steady one: a step of the first lets no time pass
    /// at verifiers. By the steady one alone the whole limit counts.
    fn is_over(&self, until: Timestamp) -> bool {
        let passed = self.steady.saturating_sub(self.ended.seen.since);
        let longest = self.before.iter().map(|(limit, _)| *limit).fold(self.limit, Ttl::max);
        let (limit, passed) = (u128::from(longest.as_millis()), passed.as_millis());
        let left = |seen: Timestamp| u128::from(until.as_millis().saturating_sub(seen.as_millis()));
        let by_wall = self.now.is_some_and(|now| until <= now);
        passed >= limit || (by_wall && self.ended.seen.at.is_some_and(|seen| passed >= left(seen)))
    }
}

#[cfg(test)]
mod tests {
    use daypass_credential::Revision;

    use super::*;
    use crate::receipts::Seen;

    const LIMIT: Ttl = Ttl::seconds(30);
    const NOON: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(NOON + seconds * 1000)
    }

    /// How a verifier stands that was heard at second 10, where the end was seen then, by what the clocks say later.
    fn stands(seen: Option<Timestamp>, now: Option<Timestamp>, passed: u64) -> Stands {
        let since = Duration::from_secs(500);
        let seen = Seen { at: seen, since };
        let vendor = "vendor:acme".parse().unwrap();
        let ended = Ended { vendor, revision: Revision::new(9), at: at(0), seen, held: None };
        let steady = since + Duration::from_secs(passed);
        let hour = Hour { began: at(0), now, steady, limit: LIMIT, before: vec![], ended: &ended };
        hour.stands(
            Some(Instance {
                verifier: "api".parse().unwrap(),
                streams: 1,
                observing: false,
                acknowledged: None,
                heard: Some(at(10)),
                told: Revision::ZERO,
            }),
            None,
        )
    }

    #[test]
    fn both_clocks_have_to_say_that_the_limit_has_passed() {
        let awaited = Stands::Awaited(at(40));
        assert_eq!(stands(Some(at(10)), Some(at(39)), 29), awaited);
        assert_eq!(stands(Some(at(10)), Some(at(40)), 30), Stands::RefusesFrom(at(40)));
        // Set ahead by less than what shows that it was set.
        assert_eq!(stands(Some(at(10)), Some(at(60)), 1), awaited);
        assert_eq!(stands(Some(at(12)), Some(at(40)), 28), Stands::RefusesFrom(at(40)), "heard before");
    }

    #[test]
    fn an_end_under_a_clock_that_is_not_believed_is_waited_for_by_the_steady_one() {
        for now in [None, Some(at(11)), Some(at(1000))] {
            assert_eq!(stands(None, now, 29), Stands::Awaited(at(40)));
            assert_eq!(stands(None, now, 30), Stands::RefusesFrom(at(40)));
        }
    }

    #[test]
    fn who_observes_now_may_have_checked_by_what_an_earlier_process_told() {
        let vendor = "vendor:acme".parse().unwrap();
        let seen = Seen { at: Some(at(10)), since: Duration::ZERO };
        let ended = Ended { vendor, revision: Revision::new(9), at: at(10), seen, held: None };
        let observes = Instance {
            verifier: "api".parse().unwrap(),
            streams: 1,
            observing: true,
            acknowledged: None,
            heard: Some(at(9)),
            told: Revision::ZERO,
        };
        let by = |now: u64| {
            let steady = Duration::from_secs(now - 10);
            let hour = Hour {
                began: at(5),
                now: Some(at(now)),
                steady,
                limit: LIMIT,
                before: vec![],
                ended: &ended,
            };
            hour.stands(Some(observes.clone()), None)
        };
        assert_eq!(by(34), Stands::Awaited(at(35)));
        assert_eq!(by(35), Stands::NotFollowing);
    }
}
