//! Checkpoints: origin, size and root of a log as the text of a note (C2SP tlog-checkpoint), with the log's era in an
//! extension line. A [`SignedCheckpoint`] exists only if the log's own key signed it.

use std::{fmt, str::FromStr};

use daypass_credential::Era;

use crate::{Hash, MAX_SIZE, NoteError, Root, SignError, VerifierKey, note};

/// How the extension line with the era begins.
const ERA: &str = "era ";

/// What a log says of itself at one size. Its text is what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    root: Root,
    era: Option<Era>,
    // Every line below the root, the era's included, so that the text comes back as it was.
    extensions: Vec<String>,
}

/// A checkpoint with the note that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

/// Why a text is no checkpoint, or one that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Empty lines, or too few.
    #[error("a checkpoint is three lines or more, none empty: origin, size, root")]
    Lines,
    /// No number, or one that no log reaches.
    #[error("the checkpoint's size is not the number of entries in a log")]
    Size,
    /// No hash, or not that of the empty log.
    #[error("the checkpoint's root is no hash, or not that of an empty log")]
    Root,
    /// An era that is none, or more than one.
    #[error("the checkpoint's era is not 16 lower-case hexadecimal digits, once")]
    Era,
    /// Signed, but not by the log that it is of.
    #[error("the checkpoint of `{0}` is not signed by a key of that name")]
    Origin(String),
}

impl Checkpoint {
    /// What the log `origin` says of itself in this era.
    ///
    /// # Errors
    /// [`CheckpointError::Lines`] for an origin that is not one line, [`CheckpointError::Size`] and
    /// [`CheckpointError::Root`] for a root that no log has.
    pub fn new(origin: &str, root: Root, era: Era) -> Result<Self, CheckpointError> {
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(CheckpointError::Lines);
        }
        check_root(&root)?;
        Ok(Self { origin: origin.to_owned(), root, era: Some(era), extensions: vec![format!("{ERA}{era}")] })
    }

    /// Which log it is of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size and hash of the log.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// The life of the log; every checkpoint of a broker has it.
    #[must_use]
    pub const fn era(&self) -> Option<Era> {
        self.era
    }

    /// The checkpoint, signed with the log's key, whose name has to be the origin.
    ///
    /// # Errors
    /// [`SignError`]; a key of another name is [`SignError::Foreign`].
    pub fn sign<E>(
        self,
        key: &VerifierKey,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<SignedCheckpoint, SignError<E>> {
        if key.name() != self.origin {
            return Err(SignError::Foreign(key.name().to_owned()));
        }
        let note = note::sign(&self.to_string(), key, sign)?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }

    /// The checkpoint in this note, if one of the keys signed it and that key has the name of the log.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(note: &[u8], keys: &[VerifierKey]) -> Result<SignedCheckpoint, CheckpointError> {
        let (text, signed) = note::open(note, keys)?;
        let checkpoint: Self = text.parse()?;
        if !signed.iter().any(|key| key.name() == checkpoint.origin) {
            return Err(CheckpointError::Origin(checkpoint.origin));
        }
        let note = String::from_utf8(note.to_vec()).map_err(|_| NoteError::Characters)?;
        Ok(SignedCheckpoint { checkpoint, note })
    }
}

impl SignedCheckpoint {
    /// What was signed.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note, with its signatures.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

fn check_root(root: &Root) -> Result<(), CheckpointError> {
    if root.size > MAX_SIZE {
        return Err(CheckpointError::Size);
    }
    // Only the empty log has the hash of nothing, and it has no other.
    if (root.size == 0) == (root.hash == Hash::empty()) { Ok(()) } else { Err(CheckpointError::Root) }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.root.size, self.root.hash)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n').collect();
        if lines.iter().any(|line| line.is_empty() || line.contains(|c| c < ' ')) {
            return Err(CheckpointError::Lines);
        }
        let [origin, size, hash, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        let size = read_size(size).ok_or(CheckpointError::Size)?;
        let root = Root { size, hash: hash.parse().map_err(|_| CheckpointError::Root)? };
        check_root(&root)?;
        Ok(Self {
            origin: (*origin).to_owned(),
            root,
            era: read_era(extensions)?,
            extensions: extensions.iter().map(|line| (*line).to_owned()).collect(),
        })
    }
}

/// A decimal number in its one spelling.
fn read_size(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|size| size.to_string() == text)
}

fn read_era(extensions: &[&str]) -> Result<Option<Era>, CheckpointError> {
    let mut eras = extensions.iter().filter_map(|line| line.strip_prefix(ERA));
    let era = eras.next().map(|era| era.parse().map_err(|_| CheckpointError::Era)).transpose()?;
    if eras.next().is_some() { Err(CheckpointError::Era) } else { Ok(era) }
}
