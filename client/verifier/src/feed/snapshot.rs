//! Snapshots: gathered beside what is in force, and put in its place in one step once they are whole.

use std::{collections::HashSet, sync::Arc};

use daypass_credential::{Cut, Era, Revision, Timestamp};

use super::{Cuts, Feed, FeedError, KeyChange, Part, Position, Stage, State, keys::check_new_era};
use crate::Bundle;

/// What came of a snapshot so far.
#[derive(Debug)]
pub(super) struct Partial {
    era: Era,
    at: Position,
    cuts: Vec<Cut>,
    horizon: Timestamp,
    bundle: Option<Bundle>,
}

impl Feed {
    pub(super) fn begin_snapshot(&mut self, era: Era, at: Position) -> Result<bool, FeedError> {
        match self.stage {
            Stage::Opening | Stage::Following => {}
            Stage::Closed | Stage::Snapshot(_) => return Err(FeedError::OutOfPlace("a snapshot")),
        }
        if self.former.contains(&era) {
            return Err(FeedError::Superseded(era));
        }
        self.check_not_older(era, at)?;
        let (cuts, horizon) = (Vec::new(), Timestamp::ZERO);
        self.stage = Stage::Snapshot(Box::new(Partial { era, at, cuts, horizon, bundle: None }));
        Ok(false)
    }

    /// A snapshot of the era that is known is never below what is known of it.
    fn check_not_older(&self, era: Era, at: Position) -> Result<(), FeedError> {
        if let Some((known, position)) = self.known()
            && known == era
        {
            let older = |known| FeedError::Older { known, found: at.revision };
            if at.revision < position.revision {
                return Err(older(position.revision));
            }
            if at.revision == position.revision && at.leaf != position.leaf {
                return Err(FeedError::Forked(at.revision));
            }
        }
        // A checkpoint from before this stream was signed for a log that was at least as long. One that came over this
        // stream may be newer than the head that a snapshot was read at.
        let signed = Revision::new(self.signed_size(era));
        if matches!(self.stage, Stage::Opening) && at.revision < signed {
            return Err(FeedError::Older { known: signed, found: at.revision });
        }
        Ok(())
    }

    pub(super) fn part(&mut self, part: Part) -> Result<bool, FeedError> {
        let Stage::Snapshot(partial) = &mut self.stage else {
            return Err(FeedError::OutOfPlace("a part of a snapshot"));
        };
        match part {
            Part::Cuts(cuts) => partial.cuts.extend(cuts),
            Part::Horizon(horizon) => partial.horizon = partial.horizon.max(horizon),
            Part::Keys(bundle) if bundle.era() != partial.era => {
                return Err(KeyChange::Era(bundle.era()).into());
            }
            Part::Keys(bundle) => {
                if partial.bundle.replace(bundle).is_some() {
                    return Err(FeedError::NotWhole("the keys are in it twice"));
                }
            }
        }
        Ok(false)
    }

    pub(super) fn end_snapshot(&mut self, cuts: u64) -> Result<bool, FeedError> {
        let Stage::Snapshot(partial) = std::mem::take(&mut self.stage) else {
            return Err(FeedError::OutOfPlace("the end of a snapshot"));
        };
        let partial = *partial;
        if u64::try_from(partial.cuts.len()) != Ok(cuts) {
            return Err(FeedError::NotWhole("cuts are missing"));
        }
        let bundle = partial.bundle.ok_or(FeedError::NotWhole("the keys are missing"))?;
        match &mut self.state {
            Some(state) if state.bundle.era() == partial.era => {
                state.take_keys(bundle)?;
                // What was cut stays cut in an era, whether or not the snapshot has it.
                state.cuts.extend(partial.cuts, partial.horizon);
                state.position = partial.at;
            }
            _ => self.begin_era(partial.at, bundle, partial.cuts, partial.horizon)?,
        }
        self.stage = Stage::Following;
        self.doubtful = false;
        Ok(true)
    }

    /// Keys, cuts and proofs of another era, in one step: nothing of the one before counts any more.
    fn begin_era(
        &mut self,
        at: Position,
        bundle: Bundle,
        cuts: Vec<Cut>,
        horizon: Timestamp,
    ) -> Result<(), FeedError> {
        let era = bundle.era();
        if let Some(state) = &self.state {
            check_new_era(&state.bundle, &bundle)?;
        }
        if let Some((left, _)) = self.known().filter(|(known, _)| *known != era) {
            self.former.push(left);
            self.checkpoint = None;
            self.owes_proof = false;
            self.freshness.forget();
        }
        let mut taken = Cuts::new(era);
        taken.extend(cuts, horizon);
        let (gone, gone_names) = (HashSet::new(), HashSet::new());
        self.state = Some(State { bundle: Arc::new(bundle), cuts: taken, position: at, gone, gone_names });
        self.before = None;
        Ok(())
    }
}
