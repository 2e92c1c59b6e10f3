//! The way to the broker: its address, the connection, and TLS with the root that is known.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use daypass_sdk::{Address, Error, Identity, connect};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::Check;
use crate::failure::{Exit, Failure};

/// Looks at the whole way; true if the broker is at its end.
pub(super) async fn examine(identity: &Identity, checks: &mut Vec<Check>) -> bool {
    let broker = identity.broker();
    let addresses = match resolve(broker).await {
        Ok(addresses) => addresses,
        Err(check) => {
            checks.extend([check, skipped("connect"), skipped("tls")]);
            return false;
        }
    };
    let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    checks.push(Check::well("address", format!("{} is {}", broker.host(), shown.join(", "))));
    let reached = match dial(broker, &addresses).await {
        Ok((address, check)) => {
            checks.push(check);
            address
        }
        Err(check) => {
            checks.extend([check, skipped("tls")]);
            return false;
        }
    };
    let tls = handshake(identity, reached).await;
    let good = !tls.is_wrong();
    checks.push(tls);
    good
}

fn skipped(name: &'static str) -> Check {
    Check::skipped(name, "not looked at: there is no way to the broker")
}

async fn resolve(broker: &Address) -> Result<Vec<SocketAddr>, Check> {
    let wrong = |why: String| {
        let words = format!("`{}` is not to be found: {why}", broker.host());
        Check::wrong(
            "address",
            Exit::Unreachable,
            words,
            "check the name, and the name service of this machine",
        )
    };
    let found = timeout(PATIENCE, lookup_host((broker.host(), broker.port()))).await;
    let found = found.map_err(|_| wrong("no answer in time".into()))?;
    let found: Vec<_> = found.map_err(|error| wrong(error.to_string()))?.collect();
    if found.is_empty() { Err(wrong("it has no address".into())) } else { Ok(found) }
}

/// Connects to the first address that takes it.
async fn dial(broker: &Address, addresses: &[SocketAddr]) -> Result<(SocketAddr, Check), Check> {
    let mut last = "there is no address".to_owned();
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                return Ok((*address, Check::well("connect", format!("{address} takes connections"))));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                last = format!("nothing listens on port {} of {}", address.port(), address.ip());
            }
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("{address} does not answer: a firewall may be between"),
        }
    }
    let next = format!(
        "check that the broker runs, that {} is its port, and that nothing blocks the way",
        broker.port()
    );
    Err(Check::wrong("connect", Exit::Unreachable, last, next))
}

/// TLS as every verb does it, but without a certificate of ours: what counts here is the other side.
async fn handshake(identity: &Identity, reached: SocketAddr) -> Check {
    let broker = identity.broker();
    let error = match connect(broker, &identity.trust(), None).await {
        Ok(_) => {
            return Check::well(
                "tls",
                "TLS 1.3, and the broker shows a certificate of the root that is known",
            );
        }
        Err(error) => error,
    };
    let Error::OtherBroker { source, .. } = &error else {
        return Check::failed("tls", &Failure::from(error));
    };
    let fault = match source.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(fault)) => Some(fault.clone()),
        _ => None,
    };
    let shown = shown(broker, reached).await;
    let (message, next) = proof(fault.as_ref(), &shown, identity);
    Check::wrong("tls", Exit::OtherBroker, message, next)
}

/// What was wrong with the other side's proof, in words.
fn proof(
    fault: Option<&CertificateError>,
    shown: &[CertificateDer<'_>],
    identity: &Identity,
) -> (String, &'static str) {
    let name = identity.broker().server_name().to_str().into_owned();
    match fault {
        Some(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => (
            format!("it is the known root's, but the certificate is not for `{name}`"),
            "the broker's operator adds the name to `names` in daypassd.toml; or enrol with --server-name",
        ),
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (
            "the certificate that it shows is over, by this machine's clock".into(),
            "check the clock of this machine; the broker renews its own certificate while it runs",
        ),
        Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => (
            "the certificate that it shows has not begun, by this machine's clock".into(),
            "check the clock of this machine",
        ),
        _ => {
            let who = shown.last().map_or_else(|| "somebody else".into(), |top| signer(top));
            (
                format!(
                    "what answers shows a certificate of {who}, not of the root that this identity knows"
                ),
                "check the address; if it is right, either another broker runs there, or something in between (a proxy) \
                 opens TLS, which must let this connection pass untouched. Do not go on",
            )
        }
    }
}

/// Whoever answers chooses these words: they are one short line, whatever is in them.
fn one_line(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect()
}

fn signer(certificate: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(certificate).map_or_else(
        |_| "somebody else".into(),
        |(_, parsed)| format!("`{}`", one_line(&parsed.issuer().to_string())),
    )
}

/// The certificates that are shown there. Whoever shows them is told nothing, and believed nothing.
async fn shown(broker: &Address, reached: SocketAddr) -> Vec<CertificateDer<'static>> {
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map(|builder| {
            let anybody = Arc::new(Anybody { provider });
            builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
        });
    let Ok(mut config) = config else { return Vec::new() };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let handshake = async {
        let stream = TcpStream::connect(reached).await?;
        TlsConnector::from(Arc::new(config)).connect(broker.server_name().clone(), stream).await
    };
    match timeout(PATIENCE, handshake).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            certificates.iter().map(|certificate| certificate.clone().into_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// Takes anybody: to look at what is shown, on a connection that nothing is ever sent over.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whoever waits for words does not wait long.
const PATIENCE: Duration = Duration::from_secs(5);
