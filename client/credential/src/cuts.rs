//! Law 3 (dead by lineage) and law 6 (the cut set stays small): whether a credential is alive, by numbers alone.
//!
//! INVARIANT (no resurrection): whatever is applied to a set, a credential that it refused once is refused for ever.
//! Cuts only rise, the horizon only rises, and a cut is forgotten only under a horizon that refuses all it killed.

use std::collections::HashMap;

use crate::{Era, Lineage, NodeId, Revision, Timestamp};

/// What decides whether a credential is alive: read from a token, a certificate or an event.
#[derive(Debug, Clone, Copy)]
pub struct Rests<'a> {
    /// The life of the log that recorded it.
    pub era: Era,
    /// Its number.
    pub rev: Revision,
    /// When it expires.
    pub exp: Timestamp,
    /// What it rests on.
    pub lineage: &'a Lineage,
}

/// Why a credential is dead, its expiry aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Dead {
    /// Another log recorded it.
    #[error("it belongs to another era of the broker")]
    OtherEra,
    /// It expired so long ago that its cuts may be forgotten.
    #[error("it expired at or before the horizon")]
    BelowHorizon,
    /// Something that it rests on was ended, suspended or narrowed after it was minted.
    #[error("`{node}` was cut at revision {cut}")]
    Cut {
        /// What was cut.
        node: NodeId,
        /// At which revision.
        cut: Revision,
    },
}

/// The rule: a credential of `era` is alive if it expires after `horizon` and neither it nor a node of its lineage was
/// cut after it was minted.
///
/// `cut_of` tells a node's cut, if it has one. No clock takes part: expiry is the caller's to check as well.
///
/// # Errors
/// Why it is dead.
pub fn standing(
    credential: &Rests<'_>,
    era: Era,
    horizon: Timestamp,
    mut cut_of: impl FnMut(&NodeId) -> Option<Revision>,
) -> Result<(), Dead> {
    in_reach(credential, era, horizon)?;
    let itself = NodeId::credential(credential.rev);
    for node in credential.lineage.nodes().iter().chain([&itself]) {
        if let Some(cut) = cut_of(node)
            && cut > credential.rev
        {
            return Err(Dead::Cut { node: node.clone(), cut });
        }
    }
    Ok(())
}

/// What is asked before any cut is.
fn in_reach(credential: &Rests<'_>, era: Era, horizon: Timestamp) -> Result<(), Dead> {
    if credential.era != era {
        return Err(Dead::OtherEra);
    }
    if credential.exp <= horizon {
        return Err(Dead::BelowHorizon);
    }
    Ok(())
}

/// One cut, as a verifier hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What was ended, suspended or narrowed.
    pub node: NodeId,
    /// At which revision.
    pub at: Revision,
    /// The latest expiry ever issued under the node: from a horizon of that instant on the cut may be forgotten.
    pub until: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    at: Revision,
    until: Timestamp,
}

/// The cuts of one era that can still matter, and the horizon below which all is dead.
#[derive(Debug, Clone)]
pub struct CutSet {
    era: Era,
    horizon: Timestamp,
    /// No cut was ever taken in that is newer. A credential is mostly first seen soon after it was minted, and then there is
    /// nothing to be looked up.
    newest: Revision,
    cuts: HashMap<NodeId, Kept>,
}

impl CutSet {
    /// The set of an era in which nothing was cut yet.
    #[must_use]
    pub fn new(era: Era) -> Self {
        Self { era, horizon: Timestamp::ZERO, newest: Revision::ZERO, cuts: HashMap::new() }
    }

    /// Takes in a cut. An older one than known changes nothing, so that repeats and disorder do no harm.
    pub fn apply(&mut self, cut: Cut) {
        if cut.until <= self.horizon {
            return;
        }
        self.newest = self.newest.max(cut.at);
        let kept = self.cuts.entry(cut.node).or_insert(Kept { at: cut.at, until: cut.until });
        kept.at = kept.at.max(cut.at);
        kept.until = kept.until.max(cut.until);
    }

    /// Raises the horizon and forgets the cuts that it makes needless. It never falls.
    pub fn raise_horizon(&mut self, horizon: Timestamp) {
        self.horizon = self.horizon.max(horizon);
        let horizon = self.horizon;
        self.cuts.retain(|_, kept| kept.until > horizon);
    }

    /// Is this credential alive?
    ///
    /// # Errors
    /// Why it is dead.
    pub fn judge(&self, credential: &Rests<'_>) -> Result<(), Dead> {
        if credential.rev >= self.newest {
            return in_reach(credential, self.era, self.horizon);
        }
        standing(credential, self.era, self.horizon, |node| self.cuts.get(node).map(|kept| kept.at))
    }

    /// The era that it judges.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// The instant at or before which every expiry means dead.
    #[must_use]
    pub const fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// How many cuts it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cuts.len()
    }

    /// Does it hold none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ERA: Era = Era::new(1);

    fn node(n: u8) -> NodeId {
        format!("vendor:v{n}").parse().unwrap()
    }

    fn lineage(nodes: &[u8]) -> Lineage {
        Lineage::new(nodes.iter().copied().map(node).collect()).unwrap()
    }

    fn rests(rev: u64, exp: u64, lineage: &Lineage) -> Rests<'_> {
        Rests { era: ERA, rev: Revision::new(rev), exp: Timestamp::from_secs(exp), lineage }
    }

    fn cut(n: u8, at: u64, until: u64) -> Cut {
        Cut { node: node(n), at: Revision::new(at), until: Timestamp::from_secs(until) }
    }

    #[test]
    fn a_cut_kills_what_is_below_it_and_nothing_else() {
        let mut set = CutSet::new(ERA);
        set.apply(cut(1, 10, 100));
        let (touched, other) = (lineage(&[0, 1]), lineage(&[0, 2]));
        assert_eq!(
            set.judge(&rests(9, 50, &touched)),
            Err(Dead::Cut { node: node(1), cut: Revision::new(10) })
        );
        assert_eq!(
            set.judge(&rests(10, 50, &touched)),
            Ok(()),
            "the boundary: minted by the cut's own commit"
        );
        assert_eq!(set.judge(&rests(11, 50, &touched)), Ok(()));
        assert_eq!(set.judge(&rests(9, 50, &other)), Ok(()));
    }

    #[test]
    fn whoever_is_newer_than_every_cut_is_judged_by_era_and_horizon_alone() {
        let mut set = CutSet::new(ERA);
        set.apply(cut(1, 10, 100));
        set.apply(cut(2, 5, 100));
        let lineage = lineage(&[1, 2]);
        assert_eq!(set.judge(&rests(10, 50, &lineage)), Ok(()));
        assert!(set.judge(&rests(9, 50, &lineage)).is_err(), "the boundary");
        set.raise_horizon(Timestamp::from_secs(50));
        assert_eq!(set.judge(&rests(10, 50, &lineage)), Err(Dead::BelowHorizon));
        let other = Rests { era: Era::new(2), ..rests(10, 60, &lineage) };
        assert_eq!(set.judge(&other), Err(Dead::OtherEra));
        assert!(set.judge(&rests(9, 60, &lineage)).is_err());
    }

    #[test]
    fn a_single_credential_can_be_cut_with_all_that_rests_on_it() {
        let mut set = CutSet::new(ERA);
        set.apply(Cut {
            node: NodeId::credential(Revision::new(5)),
            at: Revision::new(9),
            until: Timestamp::from_secs(100),
        });
        let (line, child) = (lineage(&[1]), "vendor:v1 credential:5".parse().unwrap());
        assert!(set.judge(&rests(5, 50, &line)).is_err());
        assert!(set.judge(&rests(6, 50, &child)).is_err());
        assert_eq!(set.judge(&rests(6, 50, &line)), Ok(()));
    }

    #[test]
    fn the_horizon_refuses_the_very_instant() {
        let mut set = CutSet::new(ERA);
        set.raise_horizon(Timestamp::from_secs(100));
        let line = lineage(&[1]);
        assert_eq!(set.judge(&rests(1, 100, &line)), Err(Dead::BelowHorizon));
        assert_eq!(set.judge(&rests(1, 101, &line)), Ok(()));
    }

    #[test]
    fn another_era_is_dead_whatever_its_number() {
        let line = lineage(&[1]);
        let stranger = Rests { era: Era::new(2), ..rests(u64::MAX, u64::MAX, &line) };
        assert_eq!(CutSet::new(ERA).judge(&stranger), Err(Dead::OtherEra));
    }

    /// One thing that can happen to a broker; `Mint` remembers a credential to be judged from then on.
    #[derive(Debug, Clone)]
    enum Step {
        Mint { line: Vec<u8>, ttl: u64 },
        Cut(u8),
        Tick(u64),
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        let line = proptest::sample::subsequence(vec![0u8, 1, 2, 3], 1..=4);
        prop_oneof![
            (line, 1u64..50).prop_map(|(line, ttl)| Step::Mint { line, ttl }),
            (0u8..4).prop_map(Step::Cut),
            (1u64..20).prop_map(Step::Tick),
            Just(Step::Forget),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// The set that forgets agrees, for everything not yet expired, with plain memory of all cuts,
        /// and never takes back a refusal.
        #[test]
        fn forgetting_never_resurrects(steps in proptest::collection::vec(step(), 1..80)) {
            let mut set = CutSet::new(ERA);
            let (mut now, mut rev) = (1u64, 0u64);
            let mut latest = [0u64; 4];
            let mut minted: Vec<(u64, u64, Vec<u8>, bool)> = Vec::new();
            let mut all_cuts: Vec<(u8, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Mint { line, ttl } => {
                        rev += 1;
                        line.iter().for_each(|n| latest[usize::from(*n)] = latest[usize::from(*n)].max(now + ttl));
                        minted.push((rev, now + ttl, line, false));
                    }
                    Step::Cut(n) => {
                        rev += 1;
                        all_cuts.push((n, rev));
                        set.apply(cut(n, rev, latest[usize::from(n)]));
                    }
                    Step::Tick(by) => now += by,
                    Step::Forget => set.raise_horizon(Timestamp::from_secs(now)),
                }
                for (rev, exp, line, refused) in &mut minted {
                    let nodes = lineage(line);
                    let judged = set.judge(&rests(*rev, *exp, &nodes)).is_ok();
                    prop_assert!(!(judged && *refused), "revision {rev} came back to life");
                    if *exp > now {
                        let plain = !all_cuts.iter().any(|(n, at)| line.contains(n) && at > rev);
                        prop_assert_eq!(judged, plain, "revision {}", rev);
                    }
                    *refused |= !judged;
                }
            }
        }

        /// The order in which cuts arrive makes no difference.
        #[test]
        fn order_and_repeats_do_not_matter(cuts in proptest::collection::vec((0u8..4, 1u64..30), 1..20), rev in 0u64..30) {
            let build = |list: &mut dyn Iterator<Item = &(u8, u64)>| {
                let mut set = CutSet::new(ERA);
                list.for_each(|(n, at)| set.apply(cut(*n, *at, 100)));
                set
            };
            let (forth, back) = (build(&mut cuts.iter()), build(&mut cuts.iter().rev().chain(cuts.iter())));
            let line = lineage(&[0, 1]);
            prop_assert_eq!(forth.judge(&rests(rev, 50, &line)).is_ok(), back.judge(&rests(rev, 50, &line)).is_ok());
        }
    }
}
