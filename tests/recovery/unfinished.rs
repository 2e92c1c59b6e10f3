//! Recoveries that broke off: the old store is in its place or the new one is, and the next recovery begins from there.

use std::{fs, path::Path, process::Stdio, time::Duration};

use daypass_core::{Action, Event};
use daypass_credential::{Era, Revision};
use daypass_sdk::PrivateKey;
use daypass_store::{Check, Options, Sled, Store};
use serde_json::Value;

use crate::{
    begin_again, good, recover, refused,
    support::{Broker, World},
};

fn names(broker: &Broker) -> Vec<String> {
    let folder = broker.store_path();
    let entries = fs::read_dir(folder.parent().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut stores: Vec<_> = names.filter(|name| name.starts_with("store")).collect();
    stores.sort();
    stores
}

/// The era of the store in this directory, found to be whole, and that before it.
async fn eras(path: &Path) -> (Era, Option<Era>) {
    let options = Options { check: Check::Whole, ..Options::default() };
    let store = Sled::open(path, options).unwrap();
    let first = store.log(Revision::ZERO, 1).await.unwrap();
    match Event::from_bytes(&first[0].event).unwrap().action {
        Action::Initialized { era, previous, .. } => (era, previous.map(|previous| previous.era)),
        other => panic!("{other:?}"),
    }
}

fn era(recovered: &Value) -> &str {
    recovered["era"].as_str().unwrap()
}

async fn still() -> World {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    world
}

#[tokio::test]
async fn what_was_not_whole_is_made_anew() {
    let mut world = still().await;
    let (before, _) = eras(&world.broker.store_path()).await;
    for left in ["store.recovering", "store.recovering.new"] {
        let left = world.broker.store_path().with_file_name(left);
        fs::create_dir(&left).unwrap();
        fs::write(left.join("db"), "half a st").unwrap();
    }
    let (recovered, _) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(recovered["previous"]["era"], before.to_string());
    assert_eq!(names(&world.broker), ["store".to_owned(), format!("store.era-{before}")]);
}

/// Broken off right before the exchange: the new store is whole, and lies aside.
#[tokio::test]
async fn a_new_store_that_never_took_its_place_is_made_anew() {
    let mut world = still().await;
    let store = world.broker.store_path();
    let (before, _) = eras(&store).await;
    let unused = good(&recover(&world.broker, "dana").0);
    fs::rename(&store, store.with_file_name("store.recovered")).unwrap();
    fs::rename(store.with_extension(format!("era-{before}")), &store).unwrap();
    let (recovered, _) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(recovered["previous"]["era"], before.to_string());
    assert_ne!(era(&recovered), era(&unused));
    assert_eq!(names(&world.broker), ["store".to_owned(), format!("store.era-{before}")]);
}

/// Broken off right after the exchange: the old store lies aside, and nobody has seen the code.
#[tokio::test]
async fn an_old_store_that_was_exchanged_is_kept_under_its_name() {
    let mut world = still().await;
    let store = world.broker.store_path();
    let (before, _) = eras(&store).await;
    let unseen = good(&recover(&world.broker, "dana").0);
    fs::rename(store.with_extension(format!("era-{before}")), store.with_file_name("store.recovered"))
        .unwrap();
    let (recovered, _) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(recovered["previous"]["era"], unseen["era"]);
    let mut kept = vec![
        "store".to_owned(),
        format!("store.era-{before}"),
        format!("store.era-{}", unseen["era"].as_str().unwrap()),
    ];
    kept.sort();
    assert_eq!(names(&world.broker), kept);
    assert_eq!(eras(&store.with_extension(format!("era-{before}"))).await.0, before);
}

#[tokio::test]
async fn a_store_aside_that_is_neither_is_touched_by_nobody() {
    let world = still().await;
    let strange = Broker::init("");
    let aside = world.broker.store_path().with_file_name("store.recovered");
    fs::rename(strange.store_path(), &aside).unwrap();
    let (before, _) = eras(&aside).await;
    refused(&recover(&world.broker, "dana").0, 2, "is neither the store before this one nor one made for it");
    assert_eq!(eras(&aside).await.0, before);
}

#[tokio::test]
async fn the_stores_of_one_era_are_all_kept() {
    let world = still().await;
    let store = world.broker.store_path();
    let (before, _) = eras(&store).await;
    let there = store.with_extension(format!("era-{before}"));
    fs::create_dir(&there).unwrap();
    fs::write(there.join("theirs"), "x").unwrap();
    let recovered = good(&recover(&world.broker, "dana").0);
    assert!(recovered["kept"].as_str().unwrap().ends_with(&format!("store.era-{before}-2")), "{recovered}");
    assert_eq!(fs::read_to_string(there.join("theirs")).unwrap(), "x");
}

/// Killed again and again, a little later each time, until one comes through: there is always a whole store in its place.
#[tokio::test]
async fn killed_at_any_point_there_is_one_of_the_two() {
    let mut world = still().await;
    let store = world.broker.store_path();
    let mut known = vec![eras(&store).await.0];
    let public = world.broker.path().join("dana.pub");
    fs::write(&public, PrivateKey::generate().unwrap().public_pem()).unwrap();
    let (mut killed, mut after) = (0, Duration::from_millis(2));
    loop {
        let mut command = world.broker.command(&["recover", "--yes", "--admin", "dana", "--admin-key"]);
        let mut child = command.arg(&public).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(after).await;
        child.kill().unwrap();
        let came_through = child.wait().unwrap().success();
        killed += u32::from(!came_through);
        let (now, before) = eras(&store).await;
        if !known.contains(&now) {
            assert_eq!(before.as_ref(), known.last(), "it took the place of another than the one before");
            known.push(now);
        }
        assert_eq!(Some(&now), known.last(), "an old store came back");
        if came_through {
            break;
        }
        after += Duration::from_millis(3);
    }
    assert!(killed > 3, "it was killed {killed} times");
    begin_again(&mut world.broker, "dana", "dana-again").await;
}
