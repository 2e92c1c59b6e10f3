//! `audit verify`: is the log, or an export of it, whole and unchanged?

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use daypass_core::{
    Event,
    replay::{Discrepancy, Replay},
};
use daypass_credential::Revision;
use daypass_log::{
    Root, SignedCheckpoint, VerifierKey,
    export::{ReadError, Reader},
};

use super::{
    finding::{self, Finding},
    known::{Against, Known, last},
    print::words,
    proof, stream,
};
use crate::{
    console::{Console, one_line},
    context::{Place, Said},
    diagnostics::connect,
    failure::{Failure, advice},
    progress::Progress,
    shapes,
};

/// Check that the log is whole and that nobody changed it.
///
/// With a FILE that `daypass audit export` wrote, or a proof of `daypass audit prove --out`, this needs no network: only
/// the log's public key, from --key, or as this home has kept it. Without a FILE it is the broker's log, as it stands now;
/// for admins and auditors. The first entry that does not fit is named.
///
/// What is known already has to be the beginning of it: the newest checkpoint that this home has seen, where its key is
/// taken from there, or that of --known. So an older log is told from a whole one.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// The export, or the proof; `-` for standard input. Without it the broker is asked.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The log's public key, as `daypass context show` prints it; if not said, the one that this home has kept.
    #[arg(long, value_name = "NAME+ID+KEY")]
    key: Option<VerifierKey>,
    /// A checkpoint that the log has to continue: a file with it; or `none`, to check an old export by itself.
    #[arg(long, value_name = "FILE")]
    known: Option<Known>,
    /// Check also what the events mean: that each fits what those before it left, and that nothing was minted that was not
    /// alive. Takes longer, and memory for the directory.
    #[arg(long)]
    deep: bool,
}

const EXAMPLES: &str = "\
Exit codes: 0 if it is whole, 3 if it is not, or is not the log that is known; 2 if the file is no export.

Examples:
  daypass audit verify
  daypass audit verify log.jsonl
  daypass audit verify log.jsonl --key 'broker.example/log+dbe13a5f+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea'
  daypass audit verify old.jsonl --known none
  daypass audit verify log.jsonl --deep
  zstd -dc log.jsonl.zst | daypass audit verify -";

pub(crate) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let how = How { console: *console, deep: wish.deep };
    let (found, against) = match wish.file {
        Some(file) => {
            let against = Against::find(wish.key, wish.known.as_ref(), said)?;
            let held = against.clone();
            let work = move || check_file(&file, &held, &how);
            let found = tokio::task::spawn_blocking(work).await;
            (found.map_err(|error| Failure::Internal(error.to_string()))??, against)
        }
        None => {
            let place = Place::find(said)?;
            place.check()?;
            let waiting = Progress::start(console, "waiting for the broker", None);
            let connection = connect(&place.home.identity()?).await?;
            let log = connection.checkpoint().await?;
            let mut against = Against::find(wish.key, wish.known.as_ref(), said)?;
            // Whoever names the key of the very log that is known here does not want to know less of it.
            if wish.known.is_none() && against.key == *log.key() {
                against = Against { key_from: against.key_from, ..Against::by_log(&log, &place.home) };
            }
            let export = connection.export_log().await?;
            drop(waiting);
            let held = against.clone();
            let checked = stream::through(export, move |input| check(input, "the broker", &held, &how));
            (checked.await?, against)
        }
    };
    show(&found, &against, console)
}

/// How it is to be looked at.
struct How {
    console: Console,
    /// At what the events mean, too.
    deep: bool,
}

/// What was looked at, and what was found.
struct Found {
    /// `export` or `proof`.
    kind: &'static str,
    checkpoint: Option<SignedCheckpoint>,
    fault: Option<Finding>,
    /// What a proof shows.
    proven: Option<proof::Proof>,
}

fn check_file(path: &Path, against: &Against, how: &How) -> Result<Found, Failure> {
    let shown = path.display().to_string();
    let failed = |error: io::Error| {
        Failure::bad(format!("cannot read `{shown}`: {error}")).then(advice::on_file(error.kind()))
    };
    let mut input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut first = Vec::new();
    input.by_ref().take(proof::HEAD_LEN).read_to_end(&mut first).map_err(failed)?;
    let whole = first.as_slice().chain(input);
    match first == proof::HEAD {
        true if how.deep => {
            Err(Failure::bad("a proof holds one event, whose meaning hangs on those before it")
                .then("leave --deep out, or check an export"))
        }
        true => check_proof(whole, &shown, against),
        false => check(whole, &shown, against, how),
    }
}

fn check(input: impl Read, from: &str, against: &Against, how: &How) -> Result<Found, Failure> {
    let mut checkpoint = None;
    let fault = match read(input, against, how, &mut checkpoint) {
        Ok(found) => found.map(Finding::Meaning),
        Err(error) => Some(Finding::Fault(finding::unreadable(error, from)?)),
    };
    Ok(Found { kind: "export", checkpoint, fault, proven: None })
}

/// Reads it to the end. Unless their meaning is asked for, nobody looks into the entries: they are bytes that were signed,
/// or were not.
fn read(
    input: impl Read,
    against: &Against,
    how: &How,
    checkpoint: &mut Option<SignedCheckpoint>,
) -> Result<Option<Discrepancy>, ReadError> {
    let mut reader = Reader::new(input, std::slice::from_ref(&against.key), against.known)?;
    let signed = checkpoint.insert(reader.checkpoint().clone());
    let progress = Progress::start(&how.console, "checking the log", Some(signed.checkpoint().root().size));
    if !how.deep {
        return reader.verify(|revision| progress.reach(revision.get())).map(|_| None);
    }
    let (mut replay, mut first) = (Replay::default(), None);
    while let Some((revision, event)) = reader.next_entry()? {
        progress.reach(revision.get());
        // What was changed counts more than what is meant: it is read to its end.
        if first.is_none() {
            first = follow(&mut replay, revision, event).err();
        }
    }
    Ok(first)
}

fn follow(replay: &mut Replay, revision: Revision, event: &[u8]) -> Result<(), Discrepancy> {
    let event = Event::from_bytes(event).map_err(|error| Discrepancy {
        revision,
        what: format!("it is no event that is known here: {}", words(&error)),
    })?;
    replay.take(revision, &event)
}

fn check_proof(input: impl Read, from: &str, against: &Against) -> Result<Found, Failure> {
    let proof = proof::Proof::read(input, from)?;
    let (checkpoint, fault) = match proof.check(&against.key) {
        Ok(checkpoint) => {
            let fault = against.other_history(checkpoint.checkpoint().root())?;
            (Some(checkpoint), fault.map(Finding::Fault))
        }
        Err(fault) => (None, Some(Finding::Fault(fault))),
    };
    let proven = fault.is_none().then_some(proof);
    Ok(Found { kind: "proof", checkpoint, fault, proven })
}

fn show(found: &Found, against: &Against, console: &Console) -> Result<(), Failure> {
    let shape = shape(found, against);
    console.show(&shape, || text(&shape, against))?;
    match &found.fault {
        None => Ok(()),
        Some(fault) => Err(fault.failure()),
    }
}

fn shape(found: &Found, against: &Against) -> shapes::LogVerdict {
    let checkpoint = found.checkpoint.as_ref().map(SignedCheckpoint::checkpoint);
    let root = checkpoint.map(daypass_log::Checkpoint::root);
    shapes::LogVerdict {
        whole: found.fault.is_none(),
        kind: found.kind,
        origin: against.key.name().to_owned(),
        era: checkpoint.and_then(|checkpoint| Some(checkpoint.era()?.to_string())),
        revision: root.map(|root| last(root).get()),
        root: root.map(|root: Root| root.hash.to_string()),
        key: against.key.to_string(),
        known: against.known.filter(|known| held_against(found.kind, root, *known)).map(|known| known.size),
        proven: found.proven.as_ref().map(proof::Proof::shape),
        fault: found.fault.as_ref().map(|fault| shapes::LogFault {
            kind: fault.word(),
            message: fault.to_string(),
            first_bad: fault.first_bad().map(Revision::get),
        }),
    }
}

fn held_against(kind: &str, root: Option<Root>, known: Root) -> bool {
    kind == "export" || root.is_some_and(|root| root.size == known.size)
}

fn text(verdict: &shapes::LogVerdict, against: &Against) -> String {
    let mut lines = Vec::new();
    match (&verdict.fault, &verdict.proven, verdict.revision) {
        (Some(fault), _, _) => {
            lines.push(if fault.kind == "meaning" { "whole, but not valid" } else { "not whole" }.to_owned());
            if let Some(first) = fault.first_bad {
                lines.push(format!("first bad    revision {first}"));
            }
        }
        (None, Some(proven), _) => {
            lines.push(format!("revision {} is in the log: {}", proven.revision, one_line(&proven.event)));
        }
        (None, None, revision) => {
            lines.push(format!("whole, up to revision {}", revision.unwrap_or_default()));
        }
    }
    lines.push(format!("log          {}", verdict.origin));
    lines.extend(verdict.era.iter().map(|era| format!("era          {era}")));
    lines.extend(verdict.root.iter().map(|root| format!("root         {root}")));
    lines.push(format!("key          {}, {}", verdict.key, against.key_from));
    if verdict.kind == "export" || verdict.known.is_some() {
        lines.push(format!("known        {}", against.known_from));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, convert::Infallible};

    use daypass_credential::Era;
    use daypass_log::{Checkpoint, Edge, Hash, export};
    use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};

    use super::*;
    use crate::{arguments::Format, paint::Color};

    /// An export of these entries, and what it is to be held against.
    fn export(entries: &[&[u8]]) -> (Vec<u8>, Against) {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let key = VerifierKey::new("broker.example/log", pair.der_bytes().try_into().unwrap()).unwrap();
        let (mut edge, mut tiles) = (Edge::new(), HashMap::new());
        entries.iter().for_each(|entry| edge.append(Hash::leaf(entry), |_, _| {}));
        tiles.extend(edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())));
        let checkpoint = Checkpoint::new(key.name(), edge.root(), Era::new(1)).unwrap();
        let sign = |text: &[u8]| Ok::<_, Infallible>(pair.sign(text).unwrap().try_into().unwrap());
        let checkpoint = checkpoint.sign(&key, sign).unwrap();
        let mut bytes = Vec::new();
        export::write(&mut bytes, &checkpoint, &tiles, entries.iter().map(Ok::<_, Infallible>)).unwrap();
        (bytes, Against::by_key(key))
    }

    fn found(bytes: &[u8], against: &Against, deep: bool) -> Option<(&'static str, Option<u64>)> {
        let how = How { console: Console::new(Format::Json, Color::Never), deep };
        let found = check(bytes, "it", against, &how).unwrap();
        found.fault.map(|fault| (fault.word(), fault.first_bad().map(Revision::get)))
    }

    #[test]
    fn what_was_signed_and_means_nothing_is_found_only_by_looking_at_it() {
        let (bytes, against) = export(&[b"{\"v\":1}", b"{}"]);
        assert_eq!(found(&bytes, &against, false), None);
        assert_eq!(found(&bytes, &against, true), Some(("meaning", Some(1))));
    }

    #[test]
    fn a_change_counts_more_than_what_is_meant() {
        let (mut bytes, against) = export(&[b"{\"v\":1}", b"{\"v\":2}"]);
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        for deep in [false, true] {
            assert_eq!(found(&bytes, &against, deep), Some(("entry", Some(2))));
        }
    }
}
