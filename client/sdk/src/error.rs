//! What can go wrong, by what the caller can do about it. Only this file knows what gRPC codes and TLS alerts mean.

use std::{error::Error as StdError, io, path::PathBuf, time::Duration};

use daypass_credential::Revision;
use daypass_proto::ERROR_DOMAIN;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    LogFault,
    cause::{Cause, clean, tls_fault},
};

type Source = Box<dyn StdError + Send + Sync>;

/// Why something did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker said no, and why. Asking again as it stands gets the same answer.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The broker has too much to do. Nothing was done; ask again.
    #[error("the broker is busy: {message}")]
    Busy {
        /// In its words.
        message: String,
        /// After how long, if it said so.
        retry_after: Option<Duration>,
    },
    /// Nothing answered, or the connection broke off: whether anything was done is unknown.
    #[error("the broker at `{broker}` does not answer")]
    Unreachable {
        /// Where it was looked for.
        broker: String,
        /// What happened.
        source: Source,
    },
    /// Something answered that could not prove to be the broker whose root is known.
    #[error("what answers at `{broker}` is not the broker that it should be")]
    OtherBroker {
        /// Where it answered.
        broker: String,
        /// What was wrong with its proof.
        source: Source,
    },
    /// The broker turned down the certificate that was shown to it, during the handshake.
    #[error("the broker at `{broker}` does not accept the certificate that was shown to it")]
    NotAccepted {
        /// Where it is.
        broker: String,
        /// What it said.
        source: Source,
    },
    /// The broker does not show a log that continues the one that is known here: it was put back from an older backup, or
    /// something else was put in its place. Nothing was asked of it, and nothing that it says is believed.
    #[error("the broker at `{broker}` does not show the log that is known here")]
    Log {
        /// Where it is.
        broker: String,
        /// What it shows instead.
        source: LogFault,
    },
    /// There is no identity in that folder.
    #[error("nothing is enrolled in `{}`", home.display())]
    NotEnrolled {
        /// Where it was looked for.
        home: PathBuf,
    },
    /// The request is wrong, as was found before it was sent. The text says in what.
    #[error("{0}")]
    BadInput(String),
    /// A file could not be read or written.
    #[error("cannot use `{}`", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// This machine cannot do what is needed.
    #[error("this machine cannot {0}")]
    Unable(&'static str),
    /// The broker cannot, as things stand with itself: its store, its clock, its time.
    #[error("the broker failed ({reason}): {message}")]
    Failed {
        /// The stable code, as `clock-untrusted`; where the broker gave none, the kind of failure as gRPC names it.
        reason: String,
        /// In its words.
        message: String,
    },
    /// The broker's answer makes no sense; its version may be another.
    #[error("the broker's answer cannot be used: {0}")]
    BadAnswer(&'static str),
}

/// A typed no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code, as `scope-not-entitled`.
    pub reason: String,
    /// The broker's words for it.
    pub message: String,
    /// Under which number the refusal stands in the log, if it does.
    pub revision: Option<Revision>,
    /// What kind of no it is.
    pub class: RefusalClass,
}

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// Who asks is not known, or not any more.
    Unauthenticated,
    /// Who asks may not.
    Forbidden,
    /// It does not exist, or the caller may not know.
    NotFound,
    /// Not as things stand; something else has to change first.
    NotNow,
    /// The request itself is wrong.
    Invalid,
    /// It exists already, as something else.
    Exists,
    /// A cap is reached.
    Exhausted,
}

impl Error {
    /// The stable reason code, where the broker gave one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.reason),
            Self::Busy { .. } => Some(BUSY),
            Self::Failed { reason, .. } => Some(reason),
            Self::Log { source, .. } => source.reason(),
            _ => None,
        }
    }

    /// May the same thing succeed in a moment, with nothing changed by anybody? The SDK asks this before it tries a call
    /// again, and so may its callers: whatever says no here says no again.
    ///
    /// Yes: [`Busy`](Self::Busy), [`Unreachable`](Self::Unreachable), and [`Failed`](Self::Failed) with the reasons
    /// `store-unavailable` and `deadline`. Not: everything else; a clock that is not believed waits for its operator.
    ///
    /// It says nothing about whether the call was done already: see [`Unreachable`](Self::Unreachable).
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unreachable { .. } => true,
            Self::Failed { reason, .. } => matches!(reason.as_str(), "store-unavailable" | "deadline"),
            Self::Refused(_)
            | Self::OtherBroker { .. }
            | Self::NotAccepted { .. }
            | Self::Log { .. }
            | Self::NotEnrolled { .. }
            | Self::BadInput(_)
            | Self::Files { .. }
            | Self::Unable(_)
            | Self::BadAnswer(_) => false,
        }
    }

    /// Of a look at the log: could it not be had, rather than that it showed something wrong?
    pub(crate) const fn is_no_look(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Failed { .. }
            | Self::BadInput(_)
            | Self::Files { .. }
            | Self::Unable(_) => true,
            // These say something of the broker, or that an end would not get there either.
            Self::Log { .. }
            | Self::BadAnswer(_)
            | Self::Refused(_)
            | Self::Unreachable { .. }
            | Self::OtherBroker { .. }
            | Self::NotAccepted { .. }
            | Self::NotEnrolled { .. } => false,
        }
    }

    /// Is it certain that nothing was done?
    pub(crate) fn left_undone(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            _ => self.is_unsent(),
        }
    }

    /// Was there no connection to send anything over?
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.downcast_ref().is_some_and(Cause::is_unsent))
    }

    /// The same, of a call that waited for something else, and was not sent.
    pub(crate) fn before_sending(self) -> Self {
        match self {
            Self::Unreachable { broker, source } => {
                Self::Unreachable { broker, source: Box::new(Cause::unsent(source.to_string())) }
            }
            other => other,
        }
    }

    /// The same once more, for somebody else who waited for the same answer. Of the source its words are left.
    pub(crate) fn copy(&self) -> Self {
        let words = |source: &Source| -> Source { source.to_string().into() };
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
            Self::Busy { message, retry_after } => {
                Self::Busy { message: message.clone(), retry_after: *retry_after }
            }
            Self::Unreachable { broker, source } => {
                Self::Unreachable { broker: broker.clone(), source: words(source) }
            }
            Self::OtherBroker { broker, source } => {
                Self::OtherBroker { broker: broker.clone(), source: words(source) }
            }
            Self::NotAccepted { broker, source } => {
                Self::NotAccepted { broker: broker.clone(), source: words(source) }
            }
            Self::Log { broker, source } => Self::Log { broker: broker.clone(), source: source.clone() },
            Self::NotEnrolled { home } => Self::NotEnrolled { home: home.clone() },
            Self::BadInput(text) => Self::BadInput(text.clone()),
            Self::Files { path, source } => {
                Self::Files { path: path.clone(), source: io::Error::new(source.kind(), source.to_string()) }
            }
            Self::Unable(what) => Self::Unable(what),
            Self::Failed { reason, message } => {
                Self::Failed { reason: reason.clone(), message: message.clone() }
            }
            Self::BadAnswer(why) => Self::BadAnswer(why),
        }
    }

    /// From a call that failed.
    pub(crate) fn from_status(broker: &str, status: Status) -> Self {
        // A status with a source was made on this side: the call did not get through, or its answer did not.
        if status.source().is_some() {
            return Self::broken(broker, &status, false);
        }
        let details = status.get_error_details();
        let message = clean(status.message());
        // The broker begins with what is said here anyway.
        let message = message.strip_prefix(BUSY_WORDS).map(str::to_owned).unwrap_or(message);
        let Some(info) = details.error_info().filter(|info| info.domain == ERROR_DOMAIN) else {
            return Self::without_reason(broker, status, message);
        };
        if info.reason == BUSY {
            let retry_after = details.retry_info().and_then(|info| info.retry_delay);
            return Self::Busy { message, retry_after };
        }
        if info.reason == LogFault::OLDER {
            let source = LogFault::SaysOlder { known: None, words: message };
            return Self::Log { broker: broker.to_owned(), source };
        }
        let reason = clean(&info.reason);
        let Some(class) = RefusalClass::of(status.code()) else {
            return Self::Failed { reason, message };
        };
        let revision = info.metadata.get("refusal").and_then(|text| text.parse().ok()).map(Revision::new);
        Self::Refused(Refusal { reason, message, revision, class })
    }

    /// From a connection that could not be made: at TCP or at TLS.
    pub(crate) fn from_connecting(broker: &str, source: &(dyn StdError + 'static)) -> Self {
        Self::broken(broker, source, true)
    }

    fn broken(broker: &str, source: &(dyn StdError + 'static), connecting: bool) -> Self {
        let broker = broker.to_owned();
        match tls_fault(source) {
            Some(fault @ rustls::Error::AlertReceived(_)) => {
                Self::NotAccepted { broker, source: Box::new(fault.clone()) }
            }
            Some(fault @ rustls::Error::InvalidCertificate(_)) => {
                Self::OtherBroker { broker, source: Box::new(fault.clone()) }
            }
            _ => Self::Unreachable { broker, source: Box::new(Cause::of(source, connecting)) },
        }
    }

    fn without_reason(broker: &str, status: Status, message: String) -> Self {
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                let words = if message.is_empty() { word(status.code()) } else { message };
                Self::Unreachable { broker: broker.to_owned(), source: Box::new(Cause::said(words)) }
            }
            code @ (Code::Unauthenticated
            | Code::PermissionDenied
            | Code::NotFound
            | Code::InvalidArgument) => {
                let class = RefusalClass::of(code).unwrap_or(RefusalClass::Forbidden);
                Self::Refused(Refusal { reason: word(code), message, revision: None, class })
            }
            code => Self::Failed { reason: word(code), message },
        }
    }
}

impl RefusalClass {
    /// The class that a code stands for; none for those that are no refusals.
    const fn of(code: Code) -> Option<Self> {
        Some(match code {
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::NotFound => Self::NotFound,
            Code::FailedPrecondition | Code::Aborted => Self::NotNow,
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::AlreadyExists => Self::Exists,
            Code::ResourceExhausted => Self::Exhausted,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => return None,
        })
    }
}

/// `PermissionDenied` as `permission-denied`.
fn word(code: Code) -> String {
    let mut word = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

const BUSY: &str = "busy";
const BUSY_WORDS: &str = "the broker is busy: ";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;
    use crate::cause::{CLOSED, NO_ANSWER};

    fn status(code: Code, reason: &str, domain: &str) -> Status {
        let metadata = HashMap::from([("refusal".to_owned(), "41".to_owned())]);
        let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
        details.set_retry_info(Some(Duration::from_millis(50)));
        Status::with_error_details(code, "no\u{1b}[31m", details)
    }

    #[test]
    fn a_reason_of_the_brokers_is_a_refusal() {
        let error =
            Error::from_status("b:1", status(Code::PermissionDenied, "scope-not-entitled", ERROR_DOMAIN));
        let Error::Refused(refusal) = &error else { panic!("{error:?}") };
        assert_eq!(refusal.revision, Some(Revision::new(41)));
        assert_eq!(refusal.class, RefusalClass::Forbidden);
        assert_eq!(error.reason(), Some("scope-not-entitled"));
        assert_eq!(error.to_string(), "no\\u{1b}[31m", "nothing steers a terminal");
    }

    #[test]
    fn a_broker_that_was_put_back_is_told_by_its_reason_alone() {
        for code in [Code::FailedPrecondition, Code::Unavailable, Code::Internal] {
            let error = Error::from_status("b:1", status(code, "log-older", ERROR_DOMAIN));
            assert!(
                matches!(&error, Error::Log { source, .. } if matches!(source, LogFault::SaysOlder { .. })),
                "{error:?}"
            );
            assert_eq!(error.reason(), Some("log-older"));
        }
    }

    #[test]
    fn busy_says_when_to_come_back() {
        let error = Error::from_status("b:1", status(Code::Unavailable, "busy", ERROR_DOMAIN));
        assert!(
            matches!(error, Error::Busy { retry_after: Some(after), .. } if after.as_millis() == 50),
            "{error:?}"
        );
    }

    #[test]
    fn busy_is_said_once() {
        let details = ErrorDetails::with_error_info("busy", ERROR_DOMAIN, HashMap::new());
        let text = "the broker is busy: try again in a moment";
        let status = Status::with_error_details(Code::ResourceExhausted, text, details);
        assert_eq!(Error::from_status("b:1", status).to_string(), text);
    }

    #[test]
    fn what_lies_under_it_is_told_in_plain_words() {
        let words = |error: Error| error.source().unwrap().to_string();
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, "connection refused"),
            (io::ErrorKind::BrokenPipe, CLOSED),
            (io::ErrorKind::TimedOut, NO_ANSWER),
        ] {
            let status = Status::from_error(Box::new(io::Error::from(kind)));
            assert_eq!(words(Error::from_status("b:1", status)), expected);
        }
        let status = Status::from_error("operation was canceled: connection closed".into());
        assert_eq!(words(Error::from_status("b:1", status)), CLOSED);
        assert_eq!(words(Error::from_status("b:1", Status::unavailable("going away"))), "going away");
    }

    #[test]
    fn what_carries_no_reason_is_told_apart_by_its_code() {
        let of = |code| Error::from_status("b:1", Status::new(code, "x"));
        assert!(matches!(of(Code::Unavailable), Error::Unreachable { .. }));
        assert!(matches!(of(Code::DeadlineExceeded), Error::Unreachable { .. }));
        assert!(matches!(of(Code::Internal), Error::Failed { reason, .. } if reason == "internal"));
        assert_eq!(of(Code::PermissionDenied).reason(), Some("permission-denied"));
        let unwell = Error::from_status("b:1", status(Code::Unavailable, "clock-untrusted", ERROR_DOMAIN));
        assert!(matches!(&unwell, Error::Failed { reason, .. } if reason == "clock-untrusted"), "{unwell:?}");
        let stranger = Error::from_status("b:1", status(Code::Internal, "x", "elsewhere"));
        assert!(matches!(stranger, Error::Failed { .. }), "{stranger:?}");
    }

    #[test]
    fn a_broken_connection_is_told_from_a_wrong_proof() {
        let tls = |error: rustls::Error| Error::from_connecting("b:1", &io::Error::other(error));
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(matches!(tls(unknown), Error::OtherBroker { .. }));
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        assert!(matches!(tls(alert), Error::NotAccepted { .. }));
        let reset = Error::from_connecting("b:1", &io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(reset, Error::Unreachable { .. }));
    }

    #[test]
    fn only_what_passes_by_itself_may_be_tried_again() {
        let of = |code, reason| Error::from_status("b:1", status(code, reason, ERROR_DOMAIN));
        for (error, again) in [
            (of(Code::ResourceExhausted, "busy"), true),
            (of(Code::Unavailable, "store-unavailable"), true),
            (of(Code::DeadlineExceeded, "deadline"), true),
            (Error::from_status("b:1", Status::unavailable("going away")), true),
            (Error::from_connecting("b:1", &io::Error::from(io::ErrorKind::ConnectionRefused)), true),
            (of(Code::Unavailable, "clock-untrusted"), false),
            (of(Code::Internal, "internal"), false),
            (of(Code::ResourceExhausted, "instance-cap"), false),
            (of(Code::FailedPrecondition, "answer-over"), false),
            (Error::OtherBroker { broker: "b:1".into(), source: "x".into() }, false),
            (Error::NotAccepted { broker: "b:1".into(), source: "x".into() }, false),
            (of(Code::FailedPrecondition, "log-older"), false),
            (Error::BadInput("x".into()), false),
        ] {
            assert_eq!(error.may_retry(), again, "{error:?}");
            let copy = error.copy();
            assert_eq!((copy.to_string(), copy.reason()), (error.to_string(), error.reason()));
        }
    }
}
