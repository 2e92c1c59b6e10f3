//! `daypass bench`: what a broker and those who rely on it do in a second, or in how many milliseconds, on this machine.
//! Each measurement starts a broker process of its own in a temporary folder, which is gone afterwards.

mod calls;
mod check;
mod figures;
mod load;
mod offboard;
mod population;
mod revoke;
mod stage;

use clap::{Args, Subcommand};

use crate::{console::Console, failure::Failure};

/// Measure a broker on this machine: no-op, mint and introspect, and what share of the no-op's rate the others reach.
///
/// Starts a broker process in a temporary folder, as `quickstart` does. Client and broker share this machine, so
/// compare the ratios rather than the rates. Give it a release build and a quiet machine.
///
/// The verbs below measure other things.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Wish {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    calls: calls::Wish,
}

/// What else can be measured.
#[derive(Debug, Subcommand)]
enum What {
    Check(check::Wish),
    Offboard(offboard::Wish),
    Revoke(revoke::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass bench
  daypass bench -o json --seconds 30 --in-flight 256 --connections 8
  daypass bench revoke";

pub(crate) async fn run(wish: Wish, console: &Console) -> Result<(), Failure> {
    match wish.what {
        None => calls::run(wish.calls, console).await,
        Some(What::Check(wish)) => check::run(wish, console).await,
        Some(What::Offboard(wish)) => offboard::run(wish, console).await,
        Some(What::Revoke(wish)) => revoke::run(wish, console).await,
    }
}
