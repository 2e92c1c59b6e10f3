//! Checking credentials, for relying parties.

use daypass_credential::{Name, NodeId, NodeKind, Revision, ScopeSet, Timestamp};
use daypass_log::VerifierKey;
use daypass_proto::v1::{self, verification_service_client::VerificationServiceClient};
use rustls_pki_types::CertificateDer;

use crate::{Connection, Error, log, retry::Repeat, wire};

/// A connection of a verifier's: it asks about the credentials that it is shown.
#[derive(Debug, Clone)]
pub struct Introspector {
    connection: Connection,
}

impl Introspector {
    /// The verifier at the end of this connection.
    ///
    /// # Errors
    /// [`Error::BadInput`] if somebody else is.
    pub fn over(connection: Connection) -> Result<Self, Error> {
        connection.demand(NodeKind::Verifier).map(|()| Self { connection })
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Is this credential good, here and now? `None` is a no, without a why. Give the client certificate that the
    /// bearer showed on its own connection, and an empty token to check that certificate by itself.
    ///
    /// # Errors
    /// See [`Error`]. Whoever gets one has no answer, and refuses.
    pub async fn introspect(
        &self,
        token: &str,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Result<Option<Live>, Error> {
        let request = v1::IntrospectRequest {
            token: token.to_owned(),
            client_certificate: certificate.map(|der| der.to_vec().into()).unwrap_or_default(),
        };
        let send = |channel| {
            let request = request.clone();
            async move { VerificationServiceClient::new(channel).introspect(request).await }
        };
        let answer = self.connection.call(Repeat::Harmless, send).await?;
        if !answer.active {
            return Ok(None);
        }
        Live::parse(answer).map(Some)
    }
}

/// What a good credential says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Who bears it.
    pub application: Name,
    /// What it is for.
    pub audience: Name,
    /// What it may be used for; empty for a certificate by itself.
    pub scopes: ScopeSet,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Its number in the log.
    pub revision: Revision,
    /// What it rests on, root first.
    pub lineage: Vec<NodeId>,
}

impl Live {
    fn parse(answer: v1::IntrospectResponse) -> Result<Self, Error> {
        let name = |text: &str| text.parse::<Name>().map_err(|_| Error::BadAnswer("a name cannot be read"));
        let scopes = answer.scopes.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        Ok(Self {
            application: name(&answer.application)?,
            audience: name(&answer.audience)?,
            scopes: scopes
                .and_then(ScopeSet::new)
                .map_err(|_| Error::BadAnswer("the scopes cannot be read"))?,
            expires_at: wire::instant(answer.expires_at)?,
            revision: Revision::new(answer.revision),
            lineage: answer.lineage.iter().map(|text| wire::node(text)).collect::<Result<_, _>>()?,
        })
    }
}

/// The public keys to check credentials with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    /// The `iss` of tokens.
    pub issuer: String,
    /// The SPIFFE trust domain.
    pub trust_domain: String,
    /// The life of the log.
    pub era: String,
    /// A JSON Web Key Set (RFC 7517).
    pub jwks: String,
    /// The broker's own roots, for talking to the broker alone.
    pub broker_roots: Vec<CertificateDer<'static>>,
    /// Who signs client certificates, audience by audience.
    pub audiences: Vec<AudienceRoots>,
    /// The keys that sign the checkpoints of the broker's log; none of a broker without them.
    pub log_keys: Vec<VerifierKey>,
}

/// Who signs client certificates for an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceRoots {
    /// Which audience.
    pub audience: Name,
    /// Its CA certificates.
    pub roots: Vec<CertificateDer<'static>>,
}

impl Connection {
    /// The public keys to check credentials with: one audience's, or all.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn trust_bundle(&self, audience: Option<&Name>) -> Result<TrustBundle, Error> {
        let request =
            v1::GetTrustBundleRequest { audience: audience.map(ToString::to_string).unwrap_or_default() };
        let send = |channel| {
            let request = request.clone();
            async move { VerificationServiceClient::new(channel).get_trust_bundle(request).await }
        };
        let answer = self.call(Repeat::Harmless, send).await?;
        let roots = |ders: &[bytes::Bytes]| ders.iter().map(wire::certificate).collect::<Result<Vec<_>, _>>();
        let audiences = answer.audiences.iter().map(|bundle| {
            let audience = bundle.audience.parse().map_err(|_| Error::BadAnswer("an audience is no name"))?;
            Ok(AudienceRoots { audience, roots: roots(&bundle.roots)? })
        });
        Ok(TrustBundle {
            audiences: audiences.collect::<Result<_, Error>>()?,
            broker_roots: roots(&answer.broker_roots)?,
            issuer: answer.issuer,
            trust_domain: answer.trust_domain,
            era: answer.era,
            jwks: answer.jwks,
            log_keys: answer.log_keys.iter().map(|text| log::key(text)).collect::<Result<_, _>>()?,
        })
    }
}
