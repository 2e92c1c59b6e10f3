//! Reading an export from wherever it comes, in memory that does not grow with it.

use std::io::{self, Read};

use daypass_credential::Revision;

use super::{
    Check, Fault, Line,
    lines::{Lines, Next},
};
use crate::{Root, SignedCheckpoint, VerifierKey};

/// Why an export was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("the export cannot be read")]
    In(#[from] io::Error),
    /// It is not what it says it is.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An export as it is read: each entry is handed out once it is known to be the one that was signed. It has a buffer of
/// its own, so that the input needs none.
pub struct Reader<R> {
    lines: Lines<R>,
    check: Check,
}

impl<R: Read> Reader<R> {
    /// Reads the first line and checks its checkpoint, as [`Check::new`] does.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn new(input: R, keys: &[VerifierKey], known: Option<Root>) -> Result<Self, ReadError> {
        let mut lines = Lines::new(input);
        let Next::Line(first) = lines.next()? else { return Err(Fault::NotOne.into()) };
        let check = Check::new(lines.part(&first), keys, known)?;
        Ok(Self { lines, check })
    }

    /// The checkpoint, see [`Check::checkpoint`].
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        self.check.checkpoint()
    }

    /// The next entry: its revision and exact bytes. Nothing after the last one, and only if the export is whole.
    ///
    /// # Errors
    /// See [`ReadError`]; after one there is nothing more to be read.
    pub fn next_entry(&mut self) -> Result<Option<(Revision, &[u8])>, ReadError> {
        loop {
            match self.lines.next()? {
                Next::Line(part) => {
                    if let Line::Entry(revision) = self.check.leaf(self.lines.leaf(&part))? {
                        return Ok(Some((revision, self.lines.part(&part))));
                    }
                }
                // Even if all bytes of the last entry should be there: something cut its end.
                Next::Rest(part) => {
                    self.check.end()?;
                    self.check.line(self.lines.part(&part))?;
                }
                Next::End => {
                    self.check.end()?;
                    return Ok(None);
                }
            }
        }
    }

    /// Reads to the end. `progress` is told each revision as it is found right.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn verify(mut self, mut progress: impl FnMut(Revision)) -> Result<SignedCheckpoint, ReadError> {
        while let Some((revision, _)) = self.next_entry()? {
            progress(revision);
        }
        Ok(self.check.checkpoint().clone())
    }
}
