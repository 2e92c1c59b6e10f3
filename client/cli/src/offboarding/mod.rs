//! Ending things: the one verb that cannot be taken back, so it shows what would die, and asks first. Opening again
//! what a new era suspended.

mod offboard;
mod preview;
mod resume;

use clap::Args;
use daypass_credential::{NodeId, NodeKind};
use daypass_sdk::Home;

pub(crate) use offboard::{Offboard, offboard};
pub(crate) use resume::{Resume, resume};

use crate::{console::Console, diagnostics::connect, failure::Failure, shapes::Ended};

/// End something: everything that rests on it is dead at the broker at once, and its name is spent for ever.
///
/// Whoever asks the broker about a credential hears of it with the next answer, and whoever follows the feed within
/// moments. A relying party that only checks signatures does not: there, what was minted before is good until it expires.
///
/// For a vendor, `daypass offboard` counts the credentials that die, and waits for everybody who checks them. A vendor's
/// end has its receipt either way (`daypass receipt`).
///
/// A vendor, contract, application, person, audience or verifier; one instance (`identity:…`); an open enrolment
/// (`enrollment:…`); or a single credential, by its number (`credential:4711`).
///
/// Before it asks, it shows what would be ended and what rests on it, as far as this identity may know. With --yes it
/// neither looks nor asks: where every second counts, and in scripts.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// What, as `vendor:acme`.
    id: NodeId,
    /// Why, in your words; kept beside the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only show what would be ended, and end nothing.
    #[arg(long, conflicts_with = "yes")]
    preview: bool,
    /// Do not ask first.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass end vendor:acme --preview
  daypass end vendor:acme --reason 'contract terminated, see CASE-17'
  daypass end identity:i168a6c2c7311ead8638e
  daypass end credential:4711 --yes";

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let identity = home.identity()?;
    if !wish.yes && !wish.preview {
        console.must_ask()?;
    }
    let connection = connect(&identity).await?;
    if !wish.yes {
        let previewed = preview::of(&wish.id, &connection, console).await?;
        if wish.preview {
            return console.show(&previewed, || preview::text(&previewed));
        }
        console.tell(preview::text(&previewed));
        console.confirm("end it, and all of that with it, for ever?")?;
    }
    let revision = connection.end(&wish.id, wish.reason.as_deref().unwrap_or_default()).await?;
    let shape = Ended { id: wish.id.to_string(), revision: revision.get() };
    console.show(&shape, || {
        let receipt = match wish.id.kind {
            NodeKind::Vendor => {
                format!("\nwho refuses it since when: `daypass receipt get {} --wait`", wish.id.name)
            }
            _ => String::new(),
        };
        let Ended { id, revision } = &shape;
        format!("{id} is ended: everything under it with a revision below {revision} is dead{receipt}")
    })
}
