//! Coming by an identity: opening an enrolment, spending its code, and renewing.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

use clap::Args;
use daypass_credential::{EnrollmentCode, NodeId, Ttl};
use daypass_sdk::{Address, Directory, Error, Home, Identity, PrivateKey};
use zeroize::Zeroizing;

use crate::{
    console::{self, Console},
    context::{self, Context, DEFAULT, Folder, Place, Said},
    diagnostics::{connect, instant},
    failure::Failure,
    shapes,
};

/// Spend a one-time code, and become somebody to a broker.
///
/// The code names the broker's root certificate, so the broker is known before it is told anything. The key is made
/// here and stays here. If this breaks off, run it again: it asks with the same key, and gets the same answer.
///
/// With --context NAME the identity lives in a folder of that context, and the context is made if it is not there yet;
/// from then on --context NAME, or `daypass context use NAME`, means this identity.
#[derive(Debug, Args)]
#[command(after_long_help = ENROLL_EXAMPLES)]
pub(crate) struct Enroll {
    /// Where the broker is, as `HOST:PORT`; may be left out where the context knows it.
    #[arg(long, value_name = "HOST:PORT", env = "DAYPASS_BROKER")]
    broker: Option<Address>,
    /// The code. Others on this machine can read a command line: --code-file or the variable is better.
    #[arg(
        long,
        value_name = "CODE",
        env = "DAYPASS_CODE",
        hide_env_values = true,
        conflicts_with = "code_file"
    )]
    code: Option<Hidden>,
    /// A file with the code, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
    /// A private key to use, as from `daypass key new`; a new one if not said.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What the broker's server certificate is called, if not HOST.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
}

/// A secret on the command line. Any text will do at first: what is wrong with it is told later, without repeating it.
#[derive(Clone)]
struct Hidden(Zeroizing<String>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

const ENROLL_EXAMPLES: &str = "\
Examples:
  daypass enroll --broker broker.example:7443 --code-file code.txt
  daypass enroll --context staging --broker staging.example:7443 --code-file code.txt
  pass show daypass-code | daypass enroll --broker broker.example:7443 --code-file -
  daypass --home ./admin enroll --broker 10.0.0.7:7443 --server-name broker.example --key admin.key --code-file -";

/// Make a one-time code for an application, a person or a verifier. For admins.
#[derive(Debug, Args)]
#[command(after_long_help = OPEN_EXAMPLES)]
pub(crate) struct Open {
    /// Whose instance it is to enrol, as `application:sync`.
    subject: NodeId,
    /// How long the code waits: an hour if not said, at most `7d`.
    #[arg(long)]
    ttl: Option<Ttl>,
}

const OPEN_EXAMPLES: &str = "\
The code alone goes to standard output; hand it over once, by a way that only its receiver reads.

Examples:
  daypass open-enrollment application:sync
  daypass open-enrollment verifier:billing-api --ttl 15m > code.txt";

/// Spends a code into the home that is meant, and remembers the broker if a context named it.
pub(crate) async fn enroll(wish: Enroll, said: &Said, console: &Console) -> Result<(), Failure> {
    let place = place_for(said)?;
    let broker = broker(&wish, &place)?;
    let code = code(&wish)?;
    place.demand(&code.root(), "this code")?;
    let key = match &wish.key {
        Some(file) => Some(PrivateKey::from_pem(console::read(file)?.as_bytes())?),
        None => None,
    };
    let folder = place.home.folder().display();
    if place.home.is_taken()? {
        return Err(Failure::bad(format!("somebody is enrolled in `{folder}` already"))
            .then("name another folder (--home DIR), or a new context (--context NAME)"));
    }
    let enrolled = daypass_sdk::enroll(&place.home, &broker, &code, key).await;
    let identity = enrolled.map_err(not_enrolled)?;
    if let Some((name, mut context)) = place.context {
        context.remember(identity.broker(), identity.root_fingerprint());
        context::keep(&name, context, &Folder::of_user()?)?;
    }
    show(&identity, &place.home, "enrolled", console)
}

/// What goes wrong before there is an identity has other remedies than later.
fn not_enrolled(error: Error) -> Failure {
    let next = match &error {
        Error::Unreachable { .. } => {
            "check host and port against what came with the code, and ask the broker's operator whether it runs"
        }
        Error::OtherBroker { .. } => {
            "check the address against what came with the code, and that every digit of the code was copied: it names \
             the broker's root. If the broker goes by another name there, add --server-name; else do not go on"
        }
        _ => return error.into(),
    };
    Failure::from(error).then(next)
}

/// Where to enrol. A context that is named and not there yet is one to be made.
fn place_for(said: &Said) -> Result<Place, Failure> {
    let (None, Some(name)) = (&said.home, &said.context) else { return Place::find(said) };
    let folder = Folder::of_user()?;
    if name.as_str() == DEFAULT || folder.read()?.has(name) {
        return Place::find(said);
    }
    let home = folder.home_of(name);
    if Home::at(&home).is_taken()? {
        return Err(Failure::bad(format!("somebody is enrolled in `{}` already", home.display())).then(
            format!(
                "`daypass context add {name}` names that identity; or choose another name for the context"
            ),
        ));
    }
    let context = Context { home: home.clone(), broker: None, server_name: None, root: None };
    Ok(Place { home: Home::at(home), context: Some((name.clone(), context)) })
}

fn broker(wish: &Enroll, place: &Place) -> Result<Address, Failure> {
    let known = match &place.context {
        Some((_, context)) => context.address()?,
        None => None,
    };
    let broker = wish.broker.clone().or(known).ok_or_else(|| {
        Failure::bad("where is the broker?")
            .then("add --broker HOST:PORT, or set the variable DAYPASS_BROKER")
    })?;
    Ok(match &wish.server_name {
        Some(name) => broker.with_server_name(name)?,
        None => broker,
    })
}

fn code(wish: &Enroll) -> Result<EnrollmentCode, Failure> {
    let text = match (&wish.code, &wish.code_file) {
        (Some(Hidden(text)), _) => text.clone(),
        (None, Some(file)) => console::read(file)?,
        (None, None) => {
            return Err(Failure::bad("no code was given").then(
                "ask an admin for one (`daypass open-enrollment SUBJECT`); then --code-file FILE (or `-`), or the \
                 variable DAYPASS_CODE",
            ));
        }
    };
    text.parse().map_err(|error| {
        Failure::bad(format!("{error}"))
            .then("copy it again; if it is cut short where it came from, ask for a new one")
    })
}

pub(crate) async fn renew(home: &Home, console: &Console) -> Result<(), Failure> {
    let identity = daypass_sdk::renew(home).await?;
    show(&identity, home, "renewed", console)
}

fn show(identity: &Identity, home: &Home, done: &str, console: &Console) -> Result<(), Failure> {
    let shape = shapes::Identity {
        subject: identity.subject().to_string(),
        broker: identity.broker().to_string(),
        home: home.folder().display().to_string(),
        revision: identity.revision().get(),
        expires_at: instant(identity.expires_at()),
    };
    console.show(&shape, || {
        format!(
            "{done} as {} at {}, until {}\nin {}",
            shape.subject, shape.broker, shape.expires_at, shape.home
        )
    })
}

pub(crate) async fn open(wish: Open, home: &Home, console: &Console) -> Result<(), Failure> {
    console.must_be_heard()?;
    let directory = Directory::over(connect(&home.identity()?).await?);
    let opened = directory.open_enrollment(&wish.subject, wish.ttl).await?;
    let shape = shapes::Opened {
        code: opened.code.reveal(),
        subject: wish.subject.to_string(),
        id: opened.id.to_string(),
        expires_at: instant(opened.expires_at),
    };
    if !console.is_json() {
        console.say(format_args!(
            "for {}, once, until {}; to withdraw it: daypass end {}",
            shape.subject, shape.expires_at, shape.id
        ));
    }
    console.hand_over(&shape, || shape.code.clone())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::arguments::Arguments;

    #[test]
    fn a_code_that_is_none_is_not_repeated() {
        let line = ["daypass", "enroll", "--broker", "b.example:1", "--code", "dpe1-hunter2"];
        let arguments = Arguments::try_parse_from(line).unwrap();
        let crate::arguments::Verb::Enroll(wish) = &arguments.verb else { panic!("{arguments:?}") };
        let failure = super::code(wish).unwrap_err();
        assert!(!format!("{arguments:?} {failure:?}").contains("hunter2"));
    }
}
