//! The ids of the newest changes: none of them is recorded twice.

use std::collections::{HashSet, VecDeque};

use crate::event::ChangeId;

/// How many commits back a change is not recorded again.
pub const WINDOW: usize = 1 << 18;

#[derive(Debug, Default)]
pub(super) struct Recent {
    ids: HashSet<ChangeId>,
    order: VecDeque<ChangeId>,
}

impl Recent {
    pub(super) fn holds(&self, id: ChangeId) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn remember(&mut self, id: ChangeId) {
        self.ids.insert(id);
        self.order.push_back(id);
        if self.order.len() > WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
