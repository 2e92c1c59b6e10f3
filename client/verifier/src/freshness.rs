//! Freshness, proven and not assumed: the verifier sends counters, and the broker echoes one only after it sent every
//! cut up to a head that it read later. What is echoed proves that nothing is missing as of when the counter was *sent*.

use std::collections::VecDeque;

use crate::Moment;

/// How many counters without an echo are remembered. One that is forgotten proves nothing.
const WAITING: usize = 256;

/// A counter: each is sent once, and none is sent again in the life of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter(pub u64);

/// An echo of what was never sent over this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an echo of counter {}, which was not sent over this stream", .0.0)]
pub struct UnknownCounter(pub Counter);

/// The counters sent, and what their echoes prove.
#[derive(Debug, Clone, Default)]
pub struct Freshness {
    /// The first counter of this stream.
    first: u64,
    /// The next counter to be sent.
    next: u64,
    /// Those without an echo, oldest first, each with the moment when it was sent.
    waiting: VecDeque<(u64, Moment)>,
    proven: Option<Moment>,
}

impl Freshness {
    /// Nothing sent, nothing proven.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new stream begins: no echo of what was sent over another one is taken. What is proven stays proven.
    pub fn begin(&mut self) {
        self.first = self.next;
        self.waiting.clear();
    }

    /// Another era begins: what was proven of the one before says nothing about it. Counters on their way do: their
    /// echoes come after the keys and cuts of the new one.
    pub const fn forget(&mut self) {
        self.proven = None;
    }

    /// The counter to send now. The moment has to be taken before it is sent.
    pub fn send(&mut self, now: Moment) -> Counter {
        let counter = self.next;
        // A counter a nanosecond would take six hundred years.
        self.next = self.next.saturating_add(1);
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((counter, now));
        Counter(counter)
    }

    /// Takes in an echo, in whatever order they come. Does it prove more than was known?
    ///
    /// # Errors
    /// [`UnknownCounter`] if it was not sent over this stream.
    pub fn echoed(&mut self, counter: Counter) -> Result<bool, UnknownCounter> {
        if !(self.first..self.next).contains(&counter.0) {
            return Err(UnknownCounter(counter));
        }
        // What was sent before it could prove only less from now on.
        while self.waiting.pop_front_if(|(sent, _)| *sent < counter.0).is_some() {}
        let found = self.waiting.pop_front_if(|(sent, _)| *sent == counter.0).map(|(_, moment)| moment);
        self.proven = found.or(self.proven);
        Ok(found.is_some())
    }

    /// When the newest counter was sent of those that were echoed.
    #[must_use]
    pub const fn proven(&self) -> Option<Moment> {
        self.proven
    }
}
