//! What of an event lies beside the log: sealed keys and free texts, by reference.

use crate::{
    event::{Action, Event},
    node::Body,
    text::{PrivateId, TextRef},
};

impl Event {
    /// The values beside the log that this event refers to. One that was erased is still referred to.
    #[must_use]
    pub fn beside(&self) -> Vec<PrivateId> {
        let of_puts = self.puts.iter().filter_map(|put| beside(&put.node.body));
        of_puts.chain(reason(&self.action)).collect()
    }
}

impl Body {
    /// Where its free text lies, if it has one.
    #[must_use]
    pub const fn free_text(&self) -> Option<TextRef> {
        match self {
            Self::Application(application) => Some(application.purpose),
            Self::Person(person) => Some(person.contact),
            Self::Vendor(_)
            | Self::Contract(_)
            | Self::Audience(_)
            | Self::Verifier(_)
            | Self::Identity(_)
            | Self::Credential(_)
            | Self::Key(_)
            | Self::Enrollment(_)
            | Self::Roster(_) => None,
        }
    }
}

fn beside(body: &Body) -> Option<PrivateId> {
    match body {
        Body::Key(key) => Some(key.sealed),
        other => other.free_text().map(|text| text.id),
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
        | Action::CarriedOver
        | Action::Resumed { .. }
        | Action::Forgotten { .. }
        | Action::Suspended { .. }
        | Action::Refused { .. }
        | Action::RefusalsCounted { .. }
        | Action::ClockAccepted { .. }
        | Action::ReceiptClosed { .. } => None,
    }
}
