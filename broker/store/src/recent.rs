//! The ids of the newest changes, by which a repeat is told.

use std::collections::{HashMap, VecDeque};

use daypass_core::ChangeId;
use daypass_credential::Revision;

/// How many commits back a repeat is told. A change repeated later than that is judged as a new one, by what it
/// expects; so whoever lets callers repeat a request bounds in time how late, and reads the log for what is older.
pub const REMEMBERED: usize = daypass_core::replay::WINDOW;

/// The newest ids and their revisions, in bounded memory (about 15 MB when full).
pub(crate) struct Recent {
    revisions: HashMap<ChangeId, Revision>,
    order: VecDeque<ChangeId>,
    most: usize,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self::holding(REMEMBERED)
    }

    fn holding(most: usize) -> Self {
        Self { revisions: HashMap::new(), order: VecDeque::new(), most }
    }

    /// The revision of this change, if it is among the newest.
    pub(crate) fn find(&self, id: &ChangeId) -> Option<Revision> {
        self.revisions.get(id).copied()
    }

    /// Adds the newest change and forgets the oldest. INVARIANT (once in the window): a change that is found is
    /// refused, so that an id is in the window once and forgetting it forgets no newer one.
    pub(crate) fn remember(&mut self, id: ChangeId, revision: Revision) {
        if self.revisions.insert(id, revision).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let id = |n: u8| ChangeId::new([n; 16]);
        let mut recent = Recent::holding(2);
        for n in 1..=3 {
            recent.remember(id(n), Revision::new(n.into()));
        }
        let found = [1, 2, 3].map(|n| recent.find(&id(n)).map(Revision::get));
        assert_eq!(found, [None, Some(2), Some(3)]);
    }
}
