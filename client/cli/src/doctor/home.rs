//! What lies on this machine: the home, the identity in it, and how long its certificate has to live.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

use daypass_credential::Timestamp;
use daypass_sdk::{Error, Identity};
use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::Check;
use crate::{
    context::Place,
    diagnostics::instant,
    failure::{Exit, Failure},
};

/// Looks at all of it; the identity, if there is one that can be used.
pub(super) fn examine(place: &Place) -> (Vec<Check>, Option<Identity>) {
    let mut checks = vec![folder(place)];
    let identity = match place.home.identity() {
        Ok(identity) => identity,
        Err(error) => {
            checks.push(no_identity(error, place));
            checks.push(Check::skipped("certificate", "not looked at: there is no identity"));
            return (checks, None);
        }
    };
    let who = format!("{} at {}", identity.subject(), identity.broker());
    checks.push(match place.check() {
        Ok(()) => Check::well("identity", who),
        Err(failure) => Check::failed("identity", &failure),
    });
    checks.push(certificate(&identity, now()));
    if pending(place) {
        checks.push(Check::doubtful(
            "next key",
            "a renewal was broken off: a key is waiting for its certificate",
            "`daypass renew` goes on with the same key; a renewal with another would suspend the identity",
        ));
    }
    (checks, Some(identity))
}

fn folder(place: &Place) -> Check {
    let folder = place.home.folder();
    let shown = folder.display();
    let data = match fs::metadata(folder) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Check::wrong(
                "home",
                Exit::BadInput,
                format!("there is no `{shown}`"),
                "enrol (`daypass enroll --broker HOST:PORT --code-file FILE`), or name the right one: --home, --context",
            );
        }
        Err(error) => {
            let words = format!("`{shown}` cannot be looked into: {error}");
            return Check::wrong(
                "home",
                Exit::BadInput,
                words,
                "give this user the right to it, or run as its owner",
            );
        }
    };
    if !data.is_dir() {
        let words = format!("`{shown}` is no folder");
        return Check::wrong("home", Exit::BadInput, words, "name a folder with --home");
    }
    let file = fs::metadata(folder.join(IDENTITY)).map(|data| data.permissions().mode());
    if data.permissions().mode() & OTHERS != 0 {
        let words = format!("others may enter `{shown}`, and a private key lies in it");
        return Check::wrong("home", Exit::BadInput, words, format!("`chmod 700 {shown}`; {IF_READ}"));
    }
    if file.is_ok_and(|mode| mode & OTHERS != 0) {
        let words = format!("others may read `{shown}/{IDENTITY}`, and a private key is in it");
        return Check::wrong(
            "home",
            Exit::BadInput,
            words,
            format!("`chmod 600 {shown}/{IDENTITY}`; {IF_READ}"),
        );
    }
    Check::well("home", format!("{shown}, for you alone"))
}

fn no_identity(error: Error, place: &Place) -> Check {
    if matches!(error, Error::NotEnrolled { .. }) && pending(place) {
        return Check::wrong(
            "identity",
            Exit::BadInput,
            "an enrolment was broken off: a key is waiting for its certificate",
            "run the same `daypass enroll` again: it asks with the same key",
        );
    }
    Check::failed("identity", &Failure::from(error))
}

fn pending(place: &Place) -> bool {
    place.home.folder().join("next-key.pem").exists()
}

/// How long the certificate has to live. It is due for renewal after two thirds of its life.
fn certificate(identity: &Identity, now: Timestamp) -> Check {
    let until = identity.expires_at();
    if now >= until {
        return Check::wrong(
            "certificate",
            Exit::Refused,
            format!("it ended at {}, by this machine's clock", instant(until)),
            "ask an admin for a new code (`daypass open-enrollment SUBJECT`) and enrol into an empty folder",
        );
    }
    let from = not_before(identity.certificate());
    if from.is_some_and(|from| now < from) {
        return Check::doubtful(
            "certificate",
            "by this machine's clock it has not begun yet",
            "check the clock of this machine",
        );
    }
    let left = duration(until.as_secs() - now.as_secs());
    let due = from
        .is_some_and(|from| (now.as_secs() - from.as_secs()) * 3 >= (until.as_secs() - from.as_secs()) * 2);
    if due {
        let words = format!("it ends in {left}, at {}, and is due for renewal", instant(until));
        return Check::doubtful(
            "certificate",
            words,
            "`daypass renew`; once it has ended, only a new code helps",
        );
    }
    Check::well("certificate", format!("good for {left}, until {}", instant(until)))
}

fn not_before(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(parsed.validity().not_before.timestamp()).ok().map(Timestamp::from_secs)
}

/// In the two largest units.
pub(super) fn duration(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

pub(super) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

const IDENTITY: &str = "identity.toml";
const IF_READ: &str =
    "if somebody may have read the key, end the identity (`daypass end identity:NAME`) and enrol anew";
/// Any right of anybody but the owner.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_two_largest_units() {
        for (secs, words) in [(59, "59 s"), (60, "1 min"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(duration(secs), words);
        }
    }
}
