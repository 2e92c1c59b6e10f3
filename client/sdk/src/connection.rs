//! A connection to a broker: mutual TLS, made anew after a break. Each call goes over a link whose broker has shown that
//! its log continues the one that is known here (`link.rs`).

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
    time::Duration,
};

use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_log::VerifierKey;
use tonic::transport::Channel;

use crate::{
    Address, Error, Event, Identity, Observer, Proof, RetryPolicy, Trust, keeper,
    link::Link,
    log::Ask,
    retry::{self, Repeat},
    way::Way,
};

/// How a connection goes about its calls. By default it is patient: for programs that run by themselves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How patiently calls, the first connect included, are tried again.
    pub retry: RetryPolicy,
    /// How it is noticed that the network went away.
    pub keep_alive: KeepAlive,
    /// Who is told of what happens by itself.
    pub observer: Observer,
    /// The key that the broker's log signs with, where it was handed over beforehand (`daypass context show` prints it).
    /// Without it the first contact is trusted, over TLS that only the broker can be at the end of.
    pub log_key: Option<VerifierKey>,
}

impl Options {
    /// The usual ones with another patience.
    #[must_use]
    pub fn with_retry(retry: RetryPolicy) -> Self {
        Self { retry, ..Self::default() }
    }
}

/// HTTP/2 pings, also while nothing else is under way.
///
/// A network can go away without a word: no packet comes that would close the connection, and TCP goes on sending into
/// the void for a quarter of an hour. Without pings every call on that connection runs into its time limit, also long
/// after the network is back. With them a connection that does not answer is given up, and the next call makes a new
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// How often a ping is sent.
    pub interval: Duration,
    /// How long its answer may take.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(5) }
    }
}

/// A connection to a broker, as somebody. Copies share it. After a break it makes itself anew with the next call.
#[derive(Clone)]
pub struct Connection {
    subject: NodeId,
    line: Arc<Line>,
}

/// What the copies of a connection share.
struct Line {
    ask: Ask,
    options: Options,
    /// What new calls go over.
    current: RwLock<Arc<Link>>,
    /// Who renews the identity, if somebody does.
    keeper: OnceLock<Weak<keeper::Inner>>,
}

impl Connection {
    /// Connects as this identity. Everything is tried once: [`Connection::open_with`] is for the patient.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::OtherBroker`] and [`Error::NotAccepted`].
    pub async fn open(identity: &Identity) -> Result<Self, Error> {
        Self::open_with(identity, &Options::with_retry(RetryPolicy::ONCE)).await
    }

    /// Connects as this identity, as patiently as the options say.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::OtherBroker`] and [`Error::NotAccepted`].
    pub async fn open_with(identity: &Identity, options: &Options) -> Result<Self, Error> {
        let way = Arc::new(Way::of(identity, options.keep_alive)?);
        let link = retry::run(&options.retry, &options.observer, Repeat::Harmless, || {
            Link::now(Arc::clone(&way), Arc::new(identity.clone()))
        })
        .await?;
        let line = Line {
            ask: Ask {
                broker: identity.broker().to_string().into(),
                memory: identity.memory.clone(),
                log_key: options.log_key.clone(),
            },
            options: options.clone(),
            current: RwLock::new(Arc::new(link)),
            keeper: OnceLock::new(),
        };
        Ok(Self { subject: identity.subject().clone(), line: Arc::new(line) })
    }

    /// As whom.
    #[must_use]
    pub const fn subject(&self) -> &NodeId {
        &self.subject
    }

    /// A channel for calls that this crate does not make, which finds its way back after a break. It is the one of this
    /// moment: after a renewal there is another. Unlike the calls of this crate, those over it are not held against the log
    /// that is known: call [`Connection::checkpoint`] where that matters.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.current().open()
    }

    /// How it goes about its calls.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.line.options
    }

    /// Makes a call: tries it again where that is harmless and can help, and renews first if the broker asks for that.
    pub(crate) async fn call<T, S, F>(&self, repeat: Repeat, send: S) -> Result<T, Error>
    where
        S: Fn(Channel) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let with = self.current().revision();
        match self.call_as_it_is(repeat, &send).await {
            Err(error) if self.renew_if_asked(&error, with).await? => self.call_as_it_is(repeat, &send).await,
            answer => answer,
        }
    }

    /// Makes a call once, for whoever tries again by themselves and has to know what it went over.
    #[cfg(feature = "verify")]
    pub(crate) async fn call_once<T, S, F>(&self, send: S) -> Result<T, Error>
    where
        S: Fn(Arc<Link>) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let with = self.current().revision();
        match self.attempt(Repeat::Unmarked, &send).await {
            Err(error) if self.renew_if_asked(&error, with).await? => {
                self.attempt(Repeat::Unmarked, &send).await
            }
            answer => answer,
        }
    }

    /// Renews if that is what the broker asks for, instead of doing what was asked; true if it was done.
    async fn renew_if_asked(&self, error: &Error, with: Revision) -> Result<bool, Error> {
        let keeper = self.line.keeper.get().and_then(Weak::upgrade);
        match keeper.filter(|_| error.reason() == Some(RENEW_FIRST)) {
            Some(keeper) => Box::pin(keeper.renew(with)).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Has the next call make a new connection instead of this one, at whose end nobody seems to be.
    #[cfg(feature = "verify")]
    pub(crate) fn give_up(&self, link: &Arc<Link>) {
        self.replace(link);
    }

    /// The same with the certificate that there is.
    pub(crate) async fn call_as_it_is<T, S, F>(&self, repeat: Repeat, send: S) -> Result<T, Error>
    where
        S: Fn(Channel) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let Options { retry, observer, .. } = &self.line.options;
        let send = |link: Arc<Link>| send(link.channel());
        retry::run(retry, observer, repeat, || self.attempt(repeat, &send)).await
    }

    /// Makes no call, but has the broker show its log, as before any other call.
    pub(crate) async fn meet(&self) -> Result<(), Error> {
        self.call_as_it_is(Repeat::Harmless, |_| async { Ok(tonic::Response::new(())) }).await
    }

    /// Makes a call once. A link that was found to be over is replaced before: nothing was sent over it.
    async fn attempt<T, S, F>(&self, repeat: Repeat, send: &S) -> Result<T, Error>
    where
        S: Fn(Arc<Link>) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let link = self.current();
        match self.send(&link, repeat, send).await {
            Err(error) if error.is_unsent() && link.is_over() => {
                let next = self.replace(&link);
                self.send(&next, repeat, send).await
            }
            answer => answer,
        }
    }

    /// INVARIANT (shown before called): no call goes over a link before the broker at its end has shown its log; but an
    /// end goes out unless it has shown another one. A store that was put back is none the worse for it (law 8).
    async fn send<T, S, F>(&self, link: &Arc<Link>, repeat: Repeat, send: &S) -> Result<T, Error>
    where
        S: Fn(Arc<Link>) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let observer = &self.line.options.observer;
        match link.shown(&self.line.ask, observer).await {
            Err(error) if repeat == Repeat::Ending && error.is_no_look() => {
                observer.tell(&Event::LogNotSeen { error: &error });
            }
            shown => shown?,
        }
        send(Arc::clone(link)).await.map(tonic::Response::into_inner).map_err(|status| self.fault(status))
    }

    /// Has the identity renewed by this keeper whenever the broker asks for it.
    pub(crate) fn keep(&self, keeper: Weak<keeper::Inner>) {
        // There is one keeper, who made this connection.
        let _set = self.line.keeper.set(keeper);
    }

    /// New calls are made with this certificate of the same identity. Those under way finish as they began.
    pub(crate) fn switch(&self, identity: &Identity) -> Result<(), Error> {
        let way = Way::of(identity, self.line.options.keep_alive)?;
        let next = Arc::new(Link::later(Arc::new(way), Arc::new(identity.clone())));
        *self.line.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// What new calls go over instead of this link, which is over.
    fn replace(&self, over: &Arc<Link>) -> Arc<Link> {
        let mut current = self.line.current.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, over) {
            *current = Arc::new(over.anew());
        }
        Arc::clone(&current)
    }

    /// What new calls go over.
    pub(crate) fn current(&self) -> Arc<Link> {
        Arc::clone(&self.line.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose log it is, and what is known of it.
    pub(crate) fn ask(&self) -> &Ask {
        &self.line.ask
    }

    /// Refuses to go on as somebody of another kind.
    pub(crate) fn demand(&self, kind: NodeKind) -> Result<(), Error> {
        if self.subject.kind == kind {
            return Ok(());
        }
        Err(Error::BadInput(format!(
            "`{}` is enrolled here, and this takes {}",
            self.subject,
            with_article(kind)
        )))
    }

    /// What a failed call means.
    pub(crate) fn fault(&self, status: tonic::Status) -> Error {
        Error::from_status(&self.line.ask.broker, status)
    }
}

fn with_article(kind: NodeKind) -> String {
    let article = if kind.as_str().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} at {})", self.subject, self.line.ask.broker)
    }
}

/// Connects to a broker, or to what should be one: the way in for enrolment, which has no identity yet. It is tried
/// once.
///
/// # Errors
/// [`Error::Unreachable`] and [`Error::OtherBroker`]; [`Error::BadInput`] if certificate and key do not fit together.
pub async fn connect(broker: &Address, trust: &Trust, proof: Option<&Proof>) -> Result<Channel, Error> {
    let once = Options::with_retry(RetryPolicy::ONCE);
    Way::new(broker, trust, proof, once.keep_alive)?.connect(&once).await
}

const RENEW_FIRST: &str = "renew-first";

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let trust = Trust::Pin(daypass_credential::Digest::new([0; 32]));
        let error = connect(&address, &trust, None).await.unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { broker, source }
                if *broker == address.to_string() && source.to_string() == "connection refused"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn somebody_else_is_not_the_broker() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(strange_server(listener));
        let trust = Trust::Pin(daypass_credential::Digest::new([0; 32]));
        let error = connect(&address, &trust, None).await.unwrap_err();
        assert!(matches!(error, Error::OtherBroker { .. }), "{error:?}");
    }

    async fn strange_server(listener: TcpListener) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key.into())
                .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let (stream, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(stream).await.is_err());
    }
}
