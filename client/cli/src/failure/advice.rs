//! What to do next, by what the SDK says went wrong. Each refusal of a broker also points to where it is explained.

use std::io::ErrorKind;

use daypass_sdk::Error;

/// What to do about an error.
pub(super) fn on(error: &Error) -> Option<String> {
    Some(match error {
        Error::Refused(refusal) => on_refusal(&refusal.reason),
        Error::Failed { reason, .. } => on_refusal(reason),
        Error::NotEnrolled { .. } => {
            "`daypass enroll --broker HOST:PORT --code-file FILE` with a code from an admin; or name the right folder \
             with --home, or a context with --context"
                .into()
        }
        Error::Unreachable { .. } => {
            "check that the broker runs and that the address is right; `daypass doctor` looks step by step".into()
        }
        Error::Busy { .. } => "try again in a moment".into(),
        Error::OtherBroker { .. } => {
            "check the address; if the broker goes by another name there, add --server-name; if its operator says that it \
             was recovered, ask an admin for a new code and enrol into an empty folder; else do not go on: `daypass \
             doctor` tells more"
                .into()
        }
        Error::NotAccepted { .. } => {
            "the identity is over or another broker's: `daypass doctor` tells which; then ask an admin for a new code \
             and enrol again"
                .into()
        }
        Error::Log { source, .. } => match source.reason() {
            Some(reason) => on_refusal(reason),
            None => "do not go on: tell the broker's operator, and compare what `daypass context show` says of the log with \
                     what others see"
                .into(),
        },
        Error::Files { source, .. } => on_file(source.kind()).into(),
        Error::BadAnswer(_) => "compare the versions of broker and command line: `daypass doctor`".into(),
        Error::Unable(_) => "run it on another machine, or tell its operator".into(),
        Error::BadInput(_) => return None,
    })
}

fn on_refusal(reason: &str) -> String {
    let explain = format!("`daypass explain {reason}`");
    match known(reason) {
        Some(next) => format!("{next}; more: {explain}"),
        None => format!("{explain} says what it means and what would have to change"),
    }
}

fn known(reason: &str) -> Option<&'static str> {
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
        "code-spent" => "if it was not you who used it, tell the owners at once; an admin makes a new code",
        "binding-required" | "certificate-dead" => {
            "`daypass cert --audience NAME --out DIR`, then `daypass token … --cert DIR/cert.pem`"
        }
        "code-for-other-broker" => "check the address of the broker: the code was made by another one",
        "scope-not-entitled" => {
            "ask for a scope of the application's entitlements, or have an admin change those (`daypass put -f FILE`)"
        }
        "unknown-audience" => {
            "check the spelling against the application's entitlements (`daypass get application:NAME`), or have an \
             admin add one (`daypass put -f FILE`)"
        }
        "stale-write" => "`daypass get ID`, look at what changed, and write again",
        "instance-cap" => "end an instance that is not used any more: `daypass end identity:NAME`",
        "too-many-ended" => {
            "wait until the instant named; credentials that live briefly (`--ttl`) need not be ended, they expire"
        }
        "clock-untrusted" => "the broker's operator checks its clock, and then `daypassd clock accept`",
        "checkpoint-unknown" => {
            "check the address; if the broker has begun a new era since, forget the old checkpoint once its operator has \
             confirmed that"
        }
        "log-older" => {
            "tell the broker's operator at once: the newest store has to be found, or `daypassd recover` run"
        }
        "key-reused" => "run it again: it makes a new key",
        "other-key-expected" => {
            "enrol with the key whose public half was given: `daypass enroll --key FILE …`"
        }
        "unknown-node" => {
            "check the id, which is `kind:name`; admins and auditors see all (`daypass list KIND`)"
        }
        "wrong-caller" => {
            "act as somebody of the right kind (--home, --context): applications mint, verifiers verify, persons write"
        }
        "not-allowed" => "ask an admin, or an owner of what it is about",
        "dangling-reference" => "write what it names first, or mend the name",
        _ => return None,
    })
}

/// What to do about a file.
pub(crate) const fn on_file(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "check the name, and that the folder is there",
        ErrorKind::PermissionDenied => {
            "give this user the right to it (`ls -ld` shows who has it), or name another place"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk, and run it again",
        ErrorKind::ReadOnlyFilesystem => "name a place that can be written",
        _ => "check that it is a file or folder of yours, and run it again",
    }
}

#[cfg(test)]
mod tests {
    use daypass_sdk::{Refusal, RefusalClass};

    use super::*;

    #[test]
    fn every_refusal_points_to_its_explanation() {
        for reason in ["scope-not-entitled", "renew-first", "chain-too-deep", "of-a-newer-broker"] {
            let refusal = Refusal {
                reason: reason.into(),
                message: "no".into(),
                revision: None,
                class: RefusalClass::NotNow,
            };
            let next = on(&Error::Refused(refusal)).unwrap();
            assert!(next.contains(&format!("`daypass explain {reason}`")), "{next}");
        }
    }
}
