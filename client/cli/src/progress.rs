//! What is under way, for whoever waits: one line on standard error that is rewritten in place. It appears only on a
//! terminal, and only once a second is over; when it is dropped, or something else is printed, it is gone.
//!
//! ```text
//! let progress = Progress::start(console, "writing objects", Some(1_000));
//! for object in objects {
//!     put(object).await?;
//!     progress.advance();
//! }
//! ```

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::console::{Console, plain};

/// Something that lasts. Told of for as long as this lives.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Arc<State>,
    /// None where nobody looks on.
    told: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    done: AtomicU64,
    over: AtomicBool,
    /// Of several at once only the newest is told.
    number: u64,
    before: u64,
}

impl State {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let before = NEWEST.swap(number, Ordering::SeqCst);
        Self { done: AtomicU64::new(0), over: AtomicBool::new(false), number, before }
    }

    fn is_told(&self) -> bool {
        !self.over.load(Ordering::SeqCst) && NEWEST.load(Ordering::SeqCst) == self.number
    }
}

static NEWEST: AtomicU64 = AtomicU64::new(0);

impl Progress {
    /// Begins; `total` is how many steps there are, where that is known. To be called within the runtime.
    pub(crate) fn start(console: &Console, what: &str, total: Option<u64>) -> Self {
        let state = Arc::new(State::new());
        let told = console.has_onlookers().then(|| {
            let (what, state) = (plain(what).replace('\n', " "), Arc::clone(&state));
            tokio::spawn(tell(what, total, state))
        });
        Self { state, told }
    }

    /// One step more is done.
    pub(crate) fn advance(&self) {
        self.state.done.fetch_add(1, Ordering::Relaxed);
    }

    /// So many steps are done.
    pub(crate) fn reach(&self, done: u64) {
        self.state.done.store(done, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        NEWEST.store(self.state.before, Ordering::SeqCst);
        if let Some(told) = &self.told {
            told.abort();
            // A line that is being drawn at this moment is over before this one is let in, or finds that it is late.
            self.state.over.store(true, Ordering::SeqCst);
            clear();
        }
    }
}

async fn tell(what: String, total: Option<u64>, state: Arc<State>) {
    let start = Instant::now();
    tokio::time::sleep(PATIENCE).await;
    let mut ticks = tokio::time::interval(PACE);
    loop {
        ticks.tick().await;
        draw(&state, &line(&what, state.done.load(Ordering::Relaxed), total, start.elapsed()));
    }
}

fn line(what: &str, done: u64, total: Option<u64>, since: Duration) -> String {
    let seconds = since.as_secs();
    match (done, total) {
        (0, None) => format!("{what} … {seconds} s"),
        (done, None) => format!("{what} … {done}, {seconds} s"),
        (done, Some(total)) => format!("{what} … {done} of {total}, {seconds} s"),
    }
}

/// Is there a line of ours on the terminal? Whoever draws or clears it holds this meanwhile.
static DRAWN: Mutex<bool> = Mutex::new(false);

fn drawn() -> MutexGuard<'static, bool> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw(state: &State, line: &str) {
    let mut drawn = drawn();
    if !state.is_told() {
        return;
    }
    // Whoever closed standard error does not want to know.
    drop(write!(io::stderr(), "{WIPE}{line}"));
    *drawn = true;
}

/// Takes the line away before something else is printed.
pub(crate) fn clear() {
    drop(hold());
}

/// Takes the line away, and keeps it away for as long as the answer lives: while somebody types.
pub(crate) fn hold() -> Held {
    let mut drawn = drawn();
    if std::mem::take(&mut *drawn) {
        drop(write!(io::stderr(), "{WIPE}"));
    }
    Held(drawn)
}

/// Nothing is drawn meanwhile.
pub(crate) struct Held(#[expect(dead_code, reason = "held, and never looked at")] MutexGuard<'static, bool>);

/// Back to the beginning of the line, and all of it wiped.
const WIPE: &str = "\r\u{1b}[2K";
/// Whatever is over sooner needs no line.
const PATIENCE: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arguments::Format, paint::Color};

    #[test]
    fn the_line_says_how_far_it_is() {
        let at = |done, total| line("writing", done, total, Duration::from_millis(2_300));
        assert_eq!(at(0, None), "writing … 2 s");
        assert_eq!(at(7, None), "writing … 7, 2 s");
        assert_eq!(at(7, Some(9)), "writing … 7 of 9, 2 s");
    }

    #[test]
    fn of_two_the_newest_is_told() {
        let outer = State::new();
        let inner = State::new();
        assert!(inner.is_told() && !outer.is_told());
    }

    #[tokio::test]
    async fn without_a_terminal_nothing_is_told() {
        // The tests' standard error may be a terminal; a document for a program never has onlookers.
        let console = Console::new(Format::Json, Color::Never);
        let progress = Progress::start(&console, "writing", Some(2));
        progress.advance();
        assert!(progress.told.is_none());
        assert_eq!(progress.state.done.load(Ordering::Relaxed), 1);
    }
}
