//! The look at a start: is this log the one that was signed? It reads the anchor, the head and the end of the tree;
//! only where the tree's files do not fit is the whole log hashed.

use std::collections::HashMap;

use daypass_credential::Revision;
use daypass_log::{Checkpoint, CheckpointError, Frontier, Hash, Root, Tile, TileSource, TilesError};
use daypass_store::{Store, StoreError};

use super::{
    Noted, Place, Subject,
    anchor::{self, AnchorError, Kept},
    hashes::{Hashes, WIDTH},
    head::{self, Head, HeadError},
    judge::{Known, Log, Verdict, judge},
    key,
    tree::Tree,
};

/// Why a log is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It is not what was signed, or nobody can tell.
    #[error("{0}")]
    NotTheNewest(String),
    /// The notary's files cannot be read.
    #[error("the notary's files cannot be read")]
    Files(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
}

/// How many entries are read at once.
pub(super) const PAGE: usize = 512;

/// Where the notary got to.
pub(super) struct Start {
    /// The newest tree that may have been signed.
    pub(super) head: Option<Root>,
    /// If its files can be gone on with.
    pub(super) tree: Option<Tree>,
    /// The checkpoint of the anchor: good to be shown until there is a newer one, also if none can be written.
    pub(super) anchored: Option<Noted>,
}

/// Looks where the notary got to.
pub(super) async fn check(
    place: &Place,
    subject: &Subject<'_>,
    store: &dyn Store,
) -> Result<Start, StartError> {
    let origin = key::origin(subject.issuer);
    let size = store.head().borrow().revision.get();
    let log = Log { origin: &origin, era: subject.era, previous: subject.previous, size };
    let anchor = read_anchor(place)?;
    let head = read_head(place, anchor.is_some())?;
    let known_head = head.map(|head| Known { origin: None, era: Some(head.era), root: head.root });
    let known_anchor = anchor.as_ref().map(|kept| known(&kept.says));

    let mut tree = match known_head.as_ref().and_then(|known| within(known, &log)) {
        Some(root) => take_up(place, &root, store).await?,
        None => None,
    };
    let may_be = [&known_head, &known_anchor].into_iter().flatten().filter_map(|known| within(known, &log));
    let may_be: Vec<Root> = may_be.collect();
    let sizes: Vec<u64> = may_be.iter().map(|root| root.size).collect();
    let mut found = roots(tree.as_ref(), &sizes, store).await?;
    if tree.is_some() && may_be.iter().any(|known| found.get(&known.size) != Some(known)) {
        // Another log, or files that are damaged where nobody looked: that is for the log to say, and not for them.
        tracing::warn!(
            "the notary's tree does not give the roots that were signed, and is made anew from the log"
        );
        tree = None;
        found = roots(None, &sizes, store).await?;
    }
    let look = Look { log, roots: found };

    let note = anchor.as_ref().map(|kept| kept.note.as_slice()).unwrap_or_default();
    let what = format!("the anchor `{}`", place.anchor.display());
    let anchored = look.at(known_anchor, &what, || Checkpoint::open(note, subject.keys).map(drop))?;
    let what = format!("`{}`", place.folder.join("head").display());
    let noted = look.at(known_head, &what, || Ok(()))?;
    if anchored == Verdict::Begins && noted == Verdict::Continues {
        tracing::warn!(anchor = %place.anchor.display(), "the anchor was missing, and is made anew");
    }
    // A new log is its first event.
    if anchored == Verdict::Begins && noted == Verdict::Begins && size > 1 {
        tracing::warn!(
            anchor = %place.anchor.display(),
            revision = size,
            "nothing is known of what was signed of this log before: it is taken as it is, and anchored from here on"
        );
    }
    let head = head.filter(|_| noted == Verdict::Continues).map(|head| head.root);
    let anchored = (anchored == Verdict::Continues).then(|| shown(note, subject, tree.as_ref())).flatten();
    Ok(Start { head, tree, anchored })
}

/// The anchor's checkpoint with the tree that it is of, where the files hold that.
fn shown(note: &[u8], subject: &Subject<'_>, tree: Option<&Tree>) -> Option<Noted> {
    let opened = |key| Some((Checkpoint::open(note, std::slice::from_ref(key)).ok()?, key.clone()));
    let (signed, key) = subject.keys.iter().find_map(opened)?;
    let tree = tree.filter(|tree| tree.size() >= signed.checkpoint().root().size)?;
    Some(Noted { signed, key, hashes: tree.hashes().clone() })
}

/// The log, with its roots at the sizes that were known of it.
struct Look<'a> {
    log: Log<'a>,
    roots: HashMap<u64, Root>,
}

impl Look<'_> {
    /// Judges what is known by `what`, and passes only what can be served.
    fn at(
        &self,
        known: Option<Known<'_>>,
        what: &str,
        signed: impl FnOnce() -> Result<(), CheckpointError>,
    ) -> Result<Verdict, StartError> {
        let there = |size: u64| self.roots.get(&size).copied().ok_or(());
        let verdict = judge(known.as_ref(), &self.log, signed, there);
        let verdict =
            verdict.map_err(|()| StartError::NotTheNewest("the log ends while it is read".to_owned()))?;
        serveable(&verdict, &self.log, what)?;
        Ok(verdict)
    }
}

/// What is known, if this log may have been that.
fn within(known: &Known<'_>, log: &Log<'_>) -> Option<Root> {
    (known.era == Some(log.era) && known.root.size <= log.size).then_some(known.root)
}

fn known(says: &Checkpoint) -> Known<'_> {
    Known { origin: Some(says.origin()), era: says.era(), root: says.root() }
}

fn read_anchor(place: &Place) -> Result<Option<Kept>, StartError> {
    anchor::read(&place.anchor).map_err(|error| match error {
        AnchorError::Damaged(_) => StartError::NotTheNewest(format!("{error}: {MEND}")),
        AnchorError::Io { .. } => StartError::Files(error.into()),
    })
}

fn read_head(place: &Place, anchored: bool) -> Result<Option<Head>, StartError> {
    match head::read(&place.folder) {
        Err(error @ HeadError::Io(_)) => Err(StartError::Files(error.into())),
        // What the anchor says is enough to tell the log by.
        Err(error @ HeadError::Damaged) if anchored => {
            tracing::warn!(%error, "the notary makes it anew");
            Ok(None)
        }
        Err(error @ HeadError::Damaged) => Err(StartError::NotTheNewest(format!("{error}: {MEND}"))),
        Ok(head) => Ok(head),
    }
}

/// What to do where something is not what was written.
const MEND: &str = "put back what was there, or run `daypassd recover`, which begins a new era";

/// Passes what can be served, and says why something cannot.
fn serveable(verdict: &Verdict, log: &Log<'_>, what: &str) -> Result<(), StartError> {
    let recover = "find the newest store, or run `daypassd recover`, which begins a new era";
    let text = match verdict {
        Verdict::Begins | Verdict::Continues | Verdict::Superseded => return Ok(()),
        Verdict::Shorter { known, found } => format!(
            "the store is older than what was signed: it ends at revision {found}, and {what} knows of revision {known}; \
             {recover}"
        ),
        Verdict::Differs { at } => format!(
            "the store is not the one that was signed: up to revision {at}, which {what} knows of, it is another log; \
             {recover}"
        ),
        Verdict::Foreign => {
            format!("{what} is another broker's: name the right `data_dir` and `anchor_file`")
        }
        Verdict::OtherEra { known } => {
            let known = known.map_or_else(|| "none".to_owned(), |era| era.to_string());
            format!("{what} is of era {known}, and the store is of era {}: {recover}", log.era)
        }
        Verdict::Forged(error) => format!("{what} is not signed by this log's key ({error}): {MEND}"),
    };
    Err(StartError::NotTheNewest(text))
}

/// The tree in the files, if it is this one and its end is the log's.
async fn take_up(place: &Place, root: &Root, store: &dyn Store) -> Result<Option<Tree>, StartError> {
    let resumed = Hashes::open(&place.folder).map_err(TilesError::Source);
    let resumed = resumed.and_then(|hashes| Tree::resume(hashes.into(), root));
    let fits = match resumed {
        Ok(Some(tree)) if ends_as(&tree, store).await? => Some(tree),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "the notary's files cannot be used");
            None
        }
    };
    if fits.is_none() {
        tracing::warn!(size = root.size, "the notary's tree does not fit, and is made anew from the log");
    }
    Ok(fits)
}

/// Are the leaves of the last bundle those of the log? A log that parted from the signed one anywhere before differs
/// there as well.
async fn ends_as(tree: &Tree, store: &dyn Store) -> Result<bool, StartError> {
    let Some(last) = tree.size().checked_sub(1) else { return Ok(true) };
    let (bundle, width) = (last / WIDTH, last % WIDTH + 1);
    let entries = store.log(Revision::new(bundle * WIDTH), usize::try_from(width).unwrap_or(PAGE)).await?;
    let leaves: Vec<Hash> = entries.iter().map(|entry| Hash::leaf(&entry.event)).collect();
    let tile = u16::try_from(width).ok().and_then(|width| Tile::new(0, bundle, width).ok());
    Ok(tile.and_then(|tile| tree.hashes().tile(tile).ok()).is_some_and(|there| there == leaves))
}

/// The log's roots at these sizes, none of which is beyond its end.
async fn roots(
    tree: Option<&Tree>,
    sizes: &[u64],
    store: &dyn Store,
) -> Result<HashMap<u64, Root>, StartError> {
    let mut found = HashMap::new();
    for size in sizes {
        let tree = tree.filter(|tree| *size <= tree.size());
        if let Some(root) = tree.and_then(|tree| tree.hashes().root_at(*size).ok()) {
            found.insert(*size, root);
        }
    }
    let missing: Vec<u64> = sizes.iter().copied().filter(|size| !found.contains_key(size)).collect();
    if let Some(last) = missing.iter().copied().max() {
        found.extend(counted(&missing, last, store).await?);
    }
    Ok(found)
}

/// The log's root at this size, by the log alone; none where it ends before.
pub(super) async fn counted_root(size: u64, store: &dyn Store) -> Result<Option<Root>, StoreError> {
    Ok(counted(&[size], size, store).await?.remove(&size))
}

/// The same from the log's beginning on, up to the last of them.
async fn counted(sizes: &[u64], last: u64, store: &dyn Store) -> Result<HashMap<u64, Root>, StoreError> {
    let mut found = HashMap::from([(0, Root::empty())]);
    let mut frontier = Frontier::new();
    while frontier.size() < last {
        let entries = store.log(Revision::new(frontier.size()), PAGE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            frontier.append(&entry.event);
            if sizes.contains(&frontier.size()) {
                found.insert(frontier.size(), frontier.root());
            }
        }
    }
    Ok(found)
}
