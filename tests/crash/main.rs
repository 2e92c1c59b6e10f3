//! Crash rounds: the broker killed at random instants, and the power cut under the store alone and under the broker.
//! What was acknowledged is there afterwards. `DAYPASS_KILL_ROUNDS` and `DAYPASS_POWER_ROUNDS` ask for more rounds,
//! `DAYPASS_CRASH_SEED` for the same again.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod clients;
mod kill;
mod ledger;
mod power_broker;
mod power_store;
#[path = "../powerfs/mod.rs"]
mod powerfs;
#[path = "../support/mod.rs"]
mod support;
mod writer;

use powerfs::Random;
use serde_json::json;
use writer::Syncs;

const SEED: &str = "DAYPASS_CRASH_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills() {
    let rounds = support::size("DAYPASS_KILL_ROUNDS", 12);
    let outcome = kill::rounds(rounds, &mut Random::from_env(SEED)).await;
    support::show(&json!({
        "kill_rounds": outcome.rounds,
        "killed_at_start": outcome.at_start,
        "acked": outcome.acked,
        "lost": outcome.lost,
        "reopen_max_ms": outcome.reopen_max.as_millis(),
    }));
    assert!(outcome.acked > rounds * 2, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_power_cuts() {
    let rounds = support::size("DAYPASS_POWER_ROUNDS", 24);
    let mut random = Random::from_env(SEED);
    // Three of four rounds are for the store alone: they are faster, and cut where the broker seldom is.
    let served = rounds / 4;
    let Some(store) = power_store::rounds(rounds - served, Syncs::Sound, &mut random).await else { return };
    assert!(store.faults.is_empty() && store.lost == 0, "{store:#?}");
    assert!(store.met_unsynced * 2 > store.rounds, "these cuts could not find anything: {store:#?}");
    let broker = power_broker::rounds(served, &mut random).await.unwrap();
    // The same again without the store's own sync: what finds nothing now would never find anything.
    let planted = power_store::rounds(rounds, Syncs::Planted, &mut random).await.unwrap();
    support::show(&json!({
        "power_rounds": store.rounds + broker.rounds,
        "power_rounds_broker": broker.rounds,
        "cut_at_start": store.at_start + broker.at_start,
        "acked": store.acked + broker.acked,
        "lost": store.lost + broker.lost,
        "reopen_max_ms": store.reopen_max.max(broker.reopen_max).as_millis(),
        "planted_found": planted.lost > 0,
        "planted_found_in_round": planted.rounds,
    }));
    assert!(planted.lost > 0, "without its sync the store lost nothing: {planted:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_was_answered_stands_and_another_can_be_repeated() {
    let mut random = Random::from_env(SEED);
    let step = u64::try_from(support::size("DAYPASS_INIT_STEP", 7)).unwrap();
    let first = random.between(0, step);
    let Some(rounds) = power_broker::beginnings(first, step, &mut random).await else { return };
    support::show(&json!({ "init_rounds": rounds }));
    assert!(rounds > 1, "no cut fell into the beginning");
}
