//! Spending a code.

use daypass_core::{
    Action, Actor, Denial, Facts,
    enroll::{EnrollAsk, decide_enrollment},
    event::{Method, Nonce, Rule},
    mint::Terms,
};
use daypass_credential::{EnrollmentCode, Name, NodeId, NodeKind};
use daypass_issuer::Csr;
use daypass_store::Lane;

use super::{code_name, identity_name, plan};
use crate::{
    broker::{Broker, Plan, Recorded},
    call::RequestMark,
    credential::{MintedCertificate, sign},
    refusal::Refusal,
};

/// A new identity.
pub(crate) struct Enrolled {
    pub(crate) certificate: MintedCertificate,
    pub(crate) subject: NodeId,
}

impl Broker {
    /// Enrols whoever holds the code, with the key of the request.
    pub(crate) async fn enroll(
        &self,
        method: &Method,
        code: &EnrollmentCode,
        csr: &Csr,
    ) -> Result<Enrolled, Refusal> {
        let name = code_name(code.secret())?;
        let enrolled = self.spend(&name, code, csr).await;
        if let Err(refusal) = &enrolled {
            self.refused_code(method, &name, refusal).await;
        }
        enrolled
    }

    async fn spend(&self, name: &Name, code: &EnrollmentCode, csr: &Csr) -> Result<Enrolled, Refusal> {
        let now = self.trusted_now()?;
        let keys = self.keys.now();
        let root = |key: &daypass_core::node::Key| daypass_issuer::digest(&key.public.0);
        let ca = keys.ring().identity_ca(now).ok_or(Denial::NoSigningKey)?;
        if root(ca) != code.root() {
            return Err(Refusal::CodeForOtherBroker);
        }
        let identity = identity_name(self.entropy.bytes()?)?;
        let nonce = Nonce(self.entropy.bytes()?);
        let terms = Terms { era: self.era, key: &ca.name, max_ttl: self.lifetimes.identity_ttl };
        let ask = EnrollAsk { enrollment: name, key: csr.key(), identity: &identity, nonce };
        let actor = Actor::Code { enrollment: name.clone() };
        let mark = RequestMark::single(&*self.entropy)?;
        let recorded = self
            .record(mark, Lane::Normal, Facts::default(), |facts, now| {
                let outcome = decide_enrollment(facts, &ask, &terms, now)?;
                // A new name has to be new: expect that there is no such node.
                facts.stored(&NodeId::new(NodeKind::Identity, identity.clone()))?;
                Ok(plan(outcome, Some(Rule::CODE), Action::Enrolled, |action, issued| {
                    Plan::of(actor.clone(), action, issued)
                }))
            })
            .await?;
        let Recorded::Now(issued, Some(revision)) = recorded else {
            return Err(Refusal::internal("a single request that repeats"));
        };
        let certificate = sign(&keys, issued?, revision, csr)?;
        let subject = certificate.record.subject.clone();
        Ok(Enrolled { certificate, subject })
    }
}
