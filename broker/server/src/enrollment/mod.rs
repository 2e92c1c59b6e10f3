//! Enrolment: codes, first certificates, renewal.

mod enroll;
mod open;
mod renew;

use daypass_core::denial::Denial;
use daypass_core::{Action, Actor, Permit, Put, enroll::Outcome, event::CertificateRecord};
use daypass_credential::Name;
use ring::digest::{SHA256, digest};

use crate::{
    broker::{Decision, Plan},
    refusal::Refusal,
};

/// The node name of a code: it is kept under the digest of its secret, never by itself.
pub(crate) fn code_name(secret: &[u8; 16]) -> Result<Name, Refusal> {
    let hash = digest(&SHA256, secret);
    let text: String = hash.as_ref().iter().take(20).map(|b| format!("{b:02x}")).collect();
    text.parse().map_err(Refusal::internal)
}

/// A name for a new identity: 80 random bits.
pub(crate) fn identity_name(random: [u8; 10]) -> Result<Name, Refusal> {
    let text: String = random.iter().map(|b| format!("{b:02x}")).collect();
    format!("i{text}").parse().map_err(Refusal::internal)
}

/// A certificate to sign, or the refusal that goes with an alarm.
pub(crate) type Issued = Result<Permit<CertificateRecord>, Denial>;

/// How an outcome of the rules is recorded.
pub(crate) fn plan(
    outcome: Outcome,
    actor: Actor,
    action: impl FnOnce(CertificateRecord) -> Action,
) -> Decision<Issued> {
    let plan = match outcome {
        Outcome::Issue { permit, puts } => Plan {
            actor,
            action: action(permit.record().clone()),
            puts: puts.into_iter().map(|node| Put { node, cut: false }).collect(),
            private: vec![],
            outcome: Ok(permit),
        },
        Outcome::Alarm { suspended, because, denial } => {
            tracing::warn!(identity = %suspended.id(), ?because, "suspended");
            Plan {
                actor,
                action: Action::Suspended { node: suspended.id(), because },
                puts: vec![Put { node: suspended, cut: true }],
                private: vec![],
                outcome: Err(denial),
            }
        }
    };
    Decision::Write(Box::new(plan))
}
