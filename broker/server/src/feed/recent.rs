//! The cuts that came of late, each with its leaf, for all streams together: a verifier that knows one of them, or what
//! lies between, gets what came after; one that is further behind gets a snapshot.

use std::{collections::VecDeque, sync::Arc};

use daypass_credential::{Cut, Revision};
use daypass_log::Hash;

/// How many are kept.
const KEPT: usize = 65_536;

/// A cut that verifiers have to hear of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RecentCut {
    pub(crate) cut: Cut,
    /// The hash of the leaf of its revision.
    pub(crate) leaf: Hash,
}

/// Those that are kept, in the order of the log.
#[derive(Debug)]
pub(super) struct Recent {
    cuts: VecDeque<Arc<RecentCut>>,
    /// Whatever came after this revision is here.
    since: Revision,
    /// How many there are at most.
    kept: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self { cuts: VecDeque::new(), since: Revision::ZERO, kept: KEPT }
    }
}

impl Recent {
    /// Begins with everything that came after this revision.
    pub(super) fn begin(since: Revision, cuts: Vec<Arc<RecentCut>>) -> Self {
        Self { cuts: cuts.into(), since, kept: KEPT }
    }

    /// Takes in what came next.
    pub(super) fn extend(&mut self, cuts: impl IntoIterator<Item = Arc<RecentCut>>) {
        self.cuts.extend(cuts);
        while self.cuts.len() > self.kept {
            let gone = self.cuts.pop_front();
            self.since = gone.map_or(self.since, |gone| gone.cut.at);
        }
    }

    /// Is everything here that came after this revision?
    pub(super) fn covers(&self, after: Revision) -> bool {
        self.since <= after
    }

    /// As if there were room for no more than this.
    #[cfg(test)]
    pub(super) const fn keep(&mut self, kept: usize) {
        self.kept = kept;
    }

    /// About `limit` of those after one revision and up to another, all of a revision or none; nothing at all if they are
    /// not all here.
    pub(super) fn after(&self, after: Revision, upto: Revision, limit: usize) -> Option<Vec<Arc<RecentCut>>> {
        if !self.covers(after) {
            return None;
        }
        let begin = self.cuts.partition_point(|recent| recent.cut.at <= after);
        let mut page: Vec<Arc<RecentCut>> = Vec::new();
        for recent in self.cuts.range(begin..).take_while(|recent| recent.cut.at <= upto) {
            if page.len() >= limit && page.last().is_some_and(|last| last.cut.at != recent.cut.at) {
                break;
            }
            page.push(recent.clone());
        }
        Some(page)
    }

    /// How many came after one revision and up to another, as far as they are here.
    pub(super) fn count(&self, after: Revision, upto: Revision) -> u64 {
        let before = |revision| self.cuts.partition_point(|recent| recent.cut.at <= revision);
        u64::try_from(before(upto).saturating_sub(before(after))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use daypass_credential::Timestamp;

    use super::*;

    fn cut(at: u64) -> Arc<RecentCut> {
        let (at, until) = (Revision::new(at), Timestamp::from_millis(1));
        Arc::new(RecentCut {
            cut: Cut { node: "vendor:acme".parse().unwrap(), at, until },
            leaf: Hash::empty(),
        })
    }

    fn after(recent: &Recent, after: u64, upto: u64, limit: usize) -> Option<Vec<u64>> {
        let page = recent.after(Revision::new(after), Revision::new(upto), limit)?;
        Some(page.iter().map(|recent| recent.cut.at.get()).collect())
    }

    #[test]
    fn a_page_holds_what_lies_between_and_never_half_a_revision() {
        let mut recent = Recent::default();
        recent.extend([3, 5, 5, 5, 9].map(cut));
        assert_eq!(after(&recent, 0, 9, 2), Some(vec![3, 5, 5, 5]));
        assert_eq!(after(&recent, 5, 9, 2), Some(vec![9]));
        assert_eq!(after(&recent, 5, 8, 2), Some(vec![]));
        assert_eq!(after(&recent, 9, 20, 2), Some(vec![]));
        assert_eq!(recent.count(Revision::new(3), Revision::new(9)), 4);
        assert_eq!(recent.count(Revision::new(9), Revision::new(3)), 0);
    }

    #[test]
    fn who_is_behind_what_is_kept_gets_nothing_rather_than_a_part() {
        let mut recent = Recent::begin(Revision::new(7), vec![cut(8)]);
        assert_eq!(after(&recent, 6, 9, 9), None);
        assert_eq!(after(&recent, 7, 9, 9), Some(vec![8]));
        recent.extend((9..9 + 65_536).map(cut));
        assert_eq!(recent.cuts.len(), KEPT);
        assert_eq!(after(&recent, 7, 9, 9), None, "the oldest went");
        assert_eq!(after(&recent, 8, 9, 9), Some(vec![9]), "the boundary");
    }
}
