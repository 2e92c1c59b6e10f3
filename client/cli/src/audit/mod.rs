//! The log: checking it, as everybody can: all of it as an export, whether it was changed, and that an event is in it.

mod export;
mod finding;
mod known;
mod part;
mod proof;
mod prove;
mod stream;
mod verify;

use clap::Subcommand;

use crate::{
    console::Console,
    context::{Place, Said},
    failure::Failure,
};

/// The log of everything that was done, and proof that nobody changed it.
///
/// Each event is a leaf of a tree that only grows; the broker signs its root with the log's key, as a checkpoint. Each
/// home keeps the newest checkpoint that it has seen, and refuses a broker whose log does not continue it.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    Export(export::Wish),
    Verify(verify::Wish),
    Prove(prove::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass audit export --out log.jsonl
  daypass audit verify log.jsonl
  daypass audit verify
  daypass audit prove 41";

pub(crate) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let home = || -> Result<_, Failure> {
        let place = Place::find(said)?;
        place.check()?;
        Ok(place.home)
    };
    match wish {
        Wish::Export(wish) => export::run(wish, &home()?, console).await,
        // It may need no home.
        Wish::Verify(wish) => verify::run(wish, said, console).await,
        Wish::Prove(wish) => prove::run(wish, &home()?, console).await,
    }
}
