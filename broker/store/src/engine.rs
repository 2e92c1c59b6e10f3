//! What both engines are made of: a medium that keeps things, the image that readers see, and the committer between.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard},
    thread::{self, JoinHandle},
};

use daypass_core::{ChangeId, PrivateId, Stored};
use daypass_credential::{Name, NodeId, NodeKind, Revision};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    Change, CommitError, Entry, Head, Lane, StoreError,
    change::Prepared,
    committer::{Committer, Group},
    image::{Image, Page},
    queue::Queue,
    recent::Recent,
};

/// Where groups are kept. Only the committer writes.
pub(crate) trait Medium: Send + Sync + 'static {
    /// Does reading wait for a disk? Then it is kept off the tasks of the runtime.
    const SLOW: bool;

    /// Writes a group, all or nothing, and returns once it is durable.
    fn write(&self, group: &Group) -> Result<(), String>;

    /// At most `limit` entries after `after` and up to `upto`, without gaps. All of them are durable.
    fn log(&self, after: Revision, upto: Revision, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// A private value as it was last written, durable or not.
    fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;
}

/// What was found when a medium was opened.
pub(crate) struct Found {
    pub(crate) image: Image,
    pub(crate) recent: Recent,
}

/// What those who read and the committer share.
pub(crate) struct Shared<M> {
    pub(crate) medium: M,
    image: RwLock<Image>,
    /// Private values as they were before the group being written: the medium may show that group too early.
    before: RwLock<HashMap<PrivateId, Option<Zeroizing<Vec<u8>>>>>,
    failed: OnceLock<String>,
    recent: Mutex<Recent>,
}

impl<M: Medium> Shared<M> {
    pub(crate) fn image(&self) -> RwLockReadGuard<'_, Image> {
        self.image.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest ids; those of the group being written are among them already.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the private values of this group were, for whoever reads before the group is durable.
    pub(crate) fn hide(&self, group: &Group) -> Result<(), String> {
        if group.private.is_empty() {
            return Ok(());
        }
        let mut before = self.before.write().unwrap_or_else(PoisonError::into_inner);
        for (id, _) in &group.private {
            let value = match self.medium.private(*id) {
                // Nobody could read it before, and it has to be possible to erase it, or to write it anew.
                Err(StoreError::Damaged(_)) => None,
                other => other.map_err(|e| e.to_string())?,
            };
            before.insert(*id, value);
        }
        Ok(())
    }

    /// Shows a group that is durable; its private values first, so that whoever reads a node finds what it names.
    pub(crate) fn publish(&self, group: Group) -> Head {
        if !group.private.is_empty() {
            self.before.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        image.publish(group);
        image.head()
    }

    /// From now on nothing is read or written; the first reason stands.
    pub(crate) fn fail(&self, reason: &str) {
        let _first = self.failed.set(reason.to_owned());
    }

    fn sound(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |reason| Err(StoreError::Failed(reason.clone())))
    }

    fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.sound()?;
        // The lock is held while the medium reads, so that no group can be written in between.
        let before = self.before.read().unwrap_or_else(PoisonError::into_inner);
        match before.get(&id) {
            Some(value) => Ok(value.clone()),
            None => self.medium.private(id),
        }
    }
}

/// A medium at work. Dropping it records what waits, then ends the committer.
pub(crate) struct Engine<M: Medium> {
    shared: Arc<Shared<M>>,
    queue: Arc<Queue>,
    head: watch::Receiver<Head>,
    committer: Option<JoinHandle<()>>,
}

impl<M: Medium> Engine<M> {
    /// Puts a medium to work, from what was found in it.
    pub(crate) fn start(medium: M, found: Found) -> io::Result<Self> {
        let Found { image, recent } = found;
        let last = image.head();
        let (sender, head) = watch::channel(last);
        let image = RwLock::new(image);
        let shared = Shared {
            medium,
            image,
            before: RwLock::default(),
            failed: OnceLock::new(),
            recent: Mutex::new(recent),
        };
        let (shared, queue) = (Arc::new(shared), Arc::new(Queue::new()));
        let committer = Committer {
            shared: Arc::clone(&shared),
            queue: Arc::clone(&queue),
            head: sender,
            last: last.revision,
        };
        let thread =
            thread::Builder::new().name("daypass-commit".to_owned()).spawn(move || committer.run())?;
        Ok(Self { shared, queue, head, committer: Some(thread) })
    }

    pub(crate) fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Option<Arc<Stored>>>, StoreError> {
        self.shared.sound()?;
        let image = self.shared.image();
        Ok(ids.iter().map(|id| image.node(id).cloned()).collect())
    }

    pub(crate) fn list(
        &self,
        kind: NodeKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>, StoreError> {
        self.shared.sound()?;
        Ok(self.shared.image().list(kind, after, limit))
    }

    pub(crate) async fn commit(&self, change: Change, lane: Lane) -> Result<Revision, CommitError> {
        let prepared = Prepared::new(change)?;
        let answer = self.queue.push(prepared, lane)?;
        answer.await.unwrap_or_else(|_| Err(CommitError::Unknown("the store broke off".to_owned())))
    }

    /// INVARIANT (durable before seen): an id of the group being written is not told yet.
    pub(crate) fn recorded(&self, id: &ChangeId) -> Result<Option<Revision>, StoreError> {
        self.shared.sound()?;
        let found = self.shared.recent().find(id);
        Ok(found.filter(|revision| *revision <= self.shared.image().head().revision))
    }

    pub(crate) async fn log(&self, after: Revision, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.shared.sound()?;
        let page = self.shared.image().log(after, limit);
        match page {
            Page::Here(entries) => Ok(entries),
            Page::Older { upto } => self.read(move |shared| shared.medium.log(after, upto, limit)).await,
        }
    }

    pub(crate) async fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read(move |shared| shared.private(id)).await
    }

    pub(crate) fn head(&self) -> watch::Receiver<Head> {
        let mut head = self.head.clone();
        head.mark_unchanged();
        head
    }

    /// Reads from the medium, off the runtime's tasks if that may wait for a disk.
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Shared<M>) -> Result<T, StoreError> + Send + 'static,
    {
        if !M::SLOW {
            return read(&self.shared);
        }
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || read(&shared)).await;
        done.unwrap_or_else(|broken| Err(StoreError::Damaged(broken.to_string())))
    }
}

impl<M: Medium> Drop for Engine<M> {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(committer) = self.committer.take() {
            let _panicked = committer.join();
        }
    }
}
