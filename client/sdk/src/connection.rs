//! A connection to a broker: one HTTP/2 channel over mutual TLS that finds its way back after a break.

use std::{fmt, io, sync::Arc, time::Duration};

use daypass_credential::{NodeId, NodeKind};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{Address, Error, Identity, Proof, Trust, tls};

/// A connection to a broker, as somebody. Copies share it.
#[derive(Clone)]
pub struct Connection {
    subject: NodeId,
    broker: Arc<str>,
    channel: Channel,
}

impl Connection {
    /// Connects as this identity.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::OtherBroker`] and [`Error::NotAccepted`].
    pub async fn open(identity: &Identity) -> Result<Self, Error> {
        let channel = connect(identity.broker(), &identity.trust(), Some(&identity.proof())).await?;
        let broker = identity.broker().to_string().into();
        Ok(Self { subject: identity.subject().clone(), broker, channel })
    }

    /// As whom.
    #[must_use]
    pub const fn subject(&self) -> &NodeId {
        &self.subject
    }

    /// The channel, for calls that this crate does not make.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
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
        Error::from_status(&self.broker, status)
    }
}

fn with_article(kind: NodeKind) -> String {
    let article = if kind.as_str().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} at {})", self.subject, self.broker)
    }
}

/// Connects to a broker, or to what should be one: the way in for enrolment, which has no identity yet.
///
/// # Errors
/// [`Error::Unreachable`] and [`Error::OtherBroker`]; [`Error::BadInput`] if certificate and key do not fit together.
pub async fn connect(broker: &Address, trust: &Trust, proof: Option<&Proof>) -> Result<Channel, Error> {
    let config = Arc::new(tls::client_config(trust, proof)?);
    let endpoint = endpoint(broker)?;
    let connector = service_fn({
        let broker = broker.clone();
        move |_: Uri| dial(broker.clone(), Arc::clone(&config))
    });
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| Error::from_transport(&broker.to_string(), Box::new(error)))
}

/// Without keep-alive a channel does not notice that the network behind it went away, and never recovers.
fn endpoint(broker: &Address) -> Result<Endpoint, Error> {
    let uri = format!("https://{broker}");
    let endpoint =
        Endpoint::from_shared(uri).map_err(|_| Error::BadInput(format!("`{broker}` is no address")))?;
    Ok(endpoint
        .user_agent(concat!("daypass-sdk/", env!("CARGO_PKG_VERSION")))
        .map_err(|_| Error::Unable("name itself"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
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
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

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
