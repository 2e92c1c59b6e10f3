//! What is known of a log, and what a broker has to show to go on from there. Nothing here waits or reads.

use daypass_credential::{Era, Revision, Timestamp};
use daypass_log::{
    Checkpoint, Hash, Root, SignedCheckpoint, VerifierKey,
    proof::{ProofError, check_consistency},
};

use super::LogFault;
use crate::cause::clean;

/// The newest checkpoint that a log has shown here, and the key that it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLog {
    key: VerifierKey,
    checkpoint: SignedCheckpoint,
    // INVARIANT (one life): that of the checkpoint.
    era: Era,
    seen_at: Timestamp,
}

impl KnownLog {
    /// A log by its key and a note of its.
    ///
    /// # Errors
    /// [`LogFault::Forged`], [`LogFault::OtherLog`] and [`LogFault::NoEra`].
    pub fn new(key: VerifierKey, note: &str, seen_at: Timestamp) -> Result<Self, LogFault> {
        let checkpoint = open(&key, note)?;
        let era = checkpoint.checkpoint().era().ok_or(LogFault::NoEra)?;
        Ok(Self { key, checkpoint, era, seen_at })
    }

    /// The key that it signs with.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The newest checkpoint that it has shown here.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The life of the log.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// Its last revision, and the hash over all of it up to there.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.checkpoint.checkpoint().root()
    }

    /// The last revision that is known.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        Revision::new(self.root().size)
    }

    /// When the checkpoint was seen, by this machine's clock.
    #[must_use]
    pub const fn seen_at(&self) -> Timestamp {
        self.seen_at
    }

    /// Another checkpoint of this log: signed by its key, of its era.
    pub(crate) fn open(&self, note: &str) -> Result<SignedCheckpoint, LogFault> {
        let checkpoint = open(&self.key, note)?;
        match checkpoint.checkpoint().era() {
            Some(era) if era == self.era => Ok(checkpoint),
            Some(found) => Err(LogFault::OtherEra { known: self.era, found }),
            None => Err(LogFault::NoEra),
        }
    }

    /// What would be known, had this checkpoint of the same log been the newest one seen.
    pub(crate) fn with(&self, checkpoint: &SignedCheckpoint) -> Self {
        Self { checkpoint: checkpoint.clone(), ..self.clone() }
    }

    /// What is known once the log has shown this note, and that it continues what was known.
    pub(crate) fn continued(&self, note: &str, proof: &[Hash], seen_at: Timestamp) -> Result<Self, LogFault> {
        let checkpoint = self.open(note)?;
        continues(self.root(), checkpoint.checkpoint().root(), proof)?;
        Ok(Self { key: self.key.clone(), checkpoint, era: self.era, seen_at })
    }
}

/// Is the one tree shown to be the beginning of the other?
pub(crate) fn continues(known: Root, found: Root, proof: &[Hash]) -> Result<(), LogFault> {
    let revision = |root: Root| Revision::new(root.size);
    if found.size < known.size {
        return Err(LogFault::Older { known: revision(known), found: revision(found) });
    }
    // Every log begins with nothing, and there is no proof of that.
    if known.size == 0 {
        return if proof.is_empty() { Ok(()) } else { Err(LogFault::Proof(ProofError::Length)) };
    }
    check_consistency(&known, &found, proof).map_err(|error| match error {
        ProofError::EarlierRoot => LogFault::OtherHistory { known: revision(known) },
        ProofError::Empty
        | ProofError::OutOfRange { .. }
        | ProofError::Shrunk { .. }
        | ProofError::Length
        | ProofError::Root => LogFault::Proof(error),
    })
}

/// The checkpoint in a note, if this key signed it as the log's own.
fn open(key: &VerifierKey, note: &str) -> Result<SignedCheckpoint, LogFault> {
    Checkpoint::open(note.as_bytes(), std::slice::from_ref(key)).map_err(|error| {
        match other_origin(key, note) {
            Some(found) => LogFault::OtherLog { known: key.name().to_owned(), found: clean(&found) },
            None => LogFault::Forged(error),
        }
    })
}

/// Of which other log a note says it is, if it reads as a checkpoint. Nobody vouches for that: it is for the words alone.
fn other_origin(key: &VerifierKey, note: &str) -> Option<String> {
    let (text, _signatures) = note.split_once("\n\n")?;
    let said: Checkpoint = format!("{text}\n").parse().ok()?;
    (said.origin() != key.name()).then(|| said.origin().to_owned())
}
