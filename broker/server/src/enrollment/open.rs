//! Making a one-time code.

use daypass_core::{
    Action, Body, Denial, Life, Node, Put, authority::may_open_enrollment, enroll::MAX_CODE_TTL,
    node::Enrollment,
};
use daypass_credential::{EnrollmentCode, NodeId, NodeKind, Timestamp, Ttl};
use daypass_store::Lane;

use super::code_name;
use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::{Call, RequestMark},
    refusal::Refusal,
};

/// A new code. It is known to whoever reads this, and to nobody else.
pub(crate) struct OpenedEnrollment {
    pub(crate) code: EnrollmentCode,
    pub(crate) expires: Timestamp,
    pub(crate) id: NodeId,
}

impl Broker {
    /// Makes a one-time code for an application, a person or a verifier.
    pub(crate) async fn open_enrollment(
        &self,
        call: &Call,
        subject: &NodeId,
        ttl: Ttl,
    ) -> Result<OpenedEnrollment, Refusal> {
        if ttl > MAX_CODE_TTL {
            return Err(Refusal::bad("ttl_seconds", "at most seven days"));
        }
        let now = self.trusted_now()?;
        let keys = self.keys.now();
        let ca = keys.ring().identity_ca(now).ok_or(Denial::NoSigningKey)?;
        let code = EnrollmentCode::new(self.entropy.bytes()?, daypass_issuer::digest(&ca.public.0));
        let name = code_name(code.secret())?;
        let id = NodeId::new(NodeKind::Enrollment, name.clone());
        let recorded = self
            .record_for(
                call,
                RequestMark::single(&*self.entropy)?,
                Lane::Normal,
                call.facts.clone(),
                |facts, now| {
                    let rule = may_open_enrollment(facts, &call.caller, subject)?;
                    open_subject(facts.stored(subject)?.map(|stored| stored.node.life), subject)?;
                    let expires = now.after(ttl);
                    let enrollment = Enrollment {
                        name: name.clone(),
                        subject: subject.clone(),
                        expires,
                        key: None,
                        spent: None,
                    };
                    Ok(Decision::Write(Box::new(Plan {
                        rule: Some(rule),
                        puts: vec![Put { node: Node::open(Body::Enrollment(enrollment)), cut: false }],
                        ..Plan::by(call, Action::EnrollmentOpened { subject: subject.clone() }, expires)
                    })))
                },
            )
            .await?;
        match recorded {
            Recorded::Now(expires, _) => Ok(OpenedEnrollment { code, expires, id }),
            Recorded::Before(..) => Err(Refusal::internal("a single request that repeats")),
        }
    }
}

/// Can somebody be enrolled for this?
fn open_subject(life: Option<Life>, subject: &NodeId) -> Result<(), Denial> {
    let enrols = matches!(subject.kind, NodeKind::Application | NodeKind::Person | NodeKind::Verifier);
    match life {
        Some(Life::Open) if enrols => Ok(()),
        Some(life @ (Life::Suspended | Life::Ended)) if enrols => {
            Err(Denial::SubjectClosed { node: subject.clone(), life })
        }
        _ => Err(Denial::UnknownNode { node: subject.clone() }),
    }
}
