//! Following one stream: what comes is put in force before the next is taken, and said to be in force.

use std::time::Duration;

use daypass_credential::{Cut, Revision, Timestamp};
use daypass_proto::v1::{
    FollowRevocationsRequest, FollowRevocationsResponse, follow_revocations_request::Message,
};
use daypass_verifier::{Event, Moment, Position};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Lost, News,
    follow::{Follower, every, silence},
    stream::{Stream, request},
    wire::{Malformed, Reader},
};

/// One stream from its beginning to its end.
pub(super) struct Turn<'a> {
    follower: &'a mut Follower,
    stream: Stream,
    reader: Reader,
    /// When something came last, or the stream was opened.
    heard: Moment,
    /// What is in force and not acknowledged over this stream: only the newest place counts.
    owed: Option<(Position, Timestamp)>,
    acknowledged: Option<Revision>,
    /// Nothing is acknowledged before.
    quiet_until: Instant,
    /// Something is to be written down.
    news: bool,
    proven: bool,
}

/// What is to be done next.
enum Step {
    /// There is room for an acknowledgement, or the call takes none any more.
    Room(bool),
    Heard(Result<FollowRevocationsResponse, Lost>),
    Tick,
}

/// What an event is, once it is in force.
enum Told {
    Part,
    Snapshot,
    Resumed(Position),
    Cut(Cut),
    Horizon(Timestamp),
    Keys,
    Checkpoint,
    Echo,
}

impl<'a> Turn<'a> {
    pub(super) fn new(follower: &'a mut Follower, stream: Stream) -> Self {
        let heard = follower.inner.clock.moment();
        Self {
            follower,
            stream,
            reader: Reader::default(),
            heard,
            owed: None,
            acknowledged: None,
            quiet_until: Instant::now(),
            news: false,
            proven: false,
        }
    }

    /// Why it is over, and whether it proved anything.
    pub(super) async fn run(mut self) -> (Lost, bool) {
        let mut next = Instant::now();
        let say = self.stream.say.clone();
        loop {
            // By chance, so that no flood of one kind keeps the others waiting.
            let step = tokio::select! {
                room = room(&say, self.quiet_until), if self.owed.is_some() => Step::Room(room),
                message = self.stream.hear() => Step::Heard(message),
                () = sleep_until(next) => Step::Tick,
            };
            let over = match step {
                Step::Room(true) => self.acknowledge(),
                // The call is over; why, is to be heard.
                Step::Room(false) => {
                    self.owed = None;
                    Ok(())
                }
                Step::Heard(message) => message.and_then(|message| self.take(message)),
                Step::Tick => {
                    next = Instant::now() + every(self.follower.limit());
                    self.tick()
                }
            };
            if let Err(why) = over {
                return (why, self.proven);
            }
        }
    }

    /// Sends a counter, unless nothing has come for so long that nobody seems to be there.
    fn tick(&mut self) -> Result<(), Lost> {
        let now = self.follower.inner.clock.moment();
        if Duration::from_millis(now.since(&self.heard)) >= silence(self.follower.limit()) {
            self.stream.give_up();
            return Err(Lost::Silent);
        }
        let feed = &mut self.follower.feed;
        self.stream.count(|| feed.ask(now));
        if self.news {
            self.follower.keep();
            self.news = false;
        }
        Ok(())
    }

    /// Takes in what came.
    fn take(&mut self, message: FollowRevocationsResponse) -> Result<(), Lost> {
        self.heard = self.follower.inner.clock.moment();
        let event = self.reader.read(message)?;
        let told = Told::of(&event);
        if let Some(view) = self.follower.feed.take(event)? {
            self.follower.inner.apply(view, told.moves());
        }
        self.owe(&told);
        self.tell(&told);
        Ok(())
    }

    /// What came has to be acknowledged, if it moved the place up to which everything is in force. An echo counts too: it
    /// says that nothing relevant lies before its head.
    fn owe(&mut self, told: &Told) {
        let counts = match told {
            Told::Snapshot | Told::Cut(_) | Told::Keys | Told::Echo => !self.follower.observing,
            Told::Part | Told::Resumed(_) | Told::Horizon(_) | Told::Checkpoint => false,
        };
        if matches!(told, Told::Snapshot) {
            // It may be of another era: no place of the one before is said to lie in this one.
            (self.owed, self.acknowledged) = (None, None);
        }
        if let Some(at) = self.follower.feed.applied().filter(|_| counts)
            && self.acknowledged.is_none_or(|before| before < at.revision)
        {
            self.owed = Some((at, self.follower.inner.clock.moment().wall));
        }
    }

    fn acknowledge(&mut self) -> Result<(), Lost> {
        let (Some((at, applied_at)), Some(view)) = (self.owed.take(), self.follower.inner.check.view())
        else {
            return Ok(());
        };
        let log = view.bundle().log_keys().first().ok_or(Malformed::Missing("log key"))?;
        let said = self.stream.signer.acknowledge((log.name(), view.era()), at, applied_at)?;
        // There is room: it was waited for, and nobody else speaks.
        if self.stream.say.try_send(request(Message::Acknowledgement(said))).is_ok() {
            self.acknowledged = Some(at.revision);
            self.quiet_until = Instant::now() + BETWEEN;
            self.follower.watch.tell(&News::Acknowledged { at });
        }
        Ok(())
    }

    fn tell(&mut self, told: &Told) {
        let (watch, inner) = (&self.follower.watch, &self.follower.inner);
        let Some(view) = inner.check.view() else { return };
        match told {
            Told::Part => {}
            Told::Snapshot => {
                self.news = true;
                watch.tell(&News::Snapshot { view: &view });
            }
            Told::Resumed(at) => watch.tell(&News::Resumed { at: *at }),
            Told::Cut(cut) => watch.tell(&News::Cut { cut }),
            Told::Horizon(at) => watch.tell(&News::Horizon { at: *at }),
            Told::Keys => watch.tell(&News::Keys { view: &view }),
            Told::Checkpoint => {
                self.news = true;
                let size = self.follower.feed.checkpoint().map(|signed| signed.checkpoint().root().size);
                watch.tell(&News::Checkpoint { revision: Revision::new(size.unwrap_or_default()) });
            }
            Told::Echo => {
                self.proven = true;
                let age = view.age(inner.clock.moment()).map_or(Duration::MAX, Duration::from_millis);
                watch.tell(&News::Proven { at: view.position(), age });
            }
        }
    }
}

/// Waits until something may be acknowledged, and there is room to say it; false if the call takes nothing any more.
async fn room(say: &mpsc::Sender<FollowRevocationsRequest>, quiet_until: Instant) -> bool {
    // Not even a timer in the usual case.
    if Instant::now() < quiet_until {
        sleep_until(quiet_until).await;
    }
    say.reserve().await.is_ok()
}

impl Told {
    fn of(event: &Event) -> Self {
        match event {
            Event::SnapshotBegin { .. } | Event::Part(_) => Self::Part,
            Event::SnapshotEnd { .. } => Self::Snapshot,
            Event::Resumed { at, .. } => Self::Resumed(*at),
            Event::Cut { cut, .. } => Self::Cut(cut.clone()),
            Event::Horizon(at) => Self::Horizon(*at),
            Event::Keys { .. } => Self::Keys,
            Event::Checkpoint { .. } => Self::Checkpoint,
            Event::Echo(_) => Self::Echo,
        }
    }

    /// May what was good be good no more?
    const fn moves(&self) -> bool {
        match self {
            Self::Snapshot | Self::Cut(_) | Self::Horizon(_) | Self::Keys => true,
            Self::Part | Self::Resumed(_) | Self::Checkpoint | Self::Echo => false,
        }
    }
}

/// The least time between two acknowledgements. The later one says all that those in between would have: cuts may come
/// faster than a broker takes an answer to each. With five counters a second at most, half of what it takes is said.
const BETWEEN: Duration = Duration::from_millis(50);
