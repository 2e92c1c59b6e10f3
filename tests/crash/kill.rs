//! The broker killed at random instants, over the same store.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    clients::{Clients, Receipts, missing},
    powerfs::Random,
    support::World,
};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: usize,
    /// Rounds in which it was killed before it was ready.
    pub(crate) at_start: usize,
    pub(crate) acked: usize,
    pub(crate) lost: usize,
    pub(crate) reopen_max: Duration,
}

/// After so many rounds the whole store is read, beside what each start checks.
const WHOLE: usize = 50;

pub(crate) async fn rounds(rounds: usize, random: &mut Random) -> Outcome {
    let mut world = World::new().await;
    drop(world.application("sync", "sync").await);
    assert!(world.broker.stop().await);
    let (mut outcome, mut receipts) = (Outcome::default(), Receipts::new());
    while outcome.rounds < rounds {
        if outcome.rounds % 4 == 3 {
            kill_at_start(&mut world, random);
            outcome.at_start += 1;
        } else {
            let begun = Instant::now();
            world.broker.serve().await;
            outcome.reopen_max = outcome.reopen_max.max(begun.elapsed());
            receipts.extend(kill_under_load(&mut world, outcome.rounds, random).await);
        }
        outcome.rounds += 1;
        if outcome.rounds % WHOLE == 0 || outcome.rounds == rounds {
            outcome.lost = missing(&world.broker.store_path(), &receipts).await.unwrap();
            assert_eq!(outcome.lost, 0, "after round {}", outcome.rounds);
        }
    }
    outcome.acked = receipts.len();
    outcome
}

/// The instant is what is tried, so nothing is waited for.
fn kill_at_start(world: &mut World, random: &mut Random) {
    world.broker.spawn();
    thread::sleep(Duration::from_micros(random.between(500, 30_000)));
    world.broker.kill();
}

async fn kill_under_load(world: &mut World, round: usize, random: &mut Random) -> Receipts {
    let clients = Clients::start(world, round);
    tokio::time::sleep(Duration::from_millis(random.between(5, 250))).await;
    world.broker.kill();
    clients.receipts().await
}
