//! The notary at work: follows the durable log, and signs a checkpoint when it is time. It never holds up a commit, and
//! what goes wrong here stops no request: it says so, and tries again.

use std::{io, sync::Arc, time::Duration};

use daypass_credential::Revision;
use daypass_store::{Head, Store};
use tokio::{
    sync::{Notify, oneshot, watch},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    Noted, Older,
    check::PAGE,
    desk::{Desk, Trouble},
};
use crate::broker::Broker;

/// How often new entries are taken up. At the broker's fastest the newest entries are still in memory then.
const STEP: Duration = Duration::from_millis(50);
/// No two checkpoints come closer than this, whoever waits for one; and nothing is tried again sooner.
const LEAST: Duration = Duration::from_secs(1);
/// So many entries to be taken up at a start are worth a word.
const LONG: u64 = 100_000;
/// How often it is said that the notary does not get on.
const AGAIN: Duration = Duration::from_secs(60);

/// What others call it for.
#[derive(Clone, Default)]
pub(super) struct Calls {
    /// Somebody waits for the next checkpoint.
    pub(super) wanted: Arc<Notify>,
    /// Somebody found that the tree's files do not give what was signed.
    pub(super) doubted: Arc<Notify>,
}

/// What keeps the tree and signs it.
pub(crate) struct Worker {
    /// Away while something is done at it.
    desk: Option<Desk>,
    log: Arc<dyn Store>,
    publish: watch::Sender<Option<Arc<Noted>>>,
    wanted: Arc<Notify>,
    /// Somebody found that the tree's files do not give what was signed.
    doubted: Arc<Notify>,
    older: Arc<Older>,
    interval: Duration,
    /// When the tree was last made anew because of that.
    mended: Option<Instant>,
    /// When it was last said that it does not get on.
    alarmed: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        desk: Desk,
        log: Arc<dyn Store>,
        publish: watch::Sender<Option<Arc<Noted>>>,
        calls: Calls,
        older: Arc<Older>,
        interval: Duration,
    ) -> Self {
        let Calls { wanted, doubted } = calls;
        Self { desk: Some(desk), log, publish, wanted, doubted, older, interval, mended: None, alarmed: None }
    }

    /// Works until it is told to stop, and then signs once more. Without its store it has nothing to do.
    pub(crate) async fn run(mut self, broker: Arc<Broker>, mut stopped: oneshot::Receiver<()>) {
        let mut head = self.log.head();
        let mut last = Instant::now();
        let mut hurry = false;
        loop {
            let signed = self.signed();
            let doubted = tokio::select! {
                _ = &mut stopped => break,
                () = self.doubted.notified() => true,
                grown = head.wait_for(|head| head.revision.get() > signed) => {
                    if grown.is_err() { return }
                    false
                }
            };
            if doubted {
                let mended = self.mend().await;
                let _said = self.alarm(mended);
                continue;
            }
            tokio::select! {
                _ = &mut stopped => break,
                () = sleep(STEP) => {}
                () = self.wanted.notified() => hurry = true,
            }
            let due = last + if hurry { LEAST.min(self.interval) } else { self.interval };
            let done = if Instant::now() < due { self.follow().await } else { self.note(&broker).await };
            if Instant::now() >= due || done.is_err() {
                (last, hurry) = (Instant::now(), false);
            }
            if self.alarm(done).is_err() {
                tokio::select! {
                    _ = &mut stopped => break,
                    () = sleep(LEAST) => {}
                }
            }
        }
        let noted = self.note(&broker).await;
        let _said = self.alarm(noted);
    }

    /// Signs the log as it is before anybody asks. A disk that is full keeps nobody from ending things.
    pub(crate) async fn begin(&mut self, broker: &Broker) {
        let (size, head) =
            (self.desk.as_ref().map_or(0, Desk::size), self.log.head().borrow().revision.get());
        if head.saturating_sub(size) > LONG {
            tracing::info!(
                from = size,
                to = head,
                "the notary makes its tree from the log, which takes its time"
            );
        }
        let noted = self.note(broker).await;
        let _said = self.alarm(noted);
    }

    /// Makes the tree anew from the log, once a minute at the most: it reads the whole log.
    pub(super) async fn mend(&mut self) -> Result<(), Trouble> {
        if self.mended.is_some_and(|mended| mended.elapsed() < AGAIN) {
            return Ok(());
        }
        tracing::warn!("the notary's tree does not give what was signed, and is made anew from the log");
        self.at_desk(|desk| {
            desk.forget_tree();
            Ok(())
        })
        .await?;
        let followed = self.follow().await;
        self.mended = Some(Instant::now());
        followed
    }

    /// As if it had not been made anew of late.
    #[cfg(test)]
    pub(super) const fn forget_mended(&mut self) {
        self.mended = None;
    }

    /// The size of the newest checkpoint.
    fn signed(&self) -> u64 {
        self.publish.borrow().as_ref().map_or(0, |noted| noted.root().size)
    }

    /// Follows the log to its head and signs, unless that was signed already.
    async fn note(&mut self, broker: &Broker) -> Result<(), Trouble> {
        self.follow().await?;
        let size = self.desk.as_ref().map_or(0, Desk::size);
        if size == 0 || size == self.signed() {
            return Ok(());
        }
        // The instant only chooses the key: under a clock that is not believed the log's own time does that.
        let (keys, now) = (broker.keys.now(), broker.stamp());
        let noted = self.at_desk(move |desk| desk.sign(keys.ring(), now)).await?;
        tracing::debug!(size = noted.root().size, "signed a checkpoint");
        self.publish.send_replace(Some(Arc::new(noted)));
        Ok(())
    }

    /// Takes up what the log has grown by.
    async fn follow(&mut self) -> Result<(), Trouble> {
        if self.older.why.get().is_some() {
            return Err(Trouble::Closed);
        }
        let Head { revision, .. } = *self.log.head().borrow();
        loop {
            let size = self.desk.as_ref().map_or(0, Desk::size);
            if size >= revision.get() {
                return Ok(());
            }
            let entries = self.log.log(Revision::new(size), PAGE).await?;
            if entries.is_empty() {
                return Ok(());
            }
            self.at_desk(move |desk| desk.append(&entries)).await?;
        }
    }

    /// Does something that waits for a disk.
    async fn at_desk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Desk) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let mut desk = self.desk.take().ok_or_else(|| io::Error::other("its work broke off"))?;
        let done = spawn_blocking(move || {
            let done = work(&mut desk);
            (desk, done)
        });
        let (desk, done) = done.await.map_err(io::Error::other)?;
        self.desk = Some(desk);
        done
    }

    /// Says that it does not get on, once a minute, and that it does again. A conflict is final.
    fn alarm(&mut self, done: Result<(), Trouble>) -> Result<(), ()> {
        let Err(trouble) = done else {
            if self.alarmed.take().is_some() {
                tracing::info!("the notary gets on again");
            }
            return Ok(());
        };
        if let Trouble::Conflict { .. } = trouble {
            if self.older.why.set(trouble.to_string()).is_ok() {
                tracing::error!(error = %trouble, "the log is not the one that was signed");
            }
            self.older.said.send_replace(true);
        } else if self.alarmed.is_none_or(|said| said.elapsed() >= AGAIN)
            && !matches!(trouble, Trouble::Closed)
        {
            self.alarmed = Some(Instant::now());
            tracing::error!(error = %trouble, "the notary does not get on: no new checkpoints are signed; all else goes on");
        }
        Err(())
    }
}
