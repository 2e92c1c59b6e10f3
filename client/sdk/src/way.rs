//! The way to a broker: TCP, TLS, and HTTP/2 above it.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{
    Address, Error, Identity, KeepAlive, Options, Proof, Trust,
    retry::{self, Repeat},
    tls,
};

/// The way to a broker: where it is, whom to take for it, what to show to it.
pub(crate) struct Way {
    broker: Address,
    endpoint: Endpoint,
    config: Arc<ClientConfig>,
    /// One that is dialled again after a break; made if it is asked for.
    open: OnceLock<Channel>,
}

impl Way {
    /// The way of somebody who is enrolled.
    pub(crate) fn of(identity: &Identity, keep_alive: KeepAlive) -> Result<Self, Error> {
        Self::new(identity.broker(), &identity.trust(), Some(&identity.proof()), keep_alive)
    }

    pub(crate) fn new(
        broker: &Address,
        trust: &Trust,
        proof: Option<&Proof>,
        keep_alive: KeepAlive,
    ) -> Result<Self, Error> {
        let config = Arc::new(tls::client_config(trust, proof)?);
        Ok(Self {
            broker: broker.clone(),
            endpoint: endpoint(broker, keep_alive)?,
            config,
            open: OnceLock::new(),
        })
    }

    /// Goes it now, and again after a break.
    pub(crate) async fn connect(&self, options: &Options) -> Result<Channel, Error> {
        retry::run(&options.retry, &options.observer, Repeat::Harmless, || async {
            let connected = self.endpoint.connect_with_connector(service_fn(self.connector())).await;
            connected.map_err(|error| Error::from_connecting(&self.broker.to_string(), &error))
        })
        .await
    }

    /// A channel that goes it whenever it has to, and that nobody holds against the log.
    pub(crate) fn open(&self) -> Channel {
        let make = || self.endpoint.connect_with_connector_lazy(service_fn(self.connector()));
        self.open.get_or_init(make).clone()
    }

    /// Goes it once, now.
    pub(crate) async fn once(&self, dial: &Arc<Dial>) -> Result<Channel, Error> {
        let connected = self.endpoint.connect_with_connector(service_fn(self.single(dial))).await;
        connected.map_err(|error| Error::from_connecting(&self.broker.to_string(), &error))
    }

    /// Goes it once, with the first call.
    pub(crate) fn once_later(&self, dial: &Arc<Dial>) -> Channel {
        self.endpoint.connect_with_connector_lazy(service_fn(self.single(dial)))
    }

    fn single(&self, dial: &Arc<Dial>) -> impl Fn(Uri) -> Dialling + Send + Sync + use<> {
        let (connector, dial) = (self.connector(), Arc::clone(dial));
        move |uri| if dial.take() { connector(uri) } else { Box::pin(std::future::ready(Err(over()))) }
    }

    fn connector(&self) -> impl Fn(Uri) -> Dialling + Send + Sync + use<> {
        let (broker, config) = (self.broker.clone(), Arc::clone(&self.config));
        move |_| Box::pin(dial(broker.clone(), Arc::clone(&config)))
    }
}

/// The one dialling that a link has.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    taken: AtomicBool,
    asked_again: AtomicBool,
}

impl Dial {
    fn take(&self) -> bool {
        let first = !self.taken.swap(true, Ordering::SeqCst);
        if !first {
            self.asked_again.store(true, Ordering::SeqCst);
        }
        first
    }

    /// Was the connection found to be gone?
    pub(crate) fn is_over(&self) -> bool {
        self.asked_again.load(Ordering::SeqCst)
    }
}

fn over() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
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
