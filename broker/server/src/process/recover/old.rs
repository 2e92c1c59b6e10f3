//! The old era: its log read once from end to end, for the directory that it leaves, its tree's head, and how that
//! stands to the newest checkpoint known.

use daypass_core::{
    Node, PrivateId, TextRef,
    carrying::carried,
    event::{Previous, TreeHead},
};
use daypass_credential::{Digest, Revision};
use daypass_log::{Frontier, Root};
use daypass_store::{Fold, Store, StoreError};
use zeroize::Zeroizing;

use super::{
    super::{
        command::Failure,
        progress::Progress,
        start::{Begun, notary_place},
    },
    REMAINS,
};
use crate::{config::Config, notary};

/// How many entries are read at once.
const PAGE: usize = 1024;

/// What is left of the old era.
pub(crate) struct Old {
    /// Its head, and what was known beyond that.
    pub(crate) previous: Previous,
    /// Every node of it, as its log leaves them.
    pub(crate) nodes: Vec<Node>,
    /// What the operator has to hear besides.
    pub(crate) remarks: Vec<String>,
}

impl Old {
    /// Reads the log, which is the truth: the nodes are taken from it, and not from beside it.
    pub(super) async fn read(store: &dyn Store, config: &Config, begun: &Begun) -> Result<Self, Failure> {
        // What cannot be used does not stop a recovery: it is the way out.
        let place = notary_place(config);
        let (known, unusable) = notary::trees(&place, &begun.realm.issuer, begun.era, begun.previous);
        let mut remarks: Vec<_> = unusable.into_iter().map(|why| format!("{why}; it was left out")).collect();
        let head = store.head().borrow().revision;
        let mut progress = Progress::new("read", head.get(), "events");
        let (mut fold, mut tree) = (Fold::default(), Frontier::new());
        let mut there = Vec::new();
        while fold.head() < head {
            let unreadable = |error| unreadable(fold.head(), error);
            let entries = store.log(fold.head(), PAGE).await.map_err(unreadable)?;
            if entries.is_empty() {
                return Err(unreadable(StoreError::Damaged("it breaks off".to_owned())));
            }
            for entry in &entries {
                let before = fold.head();
                fold.apply(entry).map_err(|error| self::unreadable(before, error))?;
                tree.append(&entry.event);
                if known.iter().any(|known| known.size == tree.size()) {
                    there.push(tree.root());
                }
            }
            progress.at(fold.head().get());
        }
        let nodes: Vec<Node> = fold.nodes().map(|stored| stored.node.clone()).collect();
        if !same_nodes(store, &fold).await? {
            remarks.push(
                "the nodes beside the log were not what it leaves; they were taken from the log".into(),
            );
        }
        match lost(store, &nodes).await? {
            0 => {}
            lost => {
                remarks
                    .push(format!("of the texts beside the log {lost} cannot be read; they were left out"));
            }
        }
        let root = tree.root();
        let beyond = known.iter().filter(|known| known.size > 0 && !there.contains(known));
        let known = beyond.max_by_key(|known| known.size).map(tree_head);
        let previous = Previous { era: begun.era, head: tree_head(&root), known };
        Ok(Self { previous, nodes, remarks })
    }

    /// How many come over of each kind, and how many vendors are suspended.
    pub(super) fn counts(&self) -> (Vec<(&'static str, usize)>, usize) {
        let puts = carried(&self.nodes);
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for put in &puts {
            let kind = put.node.id().kind.as_str();
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        let suspended = puts.iter().filter(|put| put.node.life == daypass_core::Life::Suspended).count();
        (counts, suspended)
    }
}

fn unreadable(after: Revision, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    let text = format!("nothing was changed: the log cannot be read after revision {after}; {REMAINS}");
    Failure::work(text, error)
}

/// Are the stored nodes those that the log leaves?
async fn same_nodes(store: &dyn Store, fold: &Fold) -> Result<bool, Failure> {
    let failed = |error| Failure::work("cannot read the nodes", error);
    let ids: Vec<_> = fold.nodes().map(|stored| stored.node.id()).collect();
    for (ids, left) in ids.chunks(PAGE).zip(fold.nodes().collect::<Vec<_>>().chunks(PAGE)) {
        let stored = store.nodes(ids).await.map_err(failed)?;
        if stored.iter().zip(left).any(|(stored, left)| stored.as_deref() != Some(*left)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tree_head(root: &Root) -> TreeHead {
    TreeHead { size: Revision::new(root.size), root: Digest::new(*root.hash.as_bytes()) }
}

/// The bytes of a text beside the log, if they are there and those that the log speaks of. What is lost stops no recovery.
pub(super) async fn private(
    store: &dyn Store,
    text: TextRef,
) -> Result<Option<(PrivateId, Zeroizing<Vec<u8>>)>, Failure> {
    Ok(beside(store, text).await?.unwrap_or_default().map(|bytes| (text.id, bytes)))
}

/// What lies beside the log for this text; nothing where it was erased. A value that is damaged, or another one, is lost.
async fn beside(
    store: &dyn Store,
    text: TextRef,
) -> Result<Result<Option<Zeroizing<Vec<u8>>>, Lost>, Failure> {
    match store.private(text.id).await {
        Ok(None) => Ok(Ok(None)),
        Ok(Some(bytes)) if daypass_issuer::digest(&bytes) == text.hash => Ok(Ok(Some(bytes))),
        Ok(Some(_)) | Err(StoreError::Damaged(_)) => Ok(Err(Lost)),
        Err(error) => Err(Failure::work("cannot read what lies beside the log", error)),
    }
}

struct Lost;

/// How many texts of the directory are lost.
async fn lost(store: &dyn Store, nodes: &[Node]) -> Result<usize, Failure> {
    let mut lost = 0;
    for text in nodes.iter().filter_map(|node| node.body.free_text()) {
        lost += usize::from(beside(store, text).await?.is_err());
    }
    Ok(lost)
}
