//! The next identity certificate.

use daypass_core::{
    Action, Denial,
    enroll::{Outcome, decide_renewal},
    event::Nonce,
    mint::Terms,
};
use daypass_issuer::Csr;
use daypass_store::Lane;

use super::plan;
use crate::{
    broker::{Broker, Plan, Recorded},
    call::{Call, RequestMark},
    credential::{MintedCertificate, sign},
    refusal::Refusal,
};

impl Broker {
    /// Renews the caller's identity certificate, for the new key of the request. Asking again with the same key is
    /// safe; asking with another suspends the identity.
    pub(crate) async fn renew_identity(&self, call: &Call, csr: &Csr) -> Result<MintedCertificate, Refusal> {
        let now = self.trusted_now()?;
        let keys = self.keys.now();
        let ca = keys.ring().identity_ca(now).ok_or(Denial::NoSigningKey)?;
        let terms = Terms { era: self.era, key: &ca.name, max_ttl: self.lifetimes.identity_ttl };
        let nonce = Nonce(self.entropy.bytes()?);
        let mark = RequestMark::single(&*self.entropy)?;
        let recorded = self
            .record(mark, Lane::Normal, call.facts.clone(), |facts, now| {
                let outcome = decide_renewal(facts, &call.caller, csr.key(), nonce, &terms, now)?;
                // An alarm suspends, which is no less an end than others.
                if let Outcome::Issue { .. } = outcome {
                    self.feed.own_ends().room(&call.caller.subject)?;
                }
                Ok(plan(outcome, None, Action::Renewed, |action, issued| Plan::by(call, action, issued)))
            })
            .await?;
        let Recorded::Now(issued, Some(revision)) = recorded else {
            return Err(Refusal::internal("a single request that repeats"));
        };
        sign(&keys, issued?, revision, csr)
    }
}
