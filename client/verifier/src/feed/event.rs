//! What a feed is told and what it says: places in the log, events, and why a stream cannot be believed.

use daypass_credential::{Cut, Era, Name, Revision, Timestamp};
use daypass_log::{CheckpointError, Hash, SignedCheckpoint, proof::ProofError};

use crate::{Bundle, Counter, UnknownCounter};

/// A place in the log: a revision, and the hash of the leaf that it is. Another log has another hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The revision.
    pub revision: Revision,
    /// The hash of its leaf.
    pub leaf: Hash,
}

/// What a stream brings.
#[derive(Debug, Clone)]
pub enum Event {
    /// The state at one place in the log follows, in parts.
    SnapshotBegin {
        /// The life of the log.
        era: Era,
        /// As of where.
        at: Position,
    },
    /// A part of it.
    Part(Part),
    /// It is whole.
    SnapshotEnd {
        /// How many cuts were in it.
        cuts: u64,
    },
    /// No snapshot: the broker has the leaf that was named. What follows begins with all cuts of that very revision, since
    /// the stream before may have broken between two of them, and with the keys, which may be others by now.
    Resumed {
        /// The life of the log.
        era: Era,
        /// From where.
        at: Position,
    },
    /// Something was ended, suspended or narrowed.
    Cut {
        /// What, and at which revision.
        cut: Cut,
        /// The leaf of that revision.
        leaf: Hash,
    },
    /// What expires at or before it is dead.
    Horizon(Timestamp),
    /// The keys from here on.
    Keys {
        /// All of them.
        bundle: Bundle,
        /// The commit that changed them, or the head if no commit did.
        at: Position,
    },
    /// What the log says of itself.
    Checkpoint {
        /// The signed note.
        note: Vec<u8>,
        /// That it begins with the one named in [`Hello`], or else with the one before; empty if there was none. Where
        /// one was named, nothing is fresh before this came over the new stream.
        proof: Vec<Hash>,
    },
    /// The answer to a counter.
    Echo(Echo),
}

/// A part of a snapshot.
#[derive(Debug, Clone)]
pub enum Part {
    /// Some of the cuts.
    Cuts(Vec<Cut>),
    /// The horizon.
    Horizon(Timestamp),
    /// The keys: once in every snapshot.
    Keys(Bundle),
}

/// That every cut up to a head was sent before this, and that the head was read after the counter had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The counter.
    pub counter: Counter,
    /// The head that was read.
    pub head: Position,
}

/// What to say first over a stream.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The last place that is known. A broker whose log has another leaf there, or none, was put back.
    pub known: Option<(Era, Position)>,
    /// Whether a snapshot is wanted; else the stream may go on from there.
    pub snapshot: bool,
    /// The newest checkpoint that was taken in: the first one over the stream has to extend it.
    pub checkpoint: Option<SignedCheckpoint>,
}

/// What is kept from one process of a verifier to the next. Cuts are not: they come with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The life of the log.
    pub era: Era,
    /// How far it was followed.
    pub at: Position,
    /// The newest checkpoint.
    pub checkpoint: Option<SignedCheckpoint>,
    /// Eras that were left.
    pub former: Vec<Era>,
}

/// Why a stream cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Where it does not belong: before the beginning, after the end, or within a snapshot.
    #[error("{0} where none can be")]
    OutOfPlace(&'static str),
    /// A broker that knows less than is known here: one that lags, or a store that was put back.
    #[error("the broker is at revision {found}, and revision {known} was seen before")]
    Older {
        /// What was seen.
        known: Revision,
        /// What the broker has.
        found: Revision,
    },
    /// The same place in the log, with another leaf.
    #[error("revision {0} is another commit than was seen before: this is not the same log")]
    Forked(Revision),
    /// The broker goes on from another place than was named.
    #[error("the broker goes on from revision {found}, and {known} was named")]
    OtherPlace {
        /// What was named.
        known: Revision,
        /// What it goes on from.
        found: Revision,
    },
    /// An era that another one has taken the place of.
    #[error("era `{0}` of the broker is over")]
    Superseded(Era),
    /// A snapshot with something missing, or twice.
    #[error("the snapshot is not whole: {0}")]
    NotWhole(&'static str),
    /// Keys that cannot be.
    #[error("the keys cannot have changed like this")]
    Keys(#[from] KeyChange),
    /// A checkpoint that is none, or not signed by the log.
    #[error("the checkpoint does not count")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint of another era.
    #[error("the checkpoint is of another era")]
    CheckpointEra,
    /// A checkpoint that does not extend the one before: the log was changed or shortened.
    #[error("the checkpoint does not extend the one before")]
    Inconsistent(#[from] ProofError),
    /// An echo before the stream showed that its log extends the checkpoint that is known.
    #[error("the broker has not shown that its log extends the checkpoint that is known")]
    Unproven,
    /// An echo of what was never sent.
    #[error(transparent)]
    Echo(#[from] UnknownCounter),
}

impl FeedError {
    /// Does it show, if it is no broker that merely lags, that the log was put back or tampered with? Then somebody has
    /// to hear of it.
    #[must_use]
    pub const fn is_alarming(&self) -> bool {
        match self {
            Self::Older { .. }
            | Self::Forked(_)
            | Self::Superseded(_)
            | Self::Keys(_)
            | Self::Checkpoint(_)
            | Self::Inconsistent(_)
            | Self::Unproven => true,
            Self::OutOfPlace(_)
            | Self::OtherPlace { .. }
            | Self::NotWhole(_)
            | Self::CheckpointEra
            | Self::Echo(_) => false,
        }
    }
}

/// What keys cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyChange {
    /// Keys belong to their era.
    #[error("they are of era `{0}`")]
    Era(Era),
    /// Another issuer or trust domain within an era.
    #[error("they are another broker's")]
    Realm,
    /// One that was gone.
    #[error("key `{0}` was ended, and is there again")]
    Returned(Name),
    /// Another key under a name that was given before.
    #[error("`{0}` is another key than before")]
    Replaced(Name),
    /// A key that vouches for longer than it did.
    #[error("key `{0}` vouches for longer than before")]
    Extended(Name),
    /// A key of the era before in a new one.
    #[error("key `{0}` belongs to the era before")]
    Kept(Name),
}
