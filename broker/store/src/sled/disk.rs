//! The medium: how a group is written, and how the log and private values are read.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::Duration,
};

use bytes::Bytes;
use daypass_core::PrivateId;
use daypass_credential::Revision;
use sled::{Batch, Db, IVec};
use zeroize::Zeroizing;

use super::{
    Check, DataSync,
    layout::{node_key, node_value, plain_key, run_first, run_key, sealed_key},
    load::load,
    mark::Mark,
    migrate::migrate,
    nudge::Nudge,
    veil::Veil,
};
use crate::{
    Entry, OpenError, StoreError,
    committer::Group,
    engine::{Found, Medium},
    pack::{Record, pack, unpack},
};

/// A sled database and our own handle of its data file. The fields are dropped in this order.
pub(crate) struct SledDisk {
    nudge: Nudge,
    db: Db,
    _last: Last,
    file: DataFile,
    mark: Mark,
    veil: Veil,
    sync: Box<dyn DataSync>,
}

impl SledDisk {
    pub(super) fn new(
        db: Db,
        file: File,
        mark: Mark,
        veil: Veil,
        sync: Box<dyn DataSync>,
    ) -> io::Result<Self> {
        let (nudge, last) = (Nudge::start(db.clone())?, Last::new(db.clone()));
        Ok(Self { nudge, db, _last: last, file: DataFile::new(file), mark, veil, sync })
    }

    /// Overwrites the keys of values that a crash kept from being written, or that were erased just before one.
    pub(super) fn settle(&self, path: &Path) -> Result<(), OpenError> {
        let there = |id| self.db.contains_key(sealed_key(id)).map_err(io::Error::other);
        self.veil.settle(there).map_err(|source| OpenError::Io { path: path.to_owned(), source })
    }

    /// Brings a store of an older schema to the present one, durably.
    pub(super) fn migrate(&self, path: &Path) -> Result<(), OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let _writing = self.nudge.writing();
        migrate(&self.db, || self.sync.sync(&self.file.0).map_err(failed))
    }

    /// Reads and checks what is there.
    pub(super) fn load(&self, check: Check) -> Result<Found, OpenError> {
        load(&self.db, self.mark.read(), check)
    }
}

/// The last handle of the database: sled panics where closing goes wrong, be it because the disk has failed before.
pub(super) struct Last(Option<Db>);

impl Last {
    pub(super) const fn new(db: Db) -> Self {
        Self(Some(db))
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let db = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::warn!(
                "the store was not closed in order: what was acknowledged is on disk all the same"
            );
        }
    }
}

/// Our own handle of sled's data file.
pub(super) struct DataFile(File);

impl DataFile {
    pub(super) const fn new(file: File) -> Self {
        Self(file)
    }
}

impl Drop for DataFile {
    /// sled's threads may hold the database, and so its lock, a little longer than its owner: waits until it is
    /// closed, so that it can be opened again. Should sled never let go, the process must still be able to end.
    fn drop(&mut self) {
        for _ in 0..CLOSING_PATIENCE_MS {
            if !matches!(self.0.try_lock(), Err(TryLockError::WouldBlock)) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How long closing waits for sled.
const CLOSING_PATIENCE_MS: u32 = 5_000;

impl Medium for SledDisk {
    const SLOW: bool = true;

    fn write(&self, group: &Group) -> Result<(), String> {
        let said = |e: sled::Error| e.to_string();
        let sealed = self.veil.seal(&group.private).map_err(|e| e.to_string())?;
        let erased = erased(&sealed);
        let writing = self.nudge.writing();
        self.db.apply_batch(batch(group, sealed)).map_err(said)?;
        self.db.flush().map_err(said)?;
        drop(writing);
        self.sync.sync(&self.file.0).map_err(|e| e.to_string())?;
        // What is acknowledged as erased is out of everybody's reach, sled's own leftovers included.
        self.veil.drop_keys(&erased).map_err(|e| e.to_string())?;
        let newest = group.entries.last().map(|entry| self.mark.raise(entry.revision));
        newest.transpose().map(drop).map_err(|e| e.to_string())
    }

    fn log(&self, after: Revision, upto: Revision, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let durable = upto.get().saturating_sub(after.get());
        let wanted = usize::try_from(durable).unwrap_or(usize::MAX).min(limit);
        let mut entries = Vec::with_capacity(wanted.min(1024));
        for read in Walk::after(&self.db, after).map_err(StoreError::Damaged)?.take(wanted) {
            let (revision, record) = read.map_err(StoreError::Damaged)?;
            entries.push(Entry { revision, event: record.event });
        }
        if entries.len() < wanted {
            return Err(StoreError::Damaged(format!("the log breaks off before revision {upto}")));
        }
        Ok(entries)
    }

    fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let read = |key| self.db.get(key).map_err(|e| StoreError::Damaged(e.to_string()));
        if let Some(sealed) = read(sealed_key(id))? {
            let value = self.veil.reveal(id, &sealed);
            return value
                .map(Some)
                .ok_or_else(|| StoreError::Damaged(format!("the private value {id} does not fit its key")));
        }
        Ok(read(plain_key(id))?.map(|value| Zeroizing::new(value.to_vec())))
    }
}

/// The whole group as one batch: sled recovers all of it or nothing.
fn batch(group: &Group, sealed: Vec<(PrivateId, Option<Vec<u8>>)>) -> Batch {
    let mut batch = Batch::default();
    for (first, run) in pack(&group.entries) {
        batch.insert(&run_key(first), run);
    }
    for (id, written) in &group.nodes {
        batch.insert(node_key(id), node_value(written));
    }
    for (id, value) in sealed {
        match value {
            Some(value) => batch.insert(&sealed_key(id), value),
            None => batch.remove(&sealed_key(id)),
        }
        batch.remove(&plain_key(id));
    }
    batch
}

/// The values of which the last word is that they are erased.
fn erased(sealed: &[(PrivateId, Option<Vec<u8>>)]) -> Vec<PrivateId> {
    let last: HashMap<PrivateId, bool> = sealed.iter().map(|(id, value)| (*id, value.is_none())).collect();
    last.into_iter().filter(|(_, erased)| *erased).map(|(id, _)| id).collect()
}

/// A walk over the log, in order; it ends with the first thing that does not fit.
pub(super) struct Walk {
    runs: sled::Iter,
    run: Box<dyn Iterator<Item = Result<Record, crate::pack::Malformed>>>,
    next: Revision,
    broken: bool,
}

impl Walk {
    /// A walk that begins after this revision.
    pub(super) fn after(db: &Db, after: Revision) -> Result<Self, String> {
        let wanted = after.next();
        let before = db.range(run_key(Revision::ZERO)..=run_key(wanted)).next_back();
        let found = before.transpose().map_err(|e| e.to_string())?;
        let Some(first) = found.and_then(|(key, _)| run_first(&key)) else {
            return Err(format!("the log does not reach back to revision {wanted}"));
        };
        let runs = db.range(run_key(first)..=run_key(Revision::new(u64::MAX)));
        let mut walk = Self { runs, run: Box::new(std::iter::empty()), next: first, broken: false };
        while walk.next < wanted {
            walk.next().unwrap_or_else(|| Err(format!("the log breaks off before revision {wanted}")))?;
        }
        Ok(walk)
    }

    fn step(&mut self) -> Option<Result<(Revision, Record), String>> {
        loop {
            let revision = self.next;
            if let Some(record) = self.run.next() {
                self.next = revision.next();
                return Some(
                    record.map(|r| (revision, r)).map_err(|e| format!("at revision {revision}: {e}")),
                );
            }
            let (key, value) = match self.runs.next()? {
                Ok(run) => run,
                Err(e) => return Some(Err(e.to_string())),
            };
            if let Err(gap) = self.enter(&key, &value) {
                return Some(Err(gap));
            }
        }
    }

    /// Begins the next run, if it is the one that follows.
    fn enter(&mut self, key: &[u8], value: &IVec) -> Result<(), String> {
        let found = run_first(key).ok_or_else(|| "a run of events has no revision".to_owned())?;
        if found != self.next || value.is_empty() {
            return Err(format!("the log has a gap: revision {found} stands where {} has to", self.next));
        }
        self.run = Box::new(unpack(Bytes::copy_from_slice(value)));
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<(Revision, Record), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let step = self.step();
        self.broken = matches!(step, Some(Err(_)));
        step
    }
}
