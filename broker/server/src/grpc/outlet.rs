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
    end: Arc<Mutex<End>>,
    broker: Arc<Broker>,
    call: Arc<Call>,
    judged: Instant,
}

/// What the reader gets: the pieces, and then why there are no more, unless that was all.
pub(super) struct Answer<T> {
    pieces: mpsc::Receiver<T>,
    end: Arc<Mutex<End>>,
}

/// How an answer ended.
enum End {
    /// Not at all: without a word from whoever made it, it is not whole.
    Open,
    Whole,
    Refused(Status),
}

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
    let end = Arc::new(Mutex::new(End::Open));
    let outlet = Outlet { pieces: send, end: Arc::clone(&end), broker, call, judged: Instant::now() };
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
        let end = match why {
            Ok(()) => End::Whole,
            // Nobody hears it.
            Err(Closed::Gone) => return,
            Err(Closed::Refused(refusal)) => {
                let event = self.broker.refused(&self.call, &refusal, None).await;
                End::Refused(status(&refusal, event))
            }
        };
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

impl<T> Stream for Answer<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(piece) = ready!(self.pieces.poll_recv(context)) {
            return Poll::Ready(Some(Ok(piece)));
        }
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(match std::mem::replace(&mut *end, End::Whole) {
            End::Whole => None,
            End::Refused(status) => Some(Err(status)),
            End::Open => Some(Err(status(&Refusal::internal("an answer broke off"), None))),
        })
    }
}

#[cfg(test)]
mod tests {
    use daypass_core::event::Method;
    use tokio_stream::StreamExt;
    use tonic_types::StatusExt;

    use super::*;
    use crate::rig::Rig;

    async fn opened() -> (Rig, Outlet<u8>, Answer<u8>) {
        let rig = Rig::new().await;
        let mut call = (*rig.call().await).clone();
        call.method = Method::new("AuditService/ExportLog");
        let (out, answer) = outlet(rig.broker.clone(), Arc::new(call));
        (rig, out, answer)
    }

    async fn reasons(answer: Answer<u8>) -> Vec<String> {
        let pieces = answer.map(|piece| match piece {
            Ok(piece) => piece.to_string(),
            Err(status) => status.get_error_details().error_info().unwrap().reason.clone(),
        });
        pieces.collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_nothing_is_let_go_and_told_why() {
        let (_rig, mut out, answer) = opened().await;
        for piece in [1, 2] {
            assert!(out.send(piece).await.is_ok());
        }
        let begun = Instant::now();
        let sent = out.send(3).await;
        assert!((60..70).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        out.close(sent).await;
        assert_eq!(reasons(answer).await, ["1", "2", "deadline"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_is_slow_but_reads_gets_all() {
        let (_rig, mut out, answer) = opened().await;
        let reading = tokio::spawn(reasons(answer));
        for piece in 0..5 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            assert!(out.send(piece).await.is_ok());
        }
        out.close(Ok(())).await;
        assert_eq!(reading.await.unwrap(), ["0", "1", "2", "3", "4"]);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_without_a_word_does_not_look_whole() {
        let (_rig, mut out, answer) = opened().await;
        assert!(out.send(1).await.is_ok());
        drop(out);
        assert_eq!(reasons(answer).await, ["1", "internal"]);
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_reader_who_went_away() {
        let (_rig, mut out, answer) = opened().await;
        drop(answer);
        assert!(matches!(out.send(1).await, Err(Closed::Gone)));
    }
}
