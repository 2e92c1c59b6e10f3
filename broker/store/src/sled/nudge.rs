//! What wakes the committer where sled forgets to. When a write of sled's fails in a certain moment (the last to leave
//! a full buffer hands it to another thread), sled keeps the error and wakes nobody: whoever waits in `flush` for that
//! write waits for ever. The next `flush` finds the error and wakes all; so somebody calls it.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use sled::Db;

/// How long a write goes on before sled is asked: once a disk is this slow, one more question is nothing to it.
const PATIENCE: Duration = Duration::from_millis(500);

/// A thread that looks whether a write goes on for too long.
pub(super) struct Nudge {
    watched: Arc<Watched>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    closing: Condvar,
}

#[derive(Default)]
struct State {
    writing: bool,
    /// Which write it is, or was.
    turn: u64,
    closed: bool,
}

/// A write under way.
pub(super) struct Writing<'a>(&'a Watched);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.lock().writing = false;
    }
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The write under way after a while, if there is one; `Err` once it is closed.
    fn look(&self) -> Result<Option<u64>, ()> {
        let waited = self.closing.wait_timeout_while(self.lock(), PATIENCE, |state| !state.closed);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(()) } else { Ok(state.writing.then_some(state.turn)) }
    }
}

impl Nudge {
    pub(super) fn start(db: Db) -> io::Result<Self> {
        let watched = Arc::new(Watched::default());
        let theirs = Arc::clone(&watched);
        let thread =
            thread::Builder::new().name("daypass-nudge".to_owned()).spawn(move || run(&theirs, &db))?;
        Ok(Self { watched, thread: Some(thread) })
    }

    /// A write begins; it is over when what this returns is dropped.
    pub(super) fn writing(&self) -> Writing<'_> {
        let mut state = self.watched.lock();
        state.writing = true;
        state.turn += 1;
        Writing(&self.watched)
    }
}

fn run(watched: &Watched, db: &Db) {
    let mut before = None;
    while let Ok(now) = watched.look() {
        if now.is_some() && now == before {
            // Where there is an error, the committer hears of it as well.
            let _error = db.flush();
        }
        before = now;
    }
}

impl Drop for Nudge {
    fn drop(&mut self) {
        self.watched.lock().closed = true;
        self.watched.closing.notify_all();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
