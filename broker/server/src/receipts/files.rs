//! Where receipts lie: a folder for each era, and in it one for each end, with the `list` and the `statement`. Each is there
//! whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use daypass_credential::{Era, Revision};
use tokio::task::spawn_blocking;

use crate::process::durable;

/// The folder of this era's receipts.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: Arc<Path>,
}

/// A file that is being written.
pub(super) struct Draft {
    part: PathBuf,
    path: PathBuf,
    file: File,
}

impl Files {
    pub(super) fn at(folder: PathBuf, era: Era) -> Self {
        Self { folder: folder.join(era.to_string()).into() }
    }

    fn of(&self, ended: Revision) -> PathBuf {
        self.folder.join(ended.to_string())
    }

    pub(super) fn list(&self, ended: Revision) -> PathBuf {
        self.of(ended).join("list")
    }

    fn statement(&self, ended: Revision) -> PathBuf {
        self.of(ended).join("statement")
    }

    /// Which event closed it, as far as that was written down: it spares a start the search.
    fn closed(&self, ended: Revision) -> PathBuf {
        self.of(ended).join("closed")
    }

    /// Begins the list anew.
    pub(super) async fn draft(&self, ended: Revision) -> io::Result<Draft> {
        let (folder, path) = (self.of(ended), self.list(ended));
        blocking(move || {
            make(&folder)?;
            let part = path.with_added_extension("new");
            let mut file = OpenOptions::new();
            let file = file.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            Ok(Draft { part, path, file })
        })
        .await
    }

    pub(super) async fn read_statement(&self, ended: Revision) -> io::Result<Option<Vec<u8>>> {
        let path = self.statement(ended);
        blocking(move || there(fs::read(path))).await
    }

    pub(super) async fn write_statement(&self, ended: Revision, note: String) -> io::Result<()> {
        let path = self.statement(ended);
        blocking(move || durable::replace(&path, note.as_bytes())).await
    }

    pub(super) async fn closed_at(&self, ended: Revision) -> io::Result<Option<Revision>> {
        let path = self.closed(ended);
        let text = blocking(move || there(fs::read_to_string(path))).await?;
        Ok(text.and_then(|text| text.trim().parse().ok()).map(Revision::new))
    }

    pub(super) async fn write_closed_at(&self, ended: Revision, at: Revision) -> io::Result<()> {
        let path = self.closed(ended);
        blocking(move || durable::replace(&path, at.to_string().as_bytes())).await
    }
}

impl Draft {
    pub(super) async fn append(mut self, text: String) -> io::Result<Self> {
        blocking(move || {
            self.file.write_all(text.as_bytes())?;
            Ok(self)
        })
        .await
    }

    /// Makes it durable, and puts it where it belongs.
    pub(super) async fn keep(self) -> io::Result<()> {
        blocking(move || {
            self.file.sync_all()?;
            fs::rename(&self.part, &self.path)?;
            durable::sync_folder_of(&self.path)
        })
        .await
    }
}

/// Makes a folder with those above it that are missing; their names are durable then.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    folder.ancestors().take(3).try_for_each(durable::sync_folder_of)
}

fn there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
