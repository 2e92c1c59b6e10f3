//! Proofs: that the log only grew since somebody saw it, and that an event is in it.

use std::sync::Arc;

use daypass_core::{Action, Denial, Event, authority::may_list};
use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_log::{Checkpoint, CheckpointError, Hash, NoteError, SignedCheckpoint, proof};
use daypass_store::Entry;

use super::{Noted, check::counted_root, hashes::Hashes, key};
use crate::{broker::Broker, call::Call, refusal::Refusal};

/// A checkpoint, and the proof that it continues another.
pub(crate) struct Continued {
    pub(crate) noted: Arc<Noted>,
    pub(crate) consistency: Vec<Hash>,
}

/// An event, and the proof that the log of the checkpoint holds it.
pub(crate) struct Proven {
    pub(crate) noted: Arc<Noted>,
    pub(crate) inclusion: Vec<Hash>,
    pub(crate) entry: Entry,
}

impl Broker {
    /// The newest checkpoint, and how it continues the one that the caller knows; an empty text if they know none.
    /// A checkpoint of this log's own that the log does not hold shows that the store was put back.
    pub(crate) async fn checkpoint(self: &Arc<Self>, known: &str) -> Result<Continued, Refusal> {
        if known.is_empty() {
            return Ok(Continued { noted: self.notary.newest().await?, consistency: Vec::new() });
        }
        let known = self.own_checkpoint(known)?;
        let root = known.checkpoint().root();
        let head = self.store.head().borrow().revision.get();
        if root.size > head {
            return Err(self.older(&known, &format!("the log ends at revision {head}")).await);
        }
        let noted = self.notary.covering(root.size).await?;
        let (from, to) = (root.size, noted.root().size);
        let read = at(&noted, move |hashes| {
            let consistency = if from == 0 || from == to {
                Vec::new()
            } else {
                proof::consistency(hashes, from, to).ok()?
            };
            Some((hashes.root_at(from).ok()?, consistency))
        })
        .await?;
        let Some((there, consistency)) = read else { return Err(self.notary.doubt()) };
        if there != root {
            return Err(self.clone().contradicted(known).await);
        }
        let proves = from == 0 || proof::check_consistency(&root, &noted.root(), &consistency).is_ok();
        if proves { Ok(Continued { noted, consistency }) } else { Err(self.notary.doubt()) }
    }

    /// The tree's files do not give a root that was signed. INVARIANT (only the log speaks against itself): files that
    /// can be made anew show nothing, so that the log is read to its end, also for somebody who no longer waits.
    async fn contradicted(self: Arc<Self>, known: SignedCheckpoint) -> Refusal {
        let Ok(place) = self.notary.counting.clone().try_acquire_owned() else {
            return Refusal::Busy { retry_after: super::RETRY_AFTER };
        };
        let counted = tokio::spawn(async move {
            let _place = place;
            let root = known.checkpoint().root();
            match counted_root(root.size, &*self.store).await {
                Ok(Some(there)) if there == root => self.notary.doubt(),
                Ok(_) => self.older(&known, "the log is another one up to there").await,
                Err(error) => error.into(),
            }
        });
        counted.await.unwrap_or_else(Refusal::internal)
    }

    /// The checkpoint in this note, if this log signed it in this era.
    fn own_checkpoint(&self, note: &str) -> Result<SignedCheckpoint, Refusal> {
        let keys = self.keys.now();
        let known =
            Checkpoint::open(note.as_bytes(), &key::all(keys.ring())).map_err(|error| match error {
                CheckpointError::Origin(_)
                | CheckpointError::Note(NoteError::Untrusted | NoteError::Wrong(_) | NoteError::Twice(_)) => {
                    Refusal::CheckpointUnknown
                }
                other => Refusal::bad("known", other),
            })?;
        let ours = known.checkpoint().era() == Some(self.era);
        if ours { Ok(known) } else { Err(Refusal::CheckpointUnknown) }
    }

    /// Refuses everything from now on.
    async fn older(&self, known: &SignedCheckpoint, found: &str) -> Refusal {
        let size = known.checkpoint().root().size;
        let why = format!(
            "the store is older than what was signed: somebody showed a checkpoint of revision {size} with this log's own \
             signature, and {found}; find the newest store, or run `daypassd recover`, which begins a new era"
        );
        tracing::error!(why, "everything is refused from now on");
        self.notary.refuse_for(why, known.note()).await;
        Refusal::LogOlder
    }

    /// An event with its proof: for admins and auditors, and for whom a credential was minted.
    pub(crate) async fn prove_event(&self, call: &Call, revision: Revision) -> Result<Proven, Refusal> {
        let unknown = || Refusal::from(Denial::UnknownNode { node: NodeId::credential(revision) });
        let before = revision.get().checked_sub(1).ok_or_else(unknown)?;
        let entry = self.store.log(Revision::new(before), 1).await?.pop().ok_or_else(unknown)?;
        let mut facts = call.facts.clone();
        match self.decide(&mut facts, |facts| may_list(facts, &call.caller)).await {
            Ok(()) => {}
            Err(Refusal::Denied(Denial::NotAllowed))
                if subject(&entry.event)? == Some(call.caller.subject.clone()) => {}
            Err(Refusal::Denied(Denial::NotAllowed)) => return Err(unknown()),
            Err(other) => return Err(other),
        }
        self.under_checkpoint(entry).await
    }

    /// An event with its proof, for the broker itself.
    pub(crate) async fn proven(&self, revision: Revision) -> Result<Proven, Refusal> {
        let missing = || Refusal::internal(format!("the log has no revision {revision}"));
        let before = revision.get().checked_sub(1).ok_or_else(missing)?;
        let entry = self.store.log(Revision::new(before), 1).await?.pop().ok_or_else(missing)?;
        self.under_checkpoint(entry).await
    }

    /// The proof that a signed checkpoint holds this entry.
    async fn under_checkpoint(&self, entry: Entry) -> Result<Proven, Refusal> {
        let before = entry.revision.get().saturating_sub(1);
        let noted = self.notary.covering(entry.revision.get()).await?;
        let size = noted.root().size;
        let inclusion = at(&noted, move |hashes| proof::inclusion(hashes, before, size).ok()).await?;
        let leaf = Hash::leaf(&entry.event);
        let proves = |path: &Vec<Hash>| proof::check_inclusion(leaf, before, path, &noted.root()).is_ok();
        match inclusion.filter(proves) {
            Some(inclusion) => Ok(Proven { noted, inclusion, entry }),
            None => Err(self.notary.doubt()),
        }
    }
}

/// For whom a credential was minted by this event; nobody, if none was.
fn subject(event: &[u8]) -> Result<Option<NodeId>, Refusal> {
    Ok(match Event::from_bytes(event).map_err(Refusal::internal)?.action {
        Action::CertificateMinted(record) | Action::Enrolled(record) | Action::Renewed(record) => {
            Some(record.subject)
        }
        Action::TokenMinted(record) => Some(NodeId::new(NodeKind::Application, record.application)),
        _ => None,
    })
}

/// Reads the tree, which may wait for a disk.
async fn at<T: Send + 'static>(
    noted: &Noted,
    read: impl FnOnce(&Hashes) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let hashes = noted.hashes.clone();
    tokio::task::spawn_blocking(move || read(&hashes)).await.map_err(Refusal::internal)
}
