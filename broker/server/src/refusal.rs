//! Every no that the broker can say, with its code. What the caller hears and what the operator reads are kept apart.

use std::time::Duration;

use daypass_core::{Denial, denial::Class, event::Reason};
use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_issuer::{CertificateError, CsrError};
use daypass_store::{CommitError, StoreError};

use crate::clock::ClockError;

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident $({ $($field:ident: $type:ty),* })? = $code:literal, $class:ident, $text:literal;)*) => {
        /// Why a call got no for an answer. The text is for the caller.
        #[derive(Debug, thiserror::Error)]
        pub(crate) enum Refusal {
            /// The rules say no.
            #[error(transparent)]
            Denied(#[from] Denial),
            /// A certificate signing request that does not do.
            #[error("{0}")]
            Csr(CsrError),
            /// A certificate shown to the broker that is no identity certificate of its own.
            #[error("{0}")]
            Certificate(CertificateError),
            $($(#[$doc])* #[error($text)] $variant $({ $($field: $type),* })?,)*
        }

        impl Refusal {
            /// The stable code.
            pub(crate) const fn reason(&self) -> Reason {
                match self {
                    Self::Denied(denial) => denial.reason(),
                    Self::Csr(error) => csr_reason(error),
                    Self::Certificate(error) => certificate_reason(error),
                    $(Self::$variant $({ $($field: _),* })? => Reason::new($code),)*
                }
            }

            /// What kind of no it is.
            pub(crate) const fn kind(&self) -> Kind {
                match self {
                    Self::Denied(denial) => Kind::Class(denial.class()),
                    Self::Csr(_) => Kind::Class(Class::Invalid),
                    Self::Certificate(_) => Kind::Class(Class::Unauthenticated),
                    $(Self::$variant $({ $($field: _),* })? => Kind::$class,)*
                }
            }
        }

        const OWN: &[&str] = &[$($code,)*];
    };
}

/// What kind of no it is: one of the rules', or one of the broker's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As the rules tell them apart.
    Class(Class),
    /// Try again later.
    Busy,
    /// The broker cannot, at the moment.
    Unavailable,
    /// It took too long.
    Deadline,
    /// There is no such method.
    Unimplemented,
    /// A fault of the broker's own.
    Internal,
}

impl Kind {
    #[expect(non_upper_case_globals, reason = "reads like the variants in the table below")]
    const Unauthenticated: Self = Self::Class(Class::Unauthenticated);
    #[expect(non_upper_case_globals, reason = "reads like the variants in the table below")]
    const Forbidden: Self = Self::Class(Class::Forbidden);
    #[expect(non_upper_case_globals, reason = "reads like the variants in the table below")]
    const Invalid: Self = Self::Class(Class::Invalid);
    #[expect(non_upper_case_globals, reason = "reads like the variants in the table below")]
    const Exists: Self = Self::Class(Class::Exists);
    #[expect(non_upper_case_globals, reason = "reads like the variants in the table below")]
    const NotNow: Self = Self::Class(Class::NotNow);
    #[expect(non_upper_case_globals, reason = "reads like the variants in the table below")]
    const Exhausted: Self = Self::Class(Class::Exhausted);
}

refusals! {
    /// No certificate was shown where one is needed.
    NoCertificate = "no-certificate", Unauthenticated, "show an identity certificate: enrol first, then connect with it";
    /// The method is not for this kind of caller.
    WrongCaller { kind: NodeKind } = "wrong-caller", Forbidden, "this method is not for a caller of kind `{kind}`";
    /// A field of the request does not parse.
    BadRequest { field: &'static str, why: String } = "bad-request", Invalid, "`{field}`: {why}";
    /// The code was made by another broker.
    CodeForOtherBroker = "code-for-other-broker", Unauthenticated, "this enrolment code was made by another broker: check the address";
    /// The same request id with other content.
    RequestIdReused = "request-id-reused", Exists, "this request id was used before, with other content: use a new one for a new request";
    /// What was answered before is over.
    AnswerOver { revision: Revision } = "answer-over", NotNow, "what was given out for this request, at revision {revision}, is over: ask with a new request id";
    /// The clock cannot be believed.
    Clock { error: ClockError } = "clock-untrusted", Unavailable, "{error}: it mints nothing until its operator has looked";
    /// Larger than can be kept.
    TooLarge { what: String, limit: usize } = "too-large", Invalid, "`{what}` is too large: {limit} bytes are the most";
    /// Too much at once.
    Busy { retry_after: Duration } = "busy", Busy, "the broker is busy: try again in a moment";
    /// The store cannot be read or written.
    Store { internal: String } = "store-unavailable", Unavailable, "the broker cannot reach its store: tell its operator";
    /// There is no end that a receipt could be of.
    NoReceipt { node: NodeId } = "no-receipt", NotNow, "`{node}` has no receipt: it was not ended in this era of the log";
    /// The statement is gone, and it cannot be made again.
    ReceiptLost { node: NodeId, revision: Revision } = "receipt-lost", NotNow, "the receipt of `{node}` is no longer here: event {revision} has the digests by which any copy of it can be told";
    /// A checkpoint that this log did not sign, or not in this era.
    CheckpointUnknown = "checkpoint-unknown", NotNow, "this log did not sign that checkpoint in its present era: it is another log's, or forged";
    /// The log is older than what was signed.
    LogOlder = "log-older", Unavailable, "the broker's log is older than what it signed: its store was put back, and it refuses everything until its operator has begun a new era";
    /// A stream of the feed does not begin with a hello.
    HelloMissing = "hello-missing", Invalid, "a stream of the feed begins with a hello";
    /// A second hello.
    HelloOnce = "hello-twice", Invalid, "a stream of the feed begins with a hello, and has no other";
    /// A verifier knows more of the log than there is.
    PlaceAhead { known: Revision, head: Revision } = "place-ahead", NotNow, "revision {known} is known to you, and the broker's log ends at {head}: its store was put back, or it is not the same broker";
    /// A verifier knows another leaf than the log has there.
    PlaceUnknown { known: Revision } = "place-unknown", NotNow, "at revision {known} the broker's log holds something else than you know: its store was put back, or it is not the same broker";
    /// An acknowledgement of what was not told.
    AcknowledgedUnsent { revision: Revision } = "acknowledged-unsent", Invalid, "revision {revision} was acknowledged, and was not sent over this stream";
    /// An acknowledgement of another log.
    AcknowledgedOther { revision: Revision } = "acknowledged-other", Invalid, "what was acknowledged is not revision {revision} of this log";
    /// An acknowledgement that is not signed with the key of the identity.
    AcknowledgedUnsigned = "acknowledged-unsigned", Invalid, "the acknowledgement is not signed with the key of the identity shown";
    /// More streams of the feed than one identity has.
    TooManyStreams = "too-many-streams", Exhausted, "this identity follows over too many streams: the newest took the place of this one";
    /// More said over a stream of the feed than is heard.
    TooMuchSaid = "too-much-said", Exhausted, "too much is said over this stream: a counter a second is enough, and an acknowledgement for all that came at once";
    /// The broker stops.
    Stopping = "stopping", Unavailable, "the broker stops: connect again";
    /// The disk is nearly full.
    DiskLow = "disk-low", Unavailable, "the broker's disk is nearly full: it ends things and answers questions, and mints and writes nothing until its operator has made room";
    /// It took too long.
    Deadline = "deadline", Deadline, "it took too long: try again, with the same request id";
    /// There is no such method.
    UnknownMethod = "unknown-method", Unimplemented, "the broker has no such method";
    /// A fault of the broker's own.
    Internal { internal: String } = "internal", Internal, "something went wrong inside the broker: tell its operator";
}

/// The codes of everything that the broker refuses by itself; those of the rules are in [`Denial::CODES`].
pub const REASONS: &[&[&str]] = &[OWN, CSR, CERTIFICATE];

impl Refusal {
    /// A fault of the broker's own; the words are for its operator.
    pub(crate) fn internal(what: impl ToString) -> Self {
        Self::Internal { internal: what.to_string() }
    }

    /// A field that does not parse.
    pub(crate) fn bad(field: &'static str, why: impl ToString) -> Self {
        Self::BadRequest { field, why: why.to_string() }
    }

    /// What the operator reads, where it is more than what the caller hears.
    pub(crate) fn operator_words(&self) -> Option<&str> {
        match self {
            Self::Store { internal } | Self::Internal { internal } => Some(internal),
            _ => None,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store { internal: error.to_string() }
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            // Both are answered before it comes to this; here they mean that others were faster, over and over.
            CommitError::Conflict { .. } | CommitError::Repeated { .. } => {
                Self::Busy { retry_after: Duration::from_millis(50) }
            }
            CommitError::TooLarge { what, limit, .. } => Self::TooLarge { what, limit },
            CommitError::Busy { retry_after } => Self::Busy { retry_after },
            CommitError::Store(error) => error.into(),
            CommitError::Unknown(internal) => Self::Store { internal },
            error @ CommitError::Unwritable(_) => Self::internal(error),
        }
    }
}

impl From<ClockError> for Refusal {
    fn from(error: ClockError) -> Self {
        Self::Clock { error }
    }
}

impl From<CsrError> for Refusal {
    fn from(error: CsrError) -> Self {
        Self::Csr(error)
    }
}

const CSR: &[&str] = &[
    "csr-malformed",
    "csr-bad-signature",
    "csr-weak-key",
    "csr-unsupported-key",
    "csr-asks-for-names",
    "csr-asks-for-authority",
];

/// The code of a request that does not do.
const fn csr_reason(error: &CsrError) -> Reason {
    Reason::new(match error {
        CsrError::TooLong | CsrError::NotARequest => "csr-malformed",
        CsrError::BadSignature => "csr-bad-signature",
        CsrError::WeakKey => "csr-weak-key",
        CsrError::UnsupportedAlgorithm => "csr-unsupported-key",
        CsrError::AsksForNames => "csr-asks-for-names",
        CsrError::AsksForAuthority => "csr-asks-for-authority",
    })
}

const CERTIFICATE: &[&str] =
    &["certificate-not-ours", "client-certificate-shown", "server-certificate-shown"];

/// The code of a certificate that is no identity certificate of ours.
const fn certificate_reason(error: &CertificateError) -> Reason {
    Reason::new(match error {
        CertificateError::ClientCertificate { .. } => "client-certificate-shown",
        CertificateError::ServerCertificate => "server-certificate-shown",
        CertificateError::NotACertificate
        | CertificateError::NotOurs
        | CertificateError::IdentityCertificate
        | CertificateError::Malformed(_)
        | CertificateError::Lineage => "certificate-not-ours",
    })
}
