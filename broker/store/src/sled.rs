//! The embedded engine, on sled 0.34.7: one tree, one batch a group, and our own `fdatasync` after its `flush`, which
//! is not durable on Linux. What lies where is in `layout`, what is checked at the start in `load`, what becomes of the
//! files around sled's data in `files`.
//!
//! INVARIANT (synced by us): no answer leaves and no reader sees a group before the data file was synced through our
//! own handle. That handle is opened before anything is written, so that it hears of every write that went wrong.

mod disk;
mod files;
mod layout;
mod load;
mod mark;
mod migrate;
mod nudge;
mod restore;
mod veil;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use daypass_core::{ChangeId, PrivateId, Stored};
use daypass_credential::{Name, NodeId, NodeKind, Revision};
use tokio::sync::watch;
use zeroize::Zeroizing;

pub use self::restore::RestoreError;
use self::{
    disk::{DataFile, Last, SledDisk},
    mark::Mark,
    nudge::Nudge,
    veil::Veil,
};
use crate::{Change, CommitError, Entry, Faults, Head, Lane, OpenError, Store, StoreError, engine::Engine};

/// How a store is opened.
pub struct Options {
    /// The memory for cached pages, in bytes. sled evicts only after 64 reads in each of 256 parts of its cache, so
    /// that reading the whole log takes some 500 MB more, however small this is.
    pub cache_bytes: u64,
    /// What is checked before the store is used.
    pub check: Check,
    /// What makes the data file durable.
    pub sync: Box<dyn DataSync>,
}

impl Default for Options {
    /// 64 MiB, the newest entries, `fdatasync`.
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024, check: Check::Newest, sync: Box::new(Fdatasync) }
    }
}

/// What is checked when a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// All nodes, both ends of the log, and that the newest [`REMEMBERED`](crate::REMEMBERED) entries are gapless.
    Newest,
    /// Also that every entry is an event, without a gap from the first, and that the nodes are what they leave. This
    /// reads the whole log.
    Whole,
}

/// What makes a file's data durable: a seam, so that tests can make it fail, stall, or leave it out.
pub trait DataSync: Send + Sync + 'static {
    /// Returns once what was written to the file survives a power cut.
    ///
    /// # Errors
    /// If it may not survive; the engine then ends.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub struct Fdatasync;

impl DataSync for Fdatasync {
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

impl DataSync for Faults {
    fn sync(&self, file: &File) -> io::Result<()> {
        self.around(|| file.sync_data())
    }
}

/// The embedded engine. Dropping it blocks until what waits is recorded, then closes the store.
pub struct Sled(Engine<SledDisk>);

impl Sled {
    /// Makes a new store in this directory, which is created if need be, readable by its owner alone. The directory is
    /// there with the whole store in it, or not at all: what breaks off leaves `<path>.new`, and a second try takes it
    /// away.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one; otherwise as the operating system has it.
    pub fn create(path: &Path, options: Options) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let part = part(path)?;
        make(&part, &options)?;
        fs::rename(&part, path).map_err(failed)?;
        Self::open(path, options)
    }

    /// Opens the store in this directory.
    ///
    /// # Errors
    /// [`OpenError`]; a damaged store is refused, never repaired.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let check = options.check;
        Self::start(path, Self::disk(path, options)?, check)
    }

    /// Opens what lies in this directory, and checks nothing of it yet but that its schema is not newer.
    fn disk(path: &Path, options: Options) -> Result<SledDisk, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        if !data_file(path).try_exists().map_err(failed)? {
            return Err(OpenError::Missing(path.to_owned()));
        }
        let file = data_handle(path).map_err(failed)?;
        files::lock(path, &file)?;
        files::settle(path).and_then(|()| options.sync.sync(&file)).map_err(failed)?;
        file.unlock().map_err(failed)?;
        let mark = match Mark::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Damaged("its mark is missing".to_owned()));
            }
            opened => opened.map_err(failed)?,
        };
        let db = open_sled(path, &options, false)?;
        // Declared in this order, so that it is dropped last wherever this ends.
        let last = Last::new(db.clone());
        let veil = contained(|| veil(path, migrate::known_version(&db)?))?;
        let disk = SledDisk::new(db, file, mark, veil, options.sync).map_err(failed)?;
        drop(last);
        Ok(disk)
    }

    fn start(path: &Path, disk: SledDisk, check: Check) -> Result<Self, OpenError> {
        // A store is written to only once it was found to be sound.
        let found = contained(|| disk.load(check))?;
        contained(|| disk.migrate(path))?;
        contained(|| disk.settle(path))?;
        let engine = Engine::start(disk, found);
        engine.map(Self).map_err(|source| OpenError::Io { path: path.to_owned(), source })
    }
}

/// The veil of a store of this schema; those before the third had none.
fn veil(path: &Path, schema: u32) -> Result<Veil, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    match Veil::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && schema >= VEILED => {
            Err(OpenError::Damaged("the keys of its private values are missing".to_owned()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let made = Veil::create(path).map_err(failed)?;
            files::sync(path).map_err(failed)?;
            Ok(made)
        }
        opened => opened.map_err(failed),
    }
}

/// The schema from which on every store has a veil.
const VEILED: u32 = 3;

/// A new directory beside `path`, where a store is made before it takes that name.
fn part(path: &Path) -> Result<PathBuf, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    if data_file(path).try_exists().map_err(failed)? {
        return Err(OpenError::Exists(path.to_owned()));
    }
    let part = path.with_added_extension("new");
    files::clear(&part)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&part).map_err(failed)?;
    Ok(part)
}

/// Makes a store in an empty directory, and closes it. All of it is durable then, but for the directory's own name.
fn make(path: &Path, options: &Options) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let opened = open_sled(path, options, true)?;
    // Declared in this order, so that it is dropped last wherever this ends.
    let last = Last::new(opened.clone());
    let db = opened;
    let file = data_handle(path).map_err(failed)?;
    let nudge = Nudge::start(db.clone()).map_err(failed)?;
    let writing = nudge.writing();
    contained(|| migrate::begin(&db).map_err(|e| translate(path, e)))?;
    drop(writing);
    options.sync.sync(&file).map_err(failed)?;
    Mark::create(path).map_err(failed)?;
    Veil::create(path).map_err(failed)?;
    files::sync(&path.join("conf")).map_err(failed)?;
    files::sync(path).map_err(failed)?;
    drop((nudge, db, last));
    drop(DataFile::new(file));
    Ok(())
}

fn open_sled(path: &Path, options: &Options, new: bool) -> Result<::sled::Db, OpenError> {
    let config = ::sled::Config::new().path(path).cache_capacity(options.cache_bytes).create_new(new);
    contained(|| config.open().map_err(|e| translate(path, e)))
}

/// sled panics on some kinds of damage; here that is an error like any other.
fn contained<T>(work: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let broken = |_| Err(OpenError::Damaged("sled cannot make sense of it".to_owned()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(broken)
}

fn translate(path: &Path, error: ::sled::Error) -> OpenError {
    match error {
        ::sled::Error::Io(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            OpenError::Exists(path.to_owned())
        }
        ::sled::Error::Io(source) => OpenError::Io { path: path.to_owned(), source },
        other => OpenError::Damaged(other.to_string()),
    }
}

fn data_file(path: &Path) -> PathBuf {
    path.join("db")
}

fn data_handle(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(data_file(path))
}

#[async_trait]
impl Store for Sled {
    async fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Option<Arc<Stored>>>, StoreError> {
        self.0.nodes(ids)
    }

    async fn list(
        &self,
        kind: NodeKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>, StoreError> {
        self.0.list(kind, after, limit)
    }

    async fn commit(&self, change: Change, lane: Lane) -> Result<Revision, CommitError> {
        self.0.commit(change, lane).await
    }

    async fn recorded(&self, id: ChangeId) -> Result<Option<Revision>, StoreError> {
        self.0.recorded(&id)
    }

    async fn log(&self, after: Revision, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.0.log(after, limit).await
    }

    async fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.0.private(id).await
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.0.head()
    }
}
