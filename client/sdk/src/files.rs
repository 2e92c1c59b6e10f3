//! Files that hold secrets, or that must never be half written: private from their first byte, replaced as a whole.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::Error;

/// Writes a file that only its owner may read: all of it, or none, and durably.
///
/// # Errors
/// [`Error::Files`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace(path, bytes, 0o600).map_err(at(path))
}

/// Writes a file that anybody may read: all of it, or none, and durably.
///
/// # Errors
/// [`Error::Files`].
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace(path, bytes, 0o644).map_err(at(path))
}

/// Makes a folder that only its owner may enter. One that is there must be so already.
///
/// # Errors
/// [`Error::Files`]; [`Error::BadInput`] if others may enter it.
pub fn make_private_folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
    let mode = fs::metadata(path).map_err(at(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::BadInput(format!(
            "others may enter `{0}`, and a key is to lie in it: `chmod 700 {0}` first, or name another folder",
            path.display()
        )));
    }
    Ok(())
}

/// Waits until nobody else holds this file, and holds it until the answer is dropped.
pub(crate) fn hold(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    file.lock().map_err(at(path))?;
    Ok(file)
}

/// What a file holds; none if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Removes a file; one that is not there is no matter.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Removes what a writer of these files left beside them if it was killed. Only for whoever keeps all other writers out.
pub(crate) fn sweep(paths: &[&Path]) -> Result<(), Error> {
    for path in paths {
        let folder = folder(path);
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let entry = entry.map_err(at(folder))?;
            if path.file_name().is_some_and(|name| is_temporary_of(name, &entry.file_name())) {
                remove(&entry.path())?;
            }
        }
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Files { path, source }
}

/// Writes beside the file and renames, so that a crash leaves the old one or the new one.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = beside(path)?;
    let written = write_new(&beside, bytes, mode).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written?;
    // The rename itself is durable once the folder is.
    File::open(folder(path))?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // `create_new` does not follow a link that somebody left there, and the mode holds before the first byte.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    Ok(folder(path).join(temporary))
}

/// Is this a name that `beside` gives?
fn is_temporary_of(name: &OsStr, candidate: &OsStr) -> bool {
    let rest = candidate.as_bytes().strip_prefix(b".").and_then(|rest| rest.strip_prefix(name.as_bytes()));
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b".")) else { return false };
    let mut parts = rest.split(|byte| *byte == b'.');
    let mut number =
        || parts.next().is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    number() && number() && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_is_private_and_replaced_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_private(&path, b"one").unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap().as_slice()), (0o600, b"one".as_slice()));
        let mut reader = File::open(&path).unwrap();
        write_private(&path, b"two and longer").unwrap();
        let mut seen = Vec::new();
        io::Read::read_to_end(&mut reader, &mut seen).unwrap();
        assert_eq!(seen, b"one", "whoever had it open still reads the old one, whole");
        assert_eq!(fs::read(&path).unwrap(), b"two and longer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("inner")).unwrap();
        assert!(write_private(&path, b"x").is_err());
        assert!(path.join("inner").is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join("a/b");
        make_private_folder(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
        make_private_folder(&private).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(make_private_folder(&private), Err(Error::BadInput(_))));
    }

    #[test]
    fn a_file_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = hold(&path).unwrap();
        let other = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(fs::TryLockError::WouldBlock)));
        drop(held);
        other.try_lock().unwrap();
        drop(other);
        drop(hold(&path).unwrap());
    }

    #[test]
    fn a_missing_file_is_no_error_to_read_or_remove() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        assert_eq!(read(&path).unwrap(), None);
        remove(&path).unwrap();
    }
}
