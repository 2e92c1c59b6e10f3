//! Holding a store that is closed: as long as it is held nobody opens it, so that its place can be given to another.

use std::{fs::File, path::Path};

use daypass_credential::Revision;

use super::{Sled, data_file, data_handle, files, mark::Mark};
use crate::OpenError;

/// A closed store that nobody can open until this is dropped.
pub struct Held {
    _locked: File,
    durable: Option<Revision>,
}

impl Held {
    /// The revision up to which its log is known to be durable; none if its mark cannot be read.
    #[must_use]
    pub const fn durable(&self) -> Option<Revision> {
        self.durable
    }
}

impl Sled {
    /// Holds the store in this directory, which has to be closed.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where somebody has it open; otherwise as the operating system has it.
    pub fn hold(path: &Path) -> Result<Held, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        if !data_file(path).try_exists().map_err(failed)? {
            return Err(OpenError::Missing(path.to_owned()));
        }
        let file = data_handle(path).map_err(failed)?;
        files::lock(path, &file)?;
        let durable = Mark::open(path).map_err(failed)?.read();
        Ok(Held { _locked: file, durable })
    }
}
