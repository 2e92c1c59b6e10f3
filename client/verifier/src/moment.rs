//! What the clocks of a machine showed at one moment, and how much time lies between two such moments.

use daypass_credential::Timestamp;

/// A reading of both clocks, taken together.
///
/// One alone is not enough: the wall clock can be set back, and what counts since boot may stand still while the machine
/// is suspended, or be handed out wrongly by a virtual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since boot, time in suspension included (`CLOCK_BOOTTIME`). It never runs back.
    pub boot: u64,
    /// What time it is.
    pub wall: Timestamp,
}

/// How far the boot clock may seem to run back, because its reading waited while another thread took a later one.
const OVERTAKEN: u64 = 1_000;

impl Moment {
    /// Milliseconds from an earlier moment to this one: by whichever clock says more. A boot clock that ran back says
    /// nothing any more, and then it is for ever.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> u64 {
        if earlier.boot.saturating_sub(self.boot) > OVERTAKEN {
            return u64::MAX;
        }
        let by_boot = self.boot.saturating_sub(earlier.boot);
        let by_wall = self.wall.as_millis().saturating_sub(earlier.wall.as_millis());
        if by_boot > by_wall { by_boot } else { by_wall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_clocks_counts() {
        let at = |boot, wall| Moment { boot, wall: Timestamp::from_millis(wall) };
        let check = |from: Moment, to: Moment, elapsed| assert_eq!(to.since(&from), elapsed);
        check(at(10_000, 50_000), at(10_007, 50_007), 7);
        check(at(10_000, 50_000), at(10_007, 40_000), 7);
        check(at(10_000, 50_000), at(10_007, 90_000), 40_000);
        check(at(10_000, 50_000), at(99_000, 50_007), 89_000);
        check(at(10_000, 50_000), at(9_000, 50_000), 0);
        check(at(10_000, 50_000), at(8_999, 50_000), u64::MAX);
    }
}
