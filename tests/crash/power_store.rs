//! The store alone under power cuts, again and again over the same disk.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use daypass_store::{Check, OpenError, Options, Sled};

use crate::{
    ledger::Ledger,
    powerfs::{Damage, PowerDisk, Random},
    writer::{Syncs, Writer},
};

/// What came of some rounds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: usize,
    pub(crate) acked: usize,
    pub(crate) lost: usize,
    /// Rounds whose cut met something that was not synced: only these can find anything.
    pub(crate) met_unsynced: usize,
    /// Rounds that were cut before the store was open.
    pub(crate) at_start: usize,
    pub(crate) reopen_max: Duration,
    /// What was found wrong, with the round.
    pub(crate) faults: Vec<String>,
}

/// How many rounds one store lives through: each begins with a disk that holds nothing.
const LIFE: usize = 25;
/// How long a round may go on without its cut.
const PATIENCE: Duration = Duration::from_secs(20);

/// Cuts the power in this many rounds; none where nothing can be mounted. With the planted fault it stops at the
/// first round that finds it.
pub(crate) async fn rounds(rounds: usize, syncs: Syncs, random: &mut Random) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    while outcome.rounds < rounds {
        let mut life = Life::begin(PowerDisk::mount()?);
        let end = rounds.min(outcome.rounds + LIFE);
        while outcome.rounds < end {
            let sound = life.round(&mut outcome, syncs, random).await;
            outcome.rounds += 1;
            match (sound, syncs) {
                (true, _) => {}
                (false, Syncs::Sound) => break,
                (false, Syncs::Planted) => return Some(outcome),
            }
        }
        outcome.acked += life.ledger.acked();
    }
    Some(outcome)
}

/// The life of one store.
struct Life {
    disk: PowerDisk,
    store: PathBuf,
    ledger: Ledger,
    /// Was it said to be there?
    created: bool,
}

impl Life {
    fn begin(disk: PowerDisk) -> Self {
        let store = disk.path().join("store");
        Self { disk, store, ledger: Ledger::default(), created: false }
    }

    /// One cut. True if nothing was lost or wrong.
    async fn round(&mut self, outcome: &mut Outcome, syncs: Syncs, random: &mut Random) -> bool {
        let damage = if random.percent(50) { Damage::Drop } else { Damage::Tear };
        // Every third cut falls into opening, or making, the store.
        let changes = if random.percent(33) { random.between(0, 50) } else { random.between(30, 900) };
        self.disk.cut_after(changes);
        let writer = Writer::start(u64::try_from(outcome.rounds).unwrap(), syncs, &self.store);
        let cut = self.disk.off_within(PATIENCE);
        self.disk.cut();
        let mut open = false;
        for line in writer.kill() {
            open |= self.ledger.note(&line);
        }
        self.created |= open;
        outcome.at_start += usize::from(!open);
        let unsynced = self.disk.restart(damage, random);
        outcome.met_unsynced += usize::from(unsynced > 0);
        let found = if cut { self.check(outcome).await } else { Err("the power was never cut".to_owned()) };
        let told =
            found.map_err(|what| format!("round {} ({damage:?} after {changes}): {what}", outcome.rounds));
        let sound = told.is_ok();
        outcome.faults.extend(told.err());
        sound
    }

    /// Opens what is left, checks all of it, and compares.
    async fn check(&self, outcome: &mut Outcome) -> Result<(), String> {
        let begun = Instant::now();
        let options = Options { check: Check::Whole, ..Options::default() };
        let store = match Sled::open(&self.store, options) {
            Ok(store) => store,
            // Its making broke off: there is nothing, and it can be made again.
            Err(OpenError::Missing(_)) if !self.created => return Ok(()),
            Err(refused) => {
                outcome.lost += self.ledger.acked().max(1);
                return Err(refused.to_string());
            }
        };
        outcome.reopen_max = outcome.reopen_max.max(begun.elapsed());
        let verdict = self.ledger.compare(&store).await;
        outcome.lost += verdict.lost;
        if verdict.lost > 0 || !verdict.wrong.is_empty() {
            return Err(format!("{} lost, wrong: {:?}", verdict.lost, verdict.wrong));
        }
        Ok(())
    }
}
