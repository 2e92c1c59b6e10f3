//! Bad input: each is told, and changes nothing.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use daypass_core::{Action, Actor, ChangeId, Event};
use daypass_credential::Timestamp;
use daypass_store::{Change, Lane, Options, Sled, Store};

use crate::{
    good, lose_the_store, recover, refused,
    support::{Broker, World, left_out, now},
};

/// Every file below a folder, with what is in it, but for what a broker that runs keeps there.
fn all_below(folder: &Path) -> Vec<(String, u64)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(all_below(&path));
        } else {
            files.push((path.display().to_string(), fs::metadata(&path).unwrap().len()));
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn a_running_broker_is_not_recovered_from_under_its_feet() {
    let mut world = World::new().await;
    refused(&recover(&world.broker, "dana").0, 2, "a broker is running on this store: stop it first");
    assert!(world.admin.ping().await.is_ok());
    // One whose socket is gone as well.
    fs::remove_file(world.broker.store_path().with_file_name("operator.sock")).unwrap();
    refused(&recover(&world.broker, "dana").0, 1, "in use by another process");
    assert!(world.broker.stop().await);
}

#[tokio::test]
async fn whoever_cannot_be_asked_has_to_say_yes_beforehand() {
    let broker = Broker::init("");
    let before = all_below(&broker.path().join("data"));
    let mut command = broker.command(&["recover", "--admin", "dana", "--admin-key"]);
    let output = command.arg(broker.path().join("admin.pub")).output().unwrap();
    refused(&output, 2, "add --yes");
    assert_eq!(all_below(&broker.path().join("data")), before);
}

/// Runs the recovery on a terminal, and types the answer; none where there is no `script` to make one.
fn on_terminal(broker: &Broker, answer: &str) -> Option<Output> {
    let (daypassd, key) = (env!("CARGO_BIN_EXE_daypassd"), broker.path().join("admin.pub"));
    let line = format!("{daypassd} recover --admin dana --admin-key {}", key.display());
    let script = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("DAYPASSD_CONFIG", broker.path().join("daypassd.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut script = match script {
        Ok(script) => script,
        Err(error) => {
            left_out("script", &error);
            return None;
        }
    };
    script.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    Some(script.wait_with_output().unwrap())
}

#[tokio::test]
async fn a_person_is_told_what_it_means_and_asked() {
    let broker = Broker::init("");
    let before = all_below(&broker.path().join("data"));
    let Some(no) = on_terminal(&broker, "y\n") else { return };
    for words in ["is void: everybody enrols again", "Carried over: 1 person", "Begin the new era?"] {
        refused(&no, 1, words);
    }
    refused(&no, 1, "nothing was changed");
    let stores = |files: &[(String, u64)]| files.iter().filter(|(name, _)| name.ends_with("/db")).count();
    assert_eq!(stores(&all_below(&broker.path().join("data"))), stores(&before));
    let yes = on_terminal(&broker, "yes\n").unwrap();
    assert!(yes.status.success(), "{yes:?}");
    assert_eq!(stores(&all_below(&broker.path().join("data"))), stores(&before) + 1, "the old one is kept");
}

#[tokio::test]
async fn a_key_or_name_or_contact_that_does_not_do_is_told_before_anything_is_made() {
    let broker = Broker::init("");
    let (bad, long) = (broker.path().join("bad.pub"), "x".repeat(61));
    fs::write(&bad, "no key").unwrap();
    let run = |key: &Path, admin: &str, contact: &str| {
        let mut command = broker.command(&["recover", "--yes", "--admin", admin, "--admin-contact", contact]);
        command.arg("--admin-key").arg(key).output().unwrap()
    };
    let good_key = broker.path().join("admin.pub");
    refused(&run(&bad, "dana", "x"), 1, "cannot use the admin's public key");
    refused(&run(&broker.path().join("none.pub"), "dana", "x"), 1, "cannot use the admin's public key");
    refused(&run(&good_key, &long, "x"), 2, "at most 60 characters");
    refused(&run(&good_key, "Dana", "x"), 2, "is not a name");
    refused(&run(&good_key, "dana", " "), 1, "admin-contact");
    assert_eq!(fs::read_dir(broker.path().join("data")).unwrap().count(), 1, "the store, and nothing else");
}

#[tokio::test]
async fn without_a_store_there_is_nothing_to_recover() {
    let broker = Broker::init("");
    lose_the_store(&broker);
    refused(&recover(&broker, "dana").0, 1, "there is no store yet");
}

#[tokio::test]
async fn a_damaged_store_is_refused_with_what_remains() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    let mark = world.broker.store_path().join("mark");
    let whole = fs::read(&mark).unwrap();
    fs::write(&mark, vec![0; whole.len()]).unwrap();
    let output = recover(&world.broker, "dana").0;
    refused(&output, 1, "nothing was changed");
    refused(&output, 1, "what remains of a damaged store is its newest backup");
    fs::write(&mark, whole).unwrap();
    good(&recover(&world.broker, "dana").0);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_to_its_end_says_how_far_it_can() {
    let mut world = World::new().await;
    assert!(world.broker.stop().await);
    // An event in the midst that is none: what checks the ends alone does not see it.
    let db = sled::open(world.broker.store_path()).unwrap();
    let runs: Vec<_> = db.scan_prefix(b"r").map(Result::unwrap).collect();
    let (key, run) = &runs[runs.len() / 2];
    let mut bytes = run.to_vec();
    let at = bytes.iter().rposition(|byte| *byte == b'{').unwrap();
    bytes[at] = b'!';
    db.insert(key, bytes).unwrap();
    db.flush().unwrap();
    drop(db);
    fs::File::open(world.broker.store_path().join("db")).unwrap().lock().unwrap();
    let output = recover(&world.broker, "dana").0;
    refused(&output, 1, "nothing was changed: the log cannot be read after revision ");
    refused(&output, 1, "what remains of a damaged store is its newest backup");
}

#[tokio::test]
async fn a_clock_behind_the_log_has_to_be_mended_first() {
    let broker = Broker::init("");
    let store = Sled::open(&broker.store_path(), Options::default()).unwrap();
    let at = Timestamp::from_millis((now() + 600) * 1000);
    let action = Action::ClockAccepted { previous: at };
    let event = Event::new(at, ChangeId::new([7; 16]), Actor::Broker, action);
    store.commit(Change { event, expect: Vec::new(), private: Vec::new() }, Lane::Normal).await.unwrap();
    drop(store);
    refused(&recover(&broker, "dana").0, 1, "the machine's clock is behind the newest event");
    let accepted = broker.command(&["clock", "accept"]).output().unwrap();
    assert!(accepted.status.success());
    good(&recover(&broker, "dana").0);
}

#[tokio::test]
async fn an_anchor_that_says_nothing_of_this_log_is_left_out_and_said() {
    let mut broker = Broker::init("");
    let anchor = broker.path().join("data/anchor");
    fs::write(&anchor, "no checkpoint").unwrap();
    let recovered = good(&recover(&broker, "dana").0);
    assert!(recovered["remarks"][0].as_str().unwrap().contains("holds no checkpoint"), "{recovered}");
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let other = format!("other.example/log\n0\n{empty}\nera 00000000000000ff\n\n\u{2014} x AAAA\n");
    fs::write(&anchor, other).unwrap();
    let recovered = good(&recover(&broker, "dana").0);
    assert!(recovered["remarks"][0].as_str().unwrap().contains("is of another log"), "{recovered}");
    let aside = anchor.with_extension(format!("before-{}", recovered["era"].as_str().unwrap()));
    assert!(aside.exists() && !anchor.exists(), "it would keep the new era from being served");
    broker.serve().await;
}

#[tokio::test]
async fn what_was_known_beyond_the_log_is_named_in_the_new_one() {
    let mut broker = Broker::init("");
    let first = good(&recover(&broker, "dana").0);
    let (era, root) = (first["era"].as_str().unwrap(), "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=");
    // Nobody can check its signature any more where the keys are lost.
    let note = format!("test.example/log\n77\n{root}\nera {era}\n\n\u{2014} test.example/log AAAA\n");
    fs::write(broker.path().join("data/anchor"), note).unwrap();
    let second = good(&recover(&broker, "dana").0);
    assert_eq!(second["previous"]["known"]["revision"], 77, "{second}");
    assert_eq!(second["remarks"].as_array().unwrap().len(), 0);
    broker.serve().await;
}
