//! Ending things: the one verb that cannot be taken back, so it asks first.

use clap::Args;
use daypass_credential::NodeId;
use daypass_sdk::{Connection, Home};

use crate::{console::Console, failure::Failure, shapes};

/// End something: everything that rests on it is dead at the broker at once, and its name is spent for ever.
///
/// Whoever asks the broker about a credential hears of it with the next answer. A relying party that only checks
/// signatures does not: there, what was minted before is good until it expires.
///
/// A vendor, contract, application, person, audience or verifier; one instance (`identity:…`); an open enrolment
/// (`enrollment:…`); or a single credential, by its number (`credential:4711`).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// What, as `vendor:acme`.
    id: NodeId,
    /// Why, in your words; kept beside the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask first.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass end vendor:acme --reason 'contract terminated, see CASE-17'
  daypass end credential:4711 --yes";

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let identity = home.identity()?;
    if !wish.yes {
        let question = format!("end {} and everything that rests on it, for ever?", wish.id);
        if !console.ask(&question)? {
            console.say("nothing was ended");
            return Err(Failure::Interrupted);
        }
    }
    let connection = Connection::open(&identity).await?;
    let revision = connection.end(&wish.id, wish.reason.as_deref().unwrap_or_default()).await?;
    let shape = shapes::Ended { id: wish.id.to_string(), revision: revision.get() };
    console.show(&shape, || {
        format!("{} is ended: everything under it with a revision below {} is dead", shape.id, shape.revision)
    })
}
