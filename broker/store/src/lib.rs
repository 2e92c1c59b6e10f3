//! The log and the nodes of Daypass: one small trait, so that every engine is honest about the same few things.
//!
//! INVARIANT (one event a commit): a commit is one event; the nodes that it puts are inside that event. Nodes can
//! therefore be rebuilt from the log, and nothing changes without a trace.
//! INVARIANT (durable before seen): nobody sees a commit, in an answer, a node, the log or the head, before it is durable.

mod backup;
mod change;
mod committer;
pub mod conformance;
mod engine;
mod faults;
mod fold;
mod image;
mod memory;
mod open;
mod pack;
mod queue;
mod recent;
mod sled;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use daypass_core::{ChangeId, Event, Expect, PrivateId, Stored};
use daypass_credential::{Name, NodeId, NodeKind, Revision, Timestamp};
use tokio::sync::watch;
use zeroize::Zeroizing;

pub use crate::{
    backup::{Backup, BackupError, Frame, Header, Reader, broken_off},
    change::{MAX_PRIVATE, MAX_PRIVATE_VALUE, Unfit},
    faults::Faults,
    fold::{Fold, Misfit},
    memory::{Disk, Memory},
    open::OpenError,
    recent::REMEMBERED,
    sled::{Check, DataSync, Fdatasync, Options, RestoreError, Sled},
};

/// What every engine does.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is known of these nodes, in the order asked.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Option<Arc<Stored>>>, StoreError>;

    /// At most `limit` nodes of a kind, by name, beginning after `after`.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn list(
        &self,
        kind: NodeKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Arc<Stored>>, StoreError>;

    /// Records a change and answers once it is durable. All of it happens, or nothing. A caller that stops waiting
    /// takes nothing back: what has been queued is recorded.
    ///
    /// # Errors
    /// See [`CommitError`]; only [`CommitError::Unknown`] leaves open whether it happened.
    async fn commit(&self, change: Change, lane: Lane) -> Result<Revision, CommitError>;

    /// The revision under which a change with this id was recorded, if it is among the newest.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn recorded(&self, id: ChangeId) -> Result<Option<Revision>, StoreError>;

    /// At most `limit` entries of the log, in order and without gaps, beginning after `after`.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn log(&self, after: Revision, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// A private value, if it is there and was not erased.
    ///
    /// # Errors
    /// If the store cannot be read.
    async fn private(&self, id: PrivateId) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// The newest durable commit, and a way to hear of the next. It closes when the engine has failed: the process
    /// that sees this has to end, and recovers from disk (law 7).
    fn head(&self) -> watch::Receiver<Head>;
}

/// What is to be recorded.
pub struct Change {
    /// The event; its puts are the nodes written. Its `id` tells repeats: see [`CommitError::Repeated`].
    pub event: Event,
    /// What must still be so when it is recorded.
    pub expect: Vec<Expect>,
    /// Private values, written in the same commit, beside the log. What is erased in it, the event itself says
    /// ([`daypass_core::Action::erases`]).
    pub private: Vec<(PrivateId, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("event", &self.event)
            .field("expect", &self.expect)
            .field("private", &self.private.len())
            .finish()
    }
}

/// Which of those waiting goes first. A group takes all of a lane before any of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Ends by the company: they wait for no more than the group being written (law 8).
    End,
    /// Ends that a partner makes of its own things.
    OwnEnd,
    /// Everything else that somebody waits for.
    Normal,
    /// What nobody waits for: refusals, counts.
    Background,
}

impl Lane {
    /// Every lane, first first.
    pub const ALL: [Self; 4] = [Self::End, Self::OwnEnd, Self::Normal, Self::Background];
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub revision: Revision,
    /// The exact bytes of its event: what is hashed and exported.
    pub event: Bytes,
}

/// The newest durable commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number; zero for an empty log.
    pub revision: Revision,
    /// The latest instant that an event carries, from the last on that vouched for the clock: it falls only there.
    pub at: Timestamp,
}

/// The largest value that any engine keeps, in bytes: sled neither syncs nor reclaims larger ones.
pub const MAX_VALUE: usize = 8 * 1024;

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed; a failed sync is final, and the process has to be started again.
    #[error("the store has failed and must be reopened: {0}")]
    Failed(String),
    /// What is on disk is not what this program wrote.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// Why a change was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A node moved since it was read: decide anew.
    #[error("`{node}` has changed since it was read")]
    Conflict {
        /// Which.
        node: NodeId,
    },
    /// This change was recorded before: among the last [`REMEMBERED`] commits there is one with its id. It is told
    /// before any conflict, since a change that went through conflicts with itself.
    #[error("the same change was recorded at revision {revision}")]
    Repeated {
        /// As this revision.
        revision: Revision,
    },
    /// The event or one of its nodes or private values is larger than an engine keeps.
    #[error("`{what}` takes {bytes} bytes, {limit} is the most")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
    /// The event cannot be written as JSON.
    #[error("the event cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// Too many are waiting.
    #[error("too many changes are waiting, try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The engine failed before the change was taken up: it did not happen.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine failed while writing: after a restart the log tells whether it happened.
    #[error("the outcome is unknown until the store is reopened: {0}")]
    Unknown(String),
}
