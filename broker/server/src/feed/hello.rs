//! What a stream begins with: whose log the verifier knows, up to where, and what it gets to begin with.

use std::sync::Arc;

use daypass_credential::{Era, Revision};
use daypass_log::{Checkpoint, Hash};

use super::{
    Process, Tip,
    keys::digest_of_point,
    snapshot::{self, Taken},
};
use crate::{broker::Broker, call::Call, notary::Continued, refusal::Refusal};

/// The first that a verifier says.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    /// The last place that it knows.
    pub(crate) known: Option<Known>,
    /// It wants a snapshot.
    pub(crate) snapshot: bool,
    /// The newest checkpoint that it knows, as a note; empty if none.
    pub(crate) checkpoint: String,
    /// The uncompressed point of its identity's key.
    pub(crate) key: Vec<u8>,
    /// It checks nothing by what it is sent.
    pub(crate) observing: bool,
    /// Which process of the identity it is; none if it does not say.
    pub(crate) process: Option<Process>,
}

/// A place in the log of an era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) era: Era,
    pub(crate) at: Tip,
}

/// What a stream begins with.
pub(super) struct Opening {
    pub(super) begin: Begin,
    /// The newest checkpoint, and how it continues the one that is known; none if nothing was signed yet.
    pub(super) checkpoint: Option<Continued>,
}

pub(super) enum Begin {
    Snapshot(Arc<Taken>),
    /// It goes on from the place that was named.
    Resumed(Tip),
}

/// Judges a hello. INVARIANT (nothing is told by an older log): whatever the verifier knows of this era, the log holds it,
/// and was followed that far.
pub(super) async fn open(broker: &Arc<Broker>, call: &Call, hello: &Hello) -> Result<Opening, Refusal> {
    if digest_of_point(&hello.key) != call.caller.key {
        return Err(Refusal::bad("hello.public_key", "it is not the key of the certificate shown"));
    }
    let ours = hello.known.filter(|known| known.era == broker.era).map(|known| known.at);
    let (checkpoint, signed) = checkpoint(broker, hello).await?;
    if let Some(known) = ours {
        is_in_log(broker, call, known).await?;
    }
    let head = broker.store.head().borrow().revision;
    let least = head.max(signed);
    broker.feed.followed(least).await?;
    let covered = |at: &Tip| broker.feed.recent(|recent| recent.covers(before(at.revision)));
    let begin = match ours.filter(|at| !hello.snapshot && covered(at)) {
        Some(at) => Begin::Resumed(at),
        None => {
            Begin::Snapshot(snapshot::take(broker, ours.map_or(signed, |at| at.revision.max(signed))).await?)
        }
    };
    Ok(Opening { begin, checkpoint })
}

/// The newest checkpoint with the proof that it continues what is known, and the size of that. One of another era shows
/// nothing here: its verifier gets all keys anew, and judges that by itself.
async fn checkpoint(broker: &Arc<Broker>, hello: &Hello) -> Result<(Option<Continued>, Revision), Refusal> {
    let elsewhere = hello.known.is_some_and(|known| known.era != broker.era);
    if hello.checkpoint.is_empty() || elsewhere {
        let noted = broker.notary.at_hand();
        return Ok((noted.map(|noted| Continued { noted, consistency: Vec::new() }), Revision::ZERO));
    }
    let continued = broker.checkpoint(&hello.checkpoint).await.map_err(|refusal| match refusal {
        Refusal::BadRequest { why, .. } => Refusal::bad("hello.checkpoint", why),
        other => other,
    })?;
    let keys = crate::notary::every_log_key(broker.keys.now().ring());
    let known = Checkpoint::open(hello.checkpoint.as_bytes(), &keys).map_err(Refusal::internal)?;
    Ok((Some(continued), Revision::new(known.checkpoint().root().size)))
}

/// Is this place in the log? One that is not shows that the store was put back, or that the verifier was told lies:
/// somebody has to look.
async fn is_in_log(broker: &Broker, call: &Call, known: Tip) -> Result<(), Refusal> {
    let head = broker.store.head().borrow().revision;
    let refusal = if known.revision > head {
        Refusal::PlaceAhead { known: known.revision, head }
    } else if leaf_at(broker, known.revision).await? == Some(known.leaf) {
        return Ok(());
    } else {
        Refusal::PlaceUnknown { known: known.revision }
    };
    let (verifier, identity) = (&call.caller.subject.name, &call.caller.identity);
    tracing::error!(
        %verifier, %identity, known = %known.revision, %head,
        "a verifier knows a log that this one does not continue: was the store put back? compare with `daypass audit verify`"
    );
    Err(refusal)
}

/// The hash of the leaf of a revision; none if the log has no such revision.
pub(super) async fn leaf_at(broker: &Broker, revision: Revision) -> Result<Option<Hash>, Refusal> {
    if revision == Revision::ZERO {
        return Ok(None);
    }
    let entry = broker.store.log(before(revision), 1).await?.pop();
    Ok(entry.filter(|entry| entry.revision == revision).map(|entry| Hash::leaf(&entry.event)))
}

/// The revision before.
pub(super) fn before(revision: Revision) -> Revision {
    Revision::new(revision.get().saturating_sub(1))
}
