//! A change made ready: measured and serialised by the task that asks for it, so that the one committing thread does
//! neither.

use bytes::Bytes;
use daypass_core::Node;
use daypass_core::{Action, ChangeId, Event, Expect, PrivateId, Put, event::MAX_EVENT};
use daypass_credential::{NodeId, Timestamp};
use zeroize::Zeroizing;

use crate::{Change, CommitError, MAX_VALUE};

/// The largest private value: an engine may seal it, and what it keeps then is somewhat larger.
pub const MAX_PRIVATE_VALUE: usize = MAX_VALUE - 64;

/// The most that the private values of one change take together, in bytes.
pub const MAX_PRIVATE: usize = 16 * MAX_PRIVATE_VALUE;

/// A private value from now on; `None` where the event says that it is erased.
pub(crate) type Private = (PrivateId, Option<Zeroizing<Vec<u8>>>);

/// A change of which everything is known but its revision.
pub(crate) struct Prepared {
    pub(crate) id: ChangeId,
    pub(crate) at: Timestamp,
    /// Does somebody vouch for the clock? Then the log's time may go back to `at`.
    pub(crate) resets_time: bool,
    pub(crate) event: Bytes,
    pub(crate) puts: Vec<Draft>,
    pub(crate) expect: Vec<Expect>,
    pub(crate) private: Vec<Private>,
    /// What it adds to its group.
    pub(crate) bytes: usize,
}

/// A node to be written.
pub(crate) struct Draft {
    pub(crate) id: NodeId,
    pub(crate) node: Node,
    pub(crate) cut: bool,
    /// The node as JSON. It is a part of the event, so that [`MAX_EVENT`] bounds it as well.
    pub(crate) json: Vec<u8>,
}

impl Prepared {
    pub(crate) fn new(change: Change) -> Result<Self, CommitError> {
        let Change { event, expect, private } = change;
        let private_bytes = measure_private(&private)?;
        let bytes = event.to_bytes().map_err(CommitError::Unwritable)?;
        fits("event", bytes.len(), MAX_EVENT)?;
        let Event { at, id, puts, action, .. } = event;
        // What is erased comes last, so that no change keeps what its own event says is gone.
        let erased = action.erases().iter().map(|id| (*id, None));
        let private = private.into_iter().map(|(id, value)| (id, Some(value))).chain(erased).collect();
        let puts = puts.into_iter().map(Draft::new).collect::<Result<Vec<_>, _>>()?;
        let nodes: usize = puts.iter().map(|draft| draft.json.len()).sum();
        let total = bytes.len() + nodes + private_bytes;
        Ok(Self {
            id,
            at,
            resets_time: matches!(action, Action::ClockAccepted { .. }),
            event: bytes.into(),
            puts,
            expect,
            private,
            bytes: total,
        })
    }
}

/// Bytes that are no event to be recorded again.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// They do not read as one.
    #[error("it cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// It is larger than an engine keeps.
    #[error(transparent)]
    TooLarge(#[from] CommitError),
}

impl Prepared {
    /// A change that was recorded before, in another store: its bytes stay as they are.
    pub(crate) fn recorded(
        bytes: Bytes,
        private: Vec<(PrivateId, Zeroizing<Vec<u8>>)>,
    ) -> Result<Self, Unfit> {
        let event = Event::from_bytes(&bytes)?;
        let change = Change { event, expect: Vec::new(), private };
        fits("event", bytes.len(), MAX_EVENT)?;
        Ok(Self { event: bytes, ..Self::new(change)? })
    }
}

impl Draft {
    fn new(put: Put) -> Result<Self, CommitError> {
        let json = serde_json::to_vec(&put.node).map_err(CommitError::Unwritable)?;
        Ok(Self { id: put.node.id(), node: put.node, cut: put.cut, json })
    }
}

fn measure_private(private: &[(PrivateId, Zeroizing<Vec<u8>>)]) -> Result<usize, CommitError> {
    let mut total = 0;
    for (id, value) in private {
        if value.len() > MAX_PRIVATE_VALUE {
            fits(&id.to_string(), value.len(), MAX_PRIVATE_VALUE)?;
        }
        total += value.len();
    }
    fits("private values", total, MAX_PRIVATE)?;
    Ok(total)
}

fn fits(what: &str, bytes: usize, limit: usize) -> Result<(), CommitError> {
    if bytes <= limit { Ok(()) } else { Err(CommitError::TooLarge { what: what.to_owned(), bytes, limit }) }
}
