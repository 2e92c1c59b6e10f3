//! A connection to a broker: one HTTP/2 channel over mutual TLS that finds its way back after a break.

use std::{
    fmt, io,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
    time::Duration,
};

use daypass_credential::{NodeId, NodeKind, Revision};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{
    Address, Error, Identity, Observer, Proof, RetryPolicy, Trust, keeper,
    retry::{self, Repeat},
    tls,
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
    broker: Arc<str>,
    options: Options,
    current: RwLock<Current>,
    /// Who renews the identity, if somebody does.
    keeper: OnceLock<Weak<keeper::Inner>>,
}

/// The channel that new calls go over, and with which certificate it is made.
#[derive(Clone)]
struct Current {
    channel: Channel,
    revision: Revision,
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
        let (trust, proof) = (identity.trust(), identity.proof());
        let way = Way::new(identity.broker(), &trust, Some(&proof), options.keep_alive)?;
        let channel = way.connect(options).await?;
        let current = RwLock::new(Current { channel, revision: identity.revision() });
        let line = Line {
            broker: identity.broker().to_string().into(),
            options: options.clone(),
            current,
            keeper: OnceLock::new(),
        };
        Ok(Self { subject: identity.subject().clone(), line: Arc::new(line) })
    }

    /// As whom.
    #[must_use]
    pub const fn subject(&self) -> &NodeId {
        &self.subject
    }

    /// The channel, for calls that this crate does not make. It is the one of this moment: after a renewal there is
    /// another.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.current().channel
    }

    /// How it goes about its calls.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.line.options
    }

    /// Makes a call: tries it again where that is harmless and can help, and renews first if the broker asks for that.
    pub(crate) async fn call<T, S, F>(&self, repeat: Repeat, mut send: S) -> Result<T, Error>
    where
        S: FnMut(Channel) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let with = self.current().revision;
        match self.call_as_it_is(repeat, &mut send).await {
            Err(error) if error.reason() == Some(RENEW_FIRST) => {
                let Some(keeper) = self.line.keeper.get().and_then(Weak::upgrade) else {
                    return Err(error);
                };
                Box::pin(keeper.renew(with)).await?;
                // What was refused was not done.
                self.call_as_it_is(repeat, &mut send).await
            }
            answer => answer,
        }
    }

    /// The same with the certificate that there is.
    pub(crate) async fn call_as_it_is<T, S, F>(&self, repeat: Repeat, mut send: S) -> Result<T, Error>
    where
        S: FnMut(Channel) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let Options { retry, observer, .. } = &self.line.options;
        let attempt = || {
            let sent = send(self.channel());
            async { sent.await.map(tonic::Response::into_inner).map_err(|status| self.fault(status)) }
        };
        retry::run(retry, observer, repeat, attempt).await
    }

    /// Has the identity renewed by this keeper whenever the broker asks for it.
    pub(crate) fn keep(&self, keeper: Weak<keeper::Inner>) {
        // There is one keeper, who made this connection.
        let _set = self.line.keeper.set(keeper);
    }

    /// New calls are made with this certificate of the same identity. Those under way finish as they began.
    pub(crate) fn switch(&self, identity: &Identity) -> Result<(), Error> {
        let (trust, proof) = (identity.trust(), identity.proof());
        let way = Way::new(identity.broker(), &trust, Some(&proof), self.line.options.keep_alive)?;
        let next = Current { channel: way.connect_later(), revision: identity.revision() };
        *self.line.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn current(&self) -> Current {
        self.line.current.read().unwrap_or_else(PoisonError::into_inner).clone()
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
        Error::from_status(&self.line.broker, status)
    }
}

fn with_article(kind: NodeKind) -> String {
    let article = if kind.as_str().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} at {})", self.subject, self.line.broker)
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

/// The way to a broker: where it is, whom to take for it, what to show to it.
pub(crate) struct Way {
    broker: Address,
    endpoint: Endpoint,
    config: Arc<ClientConfig>,
}

impl Way {
    pub(crate) fn new(
        broker: &Address,
        trust: &Trust,
        proof: Option<&Proof>,
        keep_alive: KeepAlive,
    ) -> Result<Self, Error> {
        let config = Arc::new(tls::client_config(trust, proof)?);
        Ok(Self { broker: broker.clone(), endpoint: endpoint(broker, keep_alive)?, config })
    }

    /// Goes it now.
    pub(crate) async fn connect(&self, options: &Options) -> Result<Channel, Error> {
        retry::run(&options.retry, &options.observer, Repeat::Harmless, || async {
            let connected = self.endpoint.connect_with_connector(service_fn(self.connector())).await;
            connected.map_err(|error| Error::from_connecting(&self.broker.to_string(), &error))
        })
        .await
    }

    /// Goes it with the first call.
    fn connect_later(&self) -> Channel {
        self.endpoint.connect_with_connector_lazy(service_fn(self.connector()))
    }

    fn connector(&self) -> impl Fn(Uri) -> Dialling + Send + Sync + use<> {
        let (broker, config) = (self.broker.clone(), Arc::clone(&self.config));
        move |_| Box::pin(dial(broker.clone(), Arc::clone(&config)))
    }
}

type Dialling = std::pin::Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

fn endpoint(broker: &Address, keep_alive: KeepAlive) -> Result<Endpoint, Error> {
    let uri = format!("https://{broker}");
    let endpoint =
        Endpoint::from_shared(uri).map_err(|_| Error::BadInput(format!("`{broker}` is no address")))?;
    Ok(endpoint
        .user_agent(concat!("daypass-sdk/", env!("CARGO_PKG_VERSION")))
        .map_err(|_| Error::Unable("name itself"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .http2_keep_alive_interval(keep_alive.interval)
        .keep_alive_timeout(keep_alive.timeout)
        .keep_alive_while_idle(true))
}

async fn dial(broker: Address, config: Arc<ClientConfig>) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect((broker.host(), broker.port())).await?;
    stream.set_nodelay(true)?;
    let tls = TlsConnector::from(config).connect(broker.server_name().clone(), stream).await?;
    Ok(TokioIo::new(tls))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
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
