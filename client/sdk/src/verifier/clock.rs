//! The clocks of this machine, read together.

use std::time::SystemTime;

use daypass_credential::Timestamp;
use daypass_verifier::Moment;
use rustix::time::{ClockId, clock_gettime};

/// What tells what time it is, and how much time has passed.
pub(crate) trait Clock: Send + Sync {
    /// Both clocks, now.
    fn moment(&self) -> Moment;
}

/// The machine's own.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn moment(&self) -> Moment {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let boot = clock_gettime(SINCE_BOOT);
        let (secs, nanos) = (u64::try_from(boot.tv_sec), u64::try_from(boot.tv_nsec));
        let boot = secs.unwrap_or_default() * 1000 + nanos.unwrap_or_default() / 1_000_000;
        let wall = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Moment { boot, wall: Timestamp::from_millis(wall) }
    }
}

/// The clock that goes on while the machine is suspended.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Elsewhere the wall clock alone tells of a suspension.
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;
