//! What is wrong between this identity and its broker, in words: one check after another, each with the next step. It
//! works when half of everything is broken, and goes as far as it can.

mod broker;
mod home;
mod network;

use clap::Args;

use crate::{
    console::Console,
    context::{Place, Said},
    failure::{Exit, Failure},
    paint::{Ink, Text},
    shapes,
};

/// Look at what is wrong between you and the broker, in words.
///
/// Looks at the home and its permissions, the identity, its certificate's life, the broker's address, the connection,
/// TLS with the broker's root, whether its log continues the one that was seen here, whom the broker takes you for, whether the identity is in force, the clocks and the
/// versions. Nothing is changed. What cannot be looked at, because something before it is broken, is said to be so.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {}

const EXAMPLES: &str = "\
Exit codes: 0 if all is well, or only to be looked at (!); else that of the worst, in this order:
  6  what answers is not the broker that it should be
  3  the broker does not take the identity: expired, ended, suspended; or its log is not the one that is known
  2  the home, or the identity in it, cannot be used
  4  the broker cannot be reached, or cannot serve
  1  something else

Examples:
  daypass doctor
  daypass --context staging doctor
  daypass doctor -o json";

/// What was found at one place.
#[derive(Debug)]
pub(super) struct Check {
    name: &'static str,
    found: Found,
    message: String,
    reason: Option<String>,
    next: Option<String>,
}

/// How it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Well,
    /// It works, and should be looked at.
    Doubtful,
    /// It does not work.
    Wrong(Exit),
    /// It could not be looked at.
    Skipped,
}

impl Check {
    pub(super) fn well(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, found: Found::Well, message: message.into(), reason: None, next: None }
    }

    pub(super) fn doubtful(name: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { found: Found::Doubtful, next: Some(next.into()), ..Self::well(name, message) }
    }

    pub(super) fn wrong(
        name: &'static str,
        exit: Exit,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { found: Found::Wrong(exit), next: Some(next.into()), ..Self::well(name, message) }
    }

    pub(super) fn skipped(name: &'static str, message: impl Into<String>) -> Self {
        Self { found: Found::Skipped, ..Self::well(name, message) }
    }

    /// As a verb would have failed.
    pub(super) fn failed(name: &'static str, failure: &Failure) -> Self {
        let next = failure.next().unwrap_or_else(|| "mend that, and look again".into());
        let check = Self::wrong(name, failure.exit(), failure.message(), next);
        Self { reason: failure.reason().map(str::to_owned), ..check }
    }

    pub(super) const fn is_wrong(&self) -> bool {
        matches!(self.found, Found::Wrong(_))
    }
}

pub(crate) async fn run(_wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let place = Place::find(said)?;
    let (checks, identity) = examine(&place).await;
    let shape = shapes::Diagnosis {
        well: !checks.iter().any(Check::is_wrong),
        home: place.home.folder().display().to_string(),
        context: place.context.as_ref().map(|(name, _)| name.to_string()),
        broker: identity.as_ref().map(|identity| identity.broker().to_string()),
        subject: identity.as_ref().map(|identity| identity.subject().to_string()),
        checks: checks.iter().map(shape).collect(),
    };
    console.show(&shape, || text(&checks))?;
    verdict(&checks)
}

async fn examine(place: &Place) -> (Vec<Check>, Option<daypass_sdk::Identity>) {
    let (mut checks, identity) = home::examine(place);
    let Some(identity) = identity else {
        let words = "not looked at: without an identity it is not known which broker to look for";
        checks.extend(
            ["address", "connect", "tls", "caller", "clock", "version"].map(|n| Check::skipped(n, words)),
        );
        return (checks, None);
    };
    let reached = network::examine(&identity, &mut checks).await;
    if reached {
        broker::examine(&identity, &mut checks).await;
    } else {
        let words = "not looked at: the broker cannot be asked";
        checks.extend(["caller", "clock", "version"].map(|name| Check::skipped(name, words)));
    }
    (checks, Some(identity))
}

/// The worst of what was found.
fn verdict(checks: &[Check]) -> Result<(), Failure> {
    let wrong = checks.iter().filter_map(|check| match check.found {
        Found::Wrong(exit) => Some((exit, check)),
        _ => None,
    });
    let Some((exit, check)) = wrong.min_by_key(|(exit, _)| rank(*exit)) else { return Ok(()) };
    let failure = Failure::Unwell(exit, format!("{}: {}", check.name, check.message));
    Err(match &check.next {
        Some(next) => failure.then(next.as_str()),
        None => failure,
    })
}

/// The worst first.
const fn rank(exit: Exit) -> u8 {
    match exit {
        Exit::OtherBroker => 0,
        Exit::Refused => 1,
        Exit::BadInput => 2,
        Exit::Unreachable => 3,
        Exit::Internal | Exit::Partial | Exit::Interrupted | Exit::Done => 4,
    }
}

fn shape(check: &Check) -> shapes::Check {
    shapes::Check {
        name: check.name,
        status: match check.found {
            Found::Well => "ok",
            Found::Doubtful => "warning",
            Found::Wrong(_) => "problem",
            Found::Skipped => "skipped",
        },
        message: check.message.clone(),
        reason: check.reason.clone(),
        next: check.next.clone(),
    }
}

fn text(checks: &[Check]) -> Text {
    let mut text = Text::new();
    for (n, check) in checks.iter().enumerate() {
        if n > 0 {
            text = text.then(Ink::Plain, "\n");
        }
        let (ink, mark) = match check.found {
            Found::Well => (Ink::Good, "✓"),
            Found::Doubtful => (Ink::Doubtful, "!"),
            Found::Wrong(_) => (Ink::Bad, "✗"),
            Found::Skipped => (Ink::Faint, "·"),
        };
        let reason = check.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        text =
            text.then(ink, mark).then(Ink::Plain, format!(" {:<12} {}{reason}", check.name, check.message));
        if let Some(next) = &check.next {
            text = text.then(Ink::Strong, format!("\n{:15}next", "")).then(Ink::Plain, format!(": {next}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        let wrong = |exit| Check::wrong("x", exit, "it is broken", "mend it");
        assert!(
            verdict(&[Check::well("x", "y"), Check::doubtful("x", "y", "z"), Check::skipped("x", "y")])
                .is_ok()
        );
        let code = |checks: &[Check]| verdict(checks).unwrap_err().exit().code();
        assert_eq!(code(&[wrong(Exit::Unreachable), wrong(Exit::BadInput)]), 2);
        assert_eq!(code(&[wrong(Exit::BadInput), wrong(Exit::Refused), wrong(Exit::Internal)]), 3);
        assert_eq!(code(&[wrong(Exit::Refused), wrong(Exit::OtherBroker)]), 6);
        assert_eq!(verdict(&[wrong(Exit::Refused)]).unwrap_err().next().as_deref(), Some("mend it"));
    }

    #[test]
    fn a_check_is_a_line_and_its_next_step_another() {
        let checks = [Check::well("home", "fine"), Check::wrong("tls", Exit::OtherBroker, "other", "look")];
        assert_eq!(
            text(&checks).to_string(),
            "✓ home         fine\n✗ tls          other\n               next: look"
        );
    }
}
