//! `audit list`: looks things up in the log.

use clap::Args;
use daypass_credential::Timestamp;
use daypass_sdk::{EventQuery, Events, Home};

use super::{
    print::{Line, Printer},
    which::{Which, when},
};
use crate::{
    console::{Console, Reader},
    diagnostics::connect,
    failure::Failure,
    progress::Progress,
};

/// List events of the log that fit, the newest first. For admins and auditors.
///
/// With `-o json` each event is one line.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    #[command(flatten)]
    which: Which,
    /// Only up to, and not including, then; written as for --since.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,
    /// How many at most.
    #[arg(short, long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    /// As many as there are.
    #[arg(long, conflicts_with = "number")]
    all: bool,
    /// Begin with the oldest.
    #[arg(long)]
    oldest_first: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass audit list
  daypass audit list --vendor acme --since 7d
  daypass audit list --actor person:dana --action ended,written -n 10
  daypass audit list --outcome refused --since 2026-11-01 --until 2026-12-01 --all -o json";

pub(super) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let waiting = Progress::start(console, "waiting for the broker", None);
    let connection = connect(&home.identity()?).await?;
    let filter = wish.which.filter();
    let query = EventQuery {
        filter: wish.until.into_iter().fold(filter, |filter, until| filter.until(until)),
        limit: (!wish.all).then_some(wish.number),
        newest_first: !wish.oldest_first,
        ..EventQuery::default()
    };
    let events = connection.events(&query).await?;
    drop(waiting);
    tokio::select! {
        searched = search(events, &query, console) => searched,
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}

/// Prints what is found as it is found.
async fn search(mut events: Events, query: &EventQuery, console: &Console) -> Result<(), Failure> {
    let mut printer = Printer::new(console);
    let (mut waiting, mut found, mut progress) = (Vec::new(), false, None);
    while let Some(page) = events.page().await? {
        let head = page.head.get();
        let done =
            if query.newest_first { head.saturating_sub(page.reached.get()) } else { page.reached.get() };
        progress.get_or_insert_with(|| Progress::start(console, "searching the log", Some(head))).reach(done);
        for event in &page.events {
            waiting.push(Line::of(event)?);
        }
        found |= !waiting.is_empty();
        // A table looks best whole; of a long one, by parts. Programs get each line at once.
        if console.is_json() || waiting.len() >= PART {
            if printer.print(&waiting)? == Reader::Gone {
                return Ok(());
            }
            waiting.clear();
        }
    }
    drop(progress);
    let _seen_enough = printer.print(&waiting)?;
    printer.end(found);
    Ok(())
}

/// How many lines of a table are laid out together.
const PART: usize = 500;
