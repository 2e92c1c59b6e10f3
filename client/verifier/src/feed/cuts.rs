//! The cuts of one era as a feed holds them: a large set that is rarely touched, and a small one that is copied for every
//! view. See INVARIANT (two sets, one verdict) in `view.rs`.

use std::sync::Arc;

use daypass_credential::{Cut, CutSet, Era, Timestamp};

/// How many cuts the small set takes before it is merged.
const RECENT: usize = 256;

/// How far the horizon rises, in milliseconds, before what it made needless is forgotten.
const SWEEP: u64 = 60_000;

#[derive(Debug)]
pub(super) struct Cuts {
    settled: Arc<CutSet>,
    recent: Arc<CutSet>,
    /// What is in `recent`, to be merged.
    unsettled: Vec<Cut>,
    horizon: Timestamp,
    /// The horizon when the large set was last swept.
    swept: Timestamp,
}

impl Cuts {
    pub(super) fn new(era: Era) -> Self {
        let none = Arc::new(CutSet::new(era));
        Self {
            settled: none.clone(),
            recent: none,
            unsettled: Vec::new(),
            horizon: Timestamp::ZERO,
            swept: Timestamp::ZERO,
        }
    }

    /// Takes in a cut; an older one than known changes nothing.
    pub(super) fn apply(&mut self, cut: Cut) {
        if cut.until <= self.horizon {
            return;
        }
        Arc::make_mut(&mut self.recent).apply(cut.clone());
        self.unsettled.push(cut);
        if self.unsettled.len() >= RECENT {
            self.settle();
        }
    }

    /// Takes in many at once, and a horizon. What was there before stays.
    pub(super) fn extend(&mut self, cuts: Vec<Cut>, horizon: Timestamp) {
        self.unsettled.extend(cuts);
        self.horizon = self.horizon.max(horizon);
        self.settle();
    }

    /// Raises the horizon, which never falls; true if it did rise.
    pub(super) fn raise(&mut self, horizon: Timestamp) -> bool {
        let rises = horizon > self.horizon;
        if rises {
            self.horizon = horizon;
            if horizon.as_millis().saturating_sub(self.swept.as_millis()) >= SWEEP {
                self.settle();
            }
        }
        rises
    }

    fn settle(&mut self) {
        let settled = Arc::make_mut(&mut self.settled);
        self.unsettled.drain(..).for_each(|cut| settled.apply(cut));
        settled.raise_horizon(self.horizon);
        self.swept = self.horizon;
        self.recent = Arc::new(CutSet::new(settled.era()));
    }

    pub(super) fn settled(&self) -> Arc<CutSet> {
        self.settled.clone()
    }

    pub(super) fn recent(&self) -> Arc<CutSet> {
        self.recent.clone()
    }

    pub(super) const fn horizon(&self) -> Timestamp {
        self.horizon
    }
}
