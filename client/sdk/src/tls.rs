//! TLS to a broker: TLS 1.3 on ring, whom to take for the broker, and what to show to it.

use std::sync::Arc;

use daypass_credential::Digest;
use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Error, PrivateKey};

/// Whom to take for the broker.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Whoever shows a chain up to the root certificate with this SHA-256: before the root itself is known.
    Pin(Digest),
    /// Whoever shows a chain up to this root certificate.
    Root(CertificateDer<'static>),
}

/// What to show to a server: a certificate, and the key that goes with it.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The certificate first, then those above it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The certificate's key.
    pub key: PrivateKey,
}

impl Proof {
    /// The TLS side of connections to a relying party, whose server certificate stands under one of these roots: TLS 1.3,
    /// and no resumption, because a resumed handshake would go on under the certificate of the first one.
    ///
    /// # Errors
    /// [`Error::BadInput`] if a root cannot be read, or certificate and key do not fit together.
    pub fn client_config(&self, roots: &[CertificateDer<'_>]) -> Result<ClientConfig, Error> {
        let mut trusted = RootCertStore::empty();
        for root in roots {
            trusted.add(root.clone().into_owned()).map_err(|_| unreadable_root())?;
        }
        let mut config = builder()?
            .with_root_certificates(trusted)
            .with_client_auth_cert(self.chain.clone(), self.key.der())
            .map_err(|_| unfit_proof())?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Error::Unable("speak TLS 1.3"))
}

/// The TLS side of a connection to a broker.
pub(crate) fn client_config(trust: &Trust, proof: Option<&Proof>) -> Result<ClientConfig, Error> {
    let builder = builder()?;
    let builder = match trust {
        Trust::Pin(root) => {
            let provider = Arc::new(crypto::ring::default_provider());
            let verifier =
                PinnedRoot { root: *root, algorithms: provider.signature_verification_algorithms, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::Root(root) => builder.with_root_certificates(store(root).map_err(|_| unusable_root())?),
    };
    let mut config = match proof {
        None => builder.with_no_client_auth(),
        Some(proof) => {
            builder.with_client_auth_cert(proof.chain.clone(), proof.key.der()).map_err(|_| unfit_proof())?
        }
    };
    // A resumed session would go on under the certificate of the first one.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn store(root: &CertificateDer<'_>) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore::empty();
    store.add(root.clone().into_owned())?;
    Ok(store)
}

fn unusable_root() -> Error {
    Error::BadInput("the broker's root certificate cannot be read".into())
}

fn unreadable_root() -> Error {
    Error::BadInput("a root certificate cannot be read".into())
}

fn unfit_proof() -> Error {
    Error::BadInput("the certificate to show and its key do not fit together".into())
}

/// Takes for the broker whoever shows a chain up to the pinned root. The root comes with the chain and is known by
/// its SHA-256; everything else is checked as always, with that root as the only anchor.
#[derive(Debug)]
struct PinnedRoot {
    root: Digest,
    algorithms: WebPkiSupportedAlgorithms,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.iter().find(|certificate| fingerprint(certificate) == self.root);
        let root = pinned.ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let anchored =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store(root)?), Arc::clone(&self.provider))
                .build()
                .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        anchored.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// SHA-256 of a certificate's DER bytes.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Digest {
    let digest = digest(&SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    Digest::new(bytes)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// A root, and a server certificate for `localhost` under it.
    fn broker() -> (CertificateDer<'static>, CertificateDer<'static>) {
        let (root_key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_der = root.self_signed(&root_key).unwrap().der().clone();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf_der = leaf.signed_by(&leaf_key, &Issuer::new(root, root_key)).unwrap().der().clone();
        (root_der, leaf_der)
    }

    fn check(
        pin: Digest,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &str,
    ) -> Result<(), CertificateError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier =
            PinnedRoot { root: pin, algorithms: provider.signature_verification_algorithms, provider };
        let name = ServerName::try_from(name.to_owned()).unwrap();
        match verifier.verify_server_cert(leaf, above, &name, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_pinned_root_is_taken_for_the_broker() {
        let (root, leaf) = broker();
        assert_eq!(check(fingerprint(&root), &leaf, std::slice::from_ref(&root), "localhost"), Ok(()));
    }

    #[test]
    fn another_root_is_not() {
        let ((root, leaf), (other, other_leaf)) = (broker(), broker());
        let pin = fingerprint(&root);
        let unknown = Err(CertificateError::UnknownIssuer);
        assert_eq!(
            check(pin, &other_leaf, std::slice::from_ref(&other), "localhost"),
            unknown,
            "another's chain"
        );
        assert_eq!(check(pin, &leaf, &[], "localhost"), unknown, "without the root");
        assert!(
            check(pin, &other_leaf, std::slice::from_ref(&root), "localhost").is_err(),
            "a foreign leaf under our root"
        );
        assert!(
            check(pin, &other_leaf, &[other, root.clone()], "localhost").is_err(),
            "the root beside a foreign chain"
        );
        assert!(
            check(fingerprint(&leaf), &leaf, &[leaf.clone(), root], "localhost").is_err(),
            "a leaf is no root"
        );
    }

    #[test]
    fn another_name_is_not() {
        let (root, leaf) = broker();
        let error =
            check(fingerprint(&root), &leaf, std::slice::from_ref(&root), "elsewhere.example").unwrap_err();
        assert!(
            matches!(
                error,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn a_key_that_does_not_fit_is_found_before_connecting() {
        let (root, leaf) = broker();
        let proof = Proof { chain: vec![leaf], key: PrivateKey::generate().unwrap() };
        assert!(matches!(client_config(&Trust::Root(root), Some(&proof)), Err(Error::BadInput(_))));
    }
}
