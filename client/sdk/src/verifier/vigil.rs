//! Waits beside something open until what it rests on is good no more. It wakes when the verifier learned something, and
//! at the first instant at which time alone could end it; in between it costs nothing.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};
use tokio_stream::{Stream as _, wrappers::WatchStream};

use super::Refused;

/// What can be good no more.
pub(super) trait Watched {
    /// Is it good, here and now?
    fn judge(&self) -> Result<(), Refused>;

    /// Milliseconds until time alone could change that.
    fn lasts(&self) -> u64;

    /// Moves when anything else could.
    fn moved(&self) -> watch::Receiver<u64>;
}

impl<W: Watched> Watched for Arc<W> {
    fn judge(&self) -> Result<(), Refused> {
        W::judge(self)
    }

    fn lasts(&self) -> u64 {
        W::lasts(self)
    }

    fn moved(&self) -> watch::Receiver<u64> {
        W::moved(self)
    }
}

/// Watches one thing for one task. Whoever waits in two tasks has two.
#[derive(Debug)]
pub(super) struct Vigil<W> {
    watched: W,
    /// None until there was something to wait for: what is over at once pays for no timer.
    alarm: Option<Alarm>,
}

/// Wakes the task that polled it last.
#[derive(Debug)]
struct Alarm {
    moved: WatchStream<u64>,
    timer: Pin<Box<Sleep>>,
}

impl<W: Watched> Vigil<W> {
    pub(super) const fn over(watched: W) -> Self {
        Self { watched, alarm: None }
    }

    pub(super) const fn watched(&self) -> &W {
        &self.watched
    }

    /// Ready when it is good no more, and says why.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Refused> {
        let Self { watched, alarm } = self;
        let alarm = alarm.get_or_insert_with(|| Alarm::new(watched));
        loop {
            // INVARIANT (no cut between looking and waiting): the ear is open before the judgement is made.
            alarm.listen(cx);
            if let Err(refused) = watched.judge() {
                return Poll::Ready(refused);
            }
            alarm.set(watched.lasts());
            ready!(alarm.timer.as_mut().poll(cx));
        }
    }

    /// Waits until it is good no more.
    pub(super) async fn wait(&mut self) -> Refused {
        std::future::poll_fn(|cx| self.poll_over(cx)).await
    }
}

impl Alarm {
    fn new(watched: &impl Watched) -> Self {
        let moved = WatchStream::from_changes(watched.moved());
        Self { moved, timer: Box::pin(sleep_until(after(watched.lasts()))) }
    }

    /// Takes in what moved already, and has the task woken by what moves next.
    fn listen(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(_)) = Pin::new(&mut self.moved).poll_next(cx) {}
    }

    /// A timer that goes off too early costs one more look, so that only an earlier end moves it.
    fn set(&mut self, lasts: u64) {
        let at = after(lasts);
        if self.timer.is_elapsed() || at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }
}

/// At least a millisecond from now: the clocks here are read in whole ones, and a timer may go off within the last.
fn after(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis.clamp(1, LONGEST))
}

/// The longest that a timer is set for. Timers stand still while the machine is suspended, and credentials do not.
const LONGEST: u64 = 60_000;
