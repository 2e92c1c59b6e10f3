//! How a verb can fail: with which exit code, and what to do next. The codes are stable; `daypass --help` lists them.

pub(crate) mod advice;
mod words;

use std::process::ExitCode;

use daypass_sdk::{Error, RefusalClass};

pub(crate) use words::with_cause;

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

    pub(crate) const fn word(self) -> &'static str {
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
    /// Some of what was to be done is done, and some is not.
    Partial(String),
    /// Who answers, or is enrolled, belongs to another broker than the context remembers.
    OtherRoot(String),
    /// What was looked at is not well. It is printed already, with this as its worst.
    Unwell(Exit, String),
    /// Something did not go as it must. What is to be seen of it is printed already, apart from this.
    Internal(String),
    /// Somebody stopped it.
    Interrupted,
    /// Another failure, with what to do about it.
    Advised(Box<Failure>, String),
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

    /// The same, and what to do next.
    #[must_use]
    pub(crate) fn then(self, next: impl Into<String>) -> Self {
        Self::Advised(Box::new(self), next.into())
    }

    /// With which code the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Sdk(error) => exit_of(error),
            Self::BadInput(_) => Exit::BadInput,
            Self::NotGood => Exit::Refused,
            Self::Partial(_) => Exit::Partial,
            Self::OtherRoot(_) => Exit::OtherBroker,
            Self::Unwell(exit, _) => *exit,
            Self::Internal(_) => Exit::Internal,
            Self::Interrupted => Exit::Interrupted,
            Self::Advised(failure, _) => failure.exit(),
        }
    }

    /// What the SDK said, where it did.
    fn error(&self) -> Option<&Error> {
        match self {
            Self::Sdk(error) => Some(error),
            Self::Advised(failure, _) => failure.error(),
            Self::BadInput(_)
            | Self::NotGood
            | Self::Partial(_)
            | Self::OtherRoot(_)
            | Self::Unwell(..)
            | Self::Internal(_)
            | Self::Interrupted => None,
        }
    }

    /// The stable reason code, where the broker gave one.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.error().and_then(Error::reason)
    }

    /// What happened, with what caused it.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Sdk(error) => with_cause(error),
            Self::BadInput(text)
            | Self::Partial(text)
            | Self::OtherRoot(text)
            | Self::Unwell(_, text)
            | Self::Internal(text) => text.clone(),
            Self::NotGood => "the credential is not good: refuse it".into(),
            Self::Interrupted => "stopped before it was done".into(),
            Self::Advised(failure, _) => failure.message(),
        }
    }

    /// For programs.
    pub(crate) fn shape(&self) -> shapes::Failed {
        let refusal = match self.error() {
            Some(Error::Refused(refusal)) => refusal.revision.map(daypass_credential::Revision::get),
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

    /// What to do about it, where more is known than the verb's help says.
    pub(crate) fn next(&self) -> Option<String> {
        match self {
            Self::Sdk(error) => advice::on(error),
            Self::NotGood => Some(
                "turn the request down; why it is not good, its owners see with `daypass credential show`".into(),
            ),
            Self::OtherRoot(_) => Some(
                "do not go on unless you know why; `daypass context show` tells what is remembered, and a new context \
                 (`daypass context add NAME`) is how to go with the other broker"
                    .into(),
            ),
            Self::Internal(_) => Some("see what it says; if that is no help, tell the maintainers what you did".into()),
            Self::Advised(_, next) => Some(next.clone()),
            Self::BadInput(_) | Self::Partial(_) | Self::Unwell(..) | Self::Interrupted => None,
        }
    }
}

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::Refused(refusal) => match refusal.class {
            RefusalClass::Invalid => Exit::BadInput,
            RefusalClass::Unauthenticated
            | RefusalClass::Forbidden
            | RefusalClass::NotFound
            | RefusalClass::NotNow
            | RefusalClass::Exists
            | RefusalClass::Exhausted => Exit::Refused,
        },
        Error::NotAccepted { .. } | Error::Log { .. } => Exit::Refused,
        Error::Busy { .. } | Error::Unreachable { .. } => Exit::Unreachable,
        Error::OtherBroker { .. } => Exit::OtherBroker,
        Error::NotEnrolled { .. } | Error::BadInput(_) | Error::Files { .. } => Exit::BadInput,
        Error::Failed { reason, .. } => match reason.as_str() {
            "clock-untrusted" | "store-unavailable" | "deadline" => Exit::Unreachable,
            _ => Exit::Internal,
        },
        Error::BadAnswer(_) | Error::Unable(_) => Exit::Internal,
    }
}

#[cfg(test)]
mod tests {
    use daypass_sdk::{LogFault, Refusal};

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
            (Failure::Internal("x".into()), 1),
            (Failure::Interrupted, 130),
            (Failure::Partial("x".into()), 5),
            (Failure::OtherRoot("x".into()), 6),
            (Failure::Unwell(Exit::Unreachable, "x".into()), 4),
            (Failure::bad("x").then("y"), 2),
            (Error::NotEnrolled { home: "x".into() }.into(), 2),
            (Error::Unreachable { broker: "x".into(), source: "x".into() }.into(), 4),
            (Error::Busy { message: "x".into(), retry_after: None }.into(), 4),
            (Error::OtherBroker { broker: "x".into(), source: "x".into() }.into(), 6),
            (Error::NotAccepted { broker: "x".into(), source: "x".into() }.into(), 3),
            (Error::Log { broker: "x".into(), source: LogFault::NoEra }.into(), 3),
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
                "kind": "refused", "reason": "renew-first", "message": "no",
                "next": "`daypass renew`, then again; more: `daypass explain renew-first`"
            }})
        );
    }

    #[test]
    fn the_words_of_libraries_are_put_into_ours() {
        let other =
            |words: &str| Failure::Sdk(Error::OtherBroker { broker: "b:1".into(), source: words.into() });
        for (words, ours) in [
            ("invalid peer certificate: UnknownIssuer", "not from the root that is known"),
            ("received corrupt message of type InvalidContentType", "does not speak TLS"),
            (
                "certificate not valid for name \"x\"; certificate is only valid for DnsName(\"y\")",
                "another name",
            ),
        ] {
            let message = other(words).message();
            assert!(message.contains(ours) && !message.contains(words), "{message}");
        }
        assert!(other("something new").message().ends_with(": something new"));
    }

    #[test]
    fn advice_takes_nothing_from_what_it_is_about() {
        let failure = refused("unknown-audience", RefusalClass::NotFound).then("look again");
        let shape = failure.shape().error;
        assert_eq!(
            (shape.reason.as_deref(), shape.next.as_deref()),
            (Some("unknown-audience"), Some("look again"))
        );
        assert_eq!(shape.message, "no");
    }

    #[test]
    fn a_cause_is_told_once() {
        let io = std::io::Error::other("connection refused");
        let failure = Failure::Sdk(Error::Unreachable { broker: "b:1".into(), source: Box::new(io) });
        assert_eq!(failure.message(), "the broker at `b:1` does not answer: connection refused");
    }
}
