//! The files around sled's data, which sled itself leaves as a crash left them: what was made and not yet durable, and
//! what was begun and never finished.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use crate::OpenError;

/// How the name of a snapshot ends while sled writes it. It is renamed when it is whole, so that one with this ending
/// is never needed; but sled, at the next start, takes it for a whole one and calls the store corrupted.
const UNFINISHED: &str = ".generating";

/// Takes the lock that sled takes as well, through its own handle.
pub(super) fn lock(path: &Path, file: &File) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// Takes away what the making of a store left when it broke off.
pub(super) fn clear(part: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: part.to_owned(), source };
    match File::open(part.join("db")) {
        Ok(file) => lock(part, &file)?,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(failed(other)),
    }
    match fs::remove_dir_all(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Before sled opens a store: whatever an earlier process made of it is durable, and nothing unfinished is left.
/// INVARIANT (durable before seen) begins here: what is read at the start was perhaps written and never synced.
pub(super) fn settle(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    for entry in fs::read_dir(&path)? {
        let file = entry?.path();
        if file.to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(file)?;
        }
    }
    match sync(&path.join("conf")) {
        // sled writes it anew.
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        synced => synced?,
    }
    sync(&path)?;
    // The name of a new directory is durable once its parent is.
    path.parent().map_or(Ok(()), sync)
}

/// Makes a file or directory durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
