//! Minting, for applications: a client certificate first, then any number of tokens bound to it.

use std::fmt;

use daypass_credential::{Name, NodeKind, Revision, ScopeSet, Timestamp, Ttl};
use daypass_proto::v1::{self, credential_service_client::CredentialServiceClient};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::{
    Connection, Error, PrivateKey, Proof,
    retry::{self, Repeat},
    wire,
};

/// A connection of an application's: it mints.
#[derive(Debug, Clone)]
pub struct Application {
    connection: Connection,
}

impl Application {
    /// The application at the end of this connection.
    ///
    /// # Errors
    /// [`Error::BadInput`] if somebody else is.
    pub fn over(connection: Connection) -> Result<Self, Error> {
        connection.demand(NodeKind::Application).map(|()| Self { connection })
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A client certificate for an audience, with a new key that never leaves this process.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn certificate(&self, audience: &Name, ttl: Option<Ttl>) -> Result<ClientCertificate, Error> {
        let key = PrivateKey::generate()?;
        let request = v1::MintCertificateRequest {
            audience: audience.to_string(),
            csr: key.csr()?.into(),
            ttl_seconds: wire::seconds(ttl),
            request_id: retry::request_id()?,
        };
        let send = |channel| {
            let request = request.clone();
            async move { CredentialServiceClient::new(channel).mint_certificate(request).await }
        };
        let answer = self.connection.call(Repeat::Harmless, send).await?;
        let minted = wire::minted(answer.certificate)?;
        Ok(ClientCertificate {
            leaf: minted.leaf,
            issuer: minted.issuer,
            key,
            revision: minted.revision,
            expires_at: minted.expires_at,
            bound_by: minted.bound_by,
        })
    }

    /// An access token.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn token(&self, request: &TokenRequest<'_>) -> Result<Token, Error> {
        let request = v1::MintTokenRequest { request_id: retry::request_id()?, ..request.to_wire() };
        let send = |channel| {
            let request = request.clone();
            async move { CredentialServiceClient::new(channel).mint_token(request).await }
        };
        let answer = self.connection.call(Repeat::Harmless, send).await?;
        Ok(Token {
            text: Zeroizing::new(answer.token),
            revision: Revision::new(answer.revision),
            expires_at: wire::instant(answer.expires_at)?,
            bound_by: answer.bound_by,
        })
    }
}

/// What token is wanted.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// For which audience.
    pub audience: &'a Name,
    /// With which scopes.
    pub scopes: &'a ScopeSet,
    /// Bound to which client certificate; none only where every scope allows that.
    pub certificate: Option<&'a CertificateDer<'a>>,
    /// Living how long; as long as the rules allow if not said.
    pub ttl: Option<Ttl>,
}

impl TokenRequest<'_> {
    /// As it goes over the wire, but for the id that each request gets when it is sent.
    #[must_use]
    pub fn to_wire(&self) -> v1::MintTokenRequest {
        v1::MintTokenRequest {
            audience: self.audience.to_string(),
            scopes: self.scopes.iter().map(ToString::to_string).collect(),
            client_certificate: self.certificate.map(|der| der.to_vec().into()).unwrap_or_default(),
            ttl_seconds: wire::seconds(self.ttl),
            request_id: String::new(),
        }
    }
}

/// A client certificate, with its key.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    leaf: CertificateDer<'static>,
    issuer: CertificateDer<'static>,
    key: PrivateKey,
    /// Its number in the log.
    pub revision: Revision,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What bound its lifetime.
    pub bound_by: String,
}

impl ClientCertificate {
    /// The certificate itself: what tokens are bound to.
    #[must_use]
    pub const fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    /// The certificate, then the CA of its audience.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.clone(), self.issuer.clone()]
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// What to show to a relying party.
    #[must_use]
    pub fn proof(&self) -> Proof {
        Proof { chain: self.chain(), key: self.key.clone() }
    }
}

#[cfg(test)]
impl ClientCertificate {
    /// One that nobody signed.
    pub(crate) fn sample(revision: Revision, expires_at: Timestamp) -> Self {
        let der = || CertificateDer::from(vec![1]);
        let (key, bound_by) = (PrivateKey::generate().unwrap(), "scope".into());
        Self { leaf: der(), issuer: der(), key, revision, expires_at, bound_by }
    }
}

#[cfg(test)]
impl Token {
    /// One that nobody signed.
    pub(crate) fn sample(revision: Revision, expires_at: Timestamp) -> Self {
        Self { text: Zeroizing::new("x".into()), revision, expires_at, bound_by: "parent".into() }
    }
}

/// An access token. Its `Debug` prints dots.
#[derive(Clone)]
pub struct Token {
    text: Zeroizing<String>,
    /// Its number in the log.
    pub revision: Revision,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What bound its lifetime.
    pub bound_by: String,
}

impl Token {
    /// The token as a bearer shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, …)", self.revision)
    }
}
