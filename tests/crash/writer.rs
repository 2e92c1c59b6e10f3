//! The process that writes to a store until its disk goes: this test's own binary, started again. It says on standard
//! output what it was told is durable, a line each: `open`, `seen REVISION`, `ack WRITER NUMBER REVISION`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

use daypass_store::{DataSync, Fdatasync, OpenError, Options, Sled, Store};
use tokio::task::JoinSet;

use crate::ledger::{change, writers};

/// What a process is told, in the environment: the round, `planted` or `sound`, and the store's path.
const TOLD: &str = "DAYPASS_CRASH_WRITER";

/// How the store is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncs {
    Sound,
    /// The planted fault: the store's own sync is left out.
    Planted,
}

/// The planted fault.
struct NoSync;

impl DataSync for NoSync {
    fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }
}

/// Such a process, under way.
pub(crate) struct Writer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Writer {
    pub(crate) fn start(round: u64, syncs: Syncs, store: &Path) -> Self {
        let syncs = if syncs == Syncs::Planted { "planted" } else { "sound" };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer::writes_until_the_disk_goes", "--ignored", "--nocapture"])
            .env(TOLD, format!("{round} {syncs} {}", store.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Kills it, and returns all that it said.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.lines().map(Result::unwrap).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of the crash rounds, which start it"]
async fn writes_until_the_disk_goes() {
    let told = std::env::var(TOLD).expect("the crash rounds start this");
    let mut words = told.splitn(3, ' ');
    let round: u64 = words.next().unwrap().parse().unwrap();
    let planted = words.next() == Some("planted");
    let store = open(&PathBuf::from(words.next().unwrap()), planted);
    say("open");
    let store: Arc<dyn Store> = Arc::new(store);
    let mut tasks: JoinSet<()> = writers(round).map(|writer| write(Arc::clone(&store), writer)).collect();
    tasks.spawn(watch(store));
    tasks.join_all().await;
}

fn open(path: &Path, planted: bool) -> Sled {
    let options = || {
        let sync: Box<dyn DataSync> = if planted { Box::new(NoSync) } else { Box::new(Fdatasync) };
        Options { sync, ..Options::default() }
    };
    match Sled::open(path, options()) {
        Err(OpenError::Missing(_)) => Sled::create(path, options()),
        opened => opened,
    }
    .unwrap_or_else(|error| {
        say(&format!("failed {error}"));
        std::process::exit(1);
    })
}

async fn write(store: Arc<dyn Store>, writer: u64) {
    for number in 0.. {
        let (change, lane) = change((writer, number));
        match store.commit(change, lane).await {
            Ok(revision) => say(&format!("ack {writer} {number} {revision}")),
            Err(error) => return say(&format!("failed {error}")),
        }
    }
}

/// Says what readers see: the head is never ahead of what is durable.
async fn watch(store: Arc<dyn Store>) {
    let mut head = store.head();
    drop(store);
    while head.changed().await.is_ok() {
        let revision = head.borrow_and_update().revision;
        say(&format!("seen {revision}"));
    }
}

/// One line, in one write: whoever reads it finds it whole, even if this process is gone by then.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _reader_gone = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}
