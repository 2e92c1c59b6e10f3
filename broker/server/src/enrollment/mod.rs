//! Enrolment: codes, first certificates, renewal.

mod enroll;
mod open;
mod renew;

use daypass_core::denial::Denial;
use daypass_core::{
    Action, Permit, Put,
    enroll::Outcome,
    event::{CertificateRecord, Rule},
};
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

/// How an outcome of the rules is recorded; `record` makes the plan of an action. An alarm is nobody's right, so that no
/// rule allowed it.
pub(crate) fn plan(
    outcome: Outcome,
    rule: Option<Rule>,
    issued: impl FnOnce(CertificateRecord) -> Action,
    record: impl FnOnce(Action, Issued) -> Plan<Issued>,
) -> Decision<Issued> {
    let plan = match outcome {
        Outcome::Issue { permit, puts } => {
            let plan = record(issued(permit.record().clone()), Ok(permit));
            Plan { rule, puts: puts.into_iter().map(|node| Put { node, cut: false }).collect(), ..plan }
        }
        Outcome::Alarm { suspended, because, denial } => {
            tracing::warn!(identity = %suspended.id(), ?because, "suspended");
            let plan = record(Action::Suspended { node: suspended.id(), because }, Err(denial));
            Plan { puts: vec![Put { node: suspended, cut: true }], ..plan }
        }
    };
    Decision::Write(Box::new(plan))
}
