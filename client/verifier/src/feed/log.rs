//! Checkpoints: each has to extend the one before, so that whoever holds one would see that the log was changed.

use daypass_log::{Checkpoint, Hash, SignedCheckpoint, proof::check_consistency};

use super::FeedError;
use crate::Bundle;

/// The checkpoint in this note, if the log signed it in this era and it extends what was known.
pub(super) fn follow(
    known: Option<&SignedCheckpoint>,
    bundle: &Bundle,
    note: &[u8],
    proof: &[Hash],
) -> Result<SignedCheckpoint, FeedError> {
    let signed = Checkpoint::open(note, bundle.log_keys())?;
    if signed.checkpoint().era() != Some(bundle.era()) {
        return Err(FeedError::CheckpointEra);
    }
    if let Some(known) = known {
        check_consistency(&known.checkpoint().root(), &signed.checkpoint().root(), proof)?;
    }
    Ok(signed)
}
