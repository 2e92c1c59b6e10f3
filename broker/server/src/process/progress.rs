//! How far something is that takes its time: said once a second, where a person watches.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

/// What is counted, and up to where.
pub(super) struct Progress {
    what: &'static str,
    of: u64,
    unit: &'static str,
    next: Instant,
    watched: bool,
}

impl Progress {
    /// As `checked 4096 of 10000 events`.
    pub(super) fn new(what: &'static str, of: u64, unit: &'static str) -> Self {
        let watched = io::stderr().is_terminal();
        Self { what, of, unit, next: Instant::now() + Duration::from_secs(1), watched }
    }

    pub(super) fn at(&mut self, done: u64) {
        if !self.watched {
            return;
        }
        let now = Instant::now();
        if now >= self.next {
            eprintln!("{} {done} of {} {}", self.what, self.of, self.unit);
            self.next = now + Duration::from_secs(1);
        }
    }
}
