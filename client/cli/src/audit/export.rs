//! `audit export`: the log as a file, checked while it is written.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use daypass_log::{
    SignedCheckpoint,
    export::{ReadError, Reader},
};
use daypass_sdk::Home;

use super::{finding, known::Against, part::Part, stream};
use crate::{
    console::Console,
    diagnostics::connect,
    failure::{Failure, advice},
    progress::Progress,
    shapes,
};

/// Write the whole log up to the newest checkpoint into a file. For admins and auditors.
///
/// The file can be checked anywhere with the log's public key alone (`daypass audit verify`). It is checked while it is
/// written, and is there whole or not at all; nothing is overwritten. It holds no personal data and no free text: events
/// name those by salted hashes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// Where to write it; `-` for standard output, which then is whole only if the exit code is 0.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  daypass audit export --out log.jsonl
  daypass audit export --out - | zstd > log.jsonl.zst
  daypass audit export --out log.jsonl -o json";

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let to_stdout = wish.out == Path::new("-");
    if to_stdout && console.is_json() {
        return Err(Failure::bad("standard output cannot take the log and a document about it")
            .then("name a file with --out, or leave -o json out"));
    }
    let waiting = Progress::start(console, "waiting for the broker", None);
    let connection = connect(&home.identity()?).await?;
    let log = connection.checkpoint().await?;
    let against = Against::by_log(&log, home);
    let export = connection.export_log().await?;
    drop(waiting);
    let (out, watched) = (wish.out.clone(), *console);
    let written = stream::through(export, move |input| {
        if to_stdout {
            copy(input, &mut io::stdout().lock(), &against, &watched)
        } else {
            into_file(input, &out, &against, &watched)
        }
    });
    let (checkpoint, bytes) = written.await?;
    let root = checkpoint.checkpoint().root();
    let shape = shapes::LogExport {
        file: wish.out.display().to_string(),
        events: root.size,
        revision: root.size,
        bytes,
        origin: checkpoint.checkpoint().origin().to_owned(),
        era: checkpoint.checkpoint().era().map(|era| era.to_string()),
        root: root.hash.to_string(),
        log_key: log.key().to_string(),
    };
    let text = format!(
        "{} events, up to revision {}, {} bytes, are in {file}\ncheck it anywhere: daypass audit verify {file} --key {}",
        shape.events,
        shape.revision,
        shape.bytes,
        shape.log_key,
        file = shape.file
    );
    if to_stdout {
        console.say(format_args!("{} events, up to revision {}", shape.events, shape.revision));
        return Ok(());
    }
    console.show(&shape, || text)
}

fn into_file(
    input: impl Read,
    path: &Path,
    against: &Against,
    console: &Console,
) -> Result<(SignedCheckpoint, u64), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::bad(format!("`{}` is there already: an export overwrites nothing", path.display()))
                .then("name another file, or move that one away")
        }
        kind => {
            Failure::bad(format!("cannot write `{}`: {error}", path.display())).then(advice::on_file(kind))
        }
    };
    let mut part = Part::of(path).map_err(failed)?;
    let copied = copy(input, &mut part, against, console)?;
    part.finish().map_err(failed)?;
    Ok(copied)
}

/// Copies an export, and checks it on the way.
fn copy(
    input: impl Read,
    out: &mut impl Write,
    against: &Against,
    console: &Console,
) -> Result<(SignedCheckpoint, u64), Failure> {
    let mut through = Through { out, bytes: 0, unwritten: None };
    let checked = check(Tee { input, through: &mut through }, against, console);
    if let Some(error) = through.unwritten {
        return Err(
            Failure::bad(format!("the log cannot be written: {error}")).then(advice::on_file(error.kind()))
        );
    }
    let checkpoint = checked.or_else(|error| {
        let fault = finding::unreadable(error, "what the broker sent")?;
        Err(finding::not_whole(format!("what the broker sent is not its log: {fault}")))
    })?;
    through.out.flush().map_err(|error| Failure::bad(format!("the log cannot be written: {error}")))?;
    Ok((checkpoint, through.bytes))
}

fn check(input: impl Read, against: &Against, console: &Console) -> Result<SignedCheckpoint, ReadError> {
    let reader = Reader::new(input, std::slice::from_ref(&against.key), against.known)?;
    let total = reader.checkpoint().checkpoint().root().size;
    let progress = Progress::start(console, "exporting the log", Some(total));
    reader.verify(|revision| progress.reach(revision.get()))
}

/// Where what was read goes.
struct Through<'o, W> {
    out: &'o mut W,
    bytes: u64,
    unwritten: Option<io::Error>,
}

/// Hands on what is read, and keeps it.
struct Tee<'t, 'o, R, W> {
    input: R,
    through: &'t mut Through<'o, W>,
}

impl<R: Read, W: Write> Read for Tee<'_, '_, R, W> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(to)?;
        let piece = to.get(..read).unwrap_or_default();
        if let Err(error) = self.through.out.write_all(piece) {
            let kind = error.kind();
            self.through.unwritten = Some(error);
            return Err(kind.into());
        }
        self.through.bytes += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(read)
    }
}
