//! The notary, from outside: what it signed stays so over kills, a store that was put back serves nobody, and proofs and
//! exports go to whom they are for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{fs, path::Path, process::Command, time::Duration};

use daypass_core::{
    Action, Actor, ChangeId, Event,
    event::{Method, Reason},
};
use daypass_credential::{Revision, Timestamp};
use daypass_log::{Checkpoint, Hash, SignedCheckpoint, VerifierKey, export, proof};
use daypass_proto::v1::{self, audit_service_client::AuditServiceClient};
use daypass_sdk::{Application, Connection};
use daypass_store::{Change, Lane, Options, Sled, Store};
use support::{Broker, World, id, mint};
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt;

fn client(connection: &Connection) -> AuditServiceClient<tonic::transport::Channel> {
    AuditServiceClient::new(connection.channel())
}

fn keys(broker: &Broker) -> Vec<VerifierKey> {
    vec![broker.log_key().parse().unwrap()]
}

fn said(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap_or_else(|| panic!("no reason: {status:?}")).reason.clone()
}

#[track_caller]
fn refused<T>(answer: Result<T, Status>, reason: &str) {
    let Err(status) = answer else { panic!("it was not refused") };
    assert_eq!(said(&status), reason);
}

fn hashes(bytes: &[impl AsRef<[u8]>]) -> Vec<Hash> {
    bytes.iter().map(|hash| Hash::new(hash.as_ref().try_into().unwrap())).collect()
}

/// The newest checkpoint, checked to continue the one that is known.
async fn newest(
    connection: &Connection,
    keys: &[VerifierKey],
    known: Option<&SignedCheckpoint>,
) -> Result<SignedCheckpoint, Status> {
    let known_note = known.map(|known| known.note().to_owned()).unwrap_or_default();
    let request = v1::GetCheckpointRequest { known: known_note };
    let answer = client(connection).get_checkpoint(request).await?.into_inner();
    let newest = Checkpoint::open(answer.checkpoint.as_bytes(), keys).unwrap();
    if let Some(known) = known {
        let (from, to) = (known.checkpoint().root(), newest.checkpoint().root());
        assert_eq!(known.checkpoint().era(), newest.checkpoint().era());
        proof::check_consistency(&from, &to, &hashes(&answer.consistency)).unwrap();
    }
    Ok(newest)
}

/// Asks for checkpoints as long as there are answers, each continuing the one before.
async fn watch(
    connection: Connection,
    keys: Vec<VerifierKey>,
    mut last: Option<SignedCheckpoint>,
) -> Vec<SignedCheckpoint> {
    let mut seen = Vec::new();
    while let Ok(next) = newest(&connection, &keys, last.as_ref()).await {
        if last.as_ref() != Some(&next) {
            seen.push(next.clone());
            last = Some(next);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_checkpoint_ever_seen_is_continued_by_every_later_one_over_kills() {
    let rounds = support::size("DAYPASS_KILL_ROUNDS", 5);
    let mut world = World::new().await;
    let keys = keys(&world.broker);
    drop(world.application("sync", "sync").await);
    let mut seen: Vec<SignedCheckpoint> = Vec::new();
    for round in 0..rounds {
        let open = |who: &str| world.broker.home(who).identity().unwrap();
        let sync = Application::over(Connection::open(&open("sync")).await.unwrap()).unwrap();
        let watching = Connection::open(&open("dana")).await.unwrap();
        let watching = tokio::spawn(watch(watching, keys.clone(), seen.last().cloned()));
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let sync = sync.clone();
            clients.spawn(async move { while mint(&sync).await.is_ok() {} });
        }
        // Around the instant of a checkpoint, each time another one: a second after the start, and a little.
        let instant = Duration::from_millis(u64::try_from(900 + round * 61 % 400).unwrap());
        tokio::time::sleep(instant).await;
        world.broker.kill();
        clients.join_all().await;
        seen.extend(watching.await.unwrap());
        world.broker.serve().await;
        let reader = Connection::open(&world.broker.home("dana").identity().unwrap()).await.unwrap();
        for earlier in &seen {
            newest(&reader, &keys, Some(earlier)).await.unwrap();
        }
    }
    assert!(seen.len() > rounds, "only {} checkpoints were seen", seen.len());
    assert!(seen.is_sorted_by_key(|seen| seen.checkpoint().root().size));
    assert!(world.broker.stop().await);
    let anchor = fs::read(world.broker.path().join("data/anchor")).unwrap();
    let anchor = Checkpoint::open(&anchor, &keys).unwrap();
    let store = Sled::open(&world.broker.store_path(), Options::default()).unwrap();
    assert_eq!(
        anchor.checkpoint().root().size,
        store.head().borrow().revision.get(),
        "the end is signed too"
    );
    support::show(&serde_json::json!({ "rounds": rounds, "checkpoints": seen.len(), "forks": 0 }));
}

/// Copies a folder whole.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[track_caller]
fn serve_fails(broker: &Broker, words: &str) {
    let output = broker.command(&["serve"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(4) && text.contains(words), "{:?}: {text}", output.status);
}

#[tokio::test]
async fn an_old_store_under_its_anchor_is_refused_at_the_start() {
    let mut world = World::new().await;
    let data = world.broker.path().join("data");
    let old = world.broker.path().join("old");
    assert!(world.broker.stop().await);
    copy(&data.join("store"), &old);
    world.broker.serve().await;
    world.settled().await;
    let ended = world.admin.end(&id("vendor:acme"), "over").await.unwrap();
    assert!(world.broker.stop().await);
    fs::rename(data.join("store"), world.broker.path().join("newest")).unwrap();
    copy(&old, &data.join("store"));
    let words = format!("knows of revision {ended}");
    serve_fails(&world.broker, &words);
    // Without the hashes, and without the anchor, the other one tells.
    let hashes = world.broker.path().join("hashes");
    fs::rename(data.join("notary"), &hashes).unwrap();
    serve_fails(&world.broker, &words);
    fs::rename(data.join("anchor"), world.broker.path().join("anchor")).unwrap();
    fs::rename(&hashes, data.join("notary")).unwrap();
    serve_fails(&world.broker, &words);
    // The newest one is served again.
    fs::remove_dir_all(data.join("store")).unwrap();
    fs::rename(world.broker.path().join("newest"), data.join("store")).unwrap();
    fs::rename(world.broker.path().join("anchor"), data.join("anchor")).unwrap();
    world.broker.serve().await;
    assert!(world.broker.stop().await);
}

#[tokio::test]
async fn a_whole_folder_put_back_is_told_by_what_a_client_holds_and_stays_down() {
    for goes_on in [false, true] {
        let mut world = World::new().await;
        let keys = keys(&world.broker);
        let data = world.broker.path().join("data");
        let old = world.broker.path().join("old");
        let sync = world.application("sync", "sync").await;
        assert!(world.broker.stop().await);
        copy(&data, &old);
        world.broker.serve().await;
        world.settled().await;
        let ended = world.admin.end(&id("application:other"), "over").await.unwrap();
        let held = loop {
            let held = newest(&world.admin, &keys, None).await.unwrap();
            if held.checkpoint().root().size >= ended.get() {
                break held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(world.broker.stop().await);
        fs::remove_dir_all(&data).unwrap();
        copy(&old, &data);
        world.broker.serve().await;
        world.settled().await;
        if goes_on {
            // By the time that somebody looks it is as long as it was, and longer.
            for _ in 0..5 {
                mint(&sync).await.unwrap();
            }
        }
        refused(newest(&world.admin, &keys, Some(&held)).await, "log-older");
        assert_eq!(world.broker.ended().await, Some(4));
        assert!(mint(&sync).await.is_err());
        let log = world.broker.log();
        assert!(log.contains("the store is older than what was signed"), "{log}");
        let signed = held.checkpoint().root().size;
        let words = if goes_on { "it is another log" } else { "the store is older than what was signed" };
        serve_fails(&world.broker, words);
        serve_fails(&world.broker, &format!("revision {signed}"));
    }
}

#[tokio::test]
async fn a_store_put_back_from_a_backup_waits_for_somebodys_word() {
    let mut broker = Broker::init("");
    let mark = broker.path().join("data/restored");
    fs::write(&mark, "").unwrap();
    serve_fails(&broker, "run `daypassd recover`");
    fs::remove_file(mark).unwrap();
    broker.serve().await;
    assert!(broker.stop().await);
}

#[tokio::test]
async fn an_anchor_may_lie_elsewhere_and_its_folder_has_to_be_there() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = elsewhere.path().join("disk");
    let mut broker = Broker::init(&format!("anchor_file = {:?}\n", folder.join("anchor")));
    let output = broker.command(&["serve"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`anchor_file`: there is no folder"));
    fs::create_dir(&folder).unwrap();
    broker.serve().await;
    assert!(broker.stop().await);
    assert!(folder.join("anchor").exists() && !broker.path().join("data/anchor").exists());
}

#[tokio::test]
async fn a_checkpoint_that_is_not_this_logs_shows_nothing() {
    let world = World::new().await;
    let other = Broker::start().await;
    let foreign = newest(&other.admin().await, &keys(&other), None).await.unwrap();
    let own = newest(&world.admin, &keys(&world.broker), None).await.unwrap();
    let size = own.checkpoint().root().size;
    let ask = |known: String| {
        let mut client = client(&world.admin);
        async move { client.get_checkpoint(v1::GetCheckpointRequest { known }).await }
    };
    let later = own.note().replacen(&format!("\n{size}\n"), "\n999999\n", 1);
    for forged in [foreign.note().to_owned(), later, own.note().replacen("era ", "era", 1)] {
        refused(ask(forged).await, "checkpoint-unknown");
    }
    for bad in ["x".to_owned(), format!("{}\n", own.note()), "x\n".repeat(20_000)] {
        refused(ask(bad).await, "bad-request");
    }
    let huge = ask("x".repeat(100_000)).await.unwrap_err();
    assert_eq!(huge.code(), tonic::Code::OutOfRange, "{huge:?}");
    newest(&world.admin, &keys(&world.broker), Some(&own)).await.unwrap();
}

/// The proof of an event, checked.
async fn prove(connection: &Connection, keys: &[VerifierKey], revision: u64) -> Result<Event, Status> {
    let answer = client(connection).prove_event(v1::ProveEventRequest { revision }).await?.into_inner();
    let root = Checkpoint::open(answer.checkpoint.as_bytes(), keys).unwrap().checkpoint().root();
    let path = hashes(&answer.inclusion);
    proof::check_inclusion(Hash::leaf(&answer.event), revision - 1, &path, &root).unwrap();
    Ok(Event::from_bytes(&answer.event).unwrap())
}

#[tokio::test]
async fn an_event_is_proved_to_auditors_and_a_credential_to_its_holder() {
    let world = World::new().await;
    let keys = keys(&world.broker);
    let sync = world.enrolled("sync", "application:sync").await;
    let other = world.enrolled("other", "application:other").await;
    let audrey = world.enrolled("audrey", "person:audrey").await;
    let (certificate, token) = mint(&Application::over(sync.clone()).unwrap()).await.unwrap();
    for minted in [certificate.revision, token.revision] {
        for reader in [&sync, &audrey, &world.admin] {
            prove(reader, &keys, minted.get()).await.unwrap();
        }
        refused(prove(&other, &keys, minted.get()).await, "unknown-node");
    }
    let proved = prove(&audrey, &keys, token.revision.get()).await.unwrap();
    assert!(matches!(proved.action, Action::TokenMinted(record) if record.application.as_str() == "sync"));
    prove(&audrey, &keys, 1).await.unwrap();
    refused(prove(&sync, &keys, 1).await, "unknown-node");
    for none in [0, 1 << 40] {
        refused(prove(&audrey, &keys, none).await, "unknown-node");
        refused(prove(&sync, &keys, none).await, "unknown-node");
    }
}

#[tokio::test]
async fn the_log_key_is_the_same_wherever_it_is_given_out() {
    let world = World::new().await;
    let answer = client(&world.admin).get_checkpoint(v1::GetCheckpointRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().log_key, world.broker.log_key());
    let mut bundles = v1::verification_service_client::VerificationServiceClient::new(world.admin.channel());
    let bundle = bundles.get_trust_bundle(v1::GetTrustBundleRequest::default()).await.unwrap();
    assert_eq!(bundle.into_inner().log_keys, [world.broker.log_key()]);
    assert!(world.broker.log_key().starts_with("test.example/log+"));
}

/// Makes the log of a broker that stands still a few megabytes longer.
async fn lengthen(broker: &Broker) {
    let store = Sled::open(&broker.store_path(), Options::default()).unwrap();
    let (method, reason) = (Method::new("x".repeat(3500).leak()), Reason::new("none"));
    let at = Timestamp::from_secs(support::now());
    let changes = (0..3000_u128).map(|number| {
        let action = Action::Refused { method: method.clone(), reason: reason.clone(), about: None };
        let event = Event::new(at, ChangeId::new(number.to_be_bytes()), Actor::Broker, action);
        store.commit(Change { event, expect: Vec::new(), private: Vec::new() }, Lane::Normal)
    });
    for change in changes {
        change.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_whole_and_breaks_off_for_a_reader_who_was_ended() {
    let mut world = World::new().await;
    let keys = keys(&world.broker);
    let audrey = world.enrolled("audrey", "person:audrey").await;
    let sync = world.enrolled("sync", "application:sync").await;
    assert!(world.broker.stop().await);
    lengthen(&world.broker).await;
    world.broker.serve().await;
    world.settled().await;
    let export = |connection: &Connection| {
        let mut client = client(connection);
        async move { client.export_log(v1::ExportLogRequest {}).await.map(tonic::Response::into_inner) }
    };
    refused(export(&sync).await, "wrong-caller");

    let mut whole = export(&world.admin).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = whole.message().await.unwrap() {
        assert!(piece.chunk.len() <= 64 * 1024);
        bytes.extend_from_slice(&piece.chunk);
    }
    let reader = export::Reader::new(&bytes[..], &keys, None).unwrap();
    let mut last = Revision::ZERO;
    let checkpoint = reader.verify(|revision| last = revision).unwrap();
    assert!(last.get() == checkpoint.checkpoint().root().size && last.get() > 3000);

    // Two that are not read take both places, each until its reader is gone or ended.
    let mut broken = export(&audrey).await.unwrap();
    let waiting = export(&world.admin).await.unwrap();
    refused(export(&world.admin).await, "busy");
    drop(waiting);
    broken.message().await.unwrap().unwrap();
    world.admin.end(&id("person:audrey"), "left").await.unwrap();
    // The broker looks at its readers every five seconds, also at one who does not take what is sent.
    while !world.broker.log().contains("caller-dead") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = loop {
        match broken.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if it were whole"),
            Err(status) => break status,
        }
    };
    assert_eq!(said(&status), "caller-dead");
}

#[tokio::test]
async fn ends_go_on_where_the_notary_cannot_write() {
    let mut world = World::new().await;
    let keys = keys(&world.broker);
    let before = newest(&world.admin, &keys, None).await.unwrap();
    // Folders stand where the next head and the next anchor would be written.
    let data = world.broker.path().join("data");
    let blockers = [data.join("notary/head.new"), data.join("anchor.new")];
    for blocker in &blockers {
        while fs::create_dir(blocker).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let ended = world.admin.end(&id("application:other"), "over").await.unwrap();
    refused(prove(&world.admin, &keys, ended.get()).await, "busy");
    newest(&world.admin, &keys, Some(&before)).await.unwrap();
    assert!(world.broker.log().contains("the notary does not get on"), "{}", world.broker.log());
    // It also starts like that, and ends go on.
    assert!(world.broker.stop().await);
    world.broker.serve().await;
    world.settled().await;
    world.admin.end(&id("application:sync"), "over").await.unwrap();
    blockers.iter().for_each(|blocker| fs::remove_dir(blocker).unwrap());
    prove(&world.admin, &keys, ended.get()).await.unwrap();
    let after = newest(&world.admin, &keys, Some(&before)).await.unwrap();
    assert!(after.checkpoint().root().size > ended.get());
    assert!(world.broker.log().contains("the notary gets on again"), "{}", world.broker.log());
    assert!(world.broker.stop().await);
}
