//! Making a store from a backup: every event as it was, byte for byte, under the revision that it had.

use std::{fs, path::Path};

use daypass_credential::Revision;

use super::{Options, Sled, disk::SledDisk, files, make, part};
use crate::{
    BackupError, Frame, Head, OpenError,
    change::{Prepared, Unfit},
    committer::Group,
    engine::Medium,
    image::Image,
};

/// How many events are written at once.
const GROUP: usize = 1024;

/// Why a backup was not restored. What was written so far is no store: it lies beside the place of one, and the next
/// attempt removes it.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store, or none can be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// An event of the backup is none.
    #[error("revision {revision} of the backup is no event that this program knows")]
    Event {
        /// Which.
        revision: Revision,
        /// What is wrong with it.
        source: Unfit,
    },
    /// The disk refuses.
    #[error("the store cannot be written: {0}")]
    Write(String),
}

impl Sled {
    /// Makes a new store in this directory from the frames of a backup, and closes it. The directory is there with all
    /// of it, or not at all. `progress` hears how far it is.
    ///
    /// # Errors
    /// [`RestoreError`]; there is no store then.
    pub fn restore(
        path: &Path,
        options: Options,
        frames: impl Iterator<Item = Result<Frame, BackupError>>,
        mut progress: impl FnMut(Revision),
    ) -> Result<Head, RestoreError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let part = part(path)?;
        make(&part, &options)?;
        let disk = Self::disk(&part, options)?;
        let mut image = Image::empty();
        let mut group = Group::default();
        for frame in frames {
            admit(&mut group, frame?, &image)?;
            if group.entries.len() == GROUP {
                write(&disk, std::mem::take(&mut group), &mut image)?;
                progress(image.head().revision);
            }
        }
        write(&disk, group, &mut image)?;
        drop(disk);
        fs::rename(&part, path).map_err(failed)?;
        files::settle(path).map_err(failed)?;
        Ok(image.head())
    }
}

fn admit(group: &mut Group, frame: Frame, image: &Image) -> Result<(), RestoreError> {
    let Frame { revision, event, private } = frame;
    let change =
        Prepared::recorded(event, private).map_err(|source| RestoreError::Event { revision, source })?;
    // It expects nothing, so that nothing speaks against it.
    group.admit(change, revision, image).map_err(|error| RestoreError::Write(error.to_string()))
}

fn write(disk: &SledDisk, group: Group, image: &mut Image) -> Result<(), RestoreError> {
    if group.entries.is_empty() {
        return Ok(());
    }
    disk.write(&group).map_err(RestoreError::Write)?;
    image.publish(group);
    Ok(())
}
