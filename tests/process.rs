//! The process: beginning, configuration, a store that cannot be used, clocks that lie, an orderly end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use daypass_core::{Action, Actor, ChangeId, Event};
use daypass_credential::{Timestamp, Ttl};
use daypass_sdk::Directory;
use daypass_store::{Change, Lane, Options, Sled, Store};
use support::{Broker, World, id, mint, reason};

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[track_caller]
fn fails(broker: &Broker, args: &[&str], code: i32, words: &str) {
    let (status, _, stderr) = run(&mut broker.command(args));
    assert_eq!(status, code, "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test]
async fn a_broker_is_begun_once() {
    let broker = Broker::init("");
    let key = broker.path().join("admin.pub");
    let again = ["init", "--admin", "eve", "--admin-key", key.to_str().unwrap()];
    fails(&broker, &again, 1, "there is a store");
    let mode = fs::metadata(broker.path().join("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_configuration_that_does_not_do_is_refused_with_its_place() {
    let broker = Broker::init("");
    let config = broker.path().join("daypassd.toml");
    let good = fs::read_to_string(&config).unwrap();
    let (status, stdout, _) = run(&mut broker.command(&["check-config"]));
    assert_eq!((status, stdout.as_str()), (0, "the configuration is good\n"));
    for (line, words) in
        [("listne = \"x\"", "listne"), ("[log]\nlevle = \"x\"", "levle"), ("names = []", "names")]
    {
        fs::write(&config, format!("{good}\n{line}\n")).unwrap();
        fails(&broker, &["check-config"], 2, words);
        fails(&broker, &["serve"], 2, words);
    }
    fs::remove_file(&config).unwrap();
    fails(&broker, &["serve"], 2, "cannot read the configuration");
}

#[tokio::test]
async fn what_init_fixed_cannot_be_changed_by_configuration() {
    let broker = Broker::init("");
    let mut command = broker.command(&["serve"]);
    let (status, _, stderr) = run(command.env("DAYPASSD_TRUST_DOMAIN", "other.example"));
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("it cannot change"), "{stderr}");
}

#[tokio::test]
async fn a_store_in_use_is_left_alone() {
    let mut broker = Broker::start().await;
    fails(&broker, &["serve"], 1, "in use by another process");
    fails(&broker, &["clock", "accept"], 1, "in use by another process");
    assert!(broker.stop().await);
}

#[tokio::test]
async fn a_key_file_that_others_can_read_or_that_is_another_is_refused() {
    let broker = Broker::init("");
    let key = broker.path().join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    fails(&broker, &["serve"], 2, "chmod 600");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "00".repeat(32)).unwrap();
    fails(&broker, &["serve"], 1, "cannot open the broker's keys");
    fs::write(&key, "short").unwrap();
    fails(&broker, &["serve"], 1, "key file");
}

#[tokio::test]
async fn a_damaged_store_is_refused_and_said() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    let db = world.broker.store_path().join("db");
    let mut bytes = fs::read(&db).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end / 2..end].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(&db, bytes).unwrap();
    fails(&world.broker, &["serve"], 1, "damaged");
}

#[tokio::test]
async fn without_its_store_a_broker_says_what_to_do() {
    let broker = Broker::init("");
    let data = broker.path().join("data");
    fs::rename(&data, broker.path().join("away")).unwrap();
    fails(&broker, &["serve"], 1, "run `daypassd init` first");
    fs::write(&data, "").unwrap();
    fails(&broker, &["serve"], 1, "cannot");
}

/// The user who owns nothing.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn a_store_that_cannot_be_written_is_refused_and_said() {
    let broker = Broker::init("");
    let readable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let store = broker.store_path();
    for entry in fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        readable(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    for folder in [store.as_path(), &broker.path().join("data"), broker.path()] {
        readable(folder, 0o555);
    }
    // Root writes whatever the mode says, so that somebody else has to try.
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if root && let Err(error) = Command::new("setpriv").arg("--version").output() {
        return support::left_out("setpriv", &error);
    }
    let (status, stderr) = if root {
        chown(broker.path().join("key"), Some(NOBODY), None).unwrap();
        let mut command = Command::new("setpriv");
        command.args([
            &format!("--reuid={NOBODY}"),
            "--clear-groups",
            env!("CARGO_BIN_EXE_daypassd"),
            "serve",
        ]);
        let config = broker.path().join("daypassd.toml");
        let (status, _, stderr) = run(command.arg("--config").arg(config));
        (status, stderr)
    } else {
        let (status, _, stderr) = run(&mut broker.command(&["serve"]));
        (status, stderr)
    };
    readable(broker.path(), 0o755);
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("cannot be used") && !stderr.contains("panicked"), "{stderr}");
}

/// Adds an event of this instant to a stopped broker's log.
async fn event_at(broker: &Broker, at: Timestamp) {
    let store = Sled::open(&broker.store_path(), Options::default()).unwrap();
    let action = Action::ClockAccepted { previous: Timestamp::ZERO };
    let event = Event::new(at, ChangeId::new([9; 16]), Actor::Broker, action);
    let change = Change { event, expect: Vec::new(), private: Vec::new() };
    store.commit(change, Lane::Normal).await.unwrap();
}

#[tokio::test]
async fn under_a_clock_behind_the_log_nothing_is_minted_and_ends_go_on() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    assert!(world.broker.stop().await);
    let now = Timestamp::from_secs(support::now());
    event_at(&world.broker, now.after(Ttl::days(1))).await;
    world.broker.serve().await;
    world.settled().await;
    assert_eq!(reason(mint(&sync).await), "clock-untrusted");
    assert_eq!(reason(billing.introspect(token.reveal(), Some(certificate.leaf())).await), "clock-untrusted");
    let directory = Directory::over(world.admin.clone());
    assert_eq!(reason(directory.open_enrollment(&id("application:sync"), None).await), "clock-untrusted");
    let read = directory.object(&id("application:sync")).await;
    assert_eq!(reason(read), "clock-untrusted", "who expired under such a clock reads nothing");
    world.admin.end(&id("application:other"), "").await.unwrap();

    assert!(world.broker.stop().await);
    let (status, stdout, stderr) = run(&mut world.broker.command(&["clock", "accept"]));
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("recorded at revision"), "{stdout}");
    world.broker.serve().await;
    world.settled().await;
    assert!(mint(&sync).await.is_ok());
}

#[tokio::test]
async fn a_log_silent_for_long_asks_for_somebodys_word() {
    let mut broker = Broker::init("");
    let now = Timestamp::from_secs(support::now());
    event_at(&broker, now.before(Ttl::days(31))).await;
    broker.serve().await;
    assert_eq!(reason(broker.enroll("early", broker.first_code()).await), "clock-untrusted");
    assert!(broker.stop().await);
    assert_eq!(run(&mut broker.command(&["clock", "accept"])).0, 0);
    broker.serve().await;
    assert!(broker.admin().await.ping().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_calls_under_way_finish() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let (certificate, _) = mint(&sync).await.unwrap();
    let certificate = Arc::new(certificate);
    let answered = Arc::new(AtomicUsize::new(0));
    let minting: Vec<_> = (0..32)
        .map(|_| {
            let (sync, certificate, answered) = (sync.clone(), certificate.clone(), answered.clone());
            tokio::spawn(async move {
                loop {
                    match support::token(&sync, &certificate, "invoices.read").await {
                        Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                        Err(error) => return error,
                    };
                }
            })
        })
        .collect();
    while answered.load(Ordering::Relaxed) < 100 {
        tokio::task::yield_now().await;
    }
    assert!(world.broker.stop().await, "{}", world.broker.log());
    assert!(!world.broker.log().contains("cut off"), "{}", world.broker.log());
    for call in minting {
        // The last of each was not let in any more.
        assert!(matches!(call.await.unwrap(), daypass_sdk::Error::Unreachable { .. }));
    }
}

#[tokio::test]
async fn mute_connections_do_not_keep_the_port_shut() {
    let world = World::new().await;
    let at = world.broker.address().to_string();
    let mut mute = Vec::new();
    for _ in 0..300 {
        mute.push(tokio::net::TcpStream::connect(&at).await.unwrap());
    }
    let identity = world.broker.home("dana").identity().unwrap();
    let connection = daypass_sdk::Connection::open(&identity).await.unwrap();
    connection.ping().await.unwrap();
    drop(mute);
}

#[tokio::test]
async fn connections_that_say_nothing_take_nobodys_place() {
    let mut broker = Broker::init("[limits]\nconnections = 8\n");
    broker.serve().await;
    // One place is for strangers, and one for persons; the strangers' is taken, by somebody who says nothing.
    let Some(silent) = support::silent_tls(&broker).await else { return };
    let admin = daypass_sdk::enroll(&broker.home("x"), broker.address(), broker.first_code(), None).await;
    assert!(matches!(admin, Err(daypass_sdk::Error::Unreachable { .. })), "{admin:?}");
    // It is let go once it has said nothing for too long, and the next finds its place.
    support::closed(silent).await;
    broker.admin().await.ping().await.unwrap();
    assert!(broker.stop().await);
}

#[test]
fn the_example_configuration_is_a_good_one() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config/daypassd.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypassd"));
    let (status, _, stderr) = run(command.args(["check-config", "--config", example]));
    assert_eq!(status, 0, "{stderr}");
}

#[tokio::test]
async fn the_server_certificate_renews_itself() {
    let mut broker = Broker::init("[lifetimes]\nserver = \"3s\"\n");
    broker.serve().await;
    broker.admin().await.ping().await.unwrap();
    let begun = Timestamp::from_secs(support::now());
    support::reached(begun.after(Ttl::seconds(4))).await;
    // The certificate of the start is over by now; a new connection meets its successor.
    broker.admin().await.ping().await.unwrap();
    assert!(broker.log().contains("renewed the server certificate"), "{}", broker.log());
}

#[tokio::test]
async fn the_log_is_lines_of_json_where_that_is_asked_for() {
    let mut broker = Broker::init("[log]\nformat = \"json\"\n");
    broker.serve().await;
    assert_eq!(reason(broker.enroll("x", &strange_code(&broker)).await), "code-unknown");
    assert!(broker.stop().await);
    let log = broker.log();
    let messages: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}")))
        .map(|line| line["fields"]["message"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(
        messages.contains(&"serving".to_owned()) && messages.contains(&"stopped".to_owned()),
        "{messages:?}"
    );
}

/// A code that the broker never made, with its own root in it.
fn strange_code(broker: &Broker) -> daypass_credential::EnrollmentCode {
    daypass_credential::EnrollmentCode::new([7; 16], broker.first_code().root())
}
