//! The log as somebody else can check it: an export taken to another machine with the log's public key alone, and spoilt
//! there in every way; a single proof; and a broker that was put back, as the command line tells of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cli_support;
mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use cli_support::{Cli, Ran};
use serde_json::Value;
use support::World;

/// A broker with some history, and an admin's desk.
struct Scene {
    world: World,
    desk: Cli,
    /// Another machine, with nothing on it.
    far: Cli,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let sync = world.application("sync", "sync").await;
        for _ in 0..3 {
            support::mint(&sync).await.unwrap();
        }
        // So that there is a full tile, and one that is not.
        for number in 0..260 {
            world.put(support::vendor(&format!("vendor-{number}"), "")).await;
        }
        let desk = Cli::new(world.broker.path());
        fs::create_dir(world.broker.path().join("far")).unwrap();
        let far = Cli::new(&world.broker.path().join("far"));
        Self { world, desk, far }
    }

    /// Waits for a checkpoint of all that happened so far.
    async fn signed(&self) {
        let newest = self.world.revision().await;
        self.world.admin.prove(newest).await.unwrap();
    }

    /// A verb of the admin's.
    async fn dana(&self, line: &str) -> Ran {
        let home = self.world.broker.home("dana").folder().display().to_string();
        let args: Vec<_> = ["--home", &home].into_iter().chain(line.split_whitespace()).collect();
        self.desk.run(self.desk.command(&args)).await
    }

    /// A check on the other machine, with the log's key as `init` printed it.
    async fn far(&self, file: &str, more: &[&str]) -> Ran {
        let key = self.world.broker.log_key();
        let args = [&["audit", "verify", file, "--key", key, "-o", "json"], more].concat();
        self.far.run(self.far.command(&args)).await
    }

    /// Exports the log, and takes it to the other machine: its lines.
    async fn exported(&self) -> Vec<String> {
        self.signed().await;
        let made = self.dana("audit export --out log.jsonl -o json").await.json();
        let file = self.desk.folder().join("log.jsonl");
        assert_eq!(made["bytes"].as_u64().unwrap(), fs::metadata(&file).unwrap().len());
        assert_eq!(made["log_key"], self.world.broker.log_key());
        let text = fs::read_to_string(file).unwrap();
        fs::write(self.far.folder().join("log.jsonl"), &text).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    /// What is said of these lines on the other machine: exit code, kind of fault, first entry that does not fit.
    async fn fault(&self, lines: &[String]) -> (i32, String, Option<u64>) {
        fs::write(self.far.folder().join("spoilt.jsonl"), lines.concat()).unwrap();
        let ran = self.far("spoilt.jsonl", &[]).await;
        let said: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let fault = &said["fault"];
        assert!(ran.code == 2 || said["whole"] == false, "{ran:?}");
        (ran.code, fault["kind"].as_str().unwrap_or_default().to_owned(), fault["first_bad"].as_u64())
    }
}

/// Where the line of this revision is.
fn line_of(lines: &[String], revision: u64) -> usize {
    let entries = lines.iter().enumerate().skip(1).filter(|(_, line)| !line.starts_with("{\"tile\""));
    entries.map(|(at, _)| at).nth(usize::try_from(revision - 1).unwrap()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[tokio::test]
async fn an_export_is_checked_elsewhere_with_the_key_alone_and_every_change_is_named() {
    let scene = Scene::new().await;
    let lines = scene.exported().await;
    let mode = fs::metadata(scene.desk.folder().join("log.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let whole = scene.far("log.jsonl", &[]).await.json();
    let size = whole["revision"].as_u64().unwrap();
    assert!(whole["whole"] == true && size > 260, "{whole}");

    let deep = scene.far("log.jsonl", &["--deep"]).await.json();
    assert_eq!(deep, whole, "it also means what it says");

    let spoilt = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines
    };
    let at = |revision| line_of(&lines, revision);
    let last = lines.len() - 1;
    for (what, lines, expected) in [
        ("one byte", spoilt(&|all| all[at(100)] = all[at(100)].replacen('1', "2", 1)), ("entry", Some(100))),
        ("the end cut", spoilt(&|all| all.truncate(at(200))), ("cut-short", Some(200))),
        ("the last byte cut", spoilt(&|all| assert!(all[last].pop().is_some())), ("cut-short", Some(size))),
        ("one dropped", spoilt(&|all| drop(all.remove(at(7)))), ("order", Some(7))),
        ("one doubled", spoilt(&|all| all.insert(at(7), all[at(6)].clone())), ("order", Some(7))),
        ("two swapped", spoilt(&|all| all.swap(at(7), at(8))), ("order", Some(7))),
        ("one more", spoilt(&|all| all.push(all[last].clone())), ("surplus", Some(size + 1))),
        (
            "a checkpoint of more",
            spoilt(&|all| all[0] = all[0].replacen(&size.to_string(), "9999", 1)),
            ("forged", None),
        ),
    ] {
        let (code, kind, first) = scene.fault(&lines).await;
        assert_eq!((code, kind.as_str(), first), (3, expected.0, expected.1), "{what}");
    }
    let (code, ..) = scene.fault(&["something else\n".to_owned()]).await;
    assert_eq!(code, 2);
    // Nothing is overwritten, and a file that could not be written whole is not there.
    assert_eq!(scene.dana("audit export --out log.jsonl").await.code, 2);
    assert_eq!(scene.dana("audit export --out none/log.jsonl").await.code, 2);
}

#[tokio::test]
async fn what_is_known_tells_an_older_log_and_another_one() {
    let scene = Scene::new().await;
    scene.exported().await;
    scene.world.put(support::vendor("hooli", "")).await;
    scene.signed().await;
    let newer = scene.dana("audit export --out newer.jsonl -o json").await.json();
    // By what this home has seen by now, and then by itself.
    let older = scene.dana("audit verify log.jsonl -o json").await;
    assert_eq!(older.code, 3, "{older:?}");
    let said: Value = serde_json::from_str(&older.stdout).unwrap();
    assert_eq!((&said["fault"]["kind"], &said["known"]), (&"older".into(), &newer["revision"]));
    assert_eq!(scene.dana("audit verify log.jsonl --known none").await.code, 0);
    assert_eq!(scene.dana("audit verify newer.jsonl").await.code, 0);
    assert_eq!(scene.dana("audit verify").await.code, 0, "the live one");
    let by_key = format!("audit verify --key {} -o json", scene.world.broker.log_key());
    assert_eq!(scene.dana(&by_key).await.json()["known"], newer["revision"], "a key is no reason to forget");
    // The same elsewhere, with a checkpoint that was taken along.
    let shown = scene.dana("audit prove 1 -o json").await.json();
    fs::write(scene.far.folder().join("known"), shown["checkpoint"].as_str().unwrap()).unwrap();
    assert_eq!(scene.far("log.jsonl", &["--known", "known"]).await.code, 3);
    // A broker of the same name with a key of its own.
    let other = Scene::new().await;
    let lines = other.exported().await;
    assert_eq!(scene.fault(&lines).await, (3, "forged".into(), None));
    let mut mixed = scene.exported_lines();
    mixed[1] = lines[1].clone();
    assert_eq!(scene.fault(&mixed).await.1, "root", "a tile of another log");
    let nobody = scene.far.run(scene.far.command(&["audit", "verify", "log.jsonl"])).await;
    assert!(nobody.code == 2 && nobody.stderr.contains("--key"), "{nobody:?}");
}

impl Scene {
    fn exported_lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.far.folder().join("log.jsonl")).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_single_event_is_proved_and_checked_elsewhere() {
    let scene = Scene::new().await;
    let proved = scene.dana("audit prove 5 --out 5.tlog-proof -o json").await.json();
    let text = fs::read_to_string(scene.desk.folder().join("5.tlog-proof")).unwrap();
    let far = scene.far.folder().join("5.tlog-proof");
    fs::write(&far, &text).unwrap();
    let said = scene.far("5.tlog-proof", &[]).await.json();
    assert_eq!((&said["kind"], &said["proven"]["event"]), (&"proof".into(), &proved["event"]));
    let lines: Vec<&str> = text.lines().collect();
    for (at, changed, code) in [
        (1, lines[1].replacen("extra e", "extra f", 1), 3),
        (2, "index 5".to_owned(), 3),
        (3, lines[4].to_owned(), 3),
        (3, "no hash".to_owned(), 2),
        (lines.len() - 4, (proved["size"].as_u64().unwrap() + 1).to_string(), 3),
    ] {
        let mut lines: Vec<&str> = lines.clone();
        lines[at] = &changed;
        fs::write(&far, lines.join("\n") + "\n").unwrap();
        let ran = scene.far("5.tlog-proof", &[]).await;
        assert_eq!(ran.code, code, "line {at} as `{changed}`: {ran:?}");
    }
    // Held against what is known: a proof shows the tree of one size, and another of that size is another history.
    fs::write(&far, &text).unwrap();
    let known = scene.far.folder().join("known");
    fs::write(&known, proved["checkpoint"].as_str().unwrap()).unwrap();
    let same = scene.far("5.tlog-proof", &["--known", "known"]).await.json();
    assert_eq!(same["known"], proved["size"]);
    scene.world.put(support::vendor("hooli", "")).await;
    scene.signed().await;
    let later = scene.dana("audit prove 5 -o json").await.json();
    fs::write(&known, later["checkpoint"].as_str().unwrap()).unwrap();
    let other_size = scene.far("5.tlog-proof", &["--known", "known"]).await;
    assert!(other_size.code == 2 && other_size.stderr.contains("another size"), "{other_size:?}");
    assert_eq!(scene.far("5.tlog-proof", &["--known", "none"]).await.code, 0);
    // Somebody else's event is nobody's business, and a later one is not there yet.
    assert_eq!(scene.dana("audit prove 99999").await.code, 3);
    assert_eq!(scene.dana("audit prove 0").await.code, 2);
}

#[tokio::test]
async fn a_broker_that_was_put_back_is_named_by_every_verb() {
    let mut scene = Scene::new().await;
    let data = scene.world.broker.path().join("data");
    let old = scene.world.broker.path().join("old");
    assert!(scene.world.broker.stop().await);
    copy(&data, &old);
    scene.world.broker.serve().await;
    scene.world.put(support::vendor("hooli", "")).await;
    scene.signed().await;
    assert_eq!(scene.dana("ping").await.code, 0, "so that the home has seen it");
    assert!(scene.world.broker.stop().await);
    for verb in ["list vendor", "audit verify", "doctor"] {
        fs::remove_dir_all(&data).unwrap();
        copy(&old, &data);
        scene.world.broker.serve().await;
        let ran = scene.dana(&format!("{verb} -o json")).await;
        assert_eq!(ran.code, 3, "{ran:?}");
        let said: Value = serde_json::from_str(&ran.stderr).unwrap();
        if verb == "doctor" {
            let found: Value = serde_json::from_str(&ran.stdout).unwrap();
            let check =
                found["checks"].as_array().unwrap().iter().find(|check| check["name"] == "log").unwrap();
            assert_eq!((&check["status"], &check["reason"]), (&"problem".into(), &"log-older".into()));
        } else {
            let error = &said["error"];
            assert_eq!(
                (&error["kind"], &error["reason"]),
                (&"refused".into(), &"log-older".into()),
                "{ran:?}"
            );
            assert!(error["next"].as_str().unwrap().contains("operator"), "{error}");
        }
        assert_eq!(scene.world.broker.ended().await, Some(4), "it ends by itself");
    }
}
