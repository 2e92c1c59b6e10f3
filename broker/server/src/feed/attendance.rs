//! Who follows, how far each instance of a verifier said it is, and when it was last told that nothing is missing. Known
//! to this process alone: after a start everybody has to be heard of again.

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
use tokio::sync::{oneshot, watch};

/// How many streams one identity has at once. One more takes the place of its oldest: that is most likely a connection
/// that died without a word, and whoever comes again must not wait for that to be noticed.
pub(super) const STREAMS: usize = 4;
/// For how long after it was last heard an instance is remembered at least: no audience has a longer staleness limit.
const REMEMBERED: Ttl = Ttl::minutes(15);

/// What is known of one enrolled instance of a verifier.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// Whose instance it is.
    pub(crate) verifier: Name,
    /// How many of its streams are open.
    pub(crate) streams: usize,
    /// It never checked anything by what it was sent: nobody waits for it.
    pub(crate) observing: bool,
    /// The newest place that it said to have applied.
    pub(crate) acknowledged: Option<Acknowledged>,
    /// When the newest counter came whose echo was sent: from then on it goes without proof.
    pub(crate) heard: Option<Timestamp>,
    /// Up to where it was told of every cut.
    pub(crate) told: Revision,
}

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
    instance: Instance,
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
    /// It follows, and is counted as that.
    follows: bool,
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

    /// For tests alone: this is known of that identity.
    #[cfg(test)]
    pub(crate) fn pretend(&self, identity: &Name, instance: Instance) {
        let entry = Entry { told: Arc::default(), until: Timestamp::from_millis(u64::MAX), instance };
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
        Presence { identity, number, follows: false, told, told_at_all, displaced, table, changes }
    }
}

impl Entry {
    fn instance(&self) -> Instance {
        let told = Revision::new(self.told.load(Ordering::Relaxed));
        Instance { told, ..self.instance.clone() }
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
    pub(super) fn follow(&mut self, caller: &Shown, observing: bool, now: Timestamp) {
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
            told: Arc::default(),
            until: caller.expires,
        });
        entry.instance.streams += 1;
        entry.instance.observing &= observing;
        self.told_at_all = entry.told.clone();
        entry.until = entry.until.max(caller.expires);
        self.follows = true;
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
        }
    }

    /// Keeps what was acknowledged, unless more was before.
    pub(super) fn acknowledged(&self, new: Acknowledged) {
        if let Some(entry) = locked(&self.table).instances.get_mut(&self.identity) {
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
        if self.follows
            && let Some(entry) = table.instances.get_mut(&self.identity)
        {
            entry.instance.streams = entry.instance.streams.saturating_sub(1);
        }
        drop(table);
        self.moved();
    }
}

fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn name(n: u64) -> Name {
        format!("api-{n}").parse().unwrap()
    }

    /// A certificate of an instance that ends an hour after it began.
    fn shown(n: u64, from: u64) -> Shown {
        let digest = daypass_credential::Digest::new([0; 32]);
        Shown {
            era: daypass_credential::Era::new(1),
            rev: Revision::new(n),
            lineage: format!("verifier:api identity:api-{n}").parse().unwrap(),
            subject: "verifier:api".parse().unwrap(),
            identity: name(n),
            audience: None,
            key: digest,
            thumbprint: digest,
            not_before: at(from),
            expires: at(from + HOUR),
        }
    }

    fn acknowledged(revision: u64) -> Acknowledged {
        Acknowledged {
            revision: Revision::new(revision),
            leaf: Hash::empty(),
            applied_at: at(1),
            came_at: at(1),
            key: Vec::new(),
            signature: Vec::new(),
        }
    }

    #[test]
    fn what_is_known_of_an_instance_only_grows() {
        let attendance = Attendance::new(at(0));
        assert!(attendance.of(&name(1)).is_none());
        let mut presence = attendance.enter(&name(1));
        assert!(attendance.of(&name(1)).is_none(), "it does not follow yet");
        presence.follow(&shown(1, 0), true, at(0));
        let mut other = attendance.enter(&name(1));
        other.follow(&shown(1, 0), false, at(0));
        for revision in [7, 9, 8] {
            other.acknowledged(acknowledged(revision));
            presence.told(Revision::new(revision));
        }
        other.heard(at(20));
        presence.heard(at(10));
        drop(other);
        let instance = attendance.of(&name(1)).unwrap();
        assert_eq!(instance.acknowledged.unwrap().revision, Revision::new(9));
        assert_eq!((instance.heard, instance.told), (Some(at(20)), Revision::new(9)));
        assert_eq!(
            (instance.streams, instance.observing),
            (1, false),
            "one of its streams checked something"
        );
        assert_eq!(presence.told_upto(), Revision::new(9));
        drop(presence);
        assert_eq!(attendance.of(&name(1)).unwrap().streams, 0);
    }

    #[test]
    fn whoever_is_over_is_forgotten_and_nobody_else_is() {
        let attendance = Attendance::new(at(0));
        for n in 0..1000 {
            let mut presence = attendance.enter(&name(n));
            presence.follow(&shown(n, 0), false, at(0));
        }
        let mut stays = attendance.enter(&name(1));
        stays.follow(&shown(1, 0), false, at(HOUR - 1));
        attendance.enter(&name(2)).follow(&shown(2, 5), false, at(HOUR - 1));
        let mut heard = attendance.enter(&name(3));
        heard.follow(&shown(3, 0), false, at(HOUR - 1));
        heard.heard(at(HOUR - 1));
        drop(heard);
        attendance.enter(&name(4)).follow(&shown(4, HOUR), false, at(HOUR));
        let known = |table: &Table| table.instances.len();
        assert_eq!(
            known(&locked(&attendance.table)),
            4,
            "one follows, one may, one is still fresh, one came"
        );
        attendance.enter(&name(4)).follow(&shown(4, HOUR), false, at(HOUR + 900_000));
        assert_eq!(known(&locked(&attendance.table)), 2);
        assert!(locked(&attendance.table).doors.len() == 1);
    }

    #[tokio::test]
    async fn the_fifth_stream_takes_the_place_of_the_first() {
        let attendance = Attendance::new(at(0));
        let mut streams: Vec<_> = (0..=STREAMS).map(|_| attendance.enter(&name(1))).collect();
        let mut first = streams.remove(0);
        first.displaced().await;
        drop(first);
        let mut second = streams.remove(0);
        let displaced = second.displaced();
        let still = tokio::select! {
            biased;
            () = displaced => false,
            () = std::future::ready(()) => true,
        };
        assert!(still);
        attendance.enter(&name(2));
        assert_eq!(locked(&attendance.table).doors.len(), 1);
    }
}
