//! The TLS side of a relying party's port, whoever checks the client certificates: TLS 1.3 on ring, and no resumption.
//!
//! INVARIANT (no resumption): a resumed handshake would skip the certificate, so there is none, and no early data either.

use std::sync::Arc;

use rustls::{
    ServerConfig, crypto,
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// What to do with callers who show no certificate. One of somebody else's is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    /// They are refused.
    #[default]
    Refuse,
    /// They are let in, for what needs none: a health check, or tokens that are not bound.
    LetIn,
}

/// A server that shows this chain and lets in whom `clients` takes.
pub(crate) fn config(
    clients: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Error::Unable("speak TLS 1.3"))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|_| Error::BadInput("the server's certificate and its key do not fit together".into()))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}
