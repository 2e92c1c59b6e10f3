//! Following a log: from the checkpoint that is kept to the newest one, which is kept then.

use std::sync::Arc;

use daypass_log::VerifierKey;
use daypass_proto::v1;

use super::{KnownLog, LogFault, Memory, hashes, key};
use crate::{Error, life};

/// Whose log it is, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) broker: Arc<str>,
    pub(crate) memory: Memory,
    /// The log's key, where it is known beforehand.
    pub(crate) log_key: Option<VerifierKey>,
}

impl Ask {
    pub(crate) fn fault(&self, source: LogFault) -> Error {
        Error::Log { broker: self.broker.to_string(), source }
    }

    /// What is known after this answer, which was asked for from `known` on.
    fn judge(&self, known: Option<&KnownLog>, answer: &v1::GetCheckpointResponse) -> Result<KnownLog, Error> {
        let now = life::wall_clock();
        let next = match known {
            Some(known) => known.continued(&answer.checkpoint, &hashes(&answer.consistency)?, now),
            // The first contact: its key comes over a connection that only the broker can be at the end of.
            None => {
                let key = self.log_key.clone().map_or_else(|| key(&answer.log_key), Ok)?;
                KnownLog::new(key, &answer.checkpoint, now)
            }
        };
        next.map_err(|fault| self.fault(fault))
    }

    /// What is kept, if it is of the log that was meant.
    fn known(&self) -> Result<Option<KnownLog>, Error> {
        let known = self.memory.known()?;
        match (&known, &self.log_key) {
            (Some(known), Some(key)) if known.key() != key => {
                Err(self.fault(LogFault::OtherLog { known: known.key().to_string(), found: key.to_string() }))
            }
            _ => Ok(known),
        }
    }

    /// What it means that there was no answer; none where there is nothing to be demanded.
    fn unanswered(&self, known: Option<&KnownLog>, error: Error) -> Result<(), Error> {
        match (error, known) {
            (Error::Log { broker, source: LogFault::SaysOlder { words, .. } }, known) => {
                let known = known.map(KnownLog::revision);
                Err(Error::Log { broker, source: LogFault::SaysOlder { known, words } })
            }
            (Error::Refused(no), Some(known)) if no.reason == LogFault::UNKNOWN => {
                Err(self.fault(LogFault::Disowned { known: known.revision(), words: no.message }))
            }
            (error, known) if is_without_log(&error) => match known {
                Some(known) => Err(self.fault(LogFault::NotShown { known: known.revision() })),
                None if self.log_key.is_some() => Err(error),
                None => Ok(()),
            },
            (error, _) => Err(error),
        }
    }
}

/// Has the broker show its newest checkpoint, from the one that is kept on; none if it is of a version that has none, and
/// none was ever seen.
pub(crate) async fn follow<F, A>(ask: &Ask, mut get: F) -> Result<Option<KnownLog>, Error>
where
    F: FnMut(String) -> A,
    A: Future<Output = Result<v1::GetCheckpointResponse, Error>>,
{
    for _ in 0..TURNS {
        let known = ask.known()?;
        let note = known.as_ref().map(|known| known.checkpoint().note().to_owned());
        let answer = match get(note.unwrap_or_default()).await {
            Ok(answer) => answer,
            Err(error) => return ask.unanswered(known.as_ref(), error).map(|()| None),
        };
        let next = ask.judge(known.as_ref(), &answer)?;
        if ask.memory.keep(known, next.clone()).await? {
            return Ok(Some(next));
        }
    }
    Err(Error::Unable("keep the newest checkpoint: others replace it without end"))
}

/// Is the broker of a version from before there were checkpoints?
fn is_without_log(error: &Error) -> bool {
    matches!(error, Error::Failed { reason, .. } if ["unimplemented", "unknown-method"].contains(&reason.as_str()))
}

/// How often another process may have been faster. Each of them asks once for each of its connections.
const TURNS: u32 = 16;
