//! `receipt verify`: statement and list, by the log's public key alone.

use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use daypass_log::{
    VerifierKey,
    receipt::{ListFault, MAX_STATEMENT, Receipt},
};

use super::{get::list_beside, show};
use crate::{
    audit::Against,
    console::Console,
    context::Said,
    failure::{Exit, Failure, advice},
    paint::{Ink, Text},
    shapes,
};

/// Check a receipt, without any broker: only the log's public key is needed.
///
/// It shows that the log's key signed the statement, that a signed checkpoint of that log holds the end of the vendor, that
/// every confirmation was signed by the verifier's own key and reaches the end, and that the list is the one that belongs to
/// it. It proves what verifiers said that they refuse, not that an application behind them obeyed. Whose key a verifier's
/// is, the broker vouches for.
///
/// The key is the one that this home knows; --key names another. Exit code 0 means that all of it holds, 3 that it does not.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// The statement.
    file: PathBuf,
    /// The list; the file beside the statement if not said.
    #[arg(long, value_name = "FILE", conflicts_with = "no_list")]
    list: Option<PathBuf>,
    /// Check the statement alone.
    #[arg(long)]
    no_list: bool,
    /// The log's public key, as `daypass context show` prints it.
    #[arg(long, value_name = "KEY")]
    key: Option<VerifierKey>,
}

const EXAMPLES: &str = "\
Examples:
  daypass receipt verify acme.receipt
  daypass receipt verify acme.receipt --list acme.list -o json";

pub(super) fn run(wish: &Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let note = read(&wish.file)?;
    let list = wish.list.clone().unwrap_or_else(|| list_beside(&wish.file));
    let list = if wish.no_list { None } else { Some((open(&list)?, list)) };
    let against = Against::find(wish.key.clone(), None, said)?;
    let key = against.key.to_string();
    let receipt = match Receipt::open(&note, std::slice::from_ref(&against.key)) {
        Ok(receipt) => receipt,
        Err(error) => return not_good(error.to_string(), None, key, console),
    };
    let shape = show::shape(&receipt);
    if let Some((file, path)) = &list {
        match receipt.check_list(BufReader::new(file)) {
            Ok(()) => {}
            Err(ListFault::Read(error)) => return Err(unread(path, &error)),
            Err(fault) => return not_good(fault.to_string(), Some(shape), key, console),
        }
    }
    let list_checked = list.is_some();
    let verdict = shapes::ReceiptVerdict { good: true, list_checked, key, fault: None, receipt: Some(shape) };
    console.show(&verdict, || text(&verdict, &against.key_from))
}

fn text(verdict: &shapes::ReceiptVerdict, key_from: &str) -> Text {
    let holds = if verdict.list_checked { "it holds, with its list" } else { "the statement holds" };
    let text =
        Text::new().then(Ink::Strong, holds).then(Ink::Plain, format!(" (the log's key {key_from})\n\n"));
    match &verdict.receipt {
        Some(receipt) => text.and(show::text(receipt, verdict.list_checked)),
        None => text,
    }
}

fn not_good(
    fault: String,
    receipt: Option<shapes::Receipt>,
    key: String,
    console: &Console,
) -> Result<(), Failure> {
    let list_checked = receipt.is_some();
    let message = format!("the receipt does not hold: {fault}");
    // What it says counts for nothing then, and is not shown.
    let verdict =
        shapes::ReceiptVerdict { good: false, list_checked, key, fault: Some(fault), receipt: None };
    console.show(&verdict, || message.clone())?;
    Err(Failure::Unwell(Exit::Refused, message).then(
        "do not rely on it: get it again from the broker (`daypass receipt get`), or from whoever kept another copy",
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut note = Vec::new();
    let limit = MAX_STATEMENT as u64 + 1;
    open(path)?.take(limit).read_to_end(&mut note).map_err(|error| unread(path, &error))?;
    Ok(note)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unread(path, &error))
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::bad(format!("cannot read `{}`: {error}", path.display())).then(advice::on_file(error.kind()))
}
