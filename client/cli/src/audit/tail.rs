//! `audit tail`: the newest of the log, and what comes after it.

use clap::Args;
use daypass_credential::Revision;
use daypass_sdk::{Connection, EventQuery, Home};

use super::{
    print::{Line, Printer},
    which::Which,
};
use crate::{
    console::{Console, Reader},
    diagnostics::connect,
    failure::Failure,
    progress::Progress,
};

/// Show the newest events of the log that fit, the newest last; with -f, go on with those that come.
///
/// With `-o json` each event is one line. Following outlasts a restart of the broker of a few seconds; Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    #[command(flatten)]
    which: Which,
    /// How many of those that are there already; 0 for none.
    #[arg(short, long, value_name = "COUNT", default_value_t = 10)]
    number: u32,
    /// Go on with what is recorded from now on, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass audit tail
  daypass audit tail -f
  daypass audit tail -n 0 -f --vendor acme --outcome refused -o json";

pub(super) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let work = async {
        let waiting = Progress::start(console, "waiting for the broker", None);
        let connection = connect(&home.identity()?).await?;
        drop(waiting);
        let mut printer = Printer::new(console);
        let (lines, head) = newest(&wish, &connection, console).await?;
        if printer.print(&lines)? == Reader::Gone {
            return Ok(());
        }
        if wish.follow {
            return follow(&wish, &connection, head, &mut printer).await;
        }
        printer.end(!lines.is_empty());
        Ok(())
    };
    tokio::select! {
        done = work => done,
        // That is how following ends.
        Ok(()) = tokio::signal::ctrl_c() => if wish.follow { Ok(()) } else { Err(Failure::Interrupted) },
    }
}

/// The newest that fit, oldest of them first, and the head of the log that they were looked for in.
async fn newest(
    wish: &Wish,
    connection: &Connection,
    console: &Console,
) -> Result<(Vec<Line>, Revision), Failure> {
    // Without any, the head is still to be known: where following begins.
    let query = EventQuery {
        filter: wish.which.filter(),
        limit: Some(wish.number.max(1)),
        newest_first: true,
        ..EventQuery::default()
    };
    let mut events = connection.events(&query).await?;
    let (mut lines, mut head) = (Vec::new(), None);
    let mut progress = None;
    while let Some(page) = events.page().await? {
        // A search that had to be opened anew still ends where the first one began.
        let head = *head.get_or_insert(page.head);
        if wish.number == 0 {
            break;
        }
        let done = head.get().saturating_sub(page.reached.get());
        progress
            .get_or_insert_with(|| Progress::start(console, "searching the log", Some(head.get())))
            .reach(done);
        for event in &page.events {
            lines.push(Line::of(event)?);
        }
    }
    lines.reverse();
    Ok((lines, head.unwrap_or(Revision::ZERO)))
}

async fn follow(
    wish: &Wish,
    connection: &Connection,
    after: Revision,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let query =
        EventQuery { filter: wish.which.filter(), after: Some(after), follow: true, ..EventQuery::default() };
    let mut events = connection.events(&query).await?;
    while let Some(page) = events.page().await? {
        let lines = page.events.iter().map(Line::of).collect::<Result<Vec<_>, _>>()?;
        if printer.print(&lines)? == Reader::Gone {
            return Ok(());
        }
    }
    Ok(())
}
