//! The space on the store's disk. Below the low-water mark nothing is minted or written any more, and the operator is
//! told; ends go on. So that they can even when others fill the disk up, some space is held back in a file, and let go
//! when it is needed.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::refusal::Refusal;

/// How often the disk is looked at. At the broker's fastest (some 50 MB of events a second) far less than the
/// low-water mark is written in between.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// How much free space ends need; below it what is held back is let go.
const LAST: u64 = 8 * MIB;
const MIB: u64 = 1024 * 1024;

/// The space on the store's disk, as it was at the last look.
pub(crate) struct Space {
    folder: PathBuf,
    limits: Limits,
    low: AtomicBool,
}

/// How much is too little.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Less free space than this, in bytes, is low.
    pub(crate) low_water: u64,
    /// How many bytes are held back for ends; 0 for none.
    pub(crate) reserve: u64,
}

/// What a look says has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// There is room, also for what is held back.
    Ample,
    /// There is room.
    Enough,
    Low,
    /// Too little is left even for ends.
    Out,
}

impl Limits {
    /// From the configuration's mebibytes.
    pub(crate) const fn mebibytes(low_water: u64, reserve: u64) -> Self {
        Self { low_water: low_water.saturating_mul(MIB), reserve: reserve.saturating_mul(MIB) }
    }

    /// Once low, it takes a quarter more to be no longer low, so that mints do not flicker.
    const fn judge(self, free: u64, low: bool) -> Verdict {
        let enough = if low { self.low_water.saturating_add(self.low_water / 4) } else { self.low_water };
        if free < LAST && self.low_water > 0 {
            Verdict::Out
        } else if free < enough {
            Verdict::Low
        } else if free > enough.saturating_add(self.reserve) {
            Verdict::Ample
        } else {
            Verdict::Enough
        }
    }
}

impl Space {
    /// Watches the disk under this folder, which is there. It has not looked yet.
    pub(crate) const fn of(folder: PathBuf, limits: Limits) -> Self {
        Self { folder, limits, low: AtomicBool::new(false) }
    }

    /// Is there room for what can be refused?
    pub(crate) fn room(&self) -> Result<(), Refusal> {
        if self.low.load(Ordering::Relaxed) { Err(Refusal::DiskLow) } else { Ok(()) }
    }

    /// Looks at the disk, and does what that calls for.
    pub(crate) fn look(&self) {
        let free = match free(&self.folder) {
            Ok(free) => free,
            // A disk that cannot be looked at is the store's to find out about.
            Err(error) => return tracing::warn!(%error, "cannot see how much space is left"),
        };
        let was = self.low.load(Ordering::Relaxed);
        let verdict = self.limits.judge(free, was);
        let low = matches!(verdict, Verdict::Low | Verdict::Out);
        self.low.store(low, Ordering::Relaxed);
        let free_mib = free / MIB;
        match (was, low) {
            (false, true) => {
                tracing::error!(
                    free_mib,
                    "the disk is nearly full: nothing is minted or written, ends go on"
                );
            }
            (true, false) => tracing::info!(free_mib, "there is space on the disk again"),
            _ => {}
        }
        match verdict {
            Verdict::Ample => self.hold_back(),
            Verdict::Out => self.let_go(),
            Verdict::Enough | Verdict::Low => {}
        }
    }

    fn reserve_path(&self) -> PathBuf {
        self.folder.join("reserve")
    }

    /// Takes the space that is held back, unless it is held already.
    fn hold_back(&self) {
        let path = self.reserve_path();
        if self.limits.reserve == 0 || path.exists() {
            return;
        }
        if let Err(error) = allocate(&path, self.limits.reserve) {
            tracing::warn!(%error, "no space can be held back for ends");
            let _gone = fs::remove_file(&path);
        }
    }

    fn let_go(&self) {
        if fs::remove_file(self.reserve_path()).is_ok() {
            tracing::error!("the disk is full: the space that was held back for ends is used now");
        }
    }
}

fn free(folder: &Path) -> io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits::mebibytes(100, 20);

    #[test]
    fn the_mark_is_where_it_is_said_to_be() {
        for (free, low, verdict) in [
            (100 * MIB - 1, false, Verdict::Low),
            (100 * MIB, false, Verdict::Enough),
            (120 * MIB, false, Verdict::Enough),
            (120 * MIB + 1, false, Verdict::Ample),
            (125 * MIB - 1, true, Verdict::Low),
            (125 * MIB, true, Verdict::Enough),
            (LAST, true, Verdict::Low),
            (LAST - 1, true, Verdict::Out),
            (0, false, Verdict::Out),
        ] {
            assert_eq!(LIMITS.judge(free, low), verdict, "{free} {low}");
        }
        assert_eq!(Limits::mebibytes(0, 0).judge(0, false), Verdict::Enough, "it can be switched off");
    }

    #[test]
    fn what_is_held_back_is_there_and_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let ample = Space::of(folder.path().to_owned(), Limits::mebibytes(1, 2));
        ample.look();
        assert!(ample.room().is_ok());
        assert_eq!(fs::metadata(folder.path().join("reserve")).unwrap().len(), 2 * MIB);
        ample.let_go();
        assert!(!folder.path().join("reserve").exists());
        let low = Space::of(folder.path().to_owned(), Limits::mebibytes(u64::MAX, 2));
        low.look();
        assert_eq!(low.room().unwrap_err().reason().as_str(), "disk-low");
        assert!(!folder.path().join("reserve").exists());
    }
}
