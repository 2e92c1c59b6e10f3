//! The processes that follow under one identity, as far as they can be told apart: by the bytes that each chose, or else by
//! its streams.
//!
//! INVARIANT (the slowest counts): a process that may still accept something counts until it said otherwise, whether its
//! stream is open or not. What another one acknowledged says nothing of it.

use std::time::Duration;

use daypass_credential::{Revision, Ttl};
use tokio::time::Instant;

use super::{Acknowledged, Process, REMEMBERED};

/// How many are told apart. Of more, the oldest closed ones are taken for one that is as slow as the slowest of them.
const MOST: usize = 16;

/// The processes of an identity.
#[derive(Default)]
pub(super) struct Lines(Vec<Line>);

/// One of them.
struct Line {
    number: u64,
    process: Option<Process>,
    /// How many of its streams are open.
    streams: usize,
    observing: bool,
    acknowledged: Option<Acknowledged>,
    /// When an echo was sent to it last, or else when it came.
    last: Instant,
    /// The longest limit that it was told.
    limit: Option<Ttl>,
}

impl Lines {
    /// A stream was opened: where it is counted.
    pub(super) fn open(&mut self, number: u64, process: Option<Process>, observing: bool) -> u64 {
        let now = Instant::now();
        self.0.retain(|line| line.counts(now));
        let known = self.0.iter_mut().find(|line| process.is_some() && line.process == process);
        if let Some(line) = known {
            line.streams += 1;
            line.observing &= observing;
            return line.number;
        }
        self.make_room();
        let (acknowledged, limit) = (None, None);
        self.0.push(Line { number, process, streams: 1, observing, acknowledged, last: now, limit });
        number
    }

    pub(super) fn close(&mut self, line: Option<u64>) {
        self.change(line, |line| line.streams = line.streams.saturating_sub(1));
    }

    /// A counter is echoed: from now on it may go without proof.
    pub(super) fn heard(&mut self, line: Option<u64>) {
        self.change(line, |line| line.last = Instant::now());
    }

    pub(super) fn limited(&mut self, line: Option<u64>, limit: Ttl) {
        self.change(line, |line| line.limit = line.limit.max(Some(limit)));
    }

    pub(super) fn acknowledged_over(&mut self, line: Option<u64>, new: &Acknowledged) {
        self.change(line, |line| {
            if line.revision() < Some(new.revision) {
                line.acknowledged = Some(new.clone());
            }
        });
    }

    /// What all have acknowledged that may still accept something, if there are any.
    pub(super) fn acknowledged(&self, now: Instant) -> Option<Option<Acknowledged>> {
        let counting = self.0.iter().filter(|line| !line.observing && line.counts(now));
        counting.min_by_key(|line| line.revision()).map(|least| least.acknowledged.clone())
    }

    fn change(&mut self, number: Option<u64>, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.0.iter_mut().find(|line| Some(line.number) == number) {
            change(line);
        }
    }

    fn make_room(&mut self) {
        while self.0.len() >= MOST {
            let mut closed =
                self.0.iter().enumerate().filter(|(_, line)| line.streams == 0).map(|(at, _)| at);
            let (Some(oldest), Some(next)) = (closed.next(), closed.next()) else { return };
            let next = self.0.remove(next);
            self.0.get_mut(oldest).into_iter().for_each(|line| line.stand_for(&next));
        }
    }
}

#[cfg(test)]
impl Lines {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Line {
    /// May something be accepted by what it was told?
    fn counts(&self, now: Instant) -> bool {
        // Whoever acknowledged nothing yet may still go by a longer limit than it was told here.
        let limit = self.acknowledged.as_ref().and(self.limit).unwrap_or(REMEMBERED);
        let until = self.last + Duration::from_millis(limit.as_millis());
        self.streams > 0 || (!self.observing && now < until)
    }

    fn revision(&self) -> Option<Revision> {
        self.acknowledged.as_ref().map(|known| known.revision)
    }

    /// Counts for this closed one as well.
    fn stand_for(&mut self, other: &Self) {
        if other.revision() < self.revision() {
            self.acknowledged.clone_from(&other.acknowledged);
        }
        self.process = None;
        self.last = self.last.max(other.last);
        self.limit = self.limit.zip(other.limit).map(|(one, another)| one.max(another));
    }
}
