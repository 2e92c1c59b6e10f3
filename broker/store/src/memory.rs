//! The engine in memory, for tests and simulation: it passes the same suite as the others, and fails to order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use daypass_core::{ChangeId, Event, PrivateId, Stored};
use daypass_credential::{Name, NodeId, NodeKind, Revision, Timestamp};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    Change, CommitError, Entry, Faults, Fold, Head, Lane, OpenError, Store, StoreError,
    committer::Group,
    engine::{Engine, Found, Medium},
    image::Image,
    pack::Record,
    recent::Recent,
};

/// What survives an engine in memory. Each engine opened over it takes it away from the one before, as a restart does.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    /// Which engine may write: the one opened last.
    owner: u64,
    /// The log; the nodes are rebuilt from it (law 1).
    log: Vec<Record>,
    private: HashMap<PrivateId, Zeroizing<Vec<u8>>>,
}

impl Disk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the disk away from whoever had it.
    fn take(&self) -> u64 {
        let mut content = self.content();
        content.owner += 1;
        content.owner
    }

    fn found(&self) -> Result<Found, OpenError> {
        let content = self.content();
        let (mut fold, mut recent) = (Fold::default(), Recent::new());
        for (revision, record) in (1..).map(Revision::new).zip(&content.log) {
            let entry = Entry { revision, event: record.event.clone() };
            fold.apply(&entry).map_err(|e| OpenError::Damaged(e.to_string()))?;
            recent.remember(record.id, revision);
        }
        let newest = content.log.last().and_then(|record| Event::from_bytes(&record.event).ok());
        let head = Head { revision: fold.head(), at: newest.map_or(Timestamp::ZERO, |event| event.at) };
        Ok(Found { image: Image::of(head, fold.nodes().cloned()), recent })
    }
}

/// The medium: a disk as one engine holds it.
struct Held {
    disk: Disk,
    owner: u64,
    faults: Faults,
}

impl Medium for Held {
    const SLOW: bool = false;

    fn write(&self, group: &Group) -> Result<(), String> {
        let append = || {
            let mut content = self.disk.content();
            if content.owner != self.owner {
                return Err(std::io::Error::other("the disk was opened by another engine"));
            }
            let records =
                group.entries.iter().map(|entry| Record { id: entry.id, event: entry.event.clone() });
            content.log.extend(records);
            for (id, value) in &group.private {
                match value {
                    Some(value) => content.private.insert(*id, value.clone()),
                    None => content.private.remove(id),
                };
            }
            Ok(())
        };
        self.faults.around(append).map_err(|e| e.to_string())
    }

    fn log(&self, after: Revision, upto: Revision, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let content = self.disk.content();
        let numbered = (1..=upto.get()).map(Revision::new).zip(&content.log);
        let skipped = usize::try_from(after.get()).unwrap_or(usize::MAX);
        let page = numbered.skip(skipped).take(limit);
        Ok(page.map(|(revision, record)| Entry { revision, event: record.event.clone() }).collect())
    }

    fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.disk.content().private.get(&id).cloned())
    }
}

/// The engine in memory. For tests: a broker that runs on it forgets everything.
///
/// To let it crash with a group stalled, open another over the same disk and then drop this one: dropping lets the
/// group go on, and it finds the disk taken away.
pub struct Memory {
    engine: Engine<Held>,
    faults: Faults,
}

impl Memory {
    /// An engine over what survived on this disk, with faults to order.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn open(disk: &Disk, faults: &Faults) -> Result<Self, OpenError> {
        let held = Held { disk: disk.clone(), owner: disk.take(), faults: faults.clone() };
        let found = disk.found()?;
        let engine = Engine::start(held, found);
        let engine = engine.map_err(|source| OpenError::Io { path: "memory".into(), source })?;
        Ok(Self { engine, faults: faults.clone() })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.faults.release();
    }
}

#[async_trait]
impl Store for Memory {
    async fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Option<Arc<Stored>>>, StoreError> {
        self.engine.nodes(ids)
    }

    async fn list(
        &self,
        kind: NodeKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>, StoreError> {
        self.engine.list(kind, after, limit)
    }

    async fn commit(&self, change: Change, lane: Lane) -> Result<Revision, CommitError> {
        self.engine.commit(change, lane).await
    }

    async fn recorded(&self, id: ChangeId) -> Result<Option<Revision>, StoreError> {
        self.engine.recorded(&id)
    }

    async fn log(&self, after: Revision, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.engine.log(after, limit).await
    }

    async fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.engine.private(id).await
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.engine.head()
    }
}
