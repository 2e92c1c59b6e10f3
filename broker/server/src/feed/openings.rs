//! How often an identity opens streams, and how many answers to it are on their way. A stream costs the broker far more than
//! its caller: a snapshot of all cuts, and what waits for whoever does not read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daypass_credential::Name;
use tokio::time::Instant;

use crate::refusal::Refusal;

/// How many streams an identity opens at once, if it opened none for long.
const AT_ONCE: u32 = 32;
/// How long it takes until there is one more.
const EACH: Duration = Duration::from_secs(1);
/// How many answers to one identity may not have been read to their end: those of its streams, and of some that died.
const UNREAD: usize = 16;

/// What each identity opened of late.
#[derive(Default)]
pub(crate) struct Openings(Arc<Mutex<Table>>);

type Table = BTreeMap<Name, Opened>;

struct Opened {
    unread: usize,
    /// When it will be as if none had been opened.
    quiet: Instant,
}

/// The answer of one stream, for as long as this lives: also after the stream is over, since what was told waits still.
pub(crate) struct Answering {
    identity: Name,
    table: Arc<Mutex<Table>>,
}

impl Openings {
    /// One more stream of this identity, if that is not too many.
    pub(crate) fn open(&self, identity: &Name) -> Result<Answering, Refusal> {
        let now = Instant::now();
        let mut table = locked(&self.0);
        table.retain(|_, opened| opened.unread > 0 || opened.quiet > now);
        let opened = table.entry(identity.clone()).or_insert(Opened { unread: 0, quiet: now });
        let quiet = opened.quiet.max(now);
        let over = (quiet + EACH).saturating_duration_since(now + EACH * AT_ONCE);
        if over > Duration::ZERO || opened.unread >= UNREAD {
            return Err(Refusal::Busy { retry_after: over.max(EACH) });
        }
        opened.quiet = quiet + EACH;
        opened.unread += 1;
        Ok(Answering { identity: identity.clone(), table: self.0.clone() })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(opened) = locked(&self.table).get_mut(&self.identity) {
            opened.unread = opened.unread.saturating_sub(1);
        }
    }
}

fn locked(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn opens(openings: &Openings, who: &str) -> bool {
        openings.open(&name(who)).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn streams_are_opened_some_at_once_and_then_one_a_second() {
        let openings = Openings::default();
        assert!((0..AT_ONCE).all(|_| opens(&openings, "api-1")));
        assert!(!opens(&openings, "api-1"), "one too many");
        assert!(opens(&openings, "api-2"), "each by itself");
        tokio::time::advance(EACH - Duration::from_millis(1)).await;
        assert!(!opens(&openings, "api-1"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(opens(&openings, "api-1") && !opens(&openings, "api-1"));
        tokio::time::advance(EACH * AT_ONCE).await;
        assert!((0..AT_ONCE).all(|_| opens(&openings, "api-1")));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_nobody_reads_are_few_however_slowly_they_were_asked_for() {
        let openings = Openings::default();
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            unread.push(openings.open(&name("api-1")).unwrap());
            tokio::time::advance(EACH * 60).await;
        }
        assert!(!opens(&openings, "api-1"));
        unread.pop();
        assert!(opens(&openings, "api-1"));
        drop(unread);
        tokio::time::advance(EACH * AT_ONCE).await;
        assert!(opens(&openings, "api-2"));
        assert_eq!(locked(&openings.0).len(), 1, "who was quiet takes no memory");
    }
}
