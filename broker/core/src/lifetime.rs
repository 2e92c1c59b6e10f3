//! Law 5: nothing outlives its parents. The smallest of all limits wins, and says so.

use daypass_credential::Timestamp;

use crate::{denial::Denial, event::Bound};

/// Gathers limits and keeps the smallest; of equal ones the first named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    end: Timestamp,
    bound_by: Bound,
}

impl Lifetime {
    /// Begins with a limit.
    pub(crate) const fn new(end: Timestamp, bound_by: Bound) -> Self {
        Self { end, bound_by }
    }

    /// Takes in another limit.
    pub(crate) fn cap(&mut self, end: Timestamp, bound_by: Bound) {
        if end < self.end {
            *self = Self { end, bound_by };
        }
    }

    /// The expiry in whole seconds, rounded down, so that it never outlives what bound it.
    pub(crate) fn settle(self, now: Timestamp) -> Result<(Timestamp, Bound), Denial> {
        let expires = self.end.floor_secs();
        if expires <= now {
            return Err(Denial::NothingLeft { bound_by: self.bound_by });
        }
        Ok((expires, self.bound_by))
    }
}
