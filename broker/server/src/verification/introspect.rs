//! Is this credential good, here and now? For the verifiers registered for its audience; `None` for everything else
//! (RFC 7662, section 2.2: nothing is said about what is not active).

use std::sync::Arc;

use daypass_core::{Shown, Stop};
use daypass_credential::{Claims, Lineage, Name, Revision, ScopeSet, Timestamp};

use crate::{broker::Broker, call::Call, keys::Keys, refusal::Refusal};

/// What a relying party was shown.
pub(crate) struct Presented {
    /// The access token; empty to check the certificate by itself.
    pub(crate) token: String,
    /// The client certificate in DER; empty if none was shown.
    pub(crate) certificate: Vec<u8>,
}

/// What an active credential says.
pub(crate) struct Active {
    pub(crate) application: String,
    pub(crate) audience: Name,
    pub(crate) scopes: ScopeSet,
    pub(crate) expires: Timestamp,
    pub(crate) revision: Revision,
    pub(crate) lineage: Lineage,
}

impl Broker {
    /// Is this credential active?
    pub(crate) async fn introspect(&self, call: &Call, shown: &Presented) -> Result<Option<Active>, Refusal> {
        let now = self.trusted_now()?;
        let keys = self.keys.now();
        if shown.token.is_empty() {
            let Ok(certificate) = keys.client_certificate(&shown.certificate) else {
                return Ok(None);
            };
            let Some(audience) = certificate.audience.clone() else {
                return Ok(None);
            };
            if !self.asks_for(call, &audience).await? || !self.alive(&certificate.rests(), now).await? {
                return Ok(None);
            }
            return Ok(Some(certificate_says(&certificate, audience)));
        }
        let Ok(claims) = keys.token(&shown.token) else {
            return Ok(None);
        };
        let Ok(audience) = claims.aud.parse::<Name>() else {
            return Ok(None);
        };
        if !self.asks_for(call, &audience).await? || !self.alive(&claims.rests(), now).await? {
            return Ok(None);
        }
        if !self.bound(&keys, &claims, &shown.certificate, &audience, now).await? {
            return Ok(None);
        }
        Ok(Some(token_says(&claims, audience)))
    }

    /// Is the caller a verifier for this audience, as the directory stands?
    async fn asks_for(&self, call: &Call, audience: &Name) -> Result<bool, Refusal> {
        let mut facts = call.facts.clone();
        let registered = |facts: &daypass_core::Facts| -> Result<bool, Stop> {
            let verifier = facts.verifier(&call.caller.subject.name)?;
            Ok(verifier.is_some_and(|found| found.body.audiences.contains(audience)))
        };
        self.decide(&mut facts, registered).await
    }

    /// Was the certificate shown that the token is bound to, and is it alive itself (RFC 8705, section 3)?
    async fn bound(
        &self,
        keys: &Keys,
        claims: &Claims,
        der: &[u8],
        audience: &Name,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let Some(confirmation) = claims.cnf else {
            return Ok(true);
        };
        let Ok(certificate) = keys.client_certificate(der) else {
            return Ok(false);
        };
        let same = certificate.thumbprint == confirmation.thumbprint
            && certificate.audience.as_ref() == Some(audience)
            && certificate.subject.name.as_str() == claims.sub;
        Ok(same && self.alive(&certificate.rests(), now).await?)
    }
}

fn token_says(claims: &Arc<Claims>, audience: Name) -> Active {
    Active {
        application: claims.sub.clone(),
        audience,
        scopes: claims.scope.clone(),
        expires: Timestamp::from_secs(claims.exp),
        revision: claims.rev,
        lineage: claims.lineage.clone(),
    }
}

fn certificate_says(certificate: &Arc<Shown>, audience: Name) -> Active {
    Active {
        application: certificate.subject.name.to_string(),
        audience,
        scopes: ScopeSet::default(),
        expires: certificate.expires,
        revision: certificate.rev,
        lineage: certificate.lineage.clone(),
    }
}
