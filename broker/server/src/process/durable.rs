//! Files and folders that are still there after a power cut: a file is durable once it was synced, and its name once
//! the folder was that holds it. Whoever answers before both has answered too early.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{self, Path},
};

/// How the name of a file ends that is not whole yet.
const PART: &str = "new";

/// Makes a folder, its owner's alone, and those above it that are missing.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    names(path)
}

/// Makes a file, its owner's alone: it is there with all of this in it, or not at all, and no other is replaced.
pub(super) fn new_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let above = path::absolute(path)?.parent().map(Path::to_owned);
    above.map_or(Ok(()), fs::create_dir_all)?;
    let part = path.with_added_extension(PART);
    clear(&part)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    // A second name, since a rename would replace what is there.
    fs::hard_link(&part, path)?;
    fs::remove_file(&part)?;
    names(path)
}

/// Makes a file, its owner's alone, or replaces it: what was there before, or all of this, is in it at any time.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = path.with_added_extension(PART);
    clear(&part)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    sync_folder_of(path)
}

/// Makes durable which names the folder has that holds this one.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Makes a file durable that is there already, under this one name.
pub(super) fn file(path: &Path) -> io::Result<()> {
    clear(&path.with_added_extension(PART))?;
    File::open(path)?.sync_all()?;
    names(path)
}

fn clear(part: &Path) -> io::Result<()> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names durable that lead to a path. A folder that may not be read is none that was made here.
fn names(path: &Path) -> io::Result<()> {
    for folder in path::absolute(path)?.ancestors().skip(1) {
        match File::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            opened => opened?.sync_all()?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_replaces_nothing_and_what_broke_off_is_not_in_its_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/key");
        fs::create_dir_all(place.path().join("a/b")).unwrap();
        fs::write(place.path().join("a/b/key.new"), "half a k").unwrap();
        new_file(&path, b"key").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"key");
        assert_eq!(new_file(&path, b"other").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"key");
    }

    #[test]
    fn a_file_is_replaced_whole_though_an_attempt_broke_off() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("anchor");
        for content in ["first", "second"] {
            fs::write(place.path().join("anchor.new"), "half a s").unwrap();
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(replace(&place.path().join("missing/anchor"), b"x").is_err());
    }
}
