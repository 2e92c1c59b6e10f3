//! Checking credentials without asking: a verifier follows the broker's feed and judges by itself, request by request.
//!
//! `follow.rs` is the task that follows, `turn.rs` one stream of it, `stream.rs` and `wire.rs` what goes over the wire;
//! `signer.rs` acknowledges, `memory.rs` keeps what the next process begins with. What is decided by it all, and how a
//! stream is believed, lies in `daypass-verifier`.
//!
//! For services: `gate/` judges requests, `tls.rs` handshakes, `guarded.rs` connections; `vigil.rs` waits beside what is
//! open until its `basis.rs` is good no more.

mod basis;
mod clock;
mod follow;
#[cfg(test)]
pub(crate) mod forge;
mod gate;
mod guarded;
mod lost;
mod memory;
mod news;
mod options;
mod signer;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod turn;
mod vigil;
mod wire;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daypass_credential::{Name, NodeKind, Scope, Ttl};
use daypass_verifier::Feed;
pub use daypass_verifier::{
    Certificate, FeedError, KeyChange, MAX_TOKEN, Moment, Position, Refused, Token, View,
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::{Connection, Error, entropy};
pub(crate) use clock::{Clock, SystemClock};
use follow::{Follower, Keeping, follow};
pub use gate::{Answering, Denied, Gate, Gated, Granted, GuardedBody, Need, Peer, PeerOf};
pub use guarded::Guarded;
#[cfg(feature = "listen")]
pub(crate) use guarded::Standing;
pub use lost::Lost;
use memory::Place;
pub use news::{News, Watch};
pub use options::Options;
use signer::Signer;
pub use tls::{ClientCertificates, server_config};
pub use wire::Malformed;

pub use crate::server_tls::Without;

/// Checks tokens and client certificates for an audience, by what a broker pushes. Copies share it. Its checks never
/// wait, and refuse once nothing was heard for longer than the audience allows.
///
/// One that is made for several audiences lets clients of each through a handshake, and judges no request by itself: that
/// takes a copy for one of them ([`Verifier::only`]), so that no audience's credentials are good for another's requests.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
    /// What requests are judged for; none if that is not said.
    only: Option<Name>,
    /// Follows for as long as there is a copy; nobody does for a verifier that is fed by hand.
    task: Option<Arc<Task>>,
}

/// What the copies share with the task that follows.
struct Inner {
    check: daypass_verifier::Verifier,
    /// A limit of this verifier's own.
    staleness: Option<Ttl>,
    clock: Arc<dyn Clock>,
    watch: Watch,
    /// Moves with each view.
    views: watch::Sender<u64>,
    /// Moves when what was good may be good no more: with cuts, keys, horizon or era, and not with each proof of freshness.
    moved: watch::Sender<u64>,
}

/// The task that follows. It ends when this is dropped, or before if it is told to.
struct Task {
    wanted: watch::Sender<bool>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Verifier {
    /// Follows the broker at the end of this connection, which has to be a verifier's, for as long as there is a copy of
    /// this. It begins without knowing anything, and refuses everything until then: see [`Verifier::ready`]. The connection
    /// is best a [`Keeper`](crate::Keeper)'s, who renews the identity.
    ///
    /// How far the log was followed is kept in the [`Home`](crate::Home) of the identity, as `feed.toml`, so that the next
    /// process goes no further back.
    ///
    /// # Errors
    /// [`Error::BadInput`] if no audience is named (or one is, to observe), if somebody else is at the end of the connection,
    /// if the key of the identity is not on P-256, or if `feed.toml` is damaged; [`Error::BadAnswer`] if the certificate is none of a broker's; [`Error::Files`];
    /// [`Error::Unable`] outside of a tokio runtime, or without randomness.
    pub fn start(connection: &Connection, options: &Options) -> Result<Self, Error> {
        Self::start_by(connection, options, Arc::new(SystemClock))
    }

    fn start_by(connection: &Connection, options: &Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        options.sound()?;
        connection.demand(NodeKind::Verifier)?;
        Signer::of(connection.current().identity())?;
        let runtime =
            Handle::try_current().map_err(|_| Error::Unable("follow a broker outside of a runtime"))?;
        let place = Place::beside(&connection.ask().memory);
        let verifier = Self::unfed(options, clock);
        let follower = Follower {
            connection: connection.clone(),
            inner: Arc::clone(&verifier.inner),
            feed: Feed::new(place.read()?),
            process: entropy::bytes()?,
            observing: options.observing,
            watch: options.watch.clone(),
            keeping: Keeping::at(place),
        };
        let (wanted, waiting) = watch::channel(true);
        let handle = Mutex::new(Some(runtime.spawn(follow(follower, waiting))));
        Ok(Self { task: Some(Arc::new(Task { wanted, handle })), ..verifier })
    }

    /// One that nothing feeds yet, for tests to feed.
    #[cfg(test)]
    pub(crate) fn new(
        audiences: impl IntoIterator<Item = Name>,
        options: &daypass_verifier::Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let daypass_verifier::Options { remembered, staleness } = *options;
        let options = Options { remembered, staleness, ..Options::of(audiences) };
        options.sound()?;
        Ok(Self::unfed(&options, clock))
    }

    fn unfed(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            check: options.check(),
            staleness: options.staleness,
            clock,
            watch: options.watch.clone(),
            views: watch::Sender::new(0),
            moved: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner), only: options.only().cloned(), task: None }
    }

    /// A copy that judges for this audience alone, which has to be one of those that this one was made for.
    ///
    /// # Errors
    /// [`Error::BadInput`] if it is not.
    pub fn only(&self, audience: &Name) -> Result<Self, Error> {
        let mine = match &self.only {
            Some(only) => only == audience,
            None => self.inner.check.audiences().is_some_and(|named| named.contains(audience)),
        };
        if !mine {
            return Err(Error::BadInput(format!("this verifier does not check for audience `{audience}`")));
        }
        Ok(Self { only: Some(audience.clone()), ..self.clone() })
    }

    /// Puts a view in force. `moves` says whether what was good may be good no more.
    #[cfg(test)]
    pub(crate) fn apply(&self, view: Arc<View>, moves: bool) {
        self.inner.apply(view, moves);
    }

    /// Waits until the broker has shown that nothing is missing, recently enough for every audience.
    ///
    /// # Errors
    /// [`Error::BadInput`] if an audience was named that this verifier is not registered for, or if it is registered for none;
    /// [`Error::Unable`] if nothing follows any more: it was closed, or its runtime ended.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut views = self.inner.views.subscribe();
        loop {
            if self.age().is_some() {
                self.inner.registered()?;
            }
            if self.is_fresh() {
                return Ok(());
            }
            tokio::select! {
                // It cannot be gone: it belongs to this.
                _ = views.changed() => {}
                () = self.over() => return Err(Error::Unable("follow the broker any more: that was ended")),
            }
        }
    }

    /// Waits until nothing follows any more, for whatever reason. What is fed by hand is not followed, and not over.
    async fn over(&self) {
        match &self.task {
            Some(task) => task.wanted.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Has the broker shown recently enough for every audience that nothing is missing?
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.refuses_in().is_some_and(|left| !left.is_zero())
    }

    /// How long ago the broker last showed that nothing is missing, counted from when it was asked; none if it never did.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.inner.check.view()?.age(self.inner.clock.moment()).map(Duration::from_millis)
    }

    /// After how long the first of the audiences is refused, if nothing more is heard; nothing if it is so already, none if
    /// nothing was ever heard.
    #[must_use]
    pub fn refuses_in(&self) -> Option<Duration> {
        let age = self.age()?;
        // Without any audience nothing could be accepted.
        let limit = self.inner.limit().map_or(0, Ttl::as_millis);
        Some(Duration::from_millis(limit).saturating_sub(age))
    }

    /// Up to where in the log every cut is in force; none if nothing is known yet.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.inner.check.view().map(|view| view.position())
    }

    /// What is in force; none if nothing is known yet.
    #[must_use]
    pub fn view(&self) -> Option<Arc<View>> {
        self.inner.check.view()
    }

    /// Stops following, once what the next process begins with is written down. Copies refuse from when they are stale.
    pub async fn close(self) {
        if let Some(task) = &self.task {
            task.wanted.send_replace(false);
            let handle = task.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(handle) = handle {
                // It may be gone with its runtime.
                let _ended = handle.await;
            }
        }
    }

    /// Is this token good, here and now? `shown` is the certificate of the connection that it came over, `wanted` what the
    /// request takes.
    ///
    /// # Errors
    /// Why not.
    pub fn check_token(
        &self,
        token: &str,
        shown: Option<&Certificate>,
        wanted: &[Scope],
    ) -> Result<Token, Refused> {
        let read = self.inner.check.read_token(token);
        // Whatever reading it took, or whoever stopped this process meanwhile: it is judged by the time that it is now.
        let judged = read.and_then(|token| self.judge(&token, shown, wanted).map(|()| token));
        self.inner.told(judged)
    }

    /// Is a token that was good before still good?
    ///
    /// # Errors
    /// Why not.
    pub fn check_token_again(
        &self,
        token: &Token,
        shown: Option<&Certificate>,
        wanted: &[Scope],
    ) -> Result<(), Refused> {
        self.inner.told(self.judge(token, shown, wanted))
    }

    /// What a client certificate says, whose key the connection's handshake proved. This is no verdict.
    ///
    /// # Errors
    /// Why it is none of the broker's.
    pub fn read_certificate(&self, der: &[u8]) -> Result<Certificate, Refused> {
        self.inner.check.read_certificate(der)
    }

    /// Is this client certificate good, here and now? To be asked for each request, not only once a connection.
    ///
    /// # Errors
    /// Why not.
    pub fn check_certificate(&self, certificate: &Certificate) -> Result<(), Refused> {
        let judged = self.is_for(certificate.audience());
        self.inner.told(judged.and_then(|()| self.inner.still(None, Some(certificate), &[])))
    }

    /// Is this client certificate good enough for a handshake? What comes over the connection is judged by itself.
    pub(crate) fn check_handshake(&self, certificate: &Certificate) -> Result<(), Refused> {
        let judged = match self.inner.check.audiences() {
            Some(_) if self.only.is_none() => Ok(()),
            Some(_) | None => self.is_for(certificate.audience()),
        };
        self.inner.told(judged.and_then(|()| self.inner.still(None, Some(certificate), &[])))
    }

    fn judge(&self, token: &Token, shown: Option<&Certificate>, wanted: &[Scope]) -> Result<(), Refused> {
        self.is_for(token.audience())?;
        self.inner.check.check_token_again(token, shown, wanted, self.inner.clock.moment())
    }

    /// INVARIANT (one audience a request): what is for another one is refused, and everything is where nothing says which.
    fn is_for(&self, found: &Name) -> Result<(), Refused> {
        match &self.only {
            Some(only) if only == found => Ok(()),
            Some(_) => Err(Refused::OtherAudience),
            None => Err(Refused::NoAudience),
        }
    }

    /// Moves when what was good may be good no more; whoever keeps something open by an earlier verdict asks again then.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.inner.moved.subscribe()
    }
}

impl Inner {
    /// The verdict on what was let in before, which nobody counts.
    fn still(
        &self,
        token: Option<&Token>,
        shown: Option<&Certificate>,
        wanted: &[Scope],
    ) -> Result<(), Refused> {
        let now = self.clock.moment();
        // A token that is bound to no certificate still came over a connection that rests on one.
        shown.map_or(Ok(()), |shown| self.check.check_certificate(shown, now))?;
        token.map_or(Ok(()), |token| self.check.check_token_again(token, shown, wanted, now))
    }

    fn apply(&self, view: Arc<View>, moves: bool) {
        self.check.apply(view);
        self.views.send_modify(|times| *times = times.wrapping_add(1));
        if moves {
            self.moved.send_modify(|times| *times = times.wrapping_add(1));
        }
    }

    /// The strictest staleness limit of what is checked; none if nothing is, or nothing is known yet.
    fn limit(&self) -> Option<Ttl> {
        let view = self.check.view()?;
        let checked = |name: &_| self.check.audiences().is_none_or(|named| named.contains(name));
        let limits = view.bundle().audiences().filter(|(name, _)| checked(name)).map(|(_, limit)| limit);
        limits.min().map(|limit| self.staleness.map_or(limit, |own| own.min(limit)))
    }

    /// Are there keys for what is to be checked?
    fn registered(&self) -> Result<(), Error> {
        let Some(view) = self.check.view() else { return Ok(()) };
        let missing = |name: &&_| view.bundle().staleness(name).is_none();
        let named = self.check.audiences();
        if named.is_none() && view.bundle().audiences().next().is_none() {
            let nothing = "this verifier is registered for no audience that is open: nothing is accepted";
            return Err(Error::BadInput(nothing.to_owned()));
        }
        match named.and_then(|named| named.iter().find(missing)) {
            Some(name) => Err(Error::BadInput(format!(
                "this verifier is not registered for audience `{name}`, or that is ended: nothing for it is accepted"
            ))),
            None => Ok(()),
        }
    }

    /// The same verdict, told. Nothing is made for that.
    fn told<T>(&self, verdict: Result<T, Refused>) -> Result<T, Refused> {
        self.watch.tell(&News::Checked { refused: verdict.as_ref().err() });
        verdict
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}
