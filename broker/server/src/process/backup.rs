//! Backups: made of a running broker or of one that stands still, and restored where there is no store.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, IsTerminal, Read, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use daypass_core::Event;
use daypass_credential::{Era, Revision};
use daypass_store::{BackupError, Check, Options, Reader, RestoreError, Sled};

use super::{
    command::Failure,
    durable, operator,
    start::{begun, key_encryption_key, open_store, options, store_path},
};
use crate::{
    config::Config,
    entropy::{Entropy, SystemEntropy},
    keys::Cabinet,
};

/// What a backup holds, or what was restored from one.
pub(crate) struct Summary {
    /// What was done, as `made` or `restored`.
    pub(crate) done: &'static str,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) file: PathBuf,
    /// Of what was restored.
    pub(crate) era: Option<Era>,
}

impl Summary {
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "done": self.done, "events": self.events, "revision": self.events, "bytes": self.bytes, "file": self.file,
        });
        if let (Some(era), Some(object)) = (self.era, json.as_object_mut()) {
            object.insert("era".to_owned(), era.to_string().into());
        }
        json
    }

    pub(crate) fn text(&self) -> String {
        let Self { done, events, bytes, file, .. } = self;
        let text = format!(
            "{done}: {events} events, up to revision {events}, {bytes} bytes, `{}`\n",
            file.display()
        );
        match self.era {
            None => text,
            Some(era) => format!("{text}era {era}\n{}", FORGOTTEN.replace("{}", &events.to_string())),
        }
    }
}

/// What whoever restores has to know.
const FORGOTTEN: &str = "\
If the broker went on after revision {}, this store has forgotten what came then:
- what was ended since is alive again: end it again;
- what was minted since cannot be ended until it expires (a day at the most, with the default lifetimes);
- an instance that renewed its identity since is suspended when it renews next, and has to enrol again.
Unless nothing came after the backup, wait until the longest lifetime is over before you serve.
";

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
    Ok(Summary { done: "backup made", events, bytes, file: out.to_owned(), era: None })
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
    let mut progress = Progress::new("checked", reader.header().revision);
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
        progress.at(events);
    }
    Ok(events)
}

/// Checks the backup at `from`, and changes nothing.
pub(crate) fn check_file(from: &Path) -> Result<Summary, Failure> {
    let events = check(opened(from)?)?;
    let bytes = fs::metadata(from).map(|meta| meta.len()).unwrap_or_default();
    Ok(Summary { done: "good", events, bytes, file: from.to_owned(), era: None })
}

/// Makes this configuration's store from the backup at `from`. The store is there whole, or not at all.
pub(crate) async fn restore(config: &Config, from: &Path) -> Result<Summary, Failure> {
    let path = store_path(config);
    refuse_what_is_there(&path, config)?;
    let checked = check_file(from)?;
    let part = config.data_dir.join("store.restoring");
    let failed = |error| Failure::work(format!("cannot write `{}`", part.display()), error);
    durable::folder(&config.data_dir).map_err(failed)?;
    if part.try_exists().map_err(failed)? {
        fs::remove_dir_all(&part).map_err(failed)?;
    }
    let restored = restore_at(config, from, &part).await;
    match restored {
        Ok(era) => {
            fs::rename(&part, &path).map_err(failed)?;
            sync_folder_of(&path).map_err(failed)?;
            Ok(Summary { done: "restored", era: Some(era), ..checked })
        }
        Err(failure) => {
            let _gone = fs::remove_dir_all(&part);
            Err(failure)
        }
    }
}

/// Restoring replaces nothing: neither a store that is in use, nor one that stands still.
fn refuse_what_is_there(path: &Path, config: &Config) -> Result<(), Failure> {
    if !path.try_exists().map_err(|error| Failure::work("cannot look at the store", error))? {
        return Ok(());
    }
    let live = UnixStream::connect(operator::path(config)).is_ok();
    let why = if live { "a broker is running on it: stop that first, then move" } else { "move" };
    let text = format!(
        "there is a store at `{}`, and a backup is never restored over one; {why} it away, and keep it until you are sure",
        path.display()
    );
    Err(Failure::Use(text, None))
}

/// Restores, and looks at the result as a broker does at its start.
async fn restore_at(config: &Config, from: &Path, part: &Path) -> Result<Era, Failure> {
    let kek = key_encryption_key(&config.key_file)?;
    let reader = Reader::open(opened(from)?).map_err(unusable)?;
    let mut progress = Progress::new("restored", reader.header().revision);
    Sled::restore(part, options(config), reader, |at: Revision| progress.at(at.get())).map_err(|error| {
        match error {
            RestoreError::Backup(error) => unusable(error),
            other => Failure::work("cannot restore", other),
        }
    })?;
    let whole = Options { check: Check::Whole, ..options(config) };
    let store =
        Sled::open(part, whole).map_err(|error| Failure::work("what was restored does not open", error))?;
    let begun = begun(&store, config).await?;
    let era = begun.era;
    Cabinet::open(&store, kek, begun.realm).await.map_err(|_| {
        let text = format!(
            "the key file `{}` does not open the keys in this backup: it needs the one that was in use when it was made",
            config.key_file.display()
        );
        Failure::Use(text, None)
    })?;
    Ok(era)
}

fn opened(from: &Path) -> Result<BufReader<File>, Failure> {
    let opened = File::open(from).map(|file| BufReader::with_capacity(1 << 18, file));
    opened.map_err(|error| Failure::Use(format!("cannot read `{}`", from.display()), Some(Box::new(error))))
}

fn unusable(error: BackupError) -> Failure {
    match error {
        BackupError::Io(source) => Failure::work("the backup cannot be read", source),
        BackupError::Unfinished(_) => Failure::Work(error.to_string(), None),
        BackupError::NotOne
        | BackupError::Newer { .. }
        | BackupError::CutShort { .. }
        | BackupError::Damaged(_) => Failure::Use(error.to_string(), None),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Says once a second how far it is, where a person watches.
struct Progress {
    what: &'static str,
    of: u64,
    next: Instant,
    watched: bool,
}

impl Progress {
    fn new(what: &'static str, of: u64) -> Self {
        let watched = io::stderr().is_terminal();
        Self { what, of, next: Instant::now() + Duration::from_secs(1), watched }
    }

    fn at(&mut self, done: u64) {
        if !self.watched || !done.is_multiple_of(1024) {
            return;
        }
        let now = Instant::now();
        if now >= self.next {
            eprintln!("{} {done} of {} events", self.what, self.of);
            self.next = now + Duration::from_secs(1);
        }
    }
}
