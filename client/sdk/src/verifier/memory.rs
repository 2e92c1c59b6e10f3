//! What one process of a verifier leaves to the next: how far the log was followed, in `feed.toml` in the home.
//!
//! INVARIANT (never back): whoever has been shown more of the log, or a later life of it, is not overwritten by whoever has
//! been shown less, with `feed.lock` held, by however many processes. A file that is damaged is refused and not begun anew:
//! without it a log that was put back could not be told.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use daypass_credential::{Digest, Era, Revision};
use daypass_log::{Checkpoint, Hash, SignedCheckpoint, VerifierKey};
use daypass_verifier::{Memory, Position};
use serde::{Deserialize, Serialize};

use crate::{Error, files, log};

/// Where it is kept.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the home in this folder, for the broker with this root.
    Home { folder: PathBuf, root: Digest },
    /// Nowhere: each process begins anew.
    Nowhere,
}

/// What is kept: the memory, and the keys that its checkpoint is signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) memory: Memory,
    pub(super) log_keys: Vec<VerifierKey>,
}

impl Place {
    /// Beside the newest checkpoint of a connection.
    pub(super) fn beside(log: &log::Memory) -> Self {
        match log {
            log::Memory::Home { folder, root } => Self::Home { folder: folder.clone(), root: *root },
            log::Memory::Here(_) => Self::Nowhere,
        }
    }

    /// What an earlier process left; none if there was none, or if it followed another broker.
    pub(super) fn read(&self) -> Result<Option<Memory>, Error> {
        match self {
            Self::Home { folder, root } => Ok(read(&path(folder), root)?.map(|kept| kept.memory)),
            Self::Nowhere => Ok(None),
        }
    }

    /// Keeps it, unless what lies there is further on. It waits for the disk.
    pub(super) fn keep(&self, new: Kept) -> Result<(), Error> {
        let Self::Home { folder, root } = self else { return Ok(()) };
        let _alone = files::hold(&folder.join("feed.lock"))?;
        let path = path(folder);
        let known = read(&path, root)?;
        if known.as_ref().is_some_and(|known| apart(&known.memory, &new.memory)) {
            return Err(Error::Unable(
                "keep how far the log is known: another process here knows another log",
            ));
        }
        let Some(next) = merged(known.clone(), new).filter(|next| known.as_ref() != Some(next)) else {
            return Ok(());
        };
        files::sweep(&[&path])?;
        let stored = Stored::of(root, &next);
        let text = toml::to_string_pretty(&stored)
            .map_err(|_| Error::Unable("write down how far the log is known"))?;
        files::write_private(&path, format!("{HEADING}{text}").as_bytes())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("feed.toml")
}

/// The same place with another leaf: one of the two logs is not the log, and nobody here can tell which.
fn apart(one: &Memory, other: &Memory) -> bool {
    one.era == other.era && one.at.revision == other.at.revision && one.at.leaf != other.at.leaf
}

/// What is to lie there after both: the later life of the log, the later place in it, the larger checkpoint.
fn merged(known: Option<Kept>, mut new: Kept) -> Option<Kept> {
    let Some(known) = known else { return Some(new) };
    let (old, next) = (known.memory, &mut new.memory);
    if old.era == next.era {
        if old.at.revision > next.at.revision {
            return None;
        }
        if size(old.checkpoint.as_ref()) > size(next.checkpoint.as_ref()) {
            (next.checkpoint, new.log_keys) = (old.checkpoint, known.log_keys);
        }
    } else if !next.former.contains(&old.era) {
        return None;
    }
    let former: BTreeSet<_> = old.former.iter().chain(&next.former).map(ToString::to_string).collect();
    next.former = former.iter().filter_map(|era| era.parse().ok()).collect();
    Some(new)
}

fn size(checkpoint: Option<&SignedCheckpoint>) -> u64 {
    checkpoint.map_or(0, |signed| signed.checkpoint().root().size)
}

fn read(path: &Path, root: &Digest) -> Result<Option<Kept>, Error> {
    let Some(bytes) = files::read(path)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).ok();
    let stored = text.and_then(|text| toml::from_str::<Stored>(text).ok());
    match stored.map(|stored| (stored.root == *root, stored.kept())) {
        Some((true, Some(kept))) => Ok(Some(kept)),
        // Of the broker that whoever lived here before was enrolled with.
        Some((false, Some(_))) => Ok(None),
        Some((_, None)) | None => Err(Error::BadInput(format!(
            "`{}` is damaged, and without it a log that was put back could not be told: bring it back from a copy, or \
             find out what happened to it, and remove it then",
            path.display()
        ))),
    }
}

/// What `feed.toml` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// SHA-256 of the root certificate of the broker that was followed.
    root: Digest,
    era: Era,
    revision: u64,
    leaf: String,
    former: Vec<Era>,
    log_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
}

impl Stored {
    fn of(root: &Digest, kept: &Kept) -> Self {
        let Memory { era, at, checkpoint, former } = &kept.memory;
        Self {
            version: VERSION,
            root: *root,
            era: *era,
            revision: at.revision.get(),
            leaf: at.leaf.to_string(),
            former: former.clone(),
            log_keys: kept.log_keys.iter().map(ToString::to_string).collect(),
            checkpoint: checkpoint.as_ref().map(|signed| signed.note().to_owned()),
        }
    }

    fn kept(self) -> Option<Kept> {
        if self.version != VERSION {
            return None;
        }
        let log_keys: Vec<VerifierKey> =
            self.log_keys.iter().map(|key| key.parse().ok()).collect::<Option<_>>()?;
        let checkpoint = match self.checkpoint {
            Some(note) => Some(Checkpoint::open(note.as_bytes(), &log_keys).ok()?),
            None => None,
        };
        let leaf: Hash = self.leaf.parse().ok()?;
        let at = Position { revision: Revision::new(self.revision), leaf };
        Some(Kept { memory: Memory { era: self.era, at, checkpoint, former: self.former }, log_keys })
    }
}

const VERSION: u32 = 1;
const HEADING: &str = "# How far the broker's log was followed here. By it a log that was put back is told from the one that was seen.\n";

#[cfg(test)]
mod tests {
    use daypass_credential::Era;

    use super::*;

    #[test]
    fn a_process_that_knows_another_log_replaces_nothing_and_hears_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Home { folder: folder.path().to_owned(), root: Digest::new([1; 32]) };
        let known = |leaf: &[u8]| {
            let at = Position { revision: Revision::new(7), leaf: Hash::leaf(leaf) };
            let memory = Memory { era: Era::new(1), at, checkpoint: None, former: Vec::new() };
            Kept { memory, log_keys: Vec::new() }
        };
        place.keep(known(b"one")).unwrap();
        let before = std::fs::read(folder.path().join("feed.toml")).unwrap();
        place.keep(known(b"one")).unwrap();
        assert!(matches!(place.keep(known(b"other")), Err(Error::Unable(_))));
        assert_eq!(std::fs::read(folder.path().join("feed.toml")).unwrap(), before);
    }
}
