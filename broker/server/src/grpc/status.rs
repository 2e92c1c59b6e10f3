//! The one place that knows gRPC codes: every refusal becomes a status with its reason in the details.

use std::collections::HashMap;

use daypass_core::{Denial, denial::Class};
use daypass_credential::Revision;
use daypass_proto::ERROR_DOMAIN;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::convert::instant;
use crate::refusal::{Kind, Refusal};

/// The status of a refusal; `event` is the revision of the event that recorded it.
pub(crate) fn status(refusal: &Refusal, event: Option<Revision>) -> Status {
    if let Some(words) = refusal.operator_words() {
        tracing::error!(reason = %refusal.reason(), words, "failed");
    }
    let mut metadata = HashMap::new();
    if let Some(revision) = event {
        metadata.insert("refusal".to_owned(), revision.to_string());
    }
    let mut words = refusal.to_string();
    if let Refusal::Denied(Denial::TooManyEnded { free_at, .. }) = refusal {
        let free_at = instant(*free_at).to_string();
        words = format!("{words}: ask again from {free_at} on");
        metadata.insert("free_at".to_owned(), free_at);
    }
    let mut details = ErrorDetails::with_error_info(refusal.reason().as_str(), ERROR_DOMAIN, metadata);
    if let Refusal::Busy { retry_after } = refusal {
        details.set_retry_info(Some(*retry_after));
    }
    Status::with_error_details(code(refusal.kind()), words, details)
}

const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Class(Class::Unauthenticated) => Code::Unauthenticated,
        Kind::Class(Class::Forbidden) => Code::PermissionDenied,
        Kind::Class(Class::NotFound) => Code::NotFound,
        Kind::Class(Class::NotNow) => Code::FailedPrecondition,
        Kind::Class(Class::Invalid) => Code::InvalidArgument,
        Kind::Class(Class::Exists) => Code::AlreadyExists,
        Kind::Class(Class::Exhausted) | Kind::Busy => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Deadline => Code::DeadlineExceeded,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}
