//! `audit prove`: an event, and the proof that it is in the log.

use std::path::{Path, PathBuf};

use clap::Args;
use daypass_credential::Revision;
use daypass_log::Hash;
use daypass_sdk::{Home, Proven, write_private};

use super::proof;
use crate::{
    console::{Console, one_line},
    diagnostics::connect,
    failure::Failure,
    progress::Progress,
    shapes,
};

/// Show an event, and prove that it is in the log.
///
/// The proof is checked before it is shown: against the log's key, and against the newest checkpoint that this home has
/// seen. For admins and auditors; others can prove what they minted themselves. With --out it is written to a file too,
/// in the form that other programs read (C2SP tlog-proof), and that `daypass audit verify` checks without a network.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// The number of the event.
    #[arg(value_parser = revision)]
    revision: Revision,
    /// Write the proof into this file. One that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  daypass audit prove 41
  daypass audit prove 41 --out 41.tlog-proof
  daypass audit prove 41 -o json";

fn revision(text: &str) -> Result<Revision, String> {
    let number = text.parse::<u64>().ok().filter(|number| *number > 0);
    number.map(Revision::new).ok_or_else(|| "a revision is a number from 1 on".to_owned())
}

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let _waiting = Progress::start(console, "waiting for the broker", None);
    let connection = connect(&home.identity()?).await?;
    let proven = connection.prove(wish.revision).await?;
    if let Some(path) = &wish.out {
        write_private(path, proof::text(&proven).as_bytes())?;
    }
    let key = connection.known_log()?.map(|log| log.key().to_string());
    let shape = shape(&proven, key, wish.out.as_deref());
    console.show(&shape, || text(&shape))
}

fn shape(proven: &Proven, log_key: Option<String>, file: Option<&Path>) -> shapes::EventProof {
    let root = proven.checkpoint.checkpoint().root();
    shapes::EventProof {
        revision: proven.revision.get(),
        event: String::from_utf8_lossy(&proven.event).into_owned(),
        index: proven.revision.get().saturating_sub(1),
        leaf_hash: Hash::leaf(&proven.event).to_string(),
        size: root.size,
        root: root.hash.to_string(),
        hashes: proven.path.iter().map(ToString::to_string).collect(),
        checkpoint: proven.checkpoint.note().to_owned(),
        log_key,
        file: file.map(|path| path.display().to_string()),
    }
}

fn text(proof: &shapes::EventProof) -> String {
    let mut text = format!(
        "{}\n\nis in the log: leaf {} of {}, shown by {} hashes\nroot         {}\nkey          {}",
        one_line(&proof.event),
        proof.index,
        proof.size,
        proof.hashes.len(),
        proof.root,
        proof.log_key.as_deref().unwrap_or("-"),
    );
    if let Some(file) = &proof.file {
        text.push_str(&format!("\nproof        {file}"));
    }
    text
}
