//! Why a stream from the broker is over.

use daypass_verifier::FeedError;

use super::wire::Malformed;
use crate::Error;

/// Why a stream from the broker is over, or could not be opened. What was known before stays in force, and refuses by itself
/// once it is stale.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The broker could not be reached, broke off, or said no.
    #[error(transparent)]
    Broker(#[from] Error),
    /// What it sent cannot be true, if what it sent before was.
    #[error("what the broker sent cannot be believed")]
    Unbelievable(#[from] FeedError),
    /// What it sent cannot be read.
    #[error("what the broker sent cannot be read")]
    Malformed(#[from] Malformed),
    /// It ended the stream without a word: it is stopping, or judged the identity anew.
    #[error("the broker ended the stream")]
    Ended,
    /// Nothing came for too long, though counters were sent.
    #[error("the broker has not answered for too long")]
    Silent,
}

impl Lost {
    /// Does it show, if it is no broker that merely lags, that its log was put back or tampered with? Then somebody has to
    /// hear of it.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        match self {
            Self::Unbelievable(error) => error.is_alarming(),
            Self::Broker(error) => matches!(error, Error::Log { .. }),
            Self::Malformed(_) | Self::Ended | Self::Silent => false,
        }
    }

    /// The broker's no, or what is wrong with its log, if it was that: then waiting alone will not help.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        match self {
            Self::Broker(error) if self.is_refusal() => Some(error.copy()),
            Self::Broker(_) | Self::Unbelievable(_) | Self::Malformed(_) | Self::Ended | Self::Silent => None,
        }
    }

    /// Was it a no, which stays one until somebody changes something?
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Broker(Error::Refused(_) | Error::Log { .. } | Error::BadInput(_)))
    }
}
