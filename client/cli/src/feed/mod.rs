//! What the broker pushes to verifiers: looking at it as one of them, and at how far each of them is.

mod follow;
mod list;
mod told;

use clap::Subcommand;
use daypass_sdk::Home;

pub(crate) use follow::{Follow, follow};

use crate::{console::Console, failure::Failure};

/// How far the verifiers are with what the broker pushes.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    List(list::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass verifier list
  daypass verifier list -o json";

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    match wish {
        Wish::List(list::Wish {}) => list::run(home, console).await,
    }
}
