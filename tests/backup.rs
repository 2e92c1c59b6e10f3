//! Backups by the operator: of a running broker, under load, and of one that stands still; restored where there is no
//! store, and refused where there is one, or where the backup is not whole.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};

use daypass_sdk::Connection;
use support::{World, id, mint};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn good(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    assert!(
        output.status.code() == Some(code) && text(output).contains(words),
        "{:?}: {}",
        output.status,
        text(output)
    );
}

fn backup(world: &World, name: &str) -> (PathBuf, Output) {
    let file = world.broker.path().join(name);
    let output = world.broker.command(&["backup", "-o", "json", "--out"]).arg(&file).output().unwrap();
    (file, output)
}

fn restore(world: &World, file: &Path) -> Output {
    world.broker.command(&["restore", "-o", "json", "--from"]).arg(file).output().unwrap()
}

/// Moves the data directory away, as if its disk had died: the store, and whatever would tell that a backup is not the
/// newest.
fn lose_the_disk(world: &World) {
    fs::rename(world.broker.path().join("data"), world.broker.path().join("lost")).unwrap();
}

/// As [`restore`], by an operator who vouches that nothing came after the backup.
fn restore_newest(world: &World, file: &Path) -> Output {
    world.broker.command(&["restore", "--newest", "-o", "json", "--from"]).arg(file).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_broker_at_work_is_restored_with_all_that_was_acknowledged_before_it() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let verifier = world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    let minting = tokio::spawn({
        let sync = sync.clone();
        async move { while mint(&sync).await.is_ok() {} }
    });
    let acknowledged = world.revision().await;
    let (file, output) = backup(&world, "one.backup");
    let made = good(&output);
    assert!(made["revision"].as_u64().unwrap() >= acknowledged.get(), "{made}");
    assert_eq!(made["bytes"].as_u64().unwrap(), fs::metadata(&file).unwrap().len());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    world.admin.end(&id("application:other"), "after the backup").await.unwrap();

    world.broker.kill();
    minting.await.unwrap();
    lose_the_disk(&world);
    let restored = good(&restore_newest(&world, &file));
    assert_eq!(restored["revision"], made["revision"]);
    assert_eq!(restored["recover_first"], false);
    world.broker.serve().await;
    let again = Connection::open(&world.broker.home("billing-api").identity().unwrap()).await.unwrap();
    let again = daypass_sdk::Introspector::over(again).unwrap();
    let live = again.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap().unwrap();
    assert_eq!(live.revision, token.revision);
    let other = daypass_sdk::Directory::over(world.broker.admin().await)
        .object(&id("application:other"))
        .await
        .unwrap();
    assert_eq!(
        other.life(),
        daypass_proto::v1::Life::Open,
        "what came after the backup is not in it, as was said"
    );
    drop(verifier);
}

#[tokio::test]
async fn a_broker_that_stands_still_is_backed_up_as_well_and_to_standard_output() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    let (file, output) = backup(&world, "still.backup");
    good(&output);
    let piped = world.broker.command(&["backup", "--out", "-"]).output().unwrap();
    assert!(piped.status.success());
    assert_eq!(piped.stdout, fs::read(&file).unwrap(), "the same log makes the same backup");
    assert!(String::from_utf8_lossy(&piped.stderr).contains("backup made"), "{}", text(&piped));
    refused(&backup(&world, "still.backup").1, 2, "is there already");
    let checked = world.broker.command(&["restore", "--check", "--from"]).arg(&file).output().unwrap();
    assert!(checked.status.success() && text(&checked).starts_with("good: "), "{}", text(&checked));
}

#[tokio::test]
async fn a_backup_is_restored_over_nothing() {
    let mut world = World::new().await;
    let (file, output) = backup(&world, "one.backup");
    good(&output);
    let before = world.revision().await;
    refused(&restore(&world, &file), 2, "a broker is running on it");
    assert_eq!(world.revision().await, before, "the running broker does not notice");
    assert!(world.broker.stop().await);
    refused(&restore(&world, &file), 2, "never restored over one; move it away");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_leaves_nothing() {
    let mut world = World::new().await;
    let (file, output) = backup(&world, "one.backup");
    good(&output);
    assert!(world.broker.stop().await);
    lose_the_disk(&world);
    let whole = fs::read(&file).unwrap();
    for (damaged, words) in [
        (whole[..whole.len() / 2].to_vec(), "cut short"),
        (whole[..whole.len() - 1].to_vec(), "cut short"),
        ([&whole[..100], b"!", &whole[101..]].concat(), "not what was written"),
        (b"PK\x03\x04 not a backup at all".to_vec(), "no backup of Daypass"),
    ] {
        fs::write(&file, damaged).unwrap();
        refused(&restore(&world, &file), 2, words);
        let left = fs::read_dir(world.broker.path().join("data")).into_iter().flatten().count();
        assert_eq!(left, 0, "nothing that could be taken for a store");
    }
    fs::write(&file, &whole).unwrap();
    let key = world.broker.path().join("key");
    let kept = fs::read(&key).unwrap();
    fs::write(&key, "00".repeat(32)).unwrap();
    refused(&restore(&world, &file), 2, "does not open the keys in this backup");
    let left = fs::read_dir(world.broker.path().join("data")).unwrap().count();
    assert_eq!(left, 0, "no mark either of a store that is not there");
    fs::write(&key, kept).unwrap();
    good(&restore(&world, &file));
    let said = world.broker.command(&["restore", "--check", "--from"]).arg(&file).output().unwrap();
    assert!(said.status.success());
    assert_eq!(
        fs::read_dir(world.broker.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().ends_with(".part"))
            .count(),
        0
    );
}

/// Serves what was put back until it ends by itself: it has to refuse, with these words.
async fn not_served(world: &mut World, words: &str) {
    world.broker.spawn();
    assert_eq!(world.broker.ended().await, Some(4), "{}", world.broker.log());
    assert!(world.broker.log().contains(words), "{}", world.broker.log());
}

#[tokio::test]
async fn what_the_anchor_shows_to_be_the_newest_is_served_as_it_is() {
    let mut world = World::new().await;
    let revision = world.revision().await;
    assert!(world.broker.stop().await);
    let (file, output) = backup(&world, "newest.backup");
    good(&output);
    fs::rename(world.broker.store_path(), world.broker.path().join("lost")).unwrap();
    let restored = good(&restore(&world, &file));
    assert_eq!(restored["recover_first"], false, "{restored}");
    world.broker.serve().await;
    world.settled().await;
    assert_eq!(world.revision().await, revision);
}

#[tokio::test]
async fn what_may_be_older_is_marked_and_not_served_until_somebody_vouches_for_it() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    let (file, output) = backup(&world, "one.backup");
    good(&output);
    lose_the_disk(&world);
    let vouch = |world: &World| world.broker.command(&["restore", "--newest"]).output().unwrap();
    refused(&vouch(&world), 2, "no store was put back here");
    assert_eq!(good(&restore(&world, &file))["recover_first"], true);
    not_served(&mut world, "the store was put back from a backup").await;
    not_served(&mut world, "the store was put back from a backup").await;
    let vouched = vouch(&world);
    assert!(vouched.status.success(), "{}", text(&vouched));
    refused(&vouch(&world), 2, "no store was put back here");
    world.broker.serve().await;
}

#[tokio::test]
async fn nobody_vouches_against_a_signature() {
    let mut world = World::new().await;
    let (file, output) = backup(&world, "older.backup");
    let ends = good(&output)["revision"].as_u64().unwrap();
    world.admin.end(&id("vendor:globex"), "after the backup").await.unwrap();
    let signed = world.revision().await;
    assert!(world.broker.stop().await);
    fs::rename(world.broker.store_path(), world.broker.path().join("lost")).unwrap();
    let words = format!("it ends at revision {ends}, and a checkpoint of revision {signed} was signed");
    refused(&restore_newest(&world, &file), 4, &words);
    assert!(!world.broker.store_path().exists());
    // Nor afterwards.
    assert_eq!(good(&restore(&world, &file))["recover_first"], true);
    assert!(world.broker.command(&["restore", "--newest"]).output().unwrap().status.success());
    not_served(&mut world, "the store is older than what was signed").await;
}

#[tokio::test]
async fn an_anchor_that_cannot_be_read_is_not_passed_over() {
    let mut world = World::new().await;
    let (file, output) = backup(&world, "one.backup");
    good(&output);
    assert!(world.broker.stop().await);
    fs::rename(world.broker.store_path(), world.broker.path().join("lost")).unwrap();
    fs::write(world.broker.path().join("data/anchor"), "no checkpoint").unwrap();
    refused(&restore(&world, &file), 1, "nothing was restored: move the anchor away");
    assert!(!world.broker.store_path().exists());
}
