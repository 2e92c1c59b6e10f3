//! One stream: its task, and all that goes on in it at once. Telling and hearing do not wait for each other, so that a
//! verifier which does not read is heard all the same, and one that says nothing is told.

use std::{sync::Arc, time::Duration};

use daypass_core::{Facts, mint::judge_caller};
use daypass_credential::{Cut, Era, NodeId, Revision, Timestamp};
use daypass_log::Hash;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, watch,
    },
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::{Stream, StreamExt as _};

use super::{
    Hello, Offer, Said, Tip, attendance::Presence, ear::Ear, hello, proof::prove, recent::RecentCut,
    teller::Teller,
};
use crate::{broker::Broker, call::Call, notary::Continued, refusal::Refusal};

/// What a verifier is told.
#[derive(Debug)]
pub(crate) enum Told {
    SnapshotBegin {
        era: Era,
        at: Tip,
    },
    SnapshotCuts(Vec<Cut>),
    SnapshotEnd {
        cuts: usize,
    },
    Resumed {
        at: Tip,
    },
    Cut(Arc<RecentCut>),
    Horizon(Timestamp),
    /// No place in a snapshot.
    Keys {
        offer: Offer,
        at: Option<Tip>,
    },
    Checkpoint {
        note: String,
        consistency: Vec<Hash>,
    },
    Echo {
        counter: u64,
        head: Tip,
    },
}

/// Why it ended, and the event that recorded it.
pub(crate) type Refused = (Refusal, Option<Revision>);

/// How a stream ends.
#[derive(Debug)]
pub(crate) enum Over {
    /// The verifier went away.
    Left,
    Refused(Refusal),
}

impl From<Refusal> for Over {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// How long the hello may take.
const HELLO: Duration = Duration::from_secs(10);
/// How often the verifier is judged anew, if nothing that it rests on was cut.
const JUDGE: Duration = Duration::from_secs(5);
/// No two checkpoints come closer than this over one stream.
const CHECKPOINTS: Duration = Duration::from_secs(5);
/// How many messages wait for a verifier that does not read.
const WAITING: usize = 2;

/// One verifier that follows.
pub(crate) struct Follower<P> {
    broker: Arc<Broker>,
    call: Arc<Call>,
    /// What it holds for as long as it follows.
    _place: P,
    presence: Presence,
    out: mpsc::Sender<Told>,
}

impl<P: Send + Sync + 'static> Follower<P> {
    /// Follows in a task of its own: what is told, and at the end why there is no more.
    pub(crate) fn start(
        broker: Arc<Broker>,
        call: Arc<Call>,
        place: P,
        said: impl Stream<Item = Result<Said, Over>> + Unpin + Send + 'static,
    ) -> (mpsc::Receiver<Told>, mpsc::Receiver<Refused>) {
        let (out, told) = mpsc::channel(WAITING);
        let (last, refused) = mpsc::channel(1);
        let presence = broker.feed.attendance.enter(&call.caller.identity);
        let follower = Self { broker, call, _place: place, presence, out };
        tokio::spawn(follower.run(said, last));
        (told, refused)
    }

    async fn run(
        mut self,
        mut said: impl Stream<Item = Result<Said, Over>> + Unpin + Send,
        last: mpsc::Sender<Refused>,
    ) {
        let struck = self.broker.feed.struck.subscribe();
        let (mut closing, displaced) = (self.broker.feed.closing.subscribe(), self.presence.displaced());
        let out = self.out.clone();
        let over = tokio::select! {
            over = self.follow(&mut said, struck) => over,
            _ = closing.wait_for(|closing| *closing) => Refusal::Stopping.into(),
            () = displaced => Refusal::TooManyStreams.into(),
            () = out.closed() => Over::Left,
        };
        if let Over::Refused(refusal) = over {
            let event = self.broker.refused(&self.call, &refusal, None).await;
            // The channel has room for the one thing that is ever sent, or nobody is there to hear it.
            let _sent = last.try_send((refusal, event));
        }
    }

    async fn follow(
        &mut self,
        said: &mut (impl Stream<Item = Result<Said, Over>> + Unpin + Send),
        struck: broadcast::Receiver<Arc<[NodeId]>>,
    ) -> Over {
        let hello = match first(said).await {
            Ok(hello) => hello,
            Err(over) => return over,
        };
        // What was cut since the gate looked, and before anybody listened for it.
        if let Err(refusal) = judged(&self.broker, &self.call).await {
            return refusal.into();
        }
        let opening = match hello::open(&self.broker, &self.call, &hello).await {
            Ok(opening) => opening,
            Err(refusal) => return refusal.into(),
        };
        let now = self.broker.clock.now();
        self.presence.follow(&self.call.caller, hello.observing, hello.process, now);
        let (broker, call, presence) = (&self.broker, &*self.call, &self.presence);
        let (heard, proven) = (watch::Sender::new(None), watch::Sender::new(None));
        let (note, notes) = mpsc::channel(1);
        let known = opening.checkpoint.as_ref().map(|known| known.noted.signed().note().to_owned());
        let teller = Teller::new(broker, call, presence, &self.out);
        let ear = Ear { broker, call, presence, hello: &hello, heard: &heard };
        tokio::select! {
            over = ear.listen(said) => over,
            over = teller.run(opening, proven.subscribe(), notes) => over,
            refusal = judge(broker, call, struck) => refusal.into(),
            refusal = note_checkpoints(broker, known.unwrap_or_default(), &note) => refusal.into(),
            () = prove(broker, heard.subscribe(), &proven) => Over::Left,
        }
    }
}

/// The hello, which comes first.
async fn first(said: &mut (impl Stream<Item = Result<Said, Over>> + Unpin)) -> Result<Hello, Over> {
    match timeout(HELLO, said.next()).await {
        Ok(Some(Ok(Said::Hello(hello)))) => Ok(*hello),
        Ok(Some(Err(over))) => Err(over),
        Ok(None | Some(Ok(Said::Counter(_) | Said::Acknowledgement(_)))) | Err(_) => {
            Err(Refusal::HelloMissing.into())
        }
    }
}

/// Judges the verifier anew, all the time and whenever something was cut that it rests on, until it is not in force.
async fn judge(broker: &Broker, call: &Call, mut struck: broadcast::Receiver<Arc<[NodeId]>>) -> Refusal {
    let own = call.caller.id();
    let rests = |cut: &NodeId| call.caller.lineage.nodes().contains(cut) || *cut == own;
    loop {
        let next = Instant::now() + JUDGE;
        loop {
            tokio::select! {
                cut = struck.recv() => match cut {
                    Ok(cut) if !cut.iter().any(rests) => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Refusal::internal("the feed is gone"),
                },
                () = sleep_until(next) => break,
            }
        }
        if let Err(refusal) = judged(broker, call).await {
            return refusal;
        }
    }
}

/// As the gate does it, by what the store says now.
async fn judged(broker: &Broker, call: &Call) -> Result<(), Refusal> {
    broker.notary.sound()?;
    let (caller, mut facts) = (&call.caller, Facts::default());
    let lineage = caller.lineage.nodes().iter().cloned().chain([caller.id()]).collect();
    broker.read(&mut facts, lineage).await?;
    let now = broker.lenient_now();
    broker.decide(&mut facts, |facts| judge_caller(facts, caller, broker.era, now)).await
}

/// Hands on new checkpoints, each with the proof that it continues the one before.
async fn note_checkpoints(broker: &Arc<Broker>, mut known: String, out: &mpsc::Sender<Continued>) -> Refusal {
    loop {
        sleep(CHECKPOINTS).await;
        let newest = broker.notary.at_hand();
        if newest.is_none_or(|newest| newest.signed().note() == known) {
            continue;
        }
        match broker.checkpoint(&known).await {
            Ok(continued) => {
                known = continued.noted.signed().note().to_owned();
                if out.send(continued).await.is_err() {
                    return Refusal::internal("nobody takes the checkpoints");
                }
            }
            Err(refusal @ Refusal::LogOlder) => return refusal,
            // What cannot be proven now is proven later.
            Err(refusal) => {
                tracing::debug!(reason = %refusal.reason(), "a verifier waits for its next checkpoint");
            }
        }
    }
}
