//! `apply`: the directory as files says it. What that would change is shown, asked about where it cuts, and then
//! written; whatever stops it halfway, the next run goes on from there.

mod plan;
mod show;
mod write;

use std::{io::IsTerminal as _, path::PathBuf};

use clap::Args;
use daypass_sdk::{Directory, Home};

pub(super) use plan::{Change, Plan, STALE};
use show::{document, summary, text};
use write::{Outcomes, write};

use super::sources;
use crate::{
    console::Console,
    diagnostics::connect,
    failure::{Exit, Failure},
};

/// Make the directory as files say it. For admins.
///
/// Each file holds any number of objects, in any order. What they name is written before them; what is as asked
/// already is left alone, and what no file mentions is never touched: to end something is `daypass end`.
///
/// Before anything is written, all of it is judged by the broker and shown. Where an object is refused, nothing is
/// written. Where something would be taken away, so that what was minted before is dead, it asks first. Then each
/// object is one commit. If that breaks off, run it again: it goes on from there.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Apply {
    /// A file, a folder (all `*.toml` in it), or `-` for standard input. May be given several times.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only show what would change.
    #[arg(long)]
    plan: bool,
    /// Do not ask before what takes something away.
    #[arg(long, conflicts_with = "plan")]
    yes: bool,
    /// Write also what changed at the broker since the file was exported.
    #[arg(long)]
    overwrite: bool,
}

const EXAMPLES: &str = r#"A file, as `daypass export` writes it:
  [[vendor]]
  name = "acme"
  owner = "dana"

  [[contract]]
  name = "acme-2026"
  vendor = "acme"
  reference = "C-2026/17"
  start = "2026-01-01T00:00:00Z"
  end = "2027-01-01T00:00:00Z"
  classifications = ["internal"]

`daypass put --help` shows an object of every kind. With `revision = 41` an object says at which state it was
exported: if somebody changed it since, it is refused. Without, it replaces whatever is there.

Exit codes, beside the usual ones: 0 if the plan holds or is carried out, 3 if an object is refused (nothing is
written), 5 if some were written and others not.

Examples:
  daypass apply -f company.toml --plan
  daypass apply -f people.toml -f vendors/
  daypass export --out company.toml && $EDITOR company.toml && daypass apply -f company.toml
  daypass apply -f vendors/ --yes -o json"#;

pub(crate) async fn run(wish: Apply, home: &Home, console: &Console) -> Result<(), Failure> {
    let entries = sources::read(&wish.files)?;
    let directory = Directory::over(connect(&home.identity()?).await?);
    let plan = Plan::make(entries, wish.overwrite, &directory).await?;
    if !console.is_json() {
        console.line(text(&plan))?;
    }
    let refused = plan.steps().filter(|step| matches!(step.change, Change::Refused { .. })).count();
    if wish.plan || refused > 0 {
        if console.is_json() {
            console.show(&document(&plan, None), String::new)?;
        }
        return if refused == 0 { Ok(()) } else { Err(is_refused(refused, &plan)) };
    }
    if !wish.yes && !may_cut(&plan, console)? {
        console.say("nothing was written");
        return Err(Failure::Interrupted);
    }
    let outcomes = write(&plan, &directory, console).await;
    console.show(&document(&plan, Some(&outcomes)), || summary(&plan, &outcomes))?;
    conclude(&plan, outcomes)
}

fn is_refused(refused: usize, plan: &Plan) -> Failure {
    let all = plan.steps().count();
    let words = format!("{refused} of {all} objects cannot be written as they are; nothing was written");
    Failure::Unwell(Exit::Refused, words).then("mend those that are marked, and run it again")
}

/// Is nothing taken away, or does somebody say yes to it?
fn may_cut(plan: &Plan, console: &Console) -> Result<bool, Failure> {
    let mut cuts = plan.steps().filter(|step| step.cuts());
    let Some(first) = cuts.next() else { return Ok(true) };
    console.must_ask()?;
    // Whoever is asked sees what is asked, also where the data goes into a file.
    if console.is_json() || !std::io::stdout().is_terminal() {
        console.tell(text(plan));
    }
    let what = match cuts.count() {
        0 => first.id.to_string(),
        more => format!("{} objects", more + 1),
    };
    console.ask(&format!("take something away from {what}, so that what was minted before is dead there?"))
}

/// How it ends: with what was done if that is all, else as far as it came.
fn conclude(plan: &Plan, outcomes: Outcomes) -> Result<(), Failure> {
    let asked = plan.steps().filter(|step| step.writes()).count();
    let written = outcomes.written.len();
    if written == asked {
        return Ok(());
    }
    if written > 0 {
        let words = format!("{written} of {asked} objects are written, the others are not");
        return Err(Failure::Partial(words).then("run it again: what is done already is left alone"));
    }
    match outcomes.failed.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Err(Failure::Interrupted),
    }
}
