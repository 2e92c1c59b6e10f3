//! What can be wrong with a log, as one word for programs, and with which exit code it ends.

use daypass_log::export::{Fault, ReadError};

use crate::failure::{Exit, Failure};

/// One stable word.
pub(super) const fn word(fault: &Fault) -> &'static str {
    match fault {
        Fault::NotOne => "no-export",
        Fault::Version(_) => "version",
        Fault::Checkpoint(_) => "forged",
        Fault::Older { .. } => "older",
        Fault::OtherHistory { .. } => "other-history",
        Fault::Root => "root",
        Fault::Tile { .. } => "tile",
        Fault::Entry { stands: None, .. } => "entry",
        Fault::Entry { stands: Some(_), .. } => "order",
        Fault::CutShort { .. } => "cut-short",
        Fault::Surplus { .. } => "surplus",
    }
}

/// Of what cannot be read as an export at all, nothing was found.
pub(super) fn unreadable(error: ReadError, from: &str) -> Result<Fault, Failure> {
    match error {
        ReadError::Fault(Fault::NotOne | Fault::Version(_)) => {
            Err(Failure::bad(format!("`{from}`: {error}"))
                .then("name a file that `daypass audit export` wrote"))
        }
        ReadError::Fault(fault) => Ok(fault),
        ReadError::In(error) => Err(Failure::bad(format!("cannot read `{from}`: {error}"))
            .then(crate::failure::advice::on_file(error.kind()))),
    }
}

/// The failure of a log that is not whole, once that is printed.
pub(super) fn not_whole(message: String) -> Failure {
    Failure::Unwell(Exit::Refused, message).then(
        "keep the file as it is, do not rely on anything in it from there on, and compare it with another export or with \
         the live broker (`daypass audit verify`)",
    )
}
