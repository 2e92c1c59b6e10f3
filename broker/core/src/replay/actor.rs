//! Who caused an event: may they cause such a thing, was what they showed in force, and is what the event says of them
//! so.

use daypass_credential::{Lineage, Name, NodeId, NodeKind, Revision, Timestamp, Ttl};

use super::{Replay, Verdict, caller, certificates::Known, holds};
use crate::{
    authority::{may_end, may_open_enrollment, may_write},
    denial::{Denial, Stop},
    event::{Action, Actor, Event, Rule},
    facts::Facts,
    mint::Shown,
    node::Body,
};

/// How much later than its caller was judged an event may be stamped: forgetting somebody may take two minutes.
const DELAY: Ttl = Ttl::minutes(3);

impl Replay {
    pub(super) fn judge_actor(&self, revision: Revision, event: &Event) -> Verdict {
        let refusal = matches!(event.action, Action::Refused { .. } | Action::RefusalsCounted { .. });
        match &event.actor {
            Actor::Broker => {
                holds(by_the_broker(&event.action), || "the broker does not do this by itself".into())?;
            }
            Actor::Stranger => holds(refusal, || "a stranger can only be refused".into())?,
            Actor::Code { enrollment } => {
                let enrols = matches!(event.action, Action::Enrolled(_) | Action::Suspended { .. });
                holds(enrols || refusal, || "a code is only to enrol with".into())?;
                self.known(&NodeId::new(NodeKind::Enrollment, enrollment.clone()))?;
            }
            Actor::Caller { credential, .. } => {
                holds(*credential < revision, || {
                    format!("its caller shows credential {credential}, which is later")
                })?;
                let enrols = matches!(event.action, Action::Enrolled(_));
                holds(!enrols && !by_the_broker(&event.action), || "a caller does not do this".into())?;
                if !refusal {
                    self.in_force(event)?;
                }
            }
        }
        self.judge_behalf(event)?;
        match &event.rule {
            Some(rule) if !Rule::ALL.contains(rule) => Err(format!("`{rule}` is no rule")),
            Some(_) if refusal => Err("a refusal is allowed by no rule".to_owned()),
            Some(rule) if *rule == Rule::CODE => holds(matches!(event.action, Action::Enrolled(_)), || {
                "only an enrolment is allowed by a code".into()
            }),
            _ => Ok(()),
        }
    }

    /// What the caller showed: an identity certificate of theirs, alive.
    fn in_force(&self, event: &Event) -> Verdict {
        let (subject, identity, credential) = caller(event)?;
        self.open(subject)?;
        let stored = self.open(&NodeId::new(NodeKind::Identity, identity.clone()))?;
        let theirs = matches!(&stored.node.body, Body::Identity(found) if found.subject == *subject);
        holds(theirs, || format!("`{identity}` is no instance of `{subject}`"))?;
        let ended = NodeId::credential(credential);
        holds(!self.nodes.contains_key(&ended), || format!("`{ended}`, which its caller shows, was ended"))?;
        match self.certificates.get(credential) {
            Known::Issued(shown) => {
                let fits =
                    shown.audience.is_none() && shown.subject == *subject && shown.identity == *identity;
                holds(fits, || format!("`{ended}` is no identity certificate of `{identity}`"))?;
                let lenient = matches!(event.action, Action::Ended { .. });
                holds(lenient || shown.expires.after(DELAY) > event.at, || format!("`{ended}` had expired"))
            }
            Known::Dropped => Ok(()),
            // Ends go on under a clock that is behind the log, by which a certificate may still be in force.
            Known::No if matches!(event.action, Action::Ended { .. }) => Ok(()),
            Known::No => Err(format!("`{ended}` is no certificate in force")),
        }
    }

    /// The vendor of the application that acts, where no lineage says it.
    fn judge_behalf(&self, event: &Event) -> Verdict {
        let Some(behalf) = &event.behalf else { return Ok(()) };
        holds(event.action.lineage().is_none(), || "its lineage says on whose behalf it is".into())?;
        let subject = match &event.actor {
            Actor::Caller { subject, .. } => Some(subject),
            Actor::Code { enrollment } => {
                match self.body(&NodeId::new(NodeKind::Enrollment, enrollment.clone())) {
                    Some(Body::Enrollment(code)) => Some(&code.subject),
                    _ => None,
                }
            }
            Actor::Broker | Actor::Stranger => None,
        };
        let vendor = match subject.and_then(|subject| self.body(subject)) {
            Some(Body::Application(application)) => {
                Some(NodeId::new(NodeKind::Vendor, application.vendor.clone()))
            }
            _ => None,
        };
        holds(vendor.as_ref() == Some(behalf), || format!("nobody acts on behalf of `{behalf}` here"))
    }

    /// The caller may write the directory, and the event says by which rule, or nothing.
    pub(super) fn may_write(&self, event: &Event) -> Verdict {
        self.allowed(event, may_write)
    }

    pub(super) fn may_open(&self, event: &Event, subject: &NodeId) -> Verdict {
        self.allowed(event, |facts, shown| may_open_enrollment(facts, shown, subject))
    }

    /// Whose a credential is, is known only as long as it is a certificate that has not expired.
    pub(super) fn may_end(&self, event: &Event, node: &NodeId) -> Verdict {
        let number = node.name.as_str().parse().map(Revision::new).ok();
        let subject =
            match number.filter(|_| node.kind == NodeKind::Credential).map(|n| self.certificates.get(n)) {
                Some(Known::Issued(certificate)) => Some(certificate.subject.clone()),
                Some(_) if event.rule.as_ref() != Some(&Rule::ADMIN) => return Ok(()),
                _ => None,
            };
        let end = |facts: &Facts, shown: &Shown| may_end(facts, shown, node, subject.as_ref());
        self.allowed(event, |facts, shown| end(facts, shown).map(crate::authority::Right::rule))
    }

    fn allowed(&self, event: &Event, rule: impl Fn(&Facts, &Shown) -> Result<Rule, Stop>) -> Verdict {
        let shown = shown(event)?;
        match self.decide(|facts| rule(facts, &shown)) {
            Ok(found) => holds(event.rule.as_ref().is_none_or(|said| *said == found), || {
                format!("it is allowed as `{found}`, and says otherwise")
            }),
            Err(Denial::RenewFirst { node }) => {
                Err(format!("`{node}` was cut since what its caller shows was issued"))
            }
            Err(_) => Err(format!("`{}` may not do this", shown.subject)),
        }
    }
}

/// What the broker, or whoever started it, does without being asked by anybody.
const fn by_the_broker(action: &Action) -> bool {
    match action {
        Action::Initialized { .. }
        | Action::CarriedOver
        | Action::ClockAccepted { .. }
        | Action::ReceiptClosed { .. } => true,
        Action::Written { .. }
        | Action::EnrollmentOpened { .. }
        | Action::Enrolled(_)
        | Action::Renewed(_)
        | Action::CertificateMinted(_)
        | Action::TokenMinted(_)
        | Action::Ended { .. }
        | Action::Resumed { .. }
        | Action::Forgotten { .. }
        | Action::Suspended { .. }
        | Action::Refused { .. }
        | Action::RefusalsCounted { .. } => false,
    }
}

/// As much of what the caller showed as the rules of authority read.
fn shown(event: &Event) -> Verdict<Shown> {
    let (subject, identity, rev) = caller(event)?;
    let nodes = vec![subject.clone(), NodeId::new(NodeKind::Identity, identity.clone())];
    let nothing = daypass_credential::Digest::new([0; 32]);
    Ok(Shown {
        era: daypass_credential::Era::new(0),
        rev,
        lineage: Lineage::new(nodes).map_err(|error| error.to_string())?,
        subject: subject.clone(),
        identity: Name::clone(identity),
        audience: None,
        key: nothing,
        thumbprint: nothing,
        not_before: Timestamp::ZERO,
        expires: Timestamp::ZERO,
    })
}
