//! One connection at TCP and TLS, and whether the broker at its end has shown its log. It is dialled once: a link that
//! breaks is over, and another takes its place, which has to be shown the log again.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use daypass_credential::Revision;
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::{
    Error, Event, Identity, Observer,
    log::{Ask, follow, get_checkpoint},
    way::{Dial, Way},
};

/// One connection, and with which certificate it is made.
pub(crate) struct Link {
    way: Arc<Way>,
    channel: Channel,
    dial: Arc<Dial>,
    identity: Arc<Identity>,
    shown: AtomicBool,
    /// The question under way: one at a time, however many calls wait for it.
    flight: Mutex<Option<Flight>>,
}

/// What came of a question, once it is there, for all who wait for it.
type Flight = watch::Receiver<Option<Result<(), Arc<Error>>>>;

impl Link {
    /// Dialled now.
    pub(crate) async fn now(way: Arc<Way>, identity: Arc<Identity>) -> Result<Self, Error> {
        let dial = Arc::default();
        let channel = way.once(&dial).await?;
        Ok(Self::over(way, channel, dial, identity))
    }

    /// Dialled with the first call.
    pub(crate) fn later(way: Arc<Way>, identity: Arc<Identity>) -> Self {
        let dial = Arc::default();
        let channel = way.once_later(&dial);
        Self::over(way, channel, dial, identity)
    }

    /// Another by the same way.
    pub(crate) fn anew(&self) -> Self {
        Self::later(Arc::clone(&self.way), Arc::clone(&self.identity))
    }

    fn over(way: Arc<Way>, channel: Channel, dial: Arc<Dial>, identity: Arc<Identity>) -> Self {
        Self { way, channel, dial, identity, shown: AtomicBool::new(false), flight: Mutex::default() }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Another channel by the same way, that nobody holds against the log.
    pub(crate) fn open(&self) -> Channel {
        self.way.open()
    }

    /// The number of the certificate that it is made with.
    pub(crate) fn revision(&self) -> Revision {
        self.identity.revision()
    }

    /// Whose certificate that is, with its key.
    #[cfg(feature = "verify")]
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Was it found to be broken?
    pub(crate) fn is_over(&self) -> bool {
        self.dial.is_over()
    }

    /// Waits until the broker at its end has shown a log that continues the one that is known. It is asked once.
    pub(crate) async fn shown(self: &Arc<Self>, ask: &Ask, observer: &Observer) -> Result<(), Error> {
        if self.shown.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut flight = self.fly(ask, observer);
        let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        match outcome {
            Some(Ok(())) => Ok(()),
            // What waits for this was not sent.
            Some(Err(error)) => Err(error.copy().before_sending()),
            None => Err(Error::Unable("finish a request: the program is ending")),
        }
    }

    /// Asks in a task of its own: whoever stops waiting does not stop it for others.
    fn fly(self: &Arc<Self>, ask: &Ask, observer: &Observer) -> Flight {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        // One whose task is gone, with its runtime, does not land any more.
        if let Some(flight) = flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return flight.clone();
        }
        let (land, waiting) = watch::channel(None);
        *flight = Some(waiting.clone());
        let (link, ask, observer) = (Arc::clone(self), ask.clone(), observer.clone());
        tokio::spawn(async move {
            let outcome = link.look(&ask).await.map_err(Arc::new);
            if let Err(error) = &outcome
                && matches!(**error, Error::Log { .. })
            {
                observer.tell(&Event::LogRefused { error });
            }
            link.shown.store(outcome.is_ok(), Ordering::Release);
            *link.flight.lock().unwrap_or_else(PoisonError::into_inner) = None;
            land.send_replace(Some(outcome));
        });
        waiting
    }

    async fn look(&self, ask: &Ask) -> Result<(), Error> {
        let get = |known| async {
            let answer = get_checkpoint(self.channel(), known).await;
            answer.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&ask.broker, status))
        };
        follow(ask, get).await.map(drop)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link(shown: {:?}, over: {})", self.shown, self.is_over())
    }
}
