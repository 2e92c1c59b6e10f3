//! Reading the log: searches and those who follow it, and the summaries that let a search skip what cannot match.

mod filter;
mod follow;
mod read;
#[cfg(test)]
mod reading;
mod search;
mod summaries;
mod summary;

use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use filter::Filter;
pub(crate) use follow::keep_summaries;
pub(crate) use read::{Found, Reader, Wish};
pub(crate) use search::{Order, search};
pub(crate) use summaries::Summaries;

/// How many events have one summary.
const BUNDLE: u64 = 256;

/// What those who read the log share.
pub(crate) struct Audit {
    pub(crate) summaries: Arc<Summaries>,
    /// Is the broker stopping? Those who follow the log would otherwise keep it.
    closing: watch::Sender<bool>,
}

impl Audit {
    pub(crate) fn new(summaries: Summaries) -> Self {
        Self { summaries: Arc::new(summaries), closing: watch::Sender::new(false) }
    }

    /// Nobody follows the log any longer.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }
}
