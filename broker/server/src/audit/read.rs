//! Reading the log for somebody: a search, and then what is recorded from there on, page by page. The reader is judged
//! anew all the while, told how far it is, and cut off where nobody reads.

use std::{sync::Arc, time::Duration};

use daypass_core::{Facts, authority::may_list, mint::judge_caller};
use daypass_credential::Revision;
use daypass_store::{Entry, Head};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::search::{Order, Search};
use crate::{audit::Filter, broker::Broker, call::Call, refusal::Refusal};

/// What somebody wants to read.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) filter: Filter,
    /// Begins after this (newest first: before it); zero begins at the end that the order begins with.
    pub(crate) after: Revision,
    /// How many at most.
    pub(crate) limit: Option<u32>,
    pub(crate) order: Order,
    /// Goes on with what is recorded from then on.
    pub(crate) follow: bool,
}

/// What was found, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) events: Vec<Entry>,
    pub(crate) reached: Revision,
    pub(crate) head: Revision,
}

/// Why it ended before it was through, and the event that recorded it.
pub(crate) type Refused = (Refusal, Option<Revision>);

/// How often the reader is judged anew, and told how far it is even if there is nothing.
const PULSE: Duration = Duration::from_secs(4);
/// How often it is told how far a search is.
const TELL: Duration = Duration::from_secs(1);
/// For how long nothing is read before the reader is cut off.
const PATIENCE: Duration = Duration::from_secs(30);
/// About how many bytes of events go into one page; one event more may.
const PAGE: usize = 64 * 1024;

/// Why it does not go on.
enum End {
    /// The reader went away, or the broker goes.
    Left,
    Refused(Refusal),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One who reads.
pub(crate) struct Reader<P> {
    broker: Arc<Broker>,
    call: Arc<Call>,
    /// What it holds for as long as it reads.
    _place: P,
    search: Search,
    follow: bool,
    left: Option<u32>,
    head: watch::Receiver<Head>,
    /// Up to where a search goes that does not follow; what is recorded meanwhile is not in it.
    end: Revision,
    out: mpsc::Sender<Found>,
    judged_at: Instant,
    /// What it was last told of how far it is, and when.
    told: Revision,
    told_at: Instant,
}

impl<P: Send + 'static> Reader<P> {
    /// Reads in a task of its own: pages, and at the end a refusal if there is one.
    pub(crate) fn start(
        broker: Arc<Broker>,
        call: Arc<Call>,
        place: P,
        wish: Wish,
    ) -> Result<(mpsc::Receiver<Found>, mpsc::Receiver<Refused>), Refusal> {
        let head = broker.store.head();
        let end = head.borrow().revision;
        let begin = match wish.order {
            Order::OldestFirst if wish.after > end => {
                return Err(Refusal::bad("after", format!("the log ends at revision {end}")));
            }
            Order::OldestFirst => wish.after,
            Order::NewestFirst if wish.after == Revision::ZERO => end.next(),
            Order::NewestFirst => wish.after.min(end.next()),
        };
        let (out, pages) = mpsc::channel(1);
        let (last, refused) = mpsc::channel(1);
        let now = Instant::now();
        let reader = Self {
            search: Search::new(wish.filter, wish.order, begin),
            follow: wish.follow,
            left: wish.limit,
            broker,
            call,
            _place: place,
            head,
            end,
            out,
            judged_at: now,
            told: begin,
            told_at: now,
        };
        tokio::spawn(reader.run(last));
        Ok((pages, refused))
    }

    async fn run(mut self, last: mpsc::Sender<Refused>) {
        if let Err(End::Refused(refusal)) = self.read().await {
            let event = self.broker.refused(&self.call, &refusal, None).await;
            // The channel has room for the one thing that is ever sent, or nobody is there to hear it.
            let _sent = last.try_send((refusal, event));
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        // Where it begins, before anything is looked at.
        self.page(Vec::new(), self.search.reached()).await?;
        let (broker, mut end) = (Arc::clone(&self.broker), self.end);
        loop {
            while !self.search.is_through(end) {
                let found = self.search.step(&*broker.store, &broker.audit.summaries, end).await?;
                if self.hand_over(found).await? {
                    return Ok(());
                }
                self.keep_up().await?;
            }
            let reached = self.search.reached();
            if self.told != reached {
                self.page(Vec::new(), reached).await?;
            }
            if !self.follow {
                return Ok(());
            }
            end = self.next_head(end).await?;
        }
    }

    /// Hands over what was found, page by page; true where that was all that was wanted.
    async fn hand_over(&mut self, mut found: Vec<Entry>) -> Result<bool, End> {
        if let Some(left) = &mut self.left {
            found.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left = left.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        }
        let is_all = self.left == Some(0);
        let mut rest = found.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut events, mut bytes, mut reached) = (Vec::new(), 0, self.search.reached());
            while bytes < PAGE
                && let Some(entry) = rest.next()
            {
                bytes += entry.event.len();
                reached = entry.revision;
                events.push(entry);
            }
            // Behind the last of them everything was looked at as well, up to where the search is.
            let through = rest.peek().is_none() && !is_all;
            self.page(events, if through { self.search.reached() } else { reached }).await?;
        }
        Ok(is_all)
    }

    /// Between two steps of a search: judges the reader anew, and tells it how far it is.
    async fn keep_up(&mut self) -> Result<(), End> {
        if self.out.is_closed() {
            return Err(End::Left);
        }
        if self.told_at.elapsed() >= TELL {
            return self.page(Vec::new(), self.search.reached()).await;
        }
        Ok(self.judge_if_due().await?)
    }

    /// Waits until the log is longer than this.
    async fn next_head(&mut self, end: Revision) -> Result<Revision, End> {
        let mut closing = self.broker.audit.closing();
        loop {
            let head = self.head.borrow_and_update().revision;
            if head > end {
                return Ok(head);
            }
            let pulse = self.judged_at + PULSE;
            tokio::select! {
                changed = self.head.changed() => {
                    changed.map_err(|_| Refusal::Store { internal: "the store has failed".to_owned() })?;
                }
                () = self.out.closed() => return Err(End::Left),
                () = async { drop(closing.wait_for(|closing| *closing).await) } => return Err(End::Left),
                () = sleep_until(pulse) => self.page(Vec::new(), self.search.reached()).await?,
            }
        }
    }

    /// Sends a page, once there is room for it. INVARIANT (judged while reading): nothing leaves that is not wanted by
    /// somebody who was in force, and allowed to read, no more than [`PULSE`] ago.
    async fn page(&mut self, events: Vec<Entry>, reached: Revision) -> Result<(), End> {
        let patience = Instant::now() + PATIENCE;
        let head = if self.follow { self.head.borrow().revision } else { self.end };
        loop {
            self.judge_if_due().await?;
            match timeout_at(patience.min(self.judged_at + PULSE), self.out.reserve()).await {
                Ok(Ok(room)) => {
                    room.send(Found { events, reached, head });
                    (self.told, self.told_at) = (reached, Instant::now());
                    return Ok(());
                }
                Ok(Err(_)) => return Err(End::Left),
                Err(_) if Instant::now() >= patience => return Err(Refusal::Deadline.into()),
                Err(_) => {}
            }
        }
    }

    async fn judge_if_due(&mut self) -> Result<(), Refusal> {
        if self.judged_at.elapsed() < PULSE {
            return Ok(());
        }
        self.broker.notary.sound()?;
        let (caller, mut facts) = (&self.call.caller, Facts::default());
        let lineage = caller.lineage.nodes().iter().cloned().chain([caller.id()]).collect();
        self.broker.read(&mut facts, lineage).await?;
        let now = self.broker.trusted_now()?;
        let judge = |facts: &Facts| {
            judge_caller(facts, caller, self.broker.era, now)?;
            may_list(facts, caller)
        };
        self.broker.decide(&mut facts, judge).await?;
        self.judged_at = Instant::now();
        Ok(())
    }
}
