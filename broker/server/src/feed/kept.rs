//! The ledger kept over restarts, with what else is followed from the log: a file that says up to where in which log it
//! goes, and is used only where the log has that leaf there. It is derived, so that what does not fit is left alone and the log followed from its beginning.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daypass_core::ledger::Ledger;
use daypass_credential::{Cut, Digest, Era, Name, Revision, Timestamp};
use daypass_issuer::KeyEncryptionKey;
use daypass_log::Hash;
use daypass_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Book, Feed, Tip,
    recent::{Recent, RecentCut},
};
use crate::{broker::Broker, process::durable};

/// So many events later it is worth writing again.
const EVENTS: u64 = 100_000;
/// No two writings come closer than this while the broker serves: the copy that is written holds up the worker.
const LEAST: Duration = Duration::from_secs(300);
/// How many of the last cuts are told one by one after a restart; who does not know those before gets a snapshot.
const RECENT: usize = 1024;

/// Where it is kept, and what of it.
pub(super) struct Keeping {
    path: PathBuf,
    /// Up to where it was written, and when that was last tried.
    last: Mutex<(Revision, Instant)>,
    writing: AtomicBool,
}

/// What is followed from the log.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) ledger: Ledger,
    pub(super) own_ends: BTreeMap<Name, Vec<Timestamp>>,
}

/// The first line of the file; the rest is what is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    era: String,
    revision: Revision,
    leaf: String,
    /// Over all of this and what is kept, under the broker's key.
    digest: Digest,
}

/// Why there is none to go on with.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    #[error("the log cannot be read: {0}")]
    Log(#[from] StoreError),
    #[error("it is not what this broker wrote")]
    Damaged,
    #[error("it is of another log")]
    OtherLog,
}

impl Feed {
    /// Begins with what an earlier process kept here, if the log is the one that it followed.
    pub(crate) async fn open(
        began: Timestamp,
        path: PathBuf,
        store: &dyn Store,
        era: Era,
        kek: &KeyEncryptionKey,
    ) -> Self {
        // As in `ear.rs`: a clock that was set back must not let a receipt say that somebody refuses earlier than it does.
        let mut feed = Self::new(began.max(store.head().borrow().at));
        let from = match read(&path, store, era, kek).await {
            Ok(Some((book, recent, own_ends))) => {
                feed.own_ends.go_on(own_ends);
                feed.go_on(book, recent)
            }
            Ok(None) => Revision::ZERO,
            Err(error) => {
                tracing::info!(path = %path.display(), %error, "the ledger is made anew from the log");
                Revision::ZERO
            }
        };
        let last = Mutex::new((from, Instant::now()));
        feed.keeping = Some(Keeping { path, last, writing: AtomicBool::new(false) });
        feed
    }

    /// What is followed, as of one place in the log.
    pub(super) fn copy(&self) -> (Kept, Tip) {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        // Both are written under the one lock.
        (Kept { ledger: book.ledger.clone(), own_ends: self.own_ends.kept() }, book.tip())
    }

    fn go_on(&self, book: Book, recent: Recent) -> Revision {
        let (tip, horizon) = (book.tip(), book.ledger.horizon());
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = book;
        self.recent(|kept| *kept = recent);
        self.tip.send_replace(tip);
        self.news.send_modify(|news| news.horizon = horizon);
        tip.revision
    }
}

async fn read(
    path: &Path,
    store: &dyn Store,
    era: Era,
    kek: &KeyEncryptionKey,
) -> Result<Option<(Book, Recent, BTreeMap<Name, Vec<Timestamp>>)>, Unfit> {
    let found = path.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(found)).await.map_err(io::Error::other)?;
    let file = match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let (label, Kept { ledger, own_ends }) = open(&file, kek).ok_or(Unfit::Damaged)?;
    let leaf = label.leaf.parse().map_err(|_| Unfit::Damaged)?;
    let there = leaves(store, label.revision).await?;
    if label.era != era.to_string() || there != Some(leaf) {
        return Err(Unfit::OtherLog);
    }
    if ledger.head() != label.revision || ledger.era() != Some(era) {
        return Err(Unfit::Damaged);
    }
    let recent = recent(&ledger, store).await?;
    Ok(Some((Book { ledger, leaf }, recent, own_ends)))
}

fn open(file: &[u8], kek: &KeyEncryptionKey) -> Option<(Label, Kept)> {
    let end = file.iter().position(|byte| *byte == b'\n')?;
    let (label, rest) = file.split_at_checked(end)?;
    let (label, rest): (Label, _) = (serde_json::from_slice(label).ok()?, rest.get(1..)?);
    let digest = digest(kek, &label.era, label.revision, &label.leaf, rest);
    (digest == label.digest).then_some(())?;
    Some((label, serde_json::from_slice(rest).ok()?))
}

fn digest(kek: &KeyEncryptionKey, era: &str, revision: Revision, leaf: &str, ledger: &[u8]) -> Digest {
    kek.digest("ledger", &[era.as_bytes(), &revision.get().to_be_bytes(), leaf.as_bytes(), ledger])
}

async fn leaves(store: &dyn Store, revision: Revision) -> Result<Option<Hash>, StoreError> {
    let before = Revision::new(revision.get().saturating_sub(1));
    let entry = store.log(before, 1).await?.pop();
    Ok(entry.filter(|entry| entry.revision == revision).map(|entry| Hash::leaf(&entry.event)))
}

/// The last cuts, each with its leaf. A node that was cut twice is there once, which is as much to whoever knows neither.
async fn recent(ledger: &Ledger, store: &dyn Store) -> Result<Recent, StoreError> {
    let cuts = ledger.changes(Revision::ZERO).map(|changes| changes.cuts).unwrap_or_default();
    let (before, cuts) = cuts.split_at(cuts.len().saturating_sub(RECENT));
    let since = before.last().map_or(Revision::ZERO, |last| last.at);
    let mut kept: Vec<Arc<RecentCut>> = Vec::with_capacity(cuts.len());
    let newer = cuts.iter().filter(|cut| cut.at > since);
    for cut in newer.cloned().collect::<Vec<Cut>>() {
        let known = kept.last().filter(|last| last.cut.at == cut.at).map(|last| last.leaf);
        let leaf = match known {
            Some(leaf) => Some(leaf),
            None => leaves(store, cut.at).await?,
        };
        let leaf = leaf.ok_or_else(|| StoreError::Damaged(format!("revision {} is missing", cut.at)))?;
        kept.push(Arc::new(RecentCut { cut, leaf }));
    }
    Ok(Recent::begin(since, kept))
}

/// Writes it if that is due, beside all else.
pub(super) fn keep_if_due(broker: &Arc<Broker>) {
    let reached = broker.feed.tip.borrow().revision;
    if broker.feed.keeping.as_ref().is_some_and(|keeping| keeping.is_due(reached)) {
        let broker = broker.clone();
        tokio::spawn(async move { keep(broker).await });
    }
}

impl Keeping {
    /// Is it time to write? Then not again for a while, whatever comes of it: each try copies all that is kept, which a disk
    /// that takes nothing must not have done at every event.
    fn is_due(&self, reached: Revision) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reached.get().saturating_sub(last.0.get()) >= EVENTS && last.1.elapsed() >= LEAST;
        if due {
            last.1 = Instant::now();
        }
        due
    }
}

/// Writes it, unless nothing came since. What cannot be written is followed again.
pub(crate) async fn keep(broker: Arc<Broker>) {
    let written = tokio::task::spawn_blocking(move || write(&broker)).await;
    if let Err(error) = written.map_err(io::Error::other).and_then(|written| written) {
        tracing::warn!(%error, "the ledger cannot be kept: the next start follows the log for longer");
    }
}

fn write(broker: &Broker) -> io::Result<()> {
    let Some(keeping) = &broker.feed.keeping else { return Ok(()) };
    if keeping.writing.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let written = write_once(broker, keeping);
    keeping.writing.store(false, Ordering::Release);
    written
}

fn write_once(broker: &Broker, keeping: &Keeping) -> io::Result<()> {
    let last = keeping.last.lock().unwrap_or_else(PoisonError::into_inner).0;
    let reached = broker.feed.tip.borrow().revision;
    if reached == last || reached == Revision::ZERO || broker.space.room().is_err() {
        return Ok(());
    }
    let (kept, tip) = broker.feed.copy();
    let file = closed(broker.keys.kek(), broker.era, tip, &kept).map_err(io::Error::other)?;
    durable::replace(&keeping.path, &file)?;
    *keeping.last.lock().unwrap_or_else(PoisonError::into_inner) = (tip.revision, Instant::now());
    Ok(())
}

pub(super) fn closed(kek: &KeyEncryptionKey, era: Era, tip: Tip, kept: &Kept) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(kept)?;
    let (era, leaf) = (era.to_string(), tip.leaf.to_string());
    let digest = digest(kek, &era, tip.revision, &leaf, &body);
    let mut file = serde_json::to_vec(&Label { era, revision: tip.revision, leaf, digest })?;
    file.push(b'\n');
    file.extend(body);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_is_not_tried_again_at_once() {
        let last = Mutex::new((Revision::new(7), Instant::now()));
        let keeping = Keeping { path: PathBuf::new(), last, writing: AtomicBool::new(false) };
        let (soon, due) = (Revision::new(EVENTS + 6), Revision::new(EVENTS + 7));
        assert!(!keeping.is_due(due), "just written");
        tokio::time::advance(LEAST).await;
        assert!(!keeping.is_due(soon), "nearly nothing new");
        assert!(keeping.is_due(due));
        assert!(!keeping.is_due(due.next()), "though nothing came of it");
        tokio::time::advance(LEAST).await;
        assert!(keeping.is_due(due.next()));
    }
}
