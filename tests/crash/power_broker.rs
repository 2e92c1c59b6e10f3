//! The broker on a disk whose power is cut: while it serves, while it starts, and while it is begun.

use std::time::{Duration, Instant};

use daypass_store::{Check, Options, Sled, Store};

use crate::{
    clients::{Clients, Receipts, missing},
    powerfs::{Damage, PowerDisk, Random},
    support::{Broker, World},
};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: usize,
    pub(crate) at_start: usize,
    pub(crate) acked: usize,
    pub(crate) lost: usize,
    pub(crate) reopen_max: Duration,
}

/// How long a round may go on without its cut.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a start may, which perhaps has fewer changes to make than were waited for.
const START: Duration = Duration::from_millis(500);

/// Cuts the power under a broker in this many rounds; none where nothing can be mounted.
pub(crate) async fn rounds(rounds: usize, random: &mut Random) -> Option<Outcome> {
    let mut disk = PowerDisk::mount()?;
    let place = disk.path().join("broker");
    let mut broker = Broker::init_at(tempfile::tempdir().unwrap(), place, "");
    broker.serve().await;
    let mut world = World::over(broker).await;
    drop(world.application("sync", "sync").await);
    assert!(world.broker.stop().await);
    let (mut outcome, mut receipts) = (Outcome::default(), Receipts::new());
    while outcome.rounds < rounds {
        let damage = damage(random);
        if outcome.rounds % 4 == 3 {
            cut_at_start(&mut world, &disk, random);
            outcome.at_start += 1;
        } else {
            let begun = Instant::now();
            world.broker.serve().await;
            outcome.reopen_max = outcome.reopen_max.max(begun.elapsed());
            receipts.extend(cut_under_load(&mut world, &disk, outcome.rounds, random).await);
        }
        disk.restart(damage, random);
        outcome.lost = missing(&world.broker.store_path(), &receipts).await.unwrap();
        assert_eq!(outcome.lost, 0, "after round {} ({damage:?})", outcome.rounds);
        outcome.rounds += 1;
    }
    outcome.acked = receipts.len();
    Some(outcome)
}

fn damage(random: &mut Random) -> Damage {
    if random.percent(50) { Damage::Drop } else { Damage::Tear }
}

fn cut_at_start(world: &mut World, disk: &PowerDisk, random: &mut Random) {
    disk.cut_after(random.between(0, 12));
    world.broker.spawn();
    disk.off_within(START);
    disk.cut();
    world.broker.kill();
}

async fn cut_under_load(world: &mut World, disk: &PowerDisk, round: usize, random: &mut Random) -> Receipts {
    disk.cut_after(random.between(20, 600));
    let clients = Clients::start(world, round);
    let cut = disk.off_within(PATIENCE);
    world.broker.kill();
    assert!(cut, "the power was never cut: {}", world.broker.log());
    clients.receipts().await
}

/// Cuts the power under `daypassd init`, after each number of changes beginning with `first` and going on by `step`.
/// What was answered stands, and what was not can be begun again. Tells how many rounds that were.
pub(crate) async fn beginnings(first: u64, step: u64, random: &mut Random) -> Option<usize> {
    let mut rounds = 0;
    let mut changes = first;
    loop {
        let mut disk = PowerDisk::mount()?;
        let damage = damage(random);
        disk.cut_after(changes);
        let place = disk.path().join("deep/below/broker");
        let begun = Broker::try_init_at(tempfile::tempdir().unwrap(), place.clone(), "");
        let answered = begun.is_ok();
        disk.restart(damage, random);
        match begun.or_else(|(dir, _)| Broker::try_init_at(dir, place.clone(), "")) {
            Ok(mut broker) => {
                // All that came after the answer is lost now, whatever it was.
                disk.restart(Damage::Drop, random);
                broker.serve().await;
                broker.admin().await;
                assert!(broker.stop().await);
            }
            // The first event was durable, and the answer never came.
            Err((_, said)) if said.contains("cannot begin twice") => {
                let options = Options { check: Check::Whole, ..Options::default() };
                let store = Sled::open(&place.join("data/store"), options).unwrap();
                assert_eq!(store.head().borrow().revision.get(), 1);
            }
            Err((_, said)) => panic!("cut after {changes} changes ({damage:?}): {said}"),
        }
        rounds += 1;
        if answered {
            return Some(rounds);
        }
        changes += step;
    }
}
