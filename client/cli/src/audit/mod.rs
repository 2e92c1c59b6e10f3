//! The audit log: looking things up in it and following it; and proof, for everybody, that nobody changed it.

mod export;
mod finding;
mod known;
mod list;
mod part;
mod print;
mod proof;
mod prove;
mod stream;
mod tail;
mod verify;
mod which;

pub(crate) use self::known::Against;
use clap::Subcommand;

use crate::{
    console::Console,
    context::{Place, Said},
    failure::Failure,
    progress::Progress,
};

/// The log of everything that was done, and proof that nobody changed it.
///
/// Who did what, about what, and what came of it: for admins and auditors. Each event is a leaf of a tree that only
/// grows; the broker signs its root with the log's key, as a checkpoint. Each home keeps the newest checkpoint that it has
/// seen, and refuses a broker whose log does not continue it.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    List(list::Wish),
    Tail(tail::Wish),
    Export(export::Wish),
    Verify(verify::Wish),
    Prove(prove::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass audit list --vendor acme --since 7d
  daypass audit tail -f --outcome refused
  daypass audit export --out log.jsonl
  daypass audit verify log.jsonl
  daypass audit prove 41";

pub(crate) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let home = || -> Result<_, Failure> {
        let place = Place::find(said)?;
        place.check()?;
        Ok(place.home)
    };
    match wish {
        Wish::List(wish) => list::run(wish, &home()?, console).await,
        Wish::Tail(wish) => tail::run(wish, &home()?, console).await,
        Wish::Export(wish) => export::run(wish, &home()?, console).await,
        // It may need no home.
        Wish::Verify(wish) => verify::run(wish, said, console).await,
        Wish::Prove(wish) => {
            let _waiting = Progress::start(console, "waiting for the broker", None);
            prove::run(wish, &home()?, console).await
        }
    }
}
