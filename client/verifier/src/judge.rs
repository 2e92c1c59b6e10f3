//! The verdict, as a plain function of what a credential says, of a view and of a moment. Each time all of it is asked:
//! key, issuer, era, time, horizon, audience, binding, scope, lineage, freshness, in this order (see [`Refused`]).

use std::collections::BTreeSet;

use daypass_credential::{Name, NodeId, NodeKind, Rests, Scope, Timestamp, Ttl};

use crate::{Certificate, Moment, Refused, Token, View};

/// How far the broker's clock may be ahead of the one here: what begins later than that is refused. Expiry has no leeway.
pub const SKEW: Ttl = Ttl::seconds(30);

/// All that a verdict rests on beside the credential.
pub(crate) struct Judge<'a> {
    pub(crate) view: &'a View,
    /// What is checked here; none for all that the keys are for.
    pub(crate) audiences: Option<&'a BTreeSet<Name>>,
    /// A limit of this verifier's own; the stricter one counts.
    pub(crate) staleness: Option<Ttl>,
    pub(crate) now: Moment,
}

impl Judge<'_> {
    /// Is this token good, shown over a connection with this certificate, for something that takes these scopes?
    pub(crate) fn token(
        &self,
        token: &Token,
        shown: Option<&Certificate>,
        wanted: &[Scope],
    ) -> Result<(), Refused> {
        let (claims, rests) = (token.claims(), token.rests());
        let latest = token.vouched_until(self.view.bundle()).ok_or(Refused::UnknownKey)?;
        if claims.iss != self.view.bundle().issuer() {
            return Err(Refused::OtherIssuer);
        }
        self.in_time(&rests, Timestamp::from_secs(claims.iat), latest)?;
        self.audience(token.audience())?;
        self.bound(token, shown)?;
        if let Some(missing) = wanted.iter().find(|scope| !claims.scope.contains(scope)) {
            return Err(Refused::Scope(missing.clone()));
        }
        self.view.judge(&rests)?;
        self.fresh(token.audience())
    }

    /// Is this client certificate good by itself?
    pub(crate) fn certificate(&self, certificate: &Certificate) -> Result<(), Refused> {
        self.certificate_alive(certificate)?;
        self.fresh(certificate.audience())
    }

    fn certificate_alive(&self, certificate: &Certificate) -> Result<(), Refused> {
        let rests = certificate.rests();
        let latest = certificate.vouched_until(self.view.bundle()).ok_or(Refused::UnknownKey)?;
        self.in_time(&rests, certificate.not_before(), latest)?;
        self.audience(certificate.audience())?;
        Ok(self.view.judge(&rests)?)
    }

    /// Of this era, within what its key vouches for, begun, not over, and above the horizon.
    fn in_time(&self, rests: &Rests<'_>, begins: Timestamp, latest: Timestamp) -> Result<(), Refused> {
        if rests.era != self.view.era() {
            return Err(Refused::OtherEra);
        }
        if rests.exp > latest {
            return Err(Refused::OutlivesKey);
        }
        if rests.exp <= self.now.wall {
            return Err(Refused::Expired);
        }
        if begins > self.now.wall.after(SKEW) {
            return Err(Refused::NotYet);
        }
        if rests.exp <= self.view.horizon() {
            return Err(Refused::BelowHorizon);
        }
        Ok(())
    }

    fn audience(&self, audience: &Name) -> Result<(), Refused> {
        let checked = match self.audiences {
            Some(audiences) => audiences.contains(audience),
            None => self.view.bundle().staleness(audience).is_some(),
        };
        if checked { Ok(()) } else { Err(Refused::OtherAudience) }
    }

    /// Was the certificate shown that the token is bound to (RFC 8705, section 3), and is it good for the same
    /// application and audience?
    fn bound(&self, token: &Token, shown: Option<&Certificate>) -> Result<(), Refused> {
        let Some(confirmation) = token.claims().cnf else {
            return Ok(());
        };
        let shown = shown.ok_or(Refused::CertificateMissing)?;
        let same = shown.thumbprint() == confirmation.thumbprint
            && shown.audience() == token.audience()
            && is_application(shown.subject(), &token.claims().sub);
        if !same {
            return Err(Refused::OtherCertificate);
        }
        self.certificate_alive(shown).map_err(|refused| Refused::Certificate(Box::new(refused)))
    }

    /// An audience that the broker does not have, or not any more, has no limit that could be met.
    fn fresh(&self, audience: &Name) -> Result<(), Refused> {
        let limit = self.view.bundle().staleness(audience).ok_or(Refused::OtherAudience)?;
        let limit = self.staleness.map_or(limit, |own| own.min(limit));
        if self.view.is_fresh(limit, self.now) { Ok(()) } else { Err(Refused::Stale) }
    }
}

fn is_application(node: &NodeId, name: &str) -> bool {
    node.kind == NodeKind::Application && node.name.as_str() == name
}
