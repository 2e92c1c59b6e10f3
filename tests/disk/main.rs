//! The broker on a disk that is full, read-only, slow, or does not sync; and that the disk of these tests and of the
//! crash rounds is what it says: what was synced stays, all else is dropped or torn.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../crash/clients.rs"]
mod clients;
mod own;
#[path = "../powerfs/mod.rs"]
mod powerfs;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use clients::{Clients, Receipts, missing};
use powerfs::{Damage, Faults, PowerDisk, Random};
use support::{Broker, World, id, token};

/// A world on a disk of its own; none where nothing can be mounted.
async fn world() -> Option<(World, PowerDisk)> {
    let disk = PowerDisk::mount()?;
    let mut broker = Broker::init_at(tempfile::tempdir().unwrap(), disk.path().join("broker"), "");
    broker.serve().await;
    let world = World::over(broker).await;
    drop(world.application("sync", "sync").await);
    Some((world, disk))
}

/// Orders a fault under load, and demands that the broker ends as one whose store has failed. What the clients were
/// told until then is returned.
async fn fails_under_load(world: &mut World, disk: &PowerDisk, faults: Faults) -> Receipts {
    let clients = Clients::start(world, 0);
    let syncs = disk.syncs();
    while disk.syncs() < syncs + 50 {
        tokio::task::yield_now().await;
    }
    disk.order(faults);
    let code = world.broker.ended().await;
    let log = world.broker.log();
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("the store has failed: start the broker again"), "{log}");
    let receipts = clients.receipts().await;
    assert!(!receipts.is_empty(), "nobody was told anything");
    receipts
}

/// It starts again, and holds all that was told.
async fn holds(world: &mut World, receipts: &Receipts) {
    world.broker.serve().await;
    world.settled().await;
    world.admin.end(&id("vendor:acme"), "it works again").await.unwrap();
    assert!(world.broker.stop().await, "{}", world.broker.log());
    assert_eq!(missing(&world.broker.store_path(), receipts).await, Ok(0));
}

/// What a start says that does not succeed.
fn refused_start(world: &World) -> String {
    let output = world.broker.command(&["serve"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_broker_and_loses_nothing() {
    let Some((mut world, disk)) = world().await else { return };
    let full = Faults { capacity: Some(disk.bytes()), ..Faults::default() };
    let receipts = fails_under_load(&mut world, &disk, full).await;
    let said = refused_start(&world);
    assert!(said.contains("No space left on device"), "{said}");
    disk.order(Faults::default());
    holds(&mut world, &receipts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_ends_the_broker_and_loses_nothing() {
    let Some((mut world, mut disk)) = world().await else { return };
    let read_only = Faults { read_only: true, ..Faults::default() };
    let receipts = fails_under_load(&mut world, &disk, read_only).await;
    disk.remount(true);
    let said = refused_start(&world);
    assert!(said.contains("Read-only file system"), "{said}");
    disk.remount(false);
    holds(&mut world, &receipts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_broker_and_what_was_told_survives_a_power_cut() {
    let Some((mut world, mut disk)) = world().await else { return };
    let failing = Faults { failing_syncs: true, ..Faults::default() };
    let receipts = fails_under_load(&mut world, &disk, failing).await;
    // What was written and not synced is gone; nobody was told of it.
    disk.restart(Damage::Drop, &mut Random::new(1));
    holds(&mut world, &receipts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_disk_everything_is_served_and_ends_wait_for_one_group() {
    let Some((mut world, disk)) = world().await else { return };
    let pace = Duration::from_millis(200);
    disk.order(Faults { slow_syncs: pace, ..Faults::default() });
    let identity = world.broker.home("sync").identity().unwrap();
    let sync =
        daypass_sdk::Application::over(daypass_sdk::Connection::open(&identity).await.unwrap()).unwrap();
    let certificate = std::sync::Arc::new(sync.certificate(&support::name("billing"), None).await.unwrap());
    let minting: Vec<_> = (0..16)
        .map(|_| {
            let (sync, certificate) = (sync.clone(), certificate.clone());
            tokio::spawn(async move {
                let begun = Instant::now();
                for _ in 0..5 {
                    token(&sync, &certificate, "invoices.read").await.unwrap();
                }
                begun.elapsed()
            })
        })
        .collect();
    let begun = Instant::now();
    world.admin.end(&id("vendor:globex"), "").await.unwrap();
    let end = begun.elapsed();
    for minted in minting {
        assert!(minted.await.unwrap() >= pace * 5, "a mint was told before its sync");
    }
    // The group being written, its own, and room for a machine that is busy.
    assert!(end >= pace && end < pace * 10, "the end took {end:?}");
    disk.order(Faults::default());
    assert!(world.broker.stop().await, "{}", world.broker.log());
}

/// What a start shows to readers was perhaps never synced by the process before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restart_shows_survives_a_power_cut() {
    let Some((mut world, mut disk)) = world().await else { return };
    let clients = Clients::start(&world, 0);
    let syncs = disk.syncs();
    while disk.syncs() < syncs + 50 {
        tokio::task::yield_now().await;
    }
    world.broker.kill();
    clients.receipts().await;
    world.broker.serve().await;
    world.settled().await;
    let shown = world.revision().await;
    world.broker.kill();
    disk.restart(Damage::Drop, &mut Random::new(1));
    world.broker.serve().await;
    world.settled().await;
    assert!(world.revision().await >= shown);
}
