//! Who follows, how far each instance of a verifier said it is, and when it was last told that nothing is missing. Known
//! to this process alone: after a start everybody has to be heard of again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use daypass_credential::{Name, Revision, Timestamp};
use daypass_log::Hash;
use tokio::sync::watch;

/// What is known of one enrolled instance of a verifier.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// Whose instance it is.
    pub(crate) verifier: Name,
    /// How many of its streams are open.
    pub(crate) streams: usize,
    /// It checks nothing by what it is sent: nobody waits for it.
    pub(crate) observing: bool,
    /// The newest place that it said to have applied.
    pub(crate) acknowledged: Option<Acknowledged>,
    /// When the newest counter came whose echo was sent: from then on it goes without proof.
    pub(crate) heard: Option<Timestamp>,
    /// How many cuts were sent to it after what it acknowledged.
    pub(crate) behind: u64,
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
    instances: Mutex<BTreeMap<Name, Instance>>,
    /// Moves with each change that somebody may wait for.
    changes: watch::Sender<u64>,
    /// When this process began to listen.
    began: Timestamp,
}

impl Attendance {
    pub(super) fn new(began: Timestamp) -> Self {
        Self { instances: Mutex::default(), changes: watch::Sender::new(0), began }
    }

    /// When this process began: whoever was not heard of since then was told nothing later.
    pub(crate) const fn began(&self) -> Timestamp {
        self.began
    }

    /// What is known of this identity; none if it never followed.
    pub(crate) fn of(&self, identity: &Name) -> Option<Instance> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).get(identity).cloned()
    }

    /// For tests alone: this is known of that identity.
    #[cfg(test)]
    pub(crate) fn pretend(&self, identity: &Name, instance: Instance) {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.insert(identity.clone(), instance);
        drop(instances);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Moves when somebody comes, goes, or acknowledges.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
