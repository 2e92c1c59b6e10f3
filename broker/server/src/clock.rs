//! What time it is, and whether to believe it.
//!
//! INVARIANT (a clock that lies mints nothing): mints and checks take their time from [`ClockGuard::trusted`] alone,
//! which refuses a clock behind the log or one that jumped ahead. Ends take [`ClockGuard::now`] and go on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use daypass_credential::{Timestamp, Ttl};

/// A source of time: a parameter, so that tests and simulations can set it.
pub(crate) trait Clock: Send + Sync + 'static {
    /// What the wall clock says.
    fn wall(&self) -> Timestamp;

    /// Time that passes evenly, sleep of the machine included, from some beginning.
    fn steady(&self) -> Duration;
}

/// The machine's own clocks.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn steady(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let secs = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

/// Why the clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClockError {
    #[error("the broker's clock is behind its own log")]
    Behind,
    #[error("the broker's clock jumped ahead")]
    Ahead,
}

/// How far the wall clock may be behind the newest event: a small step of NTP stops nothing.
const BEHIND_MILLIS: u64 = 1000;
/// How far the wall clock may run ahead of the steady one between two looks at it.
const AHEAD: Ttl = Ttl::minutes(1);
/// How long a log may have been silent at a start before its operator has to vouch for the clock.
pub(crate) const SILENCE: Ttl = Ttl::days(30);

/// Believes a clock as long as nothing speaks against it.
pub(crate) struct ClockGuard {
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

struct Seen {
    wall: Timestamp,
    steady: Duration,
    /// The latest instant that was believed: expired things do not come back with a clock that is set back.
    latest: Timestamp,
    jumped: bool,
}

impl ClockGuard {
    /// Watches a clock from now on. `last` is the log's own time, if it has one: a log that was silent for longer
    /// than [`SILENCE`] means that somebody has to look.
    pub(crate) fn new(clock: Arc<dyn Clock>, last: Option<Timestamp>) -> Self {
        let (wall, steady) = (clock.wall(), clock.steady());
        let jumped = last.is_some_and(|last| wall > last.after(SILENCE));
        Self { clock, seen: Mutex::new(Seen { wall, steady, latest: Timestamp::ZERO, jumped }) }
    }

    /// What the wall clock says, believed or not.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Time that passes evenly whatever is done to the wall clock.
    pub(crate) fn steady(&self) -> Duration {
        self.clock.steady()
    }

    /// The time, if the clock can be believed. `last` is the log's own time.
    pub(crate) fn trusted(&self, last: Timestamp) -> Result<Timestamp, ClockError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, steady) = (self.clock.wall(), self.clock.steady());
        let passed = u64::try_from(steady.saturating_sub(seen.steady).as_millis()).unwrap_or(u64::MAX);
        let expected = Timestamp::from_millis(seen.wall.as_millis().saturating_add(passed));
        if seen.jumped || wall > expected.after(AHEAD) {
            seen.jumped = true;
            return Err(ClockError::Ahead);
        }
        if wall.as_millis().saturating_add(BEHIND_MILLIS) < last.max(seen.latest).as_millis() {
            return Err(ClockError::Behind);
        }
        // Looked at often, a clock that drifts slowly is followed; only a jump between two looks counts.
        (seen.wall, seen.steady) = (wall, steady);
        seen.latest = seen.latest.max(wall);
        Ok(wall)
    }

    /// The instant to write on an event. INVARIANT (nobody moves the log's time but a clock that is believed): under
    /// any other clock an event carries the log's own time, so that what anybody can cause vouches for nothing.
    pub(crate) fn stamp(&self, last: Timestamp) -> Timestamp {
        self.trusted(last).map_or(last, |now| now.max(last))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A clock that tests set; both hands in milliseconds.
    #[derive(Default)]
    pub(crate) struct SetClock {
        wall: AtomicU64,
        steady: AtomicU64,
    }

    impl SetClock {
        pub(crate) fn at(millis: u64) -> Arc<Self> {
            Arc::new(Self { wall: millis.into(), steady: 0.into() })
        }

        /// Time passes, on both hands.
        pub(crate) fn pass(&self, millis: u64) {
            self.wall.fetch_add(millis, Ordering::SeqCst);
            self.steady.fetch_add(millis, Ordering::SeqCst);
        }

        /// Somebody sets the wall clock.
        pub(crate) fn set_wall(&self, millis: u64) {
            self.wall.store(millis, Ordering::SeqCst);
        }
    }

    impl Clock for SetClock {
        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
        }

        fn steady(&self) -> Duration {
            Duration::from_millis(self.steady.load(Ordering::SeqCst))
        }
    }

    const NOON: u64 = 1_000_000_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_clock_up_to_a_second_behind_the_log_is_believed() {
        let clock = SetClock::at(NOON);
        let guard = ClockGuard::new(clock, None);
        assert_eq!(guard.trusted(at(NOON + 1000)), Ok(at(NOON)));
        assert_eq!(guard.trusted(at(NOON + 1001)), Err(ClockError::Behind));
        assert_eq!(guard.trusted(at(NOON)), Ok(at(NOON)), "it recovers by itself");
    }

    #[test]
    fn a_jump_ahead_is_not_believed_until_somebody_vouches() {
        let clock = SetClock::at(NOON);
        let guard = ClockGuard::new(clock.clone(), None);
        clock.pass(3_600_000);
        assert!(guard.trusted(at(NOON)).is_ok(), "time that passed on both hands");
        clock.set_wall(NOON + 3_660_000);
        assert!(guard.trusted(at(NOON)).is_ok(), "the boundary: a minute");
        clock.set_wall(NOON + 3_720_001);
        assert_eq!(guard.trusted(at(NOON)), Err(ClockError::Ahead));
        clock.set_wall(NOON + 3_600_000);
        assert_eq!(guard.trusted(at(NOON)), Err(ClockError::Ahead), "going back proves nothing");
    }

    #[test]
    fn a_clock_set_back_on_a_quiet_log_brings_nothing_back_to_life() {
        let clock = SetClock::at(NOON);
        let guard = ClockGuard::new(clock.clone(), None);
        clock.pass(3_600_000);
        assert!(guard.trusted(at(NOON)).is_ok());
        clock.set_wall(NOON + 3_598_999);
        assert_eq!(guard.trusted(at(NOON)), Err(ClockError::Behind));
        clock.pass(1);
        assert!(guard.trusted(at(NOON)).is_ok(), "the boundary: a second");
    }

    #[test]
    fn an_event_under_a_clock_that_lies_moves_no_time() {
        let clock = SetClock::at(NOON);
        let guard = ClockGuard::new(clock.clone(), None);
        assert_eq!(guard.stamp(at(NOON - 5)), at(NOON));
        assert_eq!(guard.stamp(at(NOON + 5)), at(NOON + 5), "never before the event before it");
        clock.set_wall(NOON - 86_400_000);
        assert_eq!(guard.stamp(at(NOON)), at(NOON));
        clock.set_wall(NOON + 86_400_000);
        assert_eq!(guard.stamp(at(NOON)), at(NOON));
    }

    #[test]
    fn a_log_silent_for_long_asks_for_a_word() {
        let silence = SILENCE.as_millis();
        let fine = ClockGuard::new(SetClock::at(NOON + silence), Some(at(NOON)));
        assert!(fine.trusted(at(NOON)).is_ok());
        let silent = ClockGuard::new(SetClock::at(NOON + silence + 1), Some(at(NOON)));
        assert_eq!(silent.trusted(at(NOON)), Err(ClockError::Ahead));
    }
}
