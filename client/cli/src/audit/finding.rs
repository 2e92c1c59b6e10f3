//! What can be wrong with a log, as one word for programs, and with which exit code it ends.

use std::fmt;

use daypass_core::replay::Discrepancy;
use daypass_credential::Revision;
use daypass_log::export::{Fault, ReadError};

use crate::failure::{Exit, Failure};

/// What was found.
#[derive(Debug)]
pub(super) enum Finding {
    /// It is not what was signed.
    Fault(Fault),
    /// It is what was signed, and means nothing valid.
    Meaning(Discrepancy),
}

impl Finding {
    /// One stable word.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Fault(fault) => word(fault),
            Self::Meaning(_) => "meaning",
        }
    }

    /// The first entry that does not fit; nothing where it is not with an entry.
    pub(super) const fn first_bad(&self) -> Option<Revision> {
        match self {
            Self::Fault(fault) => fault.first_bad(),
            Self::Meaning(discrepancy) => Some(discrepancy.revision),
        }
    }

    /// The failure that it is, once it is printed.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Fault(_) => not_whole(format!("the log is not whole: {self}")),
            Self::Meaning(_) => Failure::Unwell(Exit::Refused, format!("the log is whole, but means nothing valid: {self}"))
                .then(
                    "nobody changed the log: the broker itself wrote what its rules do not allow. Keep the file, and tell \
                     the broker's operator and the maintainers",
                ),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Meaning(discrepancy) => discrepancy.fmt(f),
        }
    }
}

const fn word(fault: &Fault) -> &'static str {
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
