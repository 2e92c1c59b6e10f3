//! The broker's own server certificate, from its Identity CA. Its key is made here and lives no longer than it.

use std::net::IpAddr;

use daypass_core::node::KeyAlgorithm;
use daypass_credential::{Timestamp, Ttl};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use crate::{
    authority::{Leaf, Own},
    check::{AltName, Role},
    generate::serial,
    key_ring::{KeyRing, SignError},
    secret::{Secret, Writing},
};

/// How far back a server certificate begins, for clients whose clocks run behind.
const BACKDATED: Ttl = Ttl::minutes(5);

/// A server certificate with its key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// The certificate, then the root, which is what clients pin.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid up to, and not including.
    pub expires: Timestamp,
}

impl KeyRing {
    /// Makes a server certificate for these names, living so long or as long as its CA if that is shorter.
    ///
    /// # Errors
    /// [`SignError::NoKey`] without an Identity CA in force; [`SignError::Unfit`] without names.
    pub fn server_certificate(
        &self,
        names: &[ServerName<'_>],
        now: Timestamp,
        ttl: Ttl,
    ) -> Result<ServerCertificate, SignError> {
        let authority = self.newest_authority(None, now).ok_or(SignError::NoKey)?;
        let (not_before, expires) = (
            now.before(BACKDATED).floor_secs().max(authority.key().not_before),
            now.after(ttl).floor_secs().min(authority.key().not_after),
        );
        let pkcs8 = Secret::generate(KeyAlgorithm::Es256).map_err(|_| SignError::NotSigned)?;
        let secret = Secret::open(&pkcs8, KeyAlgorithm::Es256, Writing::X509).ok_or(SignError::NotSigned)?;
        let leaf = Leaf {
            serial: serial().map_err(|_| SignError::NotSigned)?,
            common_name: "Daypass broker".to_owned(),
            not_before: not_before.as_secs(),
            expires: expires.as_secs(),
            spki: secret.spki(),
            role: Role::Server,
            names: alt_names(names)?,
            stamp: None,
        };
        let der = authority.sign(leaf, &Own(&secret))?;
        Ok(ServerCertificate {
            chain: vec![der.into(), authority.certificate().to_vec().into()],
            key: PrivatePkcs8KeyDer::from(pkcs8.to_vec()).into(),
            not_before,
            expires,
        })
    }
}

fn alt_names(names: &[ServerName<'_>]) -> Result<Vec<AltName>, SignError> {
    if names.is_empty() {
        return Err(SignError::Unfit("a server certificate without a name"));
    }
    let one = |name: &ServerName<'_>| match name {
        ServerName::DnsName(name) => Ok(AltName::Dns(name.as_ref().to_owned())),
        ServerName::IpAddress(ip) => Ok(AltName::Ip(IpAddr::from(*ip))),
        _ => Err(SignError::Unfit("a name of an unknown kind")),
    };
    names.iter().map(one).collect()
}
