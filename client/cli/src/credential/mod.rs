//! Credentials: minting them, and looking at, replacing and ending a single one.

mod from_file;
mod mint;
mod pair;
mod revoke;
mod rotate;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use daypass_credential::{NodeKind, Revision};
use daypass_sdk::{Application, Connection, Home, Record, certificates_from_pem};
use rustls_pki_types::CertificateDer;

pub(crate) use mint::{Certificate, Token, certificate, token};

use self::from_file::Found;
use crate::{
    console::{self, Console},
    diagnostics::connect,
    failure::Failure,
};

/// Look at, replace or end a single credential.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    Show(show::Wish),
    Rotate(rotate::Wish),
    Revoke(revoke::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass credential show 4711
  daypass credential show --token token.txt
  daypass credential rotate --cert ./billing
  daypass credential revoke 4711 --reason 'laptop lost'";

/// Which credential is meant: by its number, or by a file that holds it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Its number, as in `credential:4711`.
    #[arg(value_name = "REVISION", value_parser = revision)]
    revision: Option<Revision>,
    /// A certificate of Daypass (PEM): the first in the file is meant.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// A file with an access token, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
}

/// With or without `credential:` before it, as it is printed.
fn revision(text: &str) -> Result<Revision, String> {
    let number = text.strip_prefix("credential:").unwrap_or(text).parse().ok().filter(|number| *number > 0);
    number.map(Revision::new).ok_or_else(|| "a credential is known by its number, as 4711".to_owned())
}

impl Which {
    /// What the arguments say of it, before any broker is asked.
    fn find(&self) -> Result<Found, Failure> {
        match (&self.revision, &self.cert, &self.token) {
            (Some(revision), ..) => Ok(Found::by_number(*revision)),
            (None, Some(file), _) => from_file::certificate(file),
            (None, None, Some(file)) => from_file::token(file),
            (None, None, None) => Err(Failure::bad("which credential?")),
        }
    }
}

/// Connects as the application that is enrolled here.
async fn application(home: &Home) -> Result<Application, Failure> {
    let identity = home.identity()?;
    let subject = identity.subject();
    if subject.kind != NodeKind::Application {
        return Err(Failure::bad(format!(
            "`{subject}` is enrolled here, and only applications are given credentials"
        ))
        .then("name the identity of an application: --home DIR or --context NAME"));
    }
    Ok(Application::over(connect(&identity).await?)?)
}

/// The certificates in a file, the bearer's own first.
pub(crate) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    certificates_from_pem(console::read(file)?.as_bytes()).map_err(|error| {
        Failure::bad(format!("`{}`: {error}", file.display())).then(
            "name a certificate in PEM: the cert.pem that `daypass cert` wrote, not the key.pem beside it",
        )
    })
}

/// Asks the broker about a credential, and refuses an answer that is about another than the file's.
async fn look_up(found: &Found, connection: &Connection) -> Result<Record, Failure> {
    let record = connection.credential(found.revision).await?;
    found.demand(&record)?;
    Ok(record)
}

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    match wish {
        Wish::Show(wish) => show::run(wish, home, console).await,
        Wish::Rotate(wish) => rotate::run(wish, home, console).await,
        Wish::Revoke(wish) => revoke::run(wish, home, console).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_written_as_it_is_printed() {
        assert_eq!(revision("4711").unwrap(), Revision::new(4711));
        assert_eq!(revision("credential:4711").unwrap(), Revision::new(4711));
        for bad in ["", "0", "-1", "x", "vendor:acme", "18446744073709551616"] {
            assert!(revision(bad).is_err(), "{bad}");
        }
    }
}
