//! All that credentials are judged by, as one immutable value: keys, cuts, horizon, revision, and the last proof that
//! nothing is missing. It is replaced whole, so that no check ever sees the keys of one moment with the cuts of another.

use std::sync::Arc;

use daypass_credential::{CutSet, Dead, Era, Rests, Timestamp, Ttl};

use crate::{Bundle, Moment, feed::Position};

/// What is known of the broker at one point of its log. Only a [`crate::Feed`] makes one.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) bundle: Arc<Bundle>,
    // INVARIANT (two sets, one verdict): a cut is in one of them or in both; the larger one is rarely copied.
    pub(crate) settled: Arc<CutSet>,
    pub(crate) recent: Arc<CutSet>,
    pub(crate) horizon: Timestamp,
    pub(crate) position: Position,
    /// When the counter was sent whose echo came last.
    pub(crate) proven: Option<Moment>,
}

impl View {
    /// The keys in use.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The life of the log.
    #[must_use]
    pub fn era(&self) -> Era {
        self.bundle.era()
    }

    /// Up to where in the log every cut has been taken in.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The instant at or before which every expiry means dead.
    #[must_use]
    pub const fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// How many cuts it holds; a node that was cut twice may count twice.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.settled.len() + self.recent.len()
    }

    /// Milliseconds since the broker last proved that nothing is missing, counted from when it was asked; none if it
    /// never did.
    #[must_use]
    pub fn age(&self, now: Moment) -> Option<u64> {
        self.proven.map(|proven| now.since(&proven))
    }

    /// Is it fresh enough for this limit? At the very limit it is not.
    #[must_use]
    pub fn is_fresh(&self, limit: Ttl, now: Moment) -> bool {
        self.age(now).is_some_and(|age| age < limit.as_millis())
    }

    /// Does it speak of an earlier revision of the same log?
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        self.era() == other.era() && self.position.revision < other.position.revision
    }

    /// Is this credential alive?
    ///
    /// # Errors
    /// Why it is dead.
    pub fn judge(&self, credential: &Rests<'_>) -> Result<(), Dead> {
        // The sets forget later than the horizon rises.
        if credential.era == self.era() && credential.exp <= self.horizon {
            return Err(Dead::BelowHorizon);
        }
        if !self.recent.is_empty() {
            self.recent.judge(credential)?;
        }
        self.settled.judge(credential)
    }
}
