//! The anchor: the newest signed checkpoint, in a file beside the store and best on another disk. A store that was put
//! back from a backup is told by it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use daypass_log::{Checkpoint, MAX_NOTE};

use crate::process::durable;

/// The file, and who may still write it.
pub(crate) struct Anchor {
    path: PathBuf,
    /// Nothing replaces an anchor that shows that the log is older.
    closed: Mutex<bool>,
}

impl Anchor {
    pub(super) const fn at(path: PathBuf) -> Self {
        Self { path, closed: Mutex::new(false) }
    }

    /// Replaces it durably; false if it is closed.
    pub(super) fn replace(&self, note: &str) -> io::Result<bool> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if !*closed {
            durable::replace(&self.path, note.as_bytes())?;
        }
        Ok(!*closed)
    }

    /// Keeps this note for ever: the next start has to find it.
    pub(super) fn close(&self, note: Option<&str>) -> io::Result<()> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *closed, true) {
            return Ok(());
        }
        note.map_or(Ok(()), |note| durable::replace(&self.path, note.as_bytes()))
    }
}

/// A note that was read, and what it says; nobody has looked at its signature.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) note: Vec<u8>,
    pub(super) says: Checkpoint,
}

/// Why an anchor cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorError {
    /// The file cannot be read.
    #[error("the anchor `{}` cannot be read", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is no checkpoint.
    #[error("the anchor `{}` holds no checkpoint", .0.display())]
    Damaged(PathBuf),
}

/// The anchor in this file, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<Kept>, AnchorError> {
    let failed = |source| AnchorError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut note = Vec::new();
    // One byte more than a note may have, so that a longer file is told.
    file.take(u64::try_from(MAX_NOTE).unwrap_or(u64::MAX) + 1).read_to_end(&mut note).map_err(failed)?;
    let says = (note.len() <= MAX_NOTE).then(|| unsigned(&note)).flatten();
    let says = says.ok_or_else(|| AnchorError::Damaged(path.to_owned()))?;
    Ok(Some(Kept { note, says }))
}

/// What a note says, whoever signed it.
fn unsigned(note: &[u8]) -> Option<Checkpoint> {
    let (text, _) = str::from_utf8(note).ok()?.rsplit_once("\n\n")?;
    format!("{text}\n").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_that_shows_an_older_log_is_kept_for_ever() {
        let place = tempfile::tempdir().unwrap();
        let anchor = Anchor::at(place.path().join("anchor"));
        assert!(anchor.replace("one").unwrap());
        anchor.close(Some("beyond")).unwrap();
        assert!(!anchor.replace("two").unwrap());
        anchor.close(Some("three")).unwrap();
        assert_eq!(std::fs::read(&anchor.path).unwrap(), b"beyond");
    }

    #[test]
    fn what_is_no_checkpoint_is_no_anchor() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("anchor");
        assert!(read(&path).unwrap().is_none());
        let huge = vec![b'x'; MAX_NOTE + 2];
        for bad in [&b""[..], b"\n\n", b"t.example/log\n1\n", b"\xff\xfe\n\n", &huge] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(read(&path), Err(AnchorError::Damaged(_))), "{}", bad.len());
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(&path), Err(AnchorError::Io { .. })));
    }
}
