//! Receipts of ended vendors: got from the broker, and checked without it.

mod get;
mod show;
mod verify;

use clap::Subcommand;

pub(crate) use self::{
    get::fetch,
    show::{shape, text, words},
};
use crate::{console::Console, context::Said, failure::Failure};

/// What an offboarding killed, who refuses it since when, and the proof of that.
///
/// A receipt is two files that belong together: a small signed statement, and the list of every credential that died. Keep
/// both: they are checked by the log's public key alone, for as long as anybody asks.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    Get(get::Wish),
    Verify(verify::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass receipt get acme --wait
  daypass receipt verify acme.receipt";

pub(crate) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    match wish {
        Wish::Get(wish) => get::run(wish, said, console).await,
        Wish::Verify(wish) => verify::run(&wish, said, console),
    }
}
