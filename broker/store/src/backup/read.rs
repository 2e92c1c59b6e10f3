//! Reading a backup, frame by frame. Whoever reads it has it whole only after the last frame: the reader says so by
//! ending without an error.

use std::io::{self, Read};

use bytes::Bytes;
use daypass_core::{PrivateId, event};
use daypass_credential::Revision;
use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::{change::MAX_PRIVATE, open::is_version};

use super::{BROKEN, END, EVENT, HEADER, Header, MAGIC, MAX_FRAME, PRIVATE};

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It does not begin as one.
    #[error("this is no backup of Daypass")]
    NotOne,
    /// A newer version of this program made it.
    #[error("the backup was made by version {made_by} with event schema {found}, this program knows {known}")]
    Newer {
        /// The event schema that was found.
        found: u16,
        /// The newest that this program knows.
        known: u16,
        /// The program that made it.
        made_by: String,
    },
    /// It breaks off.
    #[error("the backup is cut short: it ends after revision {after} of {of}")]
    CutShort {
        /// The last event that is there.
        after: Revision,
        /// The last that should be.
        of: Revision,
    },
    /// Whoever made it could not finish.
    #[error("the backup was not finished: {0}")]
    Unfinished(String),
    /// What is in it is not what was written.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read.
    #[error("the backup cannot be read")]
    Io(#[source] io::Error),
}

/// One event, with what lies beside it.
pub struct Frame {
    /// Its number.
    pub revision: Revision,
    /// Its exact bytes.
    pub event: Bytes,
    /// What the log refers to from here on for the first time.
    pub private: Vec<(PrivateId, Zeroizing<Vec<u8>>)>,
}

/// Wiped, because it may be private.
type Payload = Zeroizing<Vec<u8>>;

/// A backup being read.
pub struct Reader<R> {
    input: R,
    header: Header,
    hash: Context,
    read: Revision,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads what the backup says of itself.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn open(mut input: R) -> Result<Self, BackupError> {
        let mut magic = vec![0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::NotOne,
            _ => BackupError::Io(error),
        })?;
        if magic != MAGIC {
            return Err(BackupError::NotOne);
        }
        let mut hash = Context::new(&SHA256);
        hash.update(&magic);
        let nothing = Header { event_schema: 0, revision: 0, made_by: String::new() };
        let mut reader = Self { input, header: nothing, hash, read: Revision::ZERO, over: false };
        let (kind, payload) = reader.frame()?.ok_or_else(|| reader.cut_short())?;
        if kind != HEADER {
            return Err(unknown(kind, &payload));
        }
        reader.take_in(kind, &payload);
        reader.header = serde_json::from_slice(&payload)
            .ok()
            .filter(|header: &Header| is_version(&header.made_by))
            .ok_or(BackupError::Damaged("what it says of itself cannot be read"))?;
        let Header { event_schema: found, made_by, .. } = reader.header.clone();
        if found > event::GENERATION {
            return Err(BackupError::Newer { found, known: event::GENERATION, made_by });
        }
        Ok(reader)
    }

    /// What it says of itself; true only if reading ends without an error.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    fn advance(&mut self) -> Result<Option<Frame>, BackupError> {
        let (mut private, mut beside) = (Vec::new(), 0);
        loop {
            let (kind, payload) = self.frame()?.ok_or_else(|| self.cut_short())?;
            match kind {
                PRIVATE => {
                    let (id, value) = payload
                        .split_first_chunk::<16>()
                        .ok_or(BackupError::Damaged("a value beside the log has no id"))?;
                    beside += value.len();
                    if beside > MAX_PRIVATE {
                        return Err(BackupError::Damaged("more lies beside one event than is ever written"));
                    }
                    private.push((PrivateId::new(*id), Zeroizing::new(value.to_vec())));
                    self.take_in(kind, &payload);
                }
                EVENT => {
                    self.take_in(kind, &payload);
                    self.read = self.read.next();
                    let event = Bytes::copy_from_slice(&payload);
                    return Ok(Some(Frame { revision: self.read, event, private }));
                }
                END if private.is_empty() => return self.finish(&payload).map(|()| None),
                END => return Err(BackupError::Damaged("a value beside the log belongs to no event")),
                other => return Err(unknown(other, &payload)),
            }
        }
    }

    /// Compares the end with what was read, and demands that nothing follows.
    fn finish(&mut self, payload: &[u8]) -> Result<(), BackupError> {
        let end = payload.split_first_chunk::<8>();
        let (last, hash) = end.ok_or(BackupError::Damaged("its end cannot be read"))?;
        let last = Revision::new(u64::from_be_bytes(*last));
        if hash != self.hash.clone().finish().as_ref() {
            return Err(BackupError::Damaged("its contents are not what was written"));
        }
        if last != self.read || last.get() != self.header.revision {
            return Err(BackupError::Damaged("it holds another number of events than it says"));
        }
        match self.frame() {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(BackupError::CutShort { .. } | BackupError::Damaged(_)) => {
                Err(BackupError::Damaged("something follows after its end"))
            }
            Err(other) => Err(other),
        }
    }

    /// The next frame; `None` at the end of the input.
    fn frame(&mut self) -> Result<Option<(u8, Payload)>, BackupError> {
        let mut head = [0; 5];
        let mut got = 0;
        while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if got == 0 => return Ok(None),
                Ok(0) => return Err(self.cut_short()),
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BackupError::Io(error)),
            }
        }
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(BackupError::Damaged("a piece of it is larger than any that is written"));
        }
        let mut payload = Zeroizing::new(vec![0; length]);
        match self.input.read_exact(&mut payload) {
            Ok(()) => Ok(Some((kind, payload))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.cut_short()),
            Err(error) => Err(BackupError::Io(error)),
        }
    }

    fn take_in(&mut self, kind: u8, payload: &[u8]) {
        self.hash.update(&[kind]);
        self.hash.update(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.hash.update(payload);
    }

    const fn cut_short(&self) -> BackupError {
        BackupError::CutShort { after: self.read, of: Revision::new(self.header.revision) }
    }
}

fn unknown(kind: u8, payload: &[u8]) -> BackupError {
    match kind {
        BROKEN => BackupError::Unfinished(String::from_utf8_lossy(payload).escape_debug().to_string()),
        _ => BackupError::Damaged("a piece of it is of no known kind"),
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Frame, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.advance().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}
