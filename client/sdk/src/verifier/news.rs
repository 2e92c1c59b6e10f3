//! What a verifier does by itself and what it finds, told to whoever wants to count it. Nothing in here is secret.

use std::{fmt, sync::Arc, time::Duration};

use daypass_credential::{Cut, Revision, Timestamp};
use daypass_verifier::{Position, Refused, View};

use super::Lost;
use crate::Error;

/// Something that happened. What came from the broker is told once it is in force.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// A stream from the broker is open. Nothing has come over it yet.
    Connected,
    /// It is over, or none could be opened. Another is opened after a pause; until then nothing is fresher than it was.
    Lost {
        /// Why.
        why: &'a Lost,
        /// How long the pause is.
        pause: Duration,
    },
    /// All that the broker knows of as of one place in the log.
    Snapshot {
        /// The life of the log, the place, and how many cuts there are.
        view: &'a View,
    },
    /// The broker goes on from the place that was known.
    Resumed {
        /// The place.
        at: Position,
    },
    /// Something was ended, suspended or narrowed.
    Cut {
        /// What, and at which revision.
        cut: &'a Cut,
    },
    /// What expires at or before this is dead.
    Horizon {
        /// The instant.
        at: Timestamp,
    },
    /// Other keys, audiences or limits than before.
    Keys {
        /// With them.
        view: &'a View,
    },
    /// The log has shown that it continues what was known of it.
    Checkpoint {
        /// Up to which revision.
        revision: Revision,
    },
    /// The broker has shown that nothing is missing.
    Proven {
        /// Up to where.
        at: Position,
        /// How old that proof was when it came.
        age: Duration,
    },
    /// The broker was told, signed, what is in force.
    Acknowledged {
        /// Up to where.
        at: Position,
    },
    /// How far the log was followed could not be written down: the next process might go further back.
    NotKept {
        /// Why not.
        error: &'a Error,
    },
    /// A credential was checked.
    Checked {
        /// Why it was refused, if it was.
        refused: Option<&'a Refused>,
    },
}

type Listener = dyn Fn(&News<'_>) + Send + Sync;

/// Who is told of [`News`]. It is called where things happen, checks included, and must not wait.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Listener>>);

impl Watch {
    /// Tells this function.
    pub fn new(tell: impl Fn(&News<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn tell(&self, news: &News<'_>) {
        if let Some(tell) = &self.0 {
            tell(news);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch(…)" } else { "Watch(nobody)" })
    }
}
