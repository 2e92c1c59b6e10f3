//! How a verb can fail: with which exit code, and what to do next. The codes are stable; `daypass --help` lists them.

use std::{error::Error as _, process::ExitCode};

use daypass_sdk::{Error, RefusalClass};

use crate::shapes;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Internal,
    BadInput,
    Refused,
    Unreachable,
    Partial,
    OtherBroker,
    Interrupted,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::BadInput => 2,
            Self::Refused => 3,
            Self::Unreachable => 4,
            Self::Partial => 5,
            Self::OtherBroker => 6,
            Self::Interrupted => 130,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Internal => "internal",
            Self::BadInput => "bad-input",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Partial => "partial",
            Self::OtherBroker => "other-broker",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The SDK says why.
    Sdk(Error),
    /// What was given cannot be used.
    BadInput(String),
    /// A credential is not good. The data that says so is printed already.
    NotGood,
    /// Of many things some cannot be. The data that says which, and why, is printed already.
    Refused(String),
    /// Of many things some were done and some were not. The data that says which is printed already.
    Partial(String),
    /// Something did not go as it must. What is to be seen of it is printed already, apart from this.
    Internal(String),
    /// Somebody stopped it.
    Interrupted,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

impl Failure {
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::BadInput(text.into())
    }

    /// With which code the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::BadInput(_) => Exit::BadInput,
            Self::NotGood | Self::Refused(_) => Exit::Refused,
            Self::Partial(_) => Exit::Partial,
            Self::Internal(_) => Exit::Internal,
            Self::Interrupted => Exit::Interrupted,
            Self::Sdk(error) => match error {
                Error::Refused(refusal) => match refusal.class {
                    RefusalClass::Invalid => Exit::BadInput,
                    RefusalClass::Unauthenticated
                    | RefusalClass::Forbidden
                    | RefusalClass::NotFound
                    | RefusalClass::NotNow
                    | RefusalClass::Exists
                    | RefusalClass::Exhausted => Exit::Refused,
                },
                Error::NotAccepted { .. } => Exit::Refused,
                Error::Busy { .. } | Error::Unreachable { .. } => Exit::Unreachable,
                Error::OtherBroker { .. } => Exit::OtherBroker,
                Error::NotEnrolled { .. } | Error::BadInput(_) | Error::Files { .. } => Exit::BadInput,
                Error::Failed { reason, .. } => match reason.as_str() {
                    "clock-untrusted" | "store-unavailable" | "deadline" => Exit::Unreachable,
                    _ => Exit::Internal,
                },
                Error::BadAnswer(_) | Error::Unable(_) => Exit::Internal,
            },
        }
    }

    /// The stable reason code, where the broker gave one.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Sdk(error) => error.reason(),
            Self::BadInput(_)
            | Self::NotGood
            | Self::Refused(_)
            | Self::Partial(_)
            | Self::Internal(_)
            | Self::Interrupted => None,
        }
    }

    /// What happened, with what caused it.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Sdk(error) => with_cause(error),
            Self::BadInput(text) | Self::Refused(text) | Self::Partial(text) | Self::Internal(text) => {
                text.clone()
            }
            Self::NotGood => "the credential is not good: refuse it".into(),
            Self::Interrupted => "stopped before it was done".into(),
        }
    }

    /// For programs.
    pub(crate) fn shape(&self) -> shapes::Failed {
        let refusal = match self {
            Self::Sdk(Error::Refused(refusal)) => refusal.revision.map(daypass_credential::Revision::get),
            _ => None,
        };
        shapes::Failed {
            error: shapes::Error {
                kind: self.exit().word(),
                reason: self.reason().map(str::to_owned),
                message: self.message(),
                refusal,
                next: self.next(),
            },
        }
    }

    /// What to do about it, where that is known.
    pub(crate) fn next(&self) -> Option<&'static str> {
        let error = match self {
            Self::Sdk(error) => error,
            Self::Partial(_) => return Some("run it again: what is done already is left alone"),
            Self::BadInput(_) | Self::NotGood | Self::Refused(_) | Self::Internal(_) | Self::Interrupted => {
                return None;
            }
        };
        match error {
            Error::Refused(refusal) => next_for(&refusal.reason),
            Error::Failed { reason, .. } => next_for(reason),
            Error::NotEnrolled { .. } => Some(
                "`daypass enroll --broker HOST:PORT --code-file FILE`, or name the right folder with --home",
            ),
            Error::Unreachable { .. } => Some("check that the broker runs and that the address is right"),
            Error::Busy { .. } => Some("try again in a moment"),
            Error::OtherBroker { .. } => Some(
                "check the address; if the broker goes by another name there, add --server-name; else do not go on",
            ),
            Error::NotAccepted { .. } => {
                Some("the identity is over or another broker's: ask an admin for a new code and enrol again")
            }
            Error::BadInput(_) | Error::Files { .. } | Error::Unable(_) | Error::BadAnswer(_) => None,
        }
    }
}

fn next_for(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "renew-first" => "`daypass renew`, then again",
        "caller-expired"
        | "caller-ended"
        | "caller-of-other-era"
        | "code-expired"
        | "code-withdrawn"
        | "code-unknown" => {
            "ask an admin for a new code (`daypass open-enrollment SUBJECT`), and enrol into an empty folder"
        }
        "binding-required" | "certificate-dead" => {
            "`daypass cert --audience NAME --out DIR`, then `daypass token … --cert DIR/cert.pem`"
        }
        "code-for-other-broker" => "check the address of the broker: the code was made by another one",
        "scope-not-entitled" | "unknown-audience" => {
            "ask for a scope of the application's entitlements, or have an admin change those (`daypass put -f FILE`)"
        }
        "stale-write" => "`daypass get ID`, look at what changed, and write again",
        "instance-cap" => "end an instance that is not used any more: `daypass end identity:NAME`",
        "clock-untrusted" => "the broker's operator checks its clock, and then `daypassd clock accept`",
        "key-reused" => "run it again: it makes a new key",
        _ => return None,
    })
}

/// The causes beside the message, where the message does not say them.
pub(crate) fn with_cause(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // The transport's own word for it says nothing.
        if words != "transport error" && !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use daypass_sdk::Refusal;

    use super::*;

    fn refused(reason: &str, class: RefusalClass) -> Failure {
        Failure::Sdk(Error::Refused(Refusal {
            reason: reason.into(),
            message: "no".into(),
            revision: None,
            class,
        }))
    }

    #[test]
    fn exit_codes_are_what_the_help_says() {
        let codes = [
            (refused("scope-not-entitled", RefusalClass::Forbidden), 3),
            (refused("bad-field", RefusalClass::Invalid), 2),
            (Failure::bad("x"), 2),
            (Failure::NotGood, 3),
            (Failure::Refused("x".into()), 3),
            (Failure::Partial("x".into()), 5),
            (Failure::Internal("x".into()), 1),
            (Failure::Interrupted, 130),
            (Error::NotEnrolled { home: "x".into() }.into(), 2),
            (Error::Unreachable { broker: "x".into(), source: "x".into() }.into(), 4),
            (Error::Busy { message: "x".into(), retry_after: None }.into(), 4),
            (Error::OtherBroker { broker: "x".into(), source: "x".into() }.into(), 6),
            (Error::NotAccepted { broker: "x".into(), source: "x".into() }.into(), 3),
            (Error::Failed { reason: "internal".into(), message: "x".into() }.into(), 1),
            (Error::Failed { reason: "clock-untrusted".into(), message: "x".into() }.into(), 4),
        ];
        for (failure, code) in codes {
            assert_eq!(failure.exit().code(), code, "{failure:?}");
        }
    }

    #[test]
    fn a_failure_has_one_shape() {
        let failure = refused("renew-first", RefusalClass::NotNow);
        assert_eq!(
            serde_json::to_value(failure.shape()).unwrap(),
            serde_json::json!({"error": {
                "kind": "refused", "reason": "renew-first", "message": "no", "next": "`daypass renew`, then again"
            }})
        );
    }

    #[test]
    fn a_cause_is_told_once() {
        let io = std::io::Error::other("connection refused");
        let failure = Failure::Sdk(Error::Unreachable { broker: "b:1".into(), source: Box::new(io) });
        assert_eq!(failure.message(), "the broker at `b:1` does not answer: connection refused");
    }
}
