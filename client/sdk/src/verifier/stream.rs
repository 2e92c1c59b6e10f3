//! One stream from the broker: what was said over it, and what comes.

use std::sync::Arc;

use daypass_proto::v1::{
    self, follow_revocations_request::Message, verification_service_client::VerificationServiceClient,
};
use daypass_verifier::{Counter, Hello};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Streaming};

use super::{Lost, signer::Signer, wire};
use crate::{Connection, Error, link::Link};

/// One stream, and what it goes over.
pub(super) struct Stream {
    connection: Connection,
    link: Arc<Link>,
    pub(super) signer: Signer,
    /// What is to be said; few fit, so that nothing is said long after it was meant.
    pub(super) say: mpsc::Sender<v1::FollowRevocationsRequest>,
    hear: Streaming<v1::FollowRevocationsResponse>,
}

impl Stream {
    /// Opens one, and says hello. The broker has shown its log before, as before every call.
    pub(super) async fn open(
        connection: &Connection,
        hello: &Hello,
        process: [u8; 16],
        observing: bool,
    ) -> Result<Self, Error> {
        let open = |link: Arc<Link>| async move {
            let signer = match Signer::of(link.identity()) {
                Ok(signer) => signer,
                Err(error) => return Ok(Response::new(Err(error))),
            };
            let (say, said) = mpsc::channel(ROOM);
            let hello = wire::hello(hello, signer.point(), process, observing);
            // There is room for it: nothing was said before.
            let _room = say.try_send(request(Message::Hello(hello)));
            let stream = ReceiverStream::new(said);
            let answer = VerificationServiceClient::new(link.channel()).follow_revocations(stream).await?;
            Ok(answer.map(|hear| Ok((link, signer, say, hear))))
        };
        let (link, signer, say, hear) = connection.call_once(open).await??;
        Ok(Self { connection: connection.clone(), link, signer, say, hear })
    }

    /// What comes next. Whoever stops waiting misses nothing.
    pub(super) async fn hear(&mut self) -> Result<v1::FollowRevocationsResponse, Lost> {
        match self.hear.message().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Lost::Ended),
            Err(status) => Err(Lost::Broker(self.connection.fault(status))),
        }
    }

    /// Sends a counter, if what was said before is on its way: the others would wait behind it.
    pub(super) fn count(&self, counter: impl FnOnce() -> Option<Counter>) {
        if let Ok(room) = self.say.try_reserve()
            && let Some(Counter(counter)) = counter()
        {
            room.send(request(Message::Counter(counter)));
        }
    }

    /// Has the next stream go over another connection: nobody seems to be at the end of this one.
    pub(super) fn give_up(&self) {
        self.connection.give_up(&self.link);
    }
}

pub(super) fn request(message: Message) -> v1::FollowRevocationsRequest {
    v1::FollowRevocationsRequest { message: Some(message) }
}

/// How many messages may wait to be sent.
const ROOM: usize = 4;
