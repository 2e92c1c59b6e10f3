//! The log: looking things up in it, and following it.

mod list;
mod print;
mod tail;
mod which;

use clap::Subcommand;

use crate::{
    console::Console,
    context::{Place, Said},
    failure::Failure,
};

/// Read the log: who did what, about what, and what came of it. For admins and auditors.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    List(list::Wish),
    Tail(tail::Wish),
}

const EXAMPLES: &str = "\
Examples:
  daypass audit list --vendor acme --since 7d
  daypass audit tail -f --outcome refused";

pub(crate) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let home = || -> Result<_, Failure> {
        let place = Place::find(said)?;
        place.check()?;
        Ok(place.home)
    };
    match wish {
        Wish::List(wish) => list::run(wish, &home()?, console).await,
        Wish::Tail(wish) => tail::run(wish, &home()?, console).await,
    }
}
