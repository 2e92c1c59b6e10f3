//! Where the newest checkpoint is kept: in the home, as `log.toml`, or in memory alone.
//!
//! INVARIANT (never backwards): what is kept is replaced only by what was shown to continue it, with `log.lock` held, by
//! however many processes. Whoever finds that another has replaced it meanwhile asks the broker again, from there on.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use daypass_credential::{Digest, Timestamp};
use daypass_log::VerifierKey;
use serde::{Deserialize, Serialize};

use super::KnownLog;
use crate::{Error, files};

/// Where what is known of the log of one broker is kept. Copies keep it in the same place.
#[derive(Debug, Clone)]
pub(crate) enum Memory {
    /// In the home in this folder, for the broker with this root.
    Home { folder: PathBuf, root: Digest },
    /// For as long as this lives.
    Here(Arc<Mutex<Option<KnownLog>>>),
}

impl Memory {
    /// What is known; none if no log was seen yet.
    pub(crate) fn known(&self) -> Result<Option<KnownLog>, Error> {
        match self {
            Self::Home { folder, root } => read(folder, root),
            Self::Here(held) => Ok(held.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// Keeps `next`, which continues `before`; false if that is not what is kept any more.
    pub(crate) async fn keep(&self, before: Option<KnownLog>, next: KnownLog) -> Result<bool, Error> {
        if before.as_ref().is_some_and(|before| before.root() == next.root()) {
            return Ok(true);
        }
        match self {
            Self::Home { folder, root } => {
                let (folder, root) = (folder.clone(), *root);
                let kept =
                    tokio::task::spawn_blocking(move || replace(&folder, &root, before.as_ref(), &next));
                kept.await.unwrap_or(Err(Error::Unable("wait for a lock")))
            }
            Self::Here(held) => {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                let same = *held == before;
                if same {
                    *held = Some(next);
                }
                Ok(same)
            }
        }
    }
}

/// What a home knows of the log of the broker with this root.
pub(crate) fn read(folder: &Path, root: &Digest) -> Result<Option<KnownLog>, Error> {
    let path = path(folder);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).ok();
    let stored = text.and_then(|text| toml::from_str::<Stored>(text).ok());
    let known = stored.filter(|stored| stored.root == *root).and_then(Stored::known);
    known.map(Some).ok_or_else(|| {
        Error::BadInput(format!(
            "`{}` is damaged, or of another broker, and without it an older log could not be told: bring it back from a \
             copy, or compare the log with somebody else's checkpoint first, and remove the file then",
            path.display()
        ))
    })
}

/// Removes what a home knows of a broker with another root than this: somebody else was enrolled there before.
pub(crate) fn forget_others(folder: &Path, root: &Digest) -> Result<(), Error> {
    let path = path(folder);
    let bytes = files::read(&path)?.unwrap_or_default();
    let stored = std::str::from_utf8(&bytes).ok().and_then(|text| toml::from_str::<Stored>(text).ok());
    match stored {
        Some(stored) if stored.root != *root => files::remove(&path),
        // What is damaged is for somebody to look at.
        Some(_) | None => Ok(()),
    }
}

fn replace(folder: &Path, root: &Digest, before: Option<&KnownLog>, next: &KnownLog) -> Result<bool, Error> {
    let _alone = files::hold(&folder.join("log.lock"))?;
    if read(folder, root)?.as_ref() != before {
        return Ok(false);
    }
    let path = path(folder);
    files::sweep(&[&path])?;
    let stored = Stored::of(root, next);
    let text = toml::to_string_pretty(&stored).map_err(|_| Error::Unable("write a checkpoint down"))?;
    files::write_private(&path, format!("{HEADING}{text}").as_bytes())?;
    Ok(true)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("log.toml")
}

/// What `log.toml` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// SHA-256 of the root certificate of the broker whose log it is.
    root: Digest,
    log_key: String,
    /// In milliseconds since the epoch.
    seen_at: u64,
    checkpoint: String,
}

impl Stored {
    fn of(root: &Digest, known: &KnownLog) -> Self {
        Self {
            version: VERSION,
            root: *root,
            log_key: known.key().to_string(),
            seen_at: known.seen_at().as_millis(),
            checkpoint: known.checkpoint().note().to_owned(),
        }
    }

    fn known(self) -> Option<KnownLog> {
        let key: VerifierKey = (self.version == VERSION).then(|| self.log_key.parse().ok())??;
        KnownLog::new(key, &self.checkpoint, Timestamp::from_millis(self.seen_at)).ok()
    }
}

const VERSION: u32 = 1;
const HEADING: &str = "# The newest checkpoint of the broker's log. By it an older log is told from the one that was seen here.\n";
