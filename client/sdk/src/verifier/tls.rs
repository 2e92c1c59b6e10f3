//! TLS for services that accept connections by themselves: client certificates are read and checked by the verifier at
//! the handshake, by the CAs that are in use at that moment.
//!
//! The handshake proves the key, and that the certificate was good then. Whether it still is, is asked for each request
//! ([`Guarded`](super::Guarded), [`Gate`](super::Gate)).

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{self, WebPkiSupportedAlgorithms, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::{Refused, Verifier};
use crate::{Error, server_tls, server_tls::Without};

/// Checks client certificates at the handshake of rustls. It follows the CAs of its audiences by itself.
pub struct ClientCertificates {
    verifier: Verifier,
    without: Without,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertificates {
    /// Takes those that this verifier finds good, of any audience that it was made for.
    #[must_use]
    pub fn new(verifier: &Verifier, without: Without) -> Self {
        let algorithms = crypto::ring::default_provider().signature_verification_algorithms;
        Self { verifier: verifier.clone(), without, algorithms }
    }
}

/// The TLS side of a service that accepts connections by itself: TLS 1.3 on ring, client certificates that this verifier
/// finds good, and no resumption of any kind, since a resumed handshake skips the certificate. What is spoken
/// (`alpn_protocols`) is the caller's to say.
///
/// # Errors
/// [`Error::BadInput`] if certificate and key do not fit together.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    verifier: &Verifier,
    without: Without,
) -> Result<ServerConfig, Error> {
    server_tls::config(Arc::new(ClientCertificates::new(verifier, without)), chain, key)
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        match self.without {
            Without::Refuse => true,
            Without::LetIn => false,
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The CAs change; a client that were given yesterday's would not show today's certificate.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let read = self.verifier.read_certificate(end_entity);
        let checked = read.and_then(|certificate| self.verifier.check_handshake(&certificate));
        checked.map(|()| ClientCertVerified::assertion()).map_err(refusal)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // The broker signs certificates of P-256 keys alone.
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// The reason stays on this side of the connection: every alert is the same, `certificate_unknown`.
fn refusal(refused: Refused) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(refused))).into()
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificates(…)")
    }
}
