//! The notary's work on its files and with its key. All of it waits for disks, and is kept off the runtime's tasks.

use std::{io, path::PathBuf, sync::Arc};

use daypass_credential::{Era, Timestamp};
use daypass_issuer::KeyRing;
use daypass_log::{Checkpoint, CheckpointError, Root};
use daypass_store::{Entry, StoreError};

use super::{
    Noted,
    anchor::Anchor,
    hashes::Hashes,
    head::{self, Head, HeadError},
    key,
    tree::{AppendError, Tree},
};

/// The notary's files.
pub(super) struct Desk {
    pub(super) folder: PathBuf,
    pub(super) anchor: Arc<Anchor>,
    pub(super) era: Era,
    /// The newest tree that may have been signed.
    pub(super) head: Option<Root>,
    /// None until there are files that it can be in.
    pub(super) tree: Option<Tree>,
}

/// Why the notary does not get on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Its files, or the anchor, cannot be read or written.
    #[error("the notary's files cannot be used: {0}")]
    Files(#[from] io::Error),
    /// The log does not give what is next.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No audit key is in force.
    #[error("no audit key is in force")]
    NoKey,
    /// The checkpoint cannot be made.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The key did not sign.
    #[error("the checkpoint was not signed: {0}")]
    NotSigned(String),
    /// There is another tree of this size, or a larger one, that may have been signed. That is final.
    #[error("a tree of {kept} entries was kept, and the log now gives another one of {found}")]
    Conflict { kept: u64, found: u64 },
    /// The log was found to be older than what was signed.
    #[error("nothing more is signed")]
    Closed,
}

impl Desk {
    /// How far the tree got.
    pub(super) fn size(&self) -> u64 {
        self.tree.as_ref().map_or(0, Tree::size)
    }

    fn tree(&mut self) -> io::Result<&mut Tree> {
        if self.tree.is_none() {
            self.tree = Some(Tree::empty(Arc::new(Hashes::open(&self.folder)?)));
        }
        self.tree.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes up entries. A tree that is made anew has to come by the one that may have been signed.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), Trouble> {
        let Some(kept) = self.head else { return Ok(self.tree()?.append(entries)?) };
        let before = usize::try_from(kept.size.saturating_sub(self.size())).unwrap_or(usize::MAX);
        let (upto, beyond) = entries.split_at(before.min(entries.len()));
        if !upto.is_empty() {
            let tree = self.tree()?;
            tree.append(upto)?;
            let found = tree.root();
            if found.size == kept.size && found != kept {
                return Err(Trouble::Conflict { kept: kept.size, found: found.size });
            }
        }
        Ok(self.tree()?.append(beyond)?)
    }

    /// Gives the tree up, which is made anew from the log then.
    pub(super) fn forget_tree(&mut self) {
        self.tree = None;
    }

    /// Signs the tree as it is: hashes, then head, then signature, then anchor, each durable before the next.
    pub(super) fn sign(&mut self, ring: &KeyRing, now: Timestamp) -> Result<Noted, Trouble> {
        let tree = self.tree()?;
        let root = tree.root();
        tree.sync()?;
        let hashes = tree.hashes().clone();
        self.keep(root)?;
        let issuer = &ring.realm().issuer;
        let key = ring.audit_key(now).and_then(|key| key::log_key(issuer, key)).ok_or(Trouble::NoKey)?;
        let signature = |message: &[u8]| ring.sign_audit(message, now).map(|signed| signed.signature);
        let signed = Checkpoint::new(&key::origin(issuer), root, self.era)?.sign(&key, signature);
        let signed = signed.map_err(|error| Trouble::NotSigned(error.to_string()))?;
        if self.anchor.replace(signed.note())? {
            Ok(Noted { signed, key, hashes })
        } else {
            Err(Trouble::Closed)
        }
    }

    /// Makes this tree the one that may be signed. INVARIANT (one tree of a size).
    fn keep(&mut self, root: Root) -> Result<(), Trouble> {
        let written = match head::read(&self.folder) {
            Ok(head) => head.filter(|head| head.era == self.era).map(|head| head.root),
            Err(HeadError::Io(error)) => return Err(error.into()),
            // What was written is known here.
            Err(HeadError::Damaged) => None,
        };
        for kept in [written, self.head].into_iter().flatten() {
            if kept.size > root.size || (kept.size == root.size && kept != root) {
                return Err(Trouble::Conflict { kept: kept.size, found: root.size });
            }
        }
        if written != Some(root) {
            head::write(&self.folder, &Head { era: self.era, root })?;
        }
        self.head = Some(root);
        Ok(())
    }
}
