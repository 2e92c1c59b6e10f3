//! Answers that are streams: the reader is judged again while they run, and one who takes nothing is let go.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tokio_stream::Stream;
use tonic::Status;

use super::{gate::judged_again, status::status};
use crate::{broker::Broker, call::Call, refusal::Refusal};

/// How often the reader is judged.
const JUDGE: Duration = Duration::from_secs(5);
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many pieces wait for a reader.
const WAITING: usize = 2;

/// Where the pieces of an answer go in.
pub(super) struct Outlet<T> {
    pieces: mpsc::Sender<T>,
    end: End,
    broker: Arc<Broker>,
    call: Arc<Call>,
    judged: Instant,
}

/// What the reader gets: the pieces, and then why there are no more, unless that was all.
pub(super) struct Answer<T> {
    pieces: mpsc::Receiver<T>,
    end: End,
}

type End = Arc<Mutex<Option<Status>>>;

/// Why nothing more can be sent.
pub(super) enum Closed {
    /// The reader went away.
    Gone,
    /// The answer breaks off with this.
    Refused(Refusal),
}

impl From<Refusal> for Closed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An answer to this call, which the gate has just let in.
pub(super) fn outlet<T>(broker: Arc<Broker>, call: Arc<Call>) -> (Outlet<T>, Answer<T>) {
    let (send, receive) = mpsc::channel(WAITING);
    let end = End::default();
    let outlet = Outlet { pieces: send, end: end.clone(), broker, call, judged: Instant::now() };
    (outlet, Answer { pieces: receive, end })
}

impl<T> Outlet<T> {
    /// Sends a piece once there is room for it.
    pub(super) async fn send(&mut self, piece: T) -> Result<(), Closed> {
        let begun = Instant::now();
        loop {
            if self.judged.elapsed() >= JUDGE {
                judged_again(&self.broker, &self.call).await?;
                self.judged = Instant::now();
            }
            let next = self.judged + JUDGE;
            match tokio::time::timeout_at(next, self.pieces.reserve()).await {
                Ok(Ok(room)) => {
                    room.send(piece);
                    return Ok(());
                }
                Ok(Err(_)) => return Err(Closed::Gone),
                Err(_) if begun.elapsed() >= PATIENCE => return Err(Refusal::Deadline.into()),
                Err(_) => {}
            }
        }
    }

    /// Ends the answer.
    pub(super) async fn close(self, why: Result<(), Closed>) {
        if let Err(Closed::Refused(refusal)) = why {
            let event = self.broker.refused(&self.call, &refusal).await;
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(status(&refusal, event));
        }
    }
}

impl<T> Stream for Answer<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.pieces.poll_recv(context)) {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None => Poll::Ready(self.end.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err)),
        }
    }
}
