//! Recovering, with real processes: a store that was put back is refused, a new era begins, and nothing of the old one
//! is accepted anywhere; the ways in which keys, admins and time get lost; and recoveries that broke off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../cli_support/mod.rs"]
mod cli_support;
mod large;
mod misuse;
mod old;
#[path = "../support/mod.rs"]
mod support;
mod unfinished;
mod ways;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use cli_support::Cli;
use daypass_credential::{EnrollmentCode, Name, NodeKind};
use daypass_proto::v1;
use daypass_sdk::{Application, Connection, Directory, Introspector, PrivateKey, Trust};
use old::{New, Old, ask_again};
use serde_json::{Value, json};
use support::{Broker, World, id, mint, name, reason};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn good(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let said = text(output);
    assert!(output.status.code() == Some(code) && said.contains(words), "{:?}: {said}", output.status);
}

fn backup(broker: &Broker) -> PathBuf {
    let file = broker.path().join("old.backup");
    good(&broker.command(&["backup", "-o", "json", "--out"]).arg(&file).output().unwrap());
    file
}

fn restore(broker: &Broker, file: &Path, more: &[&str]) -> Output {
    broker.command(&["restore", "-o", "json", "--from"]).arg(file).args(more).output().unwrap()
}

/// Begins a new era with this admin, whose key is a new one in a file of their name.
fn recover(broker: &Broker, admin: &str) -> (Output, PrivateKey) {
    let key = PrivateKey::generate().unwrap();
    let public = broker.path().join(format!("{admin}.pub"));
    fs::write(&public, key.public_pem()).unwrap();
    let mut command = broker.command(&["recover", "--yes", "-o", "json", "--admin", admin, "--admin-key"]);
    (command.arg(public).output().unwrap(), key)
}

fn code_of(recovered: &Value) -> EnrollmentCode {
    recovered["enrollment_code"].as_str().unwrap().parse().unwrap()
}

/// Enrols somebody of the new era into a home of their own.
async fn enter(broker: &Broker, home: &str, code: &EnrollmentCode, key: Option<PrivateKey>) -> Connection {
    fs::create_dir_all(broker.path().join("homes")).unwrap();
    let enrolled = daypass_sdk::enroll(&broker.home(home), broker.address(), code, key).await.unwrap();
    Connection::open(&enrolled).await.unwrap()
}

/// Recovers a broker that stands still, serves, and enrols the admin of the new era.
async fn begin_again(broker: &mut Broker, admin: &str, home: &str) -> (Value, Connection) {
    let (output, key) = recover(broker, admin);
    let recovered = good(&output);
    broker.serve().await;
    let connection = enter(broker, home, &code_of(&recovered), Some(key)).await;
    (recovered, connection)
}

async fn code_for(admin: &Connection, subject: &str) -> EnrollmentCode {
    Directory::over(admin.clone()).open_enrollment(&id(subject), None).await.unwrap().code
}

async fn life(admin: &Connection, node: &str) -> v1::Life {
    Directory::over(admin.clone()).object(&id(node)).await.unwrap().life()
}

/// Moves the store away, as an operator does who puts a backup in its place.
fn lose_the_store(broker: &Broker) {
    fs::rename(broker.store_path(), broker.path().join("lost")).unwrap();
}

/// An era with all that can be given out, a backup in its midst, and more after it.
async fn era(world: &mut World) -> (Old, PathBuf) {
    let mut old = Old::of(&world.admin).await;
    let sync = world.application("sync", "sync").await;
    let courier = world.application("courier", "courier").await;
    world.verifier("billing-api").await;
    old.codes.push(world.code("application:sync").await);
    old.codes.push(world.broker.first_code().clone());
    let spent = world.code("application:other").await;
    world.broker.enroll("other", &spent).await.unwrap();
    old.codes.push(spent);
    old.mint(&sync).await;
    let file = backup(&world.broker);
    world.admin.end(&id("vendor:globex"), "after the backup").await.unwrap();
    assert_eq!(reason(mint(&courier).await), "caller-dead");
    old.mint(&sync).await;
    let late = world.application("late", "sync").await;
    old.mint(&late).await;
    old.codes.push(world.code("verifier:shipping-api").await);
    for home in ["dana", "sync", "courier", "billing-api", "other", "late"] {
        old.identities.push(world.broker.home(home).identity().unwrap());
    }
    (old, file)
}

/// Is the store that was put back refused, with the way on? Until a new era has begun, however often it is tried.
async fn refuses_to_serve(broker: &mut Broker, words: &str) {
    for _ in 0..2 {
        broker.spawn();
        assert_eq!(broker.ended().await, Some(4), "{}", broker.log());
        let log = broker.log();
        let said = log.lines().last().unwrap();
        assert!(said.contains(words) && said.contains("daypassd recover"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_put_back_is_refused_and_nothing_of_the_era_before_recovery_is_accepted() {
    let mut world = World::new().await;
    let (old, file) = era(&mut world).await;
    let last = world.revision().await.get();
    assert!(world.broker.stop().await);
    lose_the_store(&world.broker);
    let put_back = good(&restore(&world.broker, &file, &[]));
    assert_eq!(put_back["recover_first"], true, "{put_back}");
    refuses_to_serve(&mut world.broker, "was put back from a backup").await;
    // What is vouched for is refused all the same, by what was signed.
    assert!(world.broker.command(&["restore", "--newest"]).output().unwrap().status.success());
    refuses_to_serve(&mut world.broker, "older than what was signed").await;

    let (recovered, admin) = begin_again(&mut world.broker, "dana", "dana-again").await;
    assert_eq!(recovered["previous"]["head"]["revision"], put_back["revision"], "{recovered}");
    assert_eq!(recovered["previous"]["known"]["revision"].as_u64(), Some(last), "{recovered}");
    assert_eq!(recovered["suspended_vendors"], 2);
    let verifier =
        enter(&world.broker, "billing-again", &code_for(&admin, "verifier:billing-api").await, None).await;
    let verifier = Introspector::over(verifier).unwrap();
    let bundle = admin.trust_bundle(None).await.unwrap();
    let root = Trust::Pin(code_of(&recovered).root());
    let new = New { broker: world.broker.address(), root, verifier: &verifier, bundle: &bundle };
    let before = new.try_all(&old).await;
    assert_eq!(before.accepted, Vec::<String>::new());

    only_what_is_confirmed_comes_back(&world.broker, &admin, &verifier, &old).await;
    let after = new.try_all(&old).await;
    assert_eq!(after.accepted, Vec::<String>::new(), "resuming lets in what is new, and nothing old");
    an_old_home_is_told_what_to_do(&world.broker).await;
    support::show(&json!({
        "old_accepted": before.accepted.len() + after.accepted.len(),
        "refused": before.refused + after.refused,
        "restored_refused": true,
        "recovered": true,
    }));
}

/// One vendor is confirmed, and works again with new identities; the other one stays as it is.
async fn only_what_is_confirmed_comes_back(
    broker: &Broker,
    admin: &Connection,
    verifier: &Introspector,
    old: &Old,
) {
    let code = code_for(admin, "application:sync").await;
    let early = daypass_sdk::enroll(&broker.home("early"), broker.address(), &code, None).await;
    assert_eq!(reason(early), "subject-closed");
    let cli = Cli::new(broker.path());
    let home = broker.home("dana-again").folder().display().to_string();
    let resumed =
        cli.run(cli.command(&["--home", &home, "resume", "vendor:acme", "--yes", "-o", "json"])).await;
    let at = resumed.json()["resumed"][0]["revision"].as_u64().unwrap();
    assert_eq!(admin.resume(&id("vendor:acme")).await.unwrap().get(), at, "again is no event");
    assert_eq!(life(admin, "vendor:acme").await, v1::Life::Open);
    assert_eq!(life(admin, "vendor:globex").await, v1::Life::Suspended);

    let sync = Application::over(enter(broker, "sync-again", &code, None).await).unwrap();
    let (certificate, token) = mint(&sync).await.unwrap();
    let live = verifier.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap().unwrap();
    assert_eq!(live.revision, token.revision);
    for (kept, stranger) in [(&old.pairs[0].0, &token), (&certificate, &old.pairs[0].1)] {
        let mixed = verifier.introspect(stranger.reveal(), Some(kept.leaf())).await.unwrap();
        assert_eq!(mixed, None, "new with old");
    }
    for (request, answered) in &old.requests {
        let again = ask_again(sync.connection(), request).await.unwrap();
        assert!(again.revision > at, "answered again as revision {answered} of the old era");
    }
    let code = code_for(admin, "application:courier").await;
    let courier = daypass_sdk::enroll(&broker.home("courier-again"), broker.address(), &code, None).await;
    assert_eq!(reason(courier), "subject-closed");
}

async fn an_old_home_is_told_what_to_do(broker: &Broker) {
    let cli = Cli::new(broker.path());
    let home = broker.home("sync").folder().display().to_string();
    let told = cli.run(cli.command(&["--home", &home, "ping", "-o", "json"])).await;
    let error: Value = serde_json::from_str(&told.stderr).unwrap();
    assert_eq!((told.code, error["error"]["kind"].as_str()), (6, Some("other-broker")), "{told:?}");
    let next = error["error"]["next"].as_str().unwrap();
    assert!(next.contains("recovered") && next.contains("new code"), "{next}");
}

/// All names of a kind.
async fn names(admin: &Connection, kind: NodeKind) -> Vec<Name> {
    let all = Directory::over(admin.clone()).all(kind).await.unwrap();
    all.iter().map(|stored| name(stored.id.split_once(':').unwrap().1)).collect()
}
