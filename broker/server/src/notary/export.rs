//! The export of the log, piece by piece, in memory that does not depend on its size.

use std::sync::Arc;

use daypass_credential::Revision;
use daypass_log::{
    Tile, TileSource,
    export::{Step, Walk, entry_line, header_line, tile_line},
};
use daypass_store::Store;
use tokio::sync::OwnedSemaphorePermit;

use super::{Notary, Noted};
use crate::refusal::Refusal;

/// An export under way. It is of the log up to the newest checkpoint when it began.
pub(crate) struct Export {
    noted: Arc<Noted>,
    store: Arc<dyn Store>,
    walk: Walk,
    /// What was made and not handed out.
    ahead: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

/// The largest piece, in bytes.
const PIECE: usize = 64 * 1024;

impl Notary {
    /// Begins an export, if there is a place for one.
    pub(crate) async fn export(&self, store: Arc<dyn Store>) -> Result<Export, Refusal> {
        let busy = |_| Refusal::Busy { retry_after: super::RETRY_AFTER };
        let place = self.exports.clone().try_acquire_owned().map_err(busy)?;
        let noted = self.newest().await?;
        let (walk, ahead) = (Walk::new(noted.root().size), header_line(noted.signed()));
        Ok(Export { noted, store, walk, ahead, _place: place })
    }
}

impl Export {
    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        while self.ahead.len() < PIECE
            && let Some(step) = self.walk.next()
        {
            match step {
                Step::Tile(tile) => self.tile(tile).await?,
                Step::Entries(range) => self.entries(range.start, range.end - range.start).await?,
            }
        }
        let rest = self.ahead.split_off(self.ahead.len().min(PIECE));
        let piece = std::mem::replace(&mut self.ahead, rest);
        Ok((!piece.is_empty()).then_some(piece))
    }

    async fn tile(&mut self, tile: Tile) -> Result<(), Refusal> {
        let hashes = self.noted.hashes.clone();
        let read = tokio::task::spawn_blocking(move || hashes.tile(tile)).await.map_err(Refusal::internal)?;
        self.ahead.extend_from_slice(&tile_line(tile, &read.map_err(Refusal::internal)?));
        Ok(())
    }

    /// The entries of one bundle: 256 at the most.
    async fn entries(&mut self, after: u64, count: u64) -> Result<(), Refusal> {
        let limit = usize::try_from(count).map_err(Refusal::internal)?;
        let entries = self.store.log(Revision::new(after), limit).await?;
        if entries.len() != limit {
            return Err(Refusal::internal(format!("the log has no {count} entries after revision {after}")));
        }
        for entry in &entries {
            let line = entry_line(&entry.event);
            let unfit = || Refusal::internal(format!("event {} is no line", entry.revision));
            self.ahead.extend_from_slice(line.ok_or_else(unfit)?);
            self.ahead.push(b'\n');
        }
        Ok(())
    }
}
