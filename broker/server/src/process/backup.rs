//! Backups: made of a running broker or of one that stands still, and checked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::{Path, PathBuf},
};

use daypass_core::Event;
use daypass_store::{BackupError, Reader};

use super::{command::Failure, durable::sync_folder_of, operator, progress::Progress, start::open_store};
use crate::{
    config::Config,
    entropy::{Entropy, SystemEntropy},
};

/// What a backup holds, or what was restored from one.
pub(crate) struct Summary {
    /// What was done, as `made` or `restored`.
    pub(crate) done: &'static str,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) file: PathBuf,
}

impl Summary {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "done": self.done, "events": self.events, "revision": self.events, "bytes": self.bytes, "file": self.file,
        })
    }

    pub(crate) fn text(&self) -> String {
        let Self { done, events, bytes, file } = self;
        format!("{done}: {events} events, up to revision {events}, {bytes} bytes, `{}`\n", file.display())
    }
}

/// Makes a backup of this configuration's broker, running or not, at `out`; `-` is standard output.
pub(crate) async fn backup(config: &Config, out: &Path) -> Result<Summary, Failure> {
    let input = match UnixStream::connect(operator::path(config)) {
        Ok(mut stream) => {
            let asked = stream.write_all(operator::BACKUP);
            asked.map_err(|error| Failure::work("the broker does not answer", error))?;
            stream
        }
        Err(_) => standing(config)?,
    };
    let (file, to_stdout) = (out.to_owned(), out == Path::new("-"));
    let copied = tokio::task::spawn_blocking(move || {
        if to_stdout { copy(input, io::stdout().lock()) } else { copy_to_file(input, &file) }
    });
    let (events, bytes) = copied.await.map_err(|error| Failure::work("the backup broke off", error))??;
    Ok(Summary { done: "backup made", events, bytes, file: out.to_owned() })
}

/// The backup of a store that no broker has open.
fn standing(config: &Config) -> Result<UnixStream, Failure> {
    let store = open_store(config)?;
    let failed = |error| Failure::work("cannot make a socket", error);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    theirs.set_nonblocking(true).map_err(failed)?;
    let mut theirs = tokio::net::UnixStream::from_std(theirs).map_err(failed)?;
    tokio::spawn(async move {
        // Whoever reads hears why, if it cannot be finished.
        let _said = operator::send(&*store, &mut theirs).await;
    });
    Ok(ours)
}

/// The file is there whole and durable, or not at all.
fn copy_to_file(input: impl Read, path: &Path) -> Result<(u64, u64), Failure> {
    let failed = |error| Failure::work(format!("cannot write `{}`", path.display()), error);
    if path.try_exists().map_err(failed)? {
        let text = format!("`{}` is there already: a backup overwrites nothing", path.display());
        return Err(Failure::Use(text, None));
    }
    // A name that nobody else can have made beforehand, nor another backup that is being made.
    let id = <dyn Entropy>::bytes(&SystemEntropy::new())
        .map_err(|error| Failure::work("no random bytes", error))?;
    let part = path.with_added_extension(format!("{:016x}.part", u64::from_be_bytes(id)));
    let mut file = OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(0o600).open(&part).map_err(failed)?;
    let copied = copy(input, &mut file).and_then(|copied| {
        file.sync_all().map_err(failed)?;
        // A second name, since a rename would replace what came up meanwhile.
        fs::hard_link(&part, path).map_err(failed)?;
        Ok(copied)
    });
    let _gone = fs::remove_file(&part);
    sync_folder_of(path).map_err(failed)?;
    copied
}

/// Copies a backup, and checks it on the way: how many events it holds, and how many bytes.
fn copy(input: impl Read, out: impl Write) -> Result<(u64, u64), Failure> {
    let mut tee = Tee { input: BufReader::with_capacity(1 << 18, input), out, bytes: 0, unwritten: None };
    let checked = check(&mut tee);
    if let Some(error) = tee.unwritten {
        return Err(Failure::work("cannot write the backup", error));
    }
    let checked = checked?;
    tee.out.flush().map_err(|error| Failure::work("cannot write the backup", error))?;
    Ok((checked, tee.bytes))
}

/// Hands on what is read.
struct Tee<R, W> {
    input: R,
    out: W,
    bytes: u64,
    /// Why it could not be handed on.
    unwritten: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Err(error) = self.out.write_all(buffer.get(..count).unwrap_or_default()) {
            self.unwritten = Some(error);
            return Err(io::Error::other("what is read cannot be written"));
        }
        self.bytes += u64::try_from(count).unwrap_or_default();
        Ok(count)
    }
}

/// Reads a backup to its end: how many events it holds.
fn check(input: impl Read) -> Result<u64, Failure> {
    let mut reader = Reader::open(input).map_err(unusable)?;
    let mut progress = Progress::new("checked", reader.header().revision, "events");
    let mut events = 0;
    for frame in &mut reader {
        let frame = frame.map_err(unusable)?;
        Event::from_bytes(&frame.event).map_err(|error| {
            Failure::Use(
                format!("revision {} of the backup is no event", frame.revision),
                Some(Box::new(error)),
            )
        })?;
        events = frame.revision.get();
        if events.is_multiple_of(1024) {
            progress.at(events);
        }
    }
    Ok(events)
}

/// Checks the backup at `from`, and changes nothing.
pub(crate) fn check_file(from: &Path) -> Result<Summary, Failure> {
    let events = check(opened(from)?)?;
    let bytes = fs::metadata(from).map(|meta| meta.len()).unwrap_or_default();
    Ok(Summary { done: "good", events, bytes, file: from.to_owned() })
}

pub(super) fn opened(from: &Path) -> Result<BufReader<File>, Failure> {
    let opened = File::open(from).map(|file| BufReader::with_capacity(1 << 18, file));
    opened.map_err(|error| Failure::Use(format!("cannot read `{}`", from.display()), Some(Box::new(error))))
}

pub(super) fn unusable(error: BackupError) -> Failure {
    match error {
        BackupError::Io(source) => Failure::work("the backup cannot be read", source),
        BackupError::Unfinished(_) => Failure::Work(error.to_string(), None),
        BackupError::NotOne
        | BackupError::Newer { .. }
        | BackupError::CutShort { .. }
        | BackupError::Damaged(_) => Failure::Use(error.to_string(), None),
    }
}
