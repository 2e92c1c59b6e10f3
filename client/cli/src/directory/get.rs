//! `get`: one object as a file that `put` takes.

use clap::Args;
use daypass_credential::NodeId;
use daypass_sdk::{Directory, Home};

use super::stored;
use crate::{console::Console, diagnostics::connect, failure::Failure};

/// Read one object, as `put` would write it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Get {
    /// Which, as `vendor:acme`.
    id: NodeId,
}

const EXAMPLES: &str = "\
`daypass describe ID` shows it with what is above it and what rests on it.

Examples:
  daypass get vendor:acme
  daypass get application:sync -o json";

pub(crate) async fn run(wish: Get, home: &Home, console: &Console) -> Result<(), Failure> {
    let directory = Directory::over(connect(&home.identity()?).await?);
    let stored = stored::shape(directory.object(&wish.id).await?)?;
    let text = stored::text(&stored)?;
    console.show(&stored, || text)
}
