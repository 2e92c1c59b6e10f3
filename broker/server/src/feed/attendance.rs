//! Who follows, how far each instance of a verifier said it is, and when it was last told that nothing is missing. Known
//! to this process alone: after a start everybody has to be heard of again.

mod line;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use daypass_core::Shown;
use daypass_credential::{Name, Revision, Timestamp, Ttl};
use daypass_log::Hash;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use line::Lines;

/// How many streams one identity has at once. One more takes the place of its oldest: that is most likely a connection
/// that died without a word, and whoever comes again must not wait for that to be noticed.
pub(super) const STREAMS: usize = 4;
/// For how long after it was last heard an instance is remembered at least: no audience has a longer staleness limit.
pub(super) const REMEMBERED: Ttl = Ttl::minutes(15);

/// What is known of one enrolled instance of a verifier.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// Whose instance it is.
    pub(crate) verifier: Name,
    /// How many of its streams are open.
    pub(crate) streams: usize,
    /// It never checked anything by what it was sent: nobody waits for it.
    pub(crate) observing: bool,
    /// The newest place that all of it said to have applied which may still accept something: its open streams, and the
    /// closed ones until they refuse by themselves. An identity may be that of several processes.
    pub(crate) acknowledged: Option<Acknowledged>,
    /// When the newest counter came whose echo was sent: from then on it goes without proof.
    pub(crate) heard: Option<Timestamp>,
    /// Up to where it was told of every cut.
    pub(crate) told: Revision,
}

/// What a process is known by: bytes that it chose by chance.
pub(crate) type Process = [u8; 16];

/// What an instance has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Up to where every cut is in force there.
    pub(crate) revision: Revision,
    /// The hash of that leaf.
    pub(crate) leaf: Hash,
    /// Since when, by its own clock.
    pub(crate) applied_at: Timestamp,
    /// When it came, by the broker's clock.
    pub(crate) came_at: Timestamp,
    /// The public key of its identity: an uncompressed point.
    pub(crate) key: Vec<u8>,
    /// Over the text of [`daypass_log::Acknowledgement`].
    pub(crate) signature: Vec<u8>,
}

/// Who follows, by the names of the identities.
pub(crate) struct Attendance {
    table: Arc<Mutex<Table>>,
    /// Moves with each change that somebody may wait for.
    changes: Arc<watch::Sender<u64>>,
    /// When this process began to listen.
    began: Timestamp,
}

#[derive(Default)]
struct Table {
    instances: BTreeMap<Name, Entry>,
    /// The streams that are open, followers or not yet.
    doors: BTreeMap<Name, VecDeque<Door>>,
    next: u64,
}

struct Entry {
    /// What any of its streams said, and the newest that one of them acknowledged.
    instance: Instance,
    lines: Lines,
    /// Up to where it was told, over any stream.
    told: Arc<AtomicU64>,
    /// When its certificate ends: the identity is over then, or comes with another.
    until: Timestamp,
}

struct Door {
    number: u64,
    /// Dropped when another stream takes this one's place.
    _open: oneshot::Sender<()>,
}

/// A stream that is open, for as long as this lives.
pub(super) struct Presence {
    identity: Name,
    number: u64,
    /// Where it is counted, once it follows.
    line: Option<u64>,
    /// Up to where it was told over this stream.
    told: AtomicU64,
    /// The same over any stream.
    told_at_all: Arc<AtomicU64>,
    displaced: Option<oneshot::Receiver<()>>,
    table: Arc<Mutex<Table>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Attendance {
    pub(super) fn new(began: Timestamp) -> Self {
        Self { table: Arc::default(), changes: Arc::new(watch::Sender::new(0)), began }
    }

    /// When this process began: whoever was not heard of since then was told nothing later.
    pub(crate) const fn began(&self) -> Timestamp {
        self.began
    }

    /// What is known of this identity; none if it never followed.
    pub(crate) fn of(&self, identity: &Name) -> Option<Instance> {
        locked(&self.table).instances.get(identity).map(Entry::instance)
    }

    /// The identities of this verifier that followed, whatever became of them since.
    pub(crate) fn of_verifier(&self, verifier: &Name) -> Vec<Name> {
        let table = locked(&self.table);
        let theirs = table.instances.iter().filter(|(_, entry)| entry.instance.verifier == *verifier);
        theirs.map(|(identity, _)| identity.clone()).collect()
    }

    /// For tests alone: this is known of that identity.
    #[cfg(test)]
    pub(crate) fn pretend(&self, identity: &Name, instance: Instance) {
        let (lines, until) = (Lines::default(), Timestamp::from_millis(u64::MAX));
        let entry = Entry { told: Arc::default(), until, lines, instance };
        locked(&self.table).instances.insert(identity.clone(), entry);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Moves when somebody comes, goes, or acknowledges.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A stream of this identity was opened.
    pub(super) fn enter(&self, identity: &Name) -> Presence {
        let (open, displaced) = oneshot::channel();
        let mut table = locked(&self.table);
        table.next += 1;
        let number = table.next;
        let doors = table.doors.entry(identity.clone()).or_default();
        if doors.len() >= STREAMS {
            doors.pop_front();
        }
        doors.push_back(Door { number, _open: open });
        drop(table);
        let (table, changes) = (self.table.clone(), self.changes.clone());
        let (identity, displaced) = (identity.clone(), Some(displaced));
        let (told, told_at_all) = (AtomicU64::default(), Arc::default());
        Presence { identity, number, line: None, told, told_at_all, displaced, table, changes }
    }
}

impl Entry {
    fn instance(&self) -> Instance {
        let told = Revision::new(self.told.load(Ordering::Relaxed));
        let acknowledged = self.lines.acknowledged(Instant::now());
        let acknowledged = acknowledged.unwrap_or_else(|| self.instance.acknowledged.clone());
        Instance { told, acknowledged, ..self.instance.clone() }
    }

    /// May it be forgotten? Nobody can come back with a certificate that is over.
    fn is_over(&self, now: Timestamp) -> bool {
        let heard = self.instance.heard.map_or(Timestamp::ZERO, |heard| heard.after(REMEMBERED));
        self.instance.streams == 0 && self.until <= now && heard <= now
    }
}

impl Presence {
    /// Completes when another stream of the identity takes the place of this one.
    pub(super) fn displaced(&mut self) -> impl Future<Output = ()> + use<> {
        let displaced = self.displaced.take();
        async move {
            match displaced {
                Some(displaced) => drop(displaced.await),
                None => std::future::pending().await,
            }
        }
    }

    /// It follows from now on. Those who are over are forgotten, so that the table is no larger than the directory.
    pub(super) fn follow(
        &mut self,
        caller: &Shown,
        observing: bool,
        process: Option<Process>,
        now: Timestamp,
    ) {
        let mut table = locked(&self.table);
        table.instances.retain(|_, entry| !entry.is_over(now));
        let entry = table.instances.entry(self.identity.clone()).or_insert_with(|| Entry {
            instance: Instance {
                verifier: caller.subject.name.clone(),
                streams: 0,
                observing: true,
                acknowledged: None,
                heard: None,
                told: Revision::ZERO,
            },
            lines: Lines::default(),
            told: Arc::default(),
            until: caller.expires,
        });
        self.line = Some(entry.lines.open(self.number, process, observing));
        entry.instance.streams += 1;
        entry.instance.observing &= observing;
        self.told_at_all = entry.told.clone();
        entry.until = entry.until.max(caller.expires);
        drop(table);
        self.moved();
    }

    /// Every cut up to this revision is told over this stream.
    pub(super) fn told(&self, upto: Revision) {
        self.told.fetch_max(upto.get(), Ordering::Relaxed);
        self.told_at_all.fetch_max(upto.get(), Ordering::Relaxed);
    }

    /// Up to where every cut was told over this stream.
    pub(super) fn told_upto(&self) -> Revision {
        Revision::new(self.told.load(Ordering::Relaxed))
    }

    /// A counter that came at this instant is echoed.
    pub(super) fn heard(&self, came_at: Timestamp) {
        if let Some(entry) = locked(&self.table).instances.get_mut(&self.identity) {
            entry.instance.heard = entry.instance.heard.max(Some(came_at));
            entry.lines.heard(self.line);
        }
    }

    /// It may go without proof for as long as this.
    pub(super) fn limited(&self, limit: Ttl) {
        if let Some(entry) = locked(&self.table).instances.get_mut(&self.identity) {
            entry.lines.limited(self.line, limit);
        }
    }

    /// Keeps what was acknowledged, unless more was before.
    pub(super) fn acknowledged(&self, new: Acknowledged) {
        if let Some(entry) = locked(&self.table).instances.get_mut(&self.identity) {
            entry.lines.acknowledged_over(self.line, &new);
            let known = entry.instance.acknowledged.as_ref();
            if known.is_none_or(|known| known.revision < new.revision) {
                entry.instance.acknowledged = Some(new);
            }
        }
        self.moved();
    }

    fn moved(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut table = locked(&self.table);
        if let Some(doors) = table.doors.get_mut(&self.identity) {
            doors.retain(|door| door.number != self.number);
            if doors.is_empty() {
                table.doors.remove(&self.identity);
            }
        }
        if self.line.is_some()
            && let Some(entry) = table.instances.get_mut(&self.identity)
        {
            entry.instance.streams = entry.instance.streams.saturating_sub(1);
            entry.lines.close(self.line);
        }
        drop(table);
        self.moved();
    }
}

fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
