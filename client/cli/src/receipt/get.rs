//! `receipt get`: the statement and the list, checked before they are kept.

use std::{
    fs::File,
    io::{BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use daypass_credential::{Name, NodeId, NodeKind};
use daypass_log::receipt::{MAX_STATEMENT, Receipt, Statement};
use daypass_sdk::{Connection, ReceiptPart};
use tempfile::NamedTempFile;

use super::show;
use crate::{
    console::Console,
    context::{Place, Said},
    diagnostics::connect,
    failure::{Failure, advice},
    progress::Progress,
    shapes,
};

/// Get the receipt of an ended vendor: the statement, and the list beside it.
///
/// Both are checked before they are written. Keep the two files together: the statement without the list names no single
/// credential, and the list without the statement proves nothing. A receipt that is not closed yet ends with exit code 5.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// The vendor, as `acme`.
    vendor: Name,
    /// The file for the statement; the list goes beside it, with `.list` added. `VENDOR.receipt` if not said.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Wait until it is closed.
    #[arg(long)]
    wait: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass receipt get acme
  daypass receipt get acme --wait --out 2026/acme.receipt -o json";

pub(super) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let place = Place::find(said)?;
    place.check()?;
    let connection = connect(&place.home.identity()?).await?;
    let out = wish.out.unwrap_or_else(|| PathBuf::from(format!("{}.receipt", wish.vendor)));
    let list = list_beside(&out);
    let mut part = beside(&list)?;
    let got = fetch(&connection, &wish.vendor, wish.wait, Some(part.as_file_mut()), console).await?;
    let Some((note, receipt)) = got else { return Err(not_closed()) };
    check(&receipt, part.as_file_mut())?;
    let mut statement = beside(&out)?;
    statement.write_all(&note).map_err(|error| unwritten(&out, &error))?;
    // The list first: a statement that is there has its list.
    keep(part, &list)?;
    keep(statement, &out)?;
    let shape = shapes::ReceiptFiles {
        file: out.display().to_string(),
        list: list.display().to_string(),
        receipt: show::shape(&receipt),
    };
    console.show(&shape, || {
        let text = show::text(&shape.receipt, true);
        text.then(
            crate::paint::Ink::Plain,
            format!("\n\nstatement   {}\nlist        {}\nkeep the two together", shape.file, shape.list),
        )
    })
}

/// Where the list lies that belongs to a statement.
pub(super) fn list_beside(statement: &Path) -> PathBuf {
    statement.with_added_extension("list")
}

/// The statement, opened with the log's key that this home knows; the list goes into the file, if there is one. None if the
/// receipt is not closed yet.
pub(crate) async fn fetch(
    connection: &Connection,
    vendor: &Name,
    wait: bool,
    mut list: Option<&mut File>,
    console: &Console,
) -> Result<Option<(Vec<u8>, Receipt)>, Failure> {
    let mut waiting = Some(Progress::start(console, "waiting for the receipt", None));
    let mut parts = connection.receipt(vendor, wait).await?;
    let (mut note, mut told) = (Vec::new(), String::new());
    while let Some(part) = parts.next().await? {
        match part {
            ReceiptPart::Progress(far) => {
                let words = show::progress(&far);
                if words != told {
                    drop(waiting.take());
                    console.say(&words);
                    waiting = Some(Progress::start(console, "waiting for the receipt", None));
                    told = words;
                }
            }
            ReceiptPart::Statement(bytes) if note.len() + bytes.len() <= MAX_STATEMENT => {
                note.extend_from_slice(&bytes);
            }
            ReceiptPart::Statement(_) => return Err(unsound("it is longer than any statement")),
            ReceiptPart::List(bytes) => match list.as_mut() {
                Some(list) => list.write_all(&bytes).map_err(|error| Failure::bad(error.to_string()))?,
                // Nobody wants it, and the statement is whole.
                None => break,
            },
        }
    }
    drop(waiting);
    if note.is_empty() {
        return Ok(None);
    }
    let key = connection.known_log()?.map(|log| log.key().clone());
    let keys: Vec<_> = key.into_iter().collect();
    let receipt = Receipt::open(&note, &keys).map_err(|error| unsound(&error.to_string()))?;
    is_of(receipt.statement(), vendor)?;
    Ok(Some((note, receipt)))
}

/// A sound receipt of another vendor is no answer: it would be kept under this one's name.
fn is_of(said: &Statement, vendor: &Name) -> Result<(), Failure> {
    if said.vendor == NodeId::new(NodeKind::Vendor, vendor.clone()) {
        return Ok(());
    }
    Err(unsound(&format!("it is of `{}`", said.vendor)))
}

fn unsound(why: &str) -> Failure {
    Failure::Internal(format!("the broker's receipt does not hold: {why}"))
        .then("keep what you have of it, and tell the broker's operator")
}

fn check(receipt: &Receipt, list: &mut File) -> Result<(), Failure> {
    let sought = list.seek(SeekFrom::Start(0)).map_err(|error| Failure::bad(error.to_string()));
    sought?;
    receipt.check_list(BufReader::new(list)).map_err(|error| {
        Failure::Internal(format!("the broker's list does not hold: {error}"))
            .then("try again, and tell the broker's operator if it stays so")
    })
}

/// What to say where a receipt is not closed yet.
pub(crate) fn not_closed() -> Failure {
    Failure::Partial("the vendor is ended; its receipt is not closed yet".to_owned()).then(
        "run it again, or with --wait: it closes once every verifier has confirmed, or refuses by itself",
    )
}

fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).map_err(|error| unwritten(path, &error))
}

fn keep(part: NamedTempFile, path: &Path) -> Result<(), Failure> {
    part.as_file().sync_all().map_err(|error| unwritten(path, &error))?;
    part.persist(path).map(drop).map_err(|error| unwritten(path, &error.error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::bad(format!("cannot write `{}`: {error}", path.display())).then(advice::on_file(error.kind()))
}

#[cfg(test)]
mod tests {
    use daypass_proto::v1;

    use super::*;

    #[test]
    fn the_list_lies_beside_its_statement() {
        assert_eq!(list_beside(Path::new("x/acme.receipt")), Path::new("x/acme.receipt.list"));
    }

    #[test]
    fn a_receipt_of_another_vendor_is_no_answer() {
        let said = serde_json::json!({
            "v": 1, "log": "t.example/log", "era": daypass_credential::Era::new(1), "vendor": "vendor:acme",
            "end": { "revision": 7, "at": 1, "event": "", "checkpoint": "", "inclusion": [] },
            "list": { "sha256": daypass_credential::Digest::new([0; 32]), "bytes": 0, "credentials": {
                "identity_certificates": 0, "client_certificates": 0, "tokens": 0 } },
            "audiences": [], "acknowledgements": [], "closed_at": 1,
        });
        let said: Statement = serde_json::from_value(said).unwrap();
        assert!(is_of(&said, &"acme".parse().unwrap()).is_ok());
        let other = is_of(&said, &"globex".parse().unwrap()).unwrap_err();
        assert!(other.message().contains("it is of `vendor:acme`"), "{other:?}");
    }

    #[test]
    fn how_far_a_receipt_is_is_said_in_words() {
        let audience =
            v1::ReceiptAudience { audience: "billing".into(), confirmed: 2, awaited: 1, not_following: 0 };
        let far = v1::ReceiptProgress { revision: 7, audiences: vec![audience], closes_at: None };
        assert_eq!(show::progress(&far), "billing: 2 confirmed, 1 awaited");
    }
}
