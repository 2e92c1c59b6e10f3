//! The broker's log, as far as it can be checked from here: its newest checkpoint, which has to continue the last one that
//! was seen; proofs that an event is in it; and all of it as an export.
//!
//! What a connection demands of each new way to the broker (`link.rs`) is [`follow`]: a broker that was put back from a
//! backup, or replaced, cannot show a log that continues the one that is known, and gets no call.

mod export;
mod fault;
mod follow;
mod known;
mod memory;
mod prove;
#[cfg(test)]
pub(crate) mod tests;

pub use export::Export;
pub use fault::LogFault;
pub(crate) use follow::{Ask, follow};
pub use known::KnownLog;
pub(crate) use memory::{Memory, forget_others, read};
pub use prove::Proven;

use daypass_log::{Hash, VerifierKey};
use daypass_proto::v1::{self, audit_service_client::AuditServiceClient};
use tonic::transport::Channel;

use crate::{Connection, Error, life, retry::Repeat};

impl Connection {
    /// The newest checkpoint of the broker's log, shown to continue the last one that was seen here; from then on it is
    /// the last one.
    ///
    /// # Errors
    /// [`Error::Log`] if it does not; else see [`Error`].
    pub async fn checkpoint(&self) -> Result<KnownLog, Error> {
        let log = follow(self.ask(), |known| self.get_checkpoint(known)).await?;
        log.ok_or_else(|| Error::BadAnswer("a broker of its version shows no log"))
    }

    /// The newest checkpoint of the broker's log, shown to continue this one, which somebody else may have seen.
    ///
    /// The broker is shown it too: one that finds that it is ahead of its own log, or beside it, stops serving.
    ///
    /// # Errors
    /// [`Error::Log`] if it does not continue it; else see [`Error`].
    pub async fn checkpoint_after(&self, known: &KnownLog) -> Result<KnownLog, Error> {
        let answer = self.get_checkpoint(known.checkpoint().note().to_owned()).await?;
        let next = known.continued(&answer.checkpoint, &hashes(&answer.consistency)?, life::wall_clock());
        next.map_err(|fault| self.ask().fault(fault))
    }

    /// What is known of the broker's log; none if it was never seen.
    ///
    /// # Errors
    /// [`Error::Files`]; [`Error::BadInput`] if the file was damaged.
    pub fn known_log(&self) -> Result<Option<KnownLog>, Error> {
        self.ask().memory.known()
    }

    async fn get_checkpoint(&self, known: String) -> Result<v1::GetCheckpointResponse, Error> {
        let send = |channel| get_checkpoint(channel, known.clone());
        self.call(Repeat::Harmless, send).await
    }
}

/// The call itself.
pub(crate) async fn get_checkpoint(
    channel: Channel,
    known: String,
) -> Result<tonic::Response<v1::GetCheckpointResponse>, tonic::Status> {
    AuditServiceClient::new(channel).get_checkpoint(v1::GetCheckpointRequest { known }).await
}

/// The hashes of a proof.
pub(crate) fn hashes(wire: &[bytes::Bytes]) -> Result<Vec<Hash>, Error> {
    let hashes = wire.iter().map(|bytes| <[u8; Hash::LEN]>::try_from(bytes.as_ref()).map(Hash::new));
    hashes.collect::<Result<_, _>>().map_err(|_| Error::BadAnswer("a hash of a proof has not 32 bytes"))
}

/// The key in a broker's answer.
pub(crate) fn key(text: &str) -> Result<VerifierKey, Error> {
    text.parse().map_err(|_| Error::BadAnswer("the log's key is none"))
}
