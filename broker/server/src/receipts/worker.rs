//! The worker that sees to every receipt: those that an earlier process left open, and those of ends as they come.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{Ended, close, find};
use crate::broker::Broker;

/// How long to wait after something went wrong, at first and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Sees to receipts until the broker stops.
pub(crate) async fn keep_receipts(broker: Arc<Broker>) {
    let receipts = &broker.receipts;
    let waiting = receipts.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let Some(mut noticed) = waiting else { return };
    let mut stopped = receipts.closing.subscribe();
    // Dropped with this, and what was under way is made anew by the next process.
    let mut jobs = JoinSet::new();
    for ended in left_open(&broker).await {
        begin(&broker, &mut jobs, ended);
    }
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            Some(ended) = noticed.recv() => begin(&broker, &mut jobs, ended),
            Some(_) = jobs.join_next() => {}
        }
    }
}

async fn left_open(broker: &Arc<Broker>) -> Vec<Ended> {
    let mut pause = PAUSES.0;
    loop {
        match find::unclosed(broker).await {
            Ok(open) => return open,
            Err(error) => {
                tracing::error!(%error, "cannot see which receipts are to be made");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn begin(broker: &Arc<Broker>, jobs: &mut JoinSet<()>, ended: Ended) {
    if broker.receipts.begin(&ended) {
        jobs.spawn(see_to(broker.clone(), ended));
    }
}

/// Tries until the receipt is closed.
async fn see_to(broker: Arc<Broker>, mut ended: Ended) {
    let mut pause = PAUSES.0;
    while let Err(error) = close::close(&broker, &mut ended).await {
        tracing::error!(vendor = %ended.vendor, revision = %ended.revision, %error, "the receipt is not closed yet");
        // Whatever is wrong, verifiers are not to keep old cuts for it: the log has it all.
        ended.held = None;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
