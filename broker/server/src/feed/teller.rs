//! Tells one verifier what the log brings, in the order of the log, from its own place in it.

use std::{sync::Arc, time::Duration};

use daypass_credential::{Revision, Timestamp};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    News, Offer, Tip,
    attendance::Presence,
    follower::{Over, Told},
    hello::{Begin, Opening, before},
    keys,
    proof::Proven,
    snapshot::{self, Taken},
};
use crate::{broker::Broker, call::Call, notary::Continued, refusal::Refusal};

/// For how long nothing is read before the verifier is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many cuts go into one message.
const PART: usize = 1000;
/// How many of the recent cuts are looked up at once.
const PAGE: usize = 256;

/// Tells one verifier.
pub(super) struct Teller<'a> {
    pub(super) broker: &'a Arc<Broker>,
    pub(super) call: &'a Call,
    pub(super) presence: &'a Presence,
    pub(super) out: &'a mpsc::Sender<Told>,
    news: watch::Receiver<News>,
    /// Everything up to here was told.
    at: Tip,
    horizon: Timestamp,
    /// The keys that were told, and up to which change they hold.
    keys: Option<(Offer, Revision)>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        broker: &'a Arc<Broker>,
        call: &'a Call,
        presence: &'a Presence,
        out: &'a mpsc::Sender<Told>,
    ) -> Self {
        let news = broker.feed.news.subscribe();
        let at = *broker.feed.tip.borrow();
        Self { broker, call, presence, out, news, at, horizon: Timestamp::ZERO, keys: None }
    }

    /// Tells what the stream begins with, and then whatever there is, until that cannot go on.
    pub(super) async fn run(
        mut self,
        opening: Opening,
        mut proven: watch::Receiver<Option<Proven>>,
        mut checkpoints: mpsc::Receiver<Continued>,
    ) -> Over {
        let told = async {
            self.open(opening).await?;
            loop {
                self.catch_up().await?;
                tokio::select! {
                    // The seldom before the frequent: where there is always something to tell, the rest comes through too.
                    biased;
                    Some(continued) = checkpoints.recv() => self.checkpoint(continued).await?,
                    changed = proven.changed() => {
                        changed.map_err(|_| Over::Left)?;
                        let newest = *proven.borrow_and_update();
                        self.echo(newest).await?;
                    }
                    changed = self.news.changed() => changed.map_err(|_| Over::Left)?,
                }
            }
        };
        let Err(over): Result<std::convert::Infallible, Over> = told.await;
        over
    }

    async fn open(&mut self, opening: Opening) -> Result<(), Over> {
        match opening.begin {
            Begin::Snapshot(taken) => self.snapshot(&taken).await?,
            Begin::Resumed(at) => {
                self.presence.told(at.revision);
                // Of the revision that is known, the verifier may have heard a part.
                self.at = Tip { revision: before(at.revision), ..at };
                self.tell(Told::Resumed { at }).await?;
            }
        }
        self.catch_up().await?;
        match opening.checkpoint {
            Some(continued) => self.checkpoint(continued).await,
            None => Ok(()),
        }
    }

    /// Tells everything that the worker has followed by now. What comes meanwhile is for the next time: a verifier that reads
    /// no faster than the log grows would never get its echo otherwise.
    async fn catch_up(&mut self) -> Result<(), Over> {
        self.news.mark_unchanged();
        let tip = *self.broker.feed.tip.borrow();
        // After the place, so that whatever there is to tell up to there is in it.
        let news = *self.news.borrow();
        self.cuts(tip).await?;
        if news.horizon > self.horizon {
            self.horizon = news.horizon;
            self.tell(Told::Horizon(news.horizon)).await?;
        }
        self.keys(news.keys).await
    }

    /// Tells every cut up to a place that was followed.
    async fn cuts(&mut self, tip: Tip) -> Result<(), Over> {
        loop {
            if tip.revision <= self.at.revision {
                return Ok(());
            }
            let page = self.broker.feed.recent(|recent| recent.after(self.at.revision, tip.revision, PAGE));
            let Some(page) = page else {
                // It lies further behind than what is kept.
                let taken = snapshot::take(self.broker, tip.revision).await?;
                self.snapshot(&taken).await?;
                continue;
            };
            let Some(last) = page.last().map(|last| Tip { revision: last.cut.at, leaf: last.leaf }) else {
                self.presence.told(tip.revision);
                self.at = tip;
                return Ok(());
            };
            for recent in page {
                // Before it is sent, since the answer may be faster.
                self.presence.told(recent.cut.at);
                self.tell(Told::Cut(recent)).await?;
            }
            self.at = last;
        }
    }

    async fn snapshot(&mut self, taken: &Taken) -> Result<(), Over> {
        // The ledger is a moment ahead of what is said of it, keys included.
        self.broker.feed.followed(taken.at.revision).await?;
        let change = self.news.borrow().keys;
        let offer = keys::offer(self.broker, &self.call.caller.subject.name, change).await?;
        let (at, snapshot) = (taken.at, &taken.snapshot);
        self.tell(Told::SnapshotBegin { era: snapshot.era, at }).await?;
        for cuts in snapshot.cuts.chunks(PART) {
            self.tell(Told::SnapshotCuts(cuts.to_vec())).await?;
        }
        self.tell(Told::Horizon(snapshot.horizon)).await?;
        self.limited(&offer);
        self.tell(Told::Keys { offer: offer.clone(), at: None }).await?;
        self.presence.told(at.revision);
        self.tell(Told::SnapshotEnd { cuts: snapshot.cuts.len() }).await?;
        (self.at, self.horizon) = (at, snapshot.horizon);
        self.keys = Some((offer, change));
        Ok(())
    }

    /// Tells the keys, if there are others than before. They are read after everything that they are told to hold for.
    async fn keys(&mut self, change: Revision) -> Result<(), Over> {
        if self.keys.as_ref().is_some_and(|(_, told)| *told >= change) {
            return Ok(());
        }
        let offer = keys::offer(self.broker, &self.call.caller.subject.name, change).await?;
        let same = self.keys.as_ref().is_some_and(|(told, _)| told.says_the_same(&offer));
        self.keys = Some((offer.clone(), change));
        if same {
            return Ok(());
        }
        self.limited(&offer);
        self.tell(Told::Keys { offer, at: Some(self.at) }).await
    }

    /// Before it is told: it may go by it at once.
    fn limited(&self, offer: &Offer) {
        let longest = offer.audiences().map(|(_, (limit, _))| *limit).max();
        longest.into_iter().for_each(|limit| self.presence.limited(limit));
    }

    async fn checkpoint(&self, continued: Continued) -> Result<(), Over> {
        let note = continued.noted.signed().note().to_owned();
        self.tell(Told::Checkpoint { note, consistency: continued.consistency }).await
    }

    /// INVARIANT (an echo comes last): everything up to the head that was read is told before the echo is.
    async fn echo(&mut self, proven: Option<Proven>) -> Result<(), Over> {
        let Some(Proven { heard, head }) = proven else { return Ok(()) };
        self.catch_up().await?;
        let other = self.at.revision == head.revision && self.at.leaf != head.leaf;
        if self.at.revision < head.revision || other {
            return Err(Refusal::internal("the feed is not where the store is").into());
        }
        // Before it is sent: nobody is to be taken as refusing while it does not yet.
        self.presence.heard(heard.came_at);
        self.tell(Told::Echo { counter: heard.counter, head: self.at }).await
    }

    /// Hands it over once there is room.
    async fn tell(&self, told: Told) -> Result<(), Over> {
        match timeout(PATIENCE, self.out.reserve()).await {
            Ok(Ok(room)) => {
                room.send(told);
                Ok(())
            }
            Ok(Err(_)) => Err(Over::Left),
            Err(_) => Err(Refusal::Deadline.into()),
        }
    }
}
