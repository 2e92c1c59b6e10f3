//! What of an event lies beside the log: sealed keys and free texts, by reference.

use crate::{
    event::{Action, Event},
    node::Body,
    text::PrivateId,
};

impl Event {
    /// The values beside the log that this event refers to. One that was erased is still referred to.
    #[must_use]
    pub fn beside(&self) -> Vec<PrivateId> {
        let of_puts = self.puts.iter().filter_map(|put| beside(&put.node.body));
        of_puts.chain(reason(&self.action)).collect()
    }
}

const fn beside(body: &Body) -> Option<PrivateId> {
    match body {
        Body::Application(application) => Some(application.purpose.id),
        Body::Person(person) => Some(person.contact.id),
        Body::Key(key) => Some(key.sealed),
        Body::Vendor(_)
        | Body::Contract(_)
        | Body::Audience(_)
        | Body::Verifier(_)
        | Body::Identity(_)
        | Body::Credential(_)
        | Body::Enrollment(_)
        | Body::Roster(_) => None,
    }
}

fn reason(action: &Action) -> Option<PrivateId> {
    match action {
        Action::Ended { reason, .. } => reason.map(|text| text.id),
        Action::Initialized { .. }
        | Action::Written { .. }
        | Action::EnrollmentOpened { .. }
        | Action::Enrolled(_)
        | Action::Renewed(_)
        | Action::CertificateMinted(_)
        | Action::TokenMinted(_)
        | Action::Suspended { .. }
        | Action::Refused { .. }
        | Action::RefusalsCounted { .. }
        | Action::ClockAccepted { .. } => None,
    }
}
