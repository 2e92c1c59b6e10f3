//! An event, shown to be in the log.

use bytes::Bytes;
use daypass_credential::Revision;
use daypass_log::{
    Hash, SignedCheckpoint,
    proof::{ProofError, check_inclusion},
};
use daypass_proto::v1::{self, audit_service_client::AuditServiceClient};

use super::{LogFault, hashes};
use crate::{Connection, Error, retry::Repeat};

/// An event, and what shows that it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its number.
    pub revision: Revision,
    /// Its exact bytes.
    pub event: Bytes,
    /// The audit path (RFC 6962, section 2.1.1), lowest hash first. The leaf's index is the revision minus one.
    pub path: Vec<Hash>,
    /// The checkpoint of the log that it is in.
    pub checkpoint: SignedCheckpoint,
}

impl Connection {
    /// An event, shown to be in the log of a checkpoint that continues the one known here. For admins and auditors; for
    /// others what they minted themselves.
    ///
    /// # Errors
    /// [`Error::Log`] if it is not shown; else see [`Error`].
    pub async fn prove(&self, revision: Revision) -> Result<Proven, Error> {
        let request = v1::ProveEventRequest { revision: revision.get() };
        let send = |channel| async move { AuditServiceClient::new(channel).prove_event(request).await };
        let answer = self.call(Repeat::Harmless, send).await?;
        let path = hashes(&answer.inclusion)?;
        let known = match self.known_log()? {
            Some(known) => known,
            None => self.checkpoint().await?,
        };
        let checkpoint = known.open(&answer.checkpoint).map_err(|fault| self.ask().fault(fault))?;
        is_in(revision, &answer.event, &path, &checkpoint).map_err(|fault| self.ask().fault(fault))?;
        self.expect(&checkpoint).await?;
        Ok(Proven { revision, event: answer.event, path, checkpoint })
    }

    /// Refuses a checkpoint of the log that is not part of the history known here.
    async fn expect(&self, checkpoint: &SignedCheckpoint) -> Result<(), Error> {
        for _ in 0..TURNS {
            let known = self.checkpoint().await?;
            let theirs = known.with(checkpoint);
            if theirs.root() == known.root() {
                return Ok(());
            }
            // From either side the log is shown to grow into one tree; if it grew in between, once more.
            if self.checkpoint_after(&theirs).await?.root() == known.root() {
                return Ok(());
            }
        }
        Err(Error::Unable("compare two checkpoints: the log grows faster than it can be asked about"))
    }
}

fn is_in(
    revision: Revision,
    event: &[u8],
    path: &[Hash],
    checkpoint: &SignedCheckpoint,
) -> Result<(), LogFault> {
    let root = checkpoint.checkpoint().root();
    // There is no revision 0, and so nothing before the first leaf.
    let none = LogFault::Proof(ProofError::OutOfRange { index: 0, size: root.size });
    let index = revision.get().checked_sub(1).ok_or(none)?;
    check_inclusion(Hash::leaf(event), index, path, &root).map_err(LogFault::Proof)
}

/// How often the log may have grown between two questions.
const TURNS: u32 = 8;
