//! Ending a single credential, after a look at what it is.

use clap::Args;
use daypass_credential::NodeId;
use daypass_sdk::Home;

use super::{Which, look_up, show};
use crate::{
    console::Console,
    diagnostics::connect,
    failure::Failure,
    paint::{Ink, Text},
    shapes,
};

/// End a single credential: it, and every token bound to it, is dead at the broker at once.
///
/// The application whose it is may, and its owners and admins. The application goes on, and may mint another. To end
/// all that an application holds, end the application or one instance of it (`daypass end`).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    #[command(flatten)]
    which: Which,
    /// Why, in your words; kept beside the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask first, and do not look: for scripts.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass credential revoke 4711
  daypass credential revoke --cert billing/cert.pem --reason 'key was copied'
  daypass credential revoke 4711 --yes";

pub(super) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let found = wish.which.find()?;
    let identity = home.identity()?;
    if !wish.yes {
        console.must_ask()?;
    }
    let connection = connect(&identity).await?;
    // A file may be another broker's, which has to be known also where nobody is asked.
    let by_file = wish.which.revision.is_none();
    if !wish.yes || by_file {
        let record = look_up(&found, &connection).await?;
        if !wish.yes {
            console.tell(preview(&show::shape(&record, Vec::new())));
            console.confirm("end it for ever?")?;
        }
    }
    let id = NodeId::credential(found.revision);
    let revision = connection.end(&id, wish.reason.as_deref().unwrap_or_default()).await?;
    let shape = shapes::Ended { id: id.to_string(), revision: revision.get() };
    console.show(&shape, || {
        format!("{} is ended at revision {}, and every token bound to it with it", shape.id, shape.revision)
    })
}

fn preview(credential: &shapes::Credential) -> Text {
    let rests = match credential.kind {
        "token" => "nothing rests on a token",
        "certificate" => "every token bound to this certificate rests on it",
        _ => "everything minted with this identity certificate rests on it; the instance cannot renew",
    };
    Text::new()
        .then(Ink::Strong, show::title(credential))
        .then(Ink::Plain, "\n")
        .and(show::life_text(credential))
        .then(Ink::Plain, format!(", until {} at the latest\n{rests}", credential.expires_at))
}
