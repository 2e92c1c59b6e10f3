//! The mark: a small file beside the data file that says how far the log was durable. sled takes damage for a write
//! that a crash tore, and silently opens with everything behind it cut off, ends included; against the mark, that
//! is found.
//!
//! INVARIANT (never ahead): the mark is raised only after a sync, so a sound log never ends before it. It needs no
//! sync of its own: after a power cut it is older than it might be, not wrong. It has two places, written in turn, so
//! that a torn write spoils one of them at most.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use daypass_credential::Revision;

/// Where the two places are: in sectors of their own.
const PLACES: [u64; 2] = [0, 4096];

/// The file, open.
pub(super) struct Mark {
    file: File,
    second: AtomicBool,
}

impl Mark {
    /// Makes the mark of a new store.
    pub(super) fn create(store: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(store.join("mark"))?;
        let mark = Self { file, second: AtomicBool::new(false) };
        for _ in PLACES {
            mark.raise(Revision::ZERO)?;
        }
        mark.file.sync_all()?;
        Ok(mark)
    }

    /// Opens the mark of a store.
    pub(super) fn open(store: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(store.join("mark"))?;
        Ok(Self { file, second: AtomicBool::new(false) })
    }

    /// The revision up to which the log has been durable; `None` if neither place holds one.
    pub(super) fn read(&self) -> Option<Revision> {
        let numbers = PLACES.into_iter().filter_map(|place| self.read_at(place).ok().flatten());
        numbers.max().map(Revision::new)
    }

    /// Says that the log is durable up to this revision.
    pub(super) fn raise(&self, durable: Revision) -> io::Result<()> {
        let [first, second] = PLACES;
        let place = if self.second.fetch_xor(true, Ordering::Relaxed) { second } else { first };
        let number = u128::from(durable.get());
        self.file.write_all_at(&(number << 64 | u128::from(!durable.get())).to_be_bytes(), place)
    }

    /// A number counts if its complement follows it.
    fn read_at(&self, place: u64) -> io::Result<Option<u64>> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, place)?;
        let number = u64::from_be_bytes(bytes);
        self.file.read_exact_at(&mut bytes, place + 8)?;
        Ok((u64::from_be_bytes(bytes) == !number).then_some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_survives_a_torn_write() {
        let directory = tempfile::tempdir().unwrap();
        let mark = Mark::create(directory.path()).unwrap();
        for number in 1..=5 {
            mark.raise(Revision::new(number)).unwrap();
        }
        assert_eq!(Mark::open(directory.path()).unwrap().read(), Some(Revision::new(5)));
        mark.file.write_all_at(&[7; 3], 0).unwrap();
        assert_eq!(Mark::open(directory.path()).unwrap().read(), Some(Revision::new(4)));
        mark.file.write_all_at(&[7; 3], 4096).unwrap();
        assert_eq!(Mark::open(directory.path()).unwrap().read(), None);
    }
}
