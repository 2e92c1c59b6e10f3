//! The directory as files, by the command line against a real broker: planned, written, exported, and gone on with after
//! the broker was killed in the middle.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    path::PathBuf,
    process::{Output, Stdio},
    time::Instant,
};

use daypass_sdk::Directory;
use serde_json::{Value, json};
use support::{World, id, mint, show, size};
use tokio::process::Command;

/// A world, and the command line of its admin.
struct Desk {
    world: World,
}

/// What a run of the command line said.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }

    fn all(&self) -> String {
        format!("exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    #[track_caller]
    fn holds(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.all());
        for words in words {
            assert!(self.all().contains(words), "`{words}` is not in\n{}", self.all());
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Desk {
    async fn new() -> Self {
        Self { world: World::new().await }
    }

    fn command(&self, who: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
        command.current_dir(self.world.broker.path()).arg("--home");
        command.arg(self.world.broker.path().join("homes").join(who)).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str]) -> Said {
        self.command("dana", args).output().await.unwrap().into()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.world.broker.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    async fn revision(&self) -> u64 {
        self.world.revision().await.get()
    }
}

const NEW: &str = r#"
[[contract]]
name = "initech-2026"
vendor = "initech"
reference = "C-7"
start = "2026-01-01T00:00:00Z"
end = 2044-01-01T00:00:00Z
classifications = ["internal"]

[[vendor]]
name = "initech"
owner = "rita"

[[person]]
name = "bea"
contact = "bea@elsewhere.example"

[[person]]
name = "tom"
contact = "tom@company.example"
"#;

#[tokio::test]
async fn what_is_new_and_changed_is_shown_written_and_then_left_alone() {
    let desk = Desk::new().await;
    desk.write("new.toml", NEW);
    let begun = desk.revision().await;

    let plan = desk.run(&["apply", "-f", "new.toml", "--plan"]).await;
    plan.holds(
        0,
        &[
            "~ person:bea\n    contact: bea@company.example → bea@elsewhere.example\n",
            "+ vendor:initech\n+ contract:initech-2026\n",
            &format!("at revision {begun}: 2 new, 1 changed, 1 unchanged\n"),
        ],
    );
    assert!(!plan.stdout.contains("person:tom"), "{}", plan.stdout);
    assert_eq!(desk.revision().await, begun, "a plan writes nothing");

    let applied = desk.run(&["apply", "-f", "new.toml"]).await;
    applied.holds(0, &[&format!("3 are written, up to revision {}", begun + 3)]);
    assert_eq!(desk.revision().await, begun + 3, "one commit an object");

    let again = desk.run(&["apply", "-f", "new.toml", "-o", "json"]).await;
    again.holds(0, &[]);
    assert_eq!(again.json()["written"], 0);
    assert_eq!(again.json()["unchanged"], 4);
    assert_eq!(desk.revision().await, begun + 3);
}

#[tokio::test]
async fn what_is_taken_away_is_shown_and_asked_about() {
    let desk = Desk::new().await;
    let sync = desk.world.application("sync", "sync").await;
    let billing = desk.world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    desk.run(&["export", "application", "--out", "a.toml"]).await.holds(0, &[]);
    let text = fs::read_to_string(desk.path("a.toml")).unwrap();
    let narrowed = text.replacen("\"customers.export\", ", "", 1);
    assert_ne!(text, narrowed);
    desk.write("a.toml", &narrowed);

    let plan = desk.run(&["apply", "-f", "a.toml", "--plan", "-o", "json"]).await;
    plan.holds(0, &[]);
    let changed = plan.json()["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["change"] == "changed")
        .unwrap()
        .clone();
    assert_eq!((&changed["cut"], &changed["applications"]), (&json!(true), &json!(1)), "{changed}");
    assert_eq!(changed["fields"][0]["field"], "entitlements[billing].scopes");
    assert!(changed.get("outcome").is_none(), "{changed}");

    let begun = desk.revision().await;
    let unasked = desk.run(&["apply", "-f", "a.toml"]).await;
    unasked.holds(2, &["cuts, which reaches 1 application", "add --yes"]);
    assert_eq!(desk.revision().await, begun);

    desk.run(&["apply", "-f", "a.toml", "--yes"]).await.holds(0, &["1 is written"]);
    let narrowed = changed["id"].as_str().unwrap();
    let live = billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap();
    assert_eq!(
        live.is_some(),
        narrowed != "application:sync",
        "what was minted before is dead under it alone"
    );
}

#[tokio::test]
async fn where_anything_is_refused_nothing_is_written() {
    let desk = Desk::new().await;
    desk.write(
        "bad.toml",
        "[[person]]\nname = \"zoe\"\ncontact = \"x\"\n\n[[vendor]]\nname = \"initech\"\nowner = \"nobody\"\n\n\
         [[vendor]]\nname = \"acme\"\nparent = \"globex\"\nowner = \"rita\"\n",
    );
    let begun = desk.revision().await;
    let refused = desk.run(&["apply", "-f", "bad.toml", "--yes"]).await;
    refused.holds(
        3,
        &[
            "✗ vendor:initech: it names `person:nobody`, which does not exist or is not open (dangling-reference)",
            "bad.toml:7:9\n  7 | owner = \"nobody\"\n    |         ^^^^^^^^",
            "✗ vendor:acme: `parent` cannot change once it is written",
            "1 new, 0 changed, 0 unchanged, 2 refused",
            "2 of 3 objects cannot be written as they are; nothing was written",
        ],
    );
    let json = desk.run(&["apply", "-f", "bad.toml", "--yes", "-o", "json"]).await;
    json.holds(3, &["\"kind\":\"refused\""]);
    assert_eq!(json.json()["refused"], 2);
    assert_eq!(desk.revision().await, begun, "zoe is not written either");
}

#[tokio::test]
async fn mistakes_in_files_are_told_before_anything_is_asked() {
    let desk = Desk::new().await;
    desk.write("a.toml", "[[person]]\nname = \"zoe\"\ncontact = \"x\"\n");
    desk.write("b.toml", "[[person]]\nname = \"zoe\"\nkontact = \"x\"\n");
    let told = desk.run(&["apply", "-f", "a.toml", "-f", "b.toml"]).await;
    told.holds(
        2,
        &[
            "b.toml:2:8: `person:zoe` is there twice",
            "a.toml:2:8: it is here as well",
            "b.toml:3:1: a person has no field `kontact`: did you mean `contact`?",
            "b.toml:1:1: a person lacks `contact`",
            "3 mistakes",
        ],
    );
}

#[tokio::test]
async fn an_old_export_does_not_take_back_what_somebody_did_since() {
    let desk = Desk::new().await;
    desk.run(&["export", "--out", "old.toml"]).await.holds(0, &[]);
    let exported = fs::read_to_string(desk.path("old.toml")).unwrap();
    let at = |name: &str| {
        let block = exported.split("[[").find(|block| block.contains(&format!("name = \"{name}\""))).unwrap();
        block.split("revision = ").nth(1).unwrap().trim().to_owned()
    };
    desk.write("bea.toml", "[[person]]\nname = \"bea\"\ncontact = \"bea@new.example\"\n");
    desk.run(&["apply", "-f", "bea.toml"]).await.holds(0, &["1 is written"]);
    let now = desk.revision().await;

    let stale = desk.run(&["apply", "-f", "old.toml"]).await;
    let line = format!("revision = {}", at("bea"));
    let told = format!("person:bea: it changed since this was exported, at revision {now}: export it again");
    stale.holds(3, &[&told, &line, "1 refused", "--overwrite"]);
    assert_eq!(desk.revision().await, now);
    desk.run(&["apply", "-f", "old.toml", "--overwrite"]).await.holds(0, &["1 is written"]);

    // Whoever gave an object its old content meanwhile is in nobody's way.
    desk.run(&["apply", "-f", "old.toml"]).await.holds(0, &["nothing had to be written"]);
    desk.write(
        "one.toml",
        &format!("kind = \"person\"\nname = \"bea\"\ncontact = \"y\"\nrevision = {}\n", at("bea")),
    );
    desk.run(&["put", "-f", "one.toml"])
        .await
        .holds(3, &["one.toml:4:12: it changed since this was exported"]);
}

#[tokio::test]
async fn what_another_broker_exported_and_what_was_ended_is_refused() {
    let desk = Desk::new().await;
    desk.write("bea.toml", "[[person]]\nname = \"bea\"\ncontact = \"y\"\nrevision = 999\n");
    desk.run(&["apply", "-f", "bea.toml"]).await.holds(3, &["is this another broker's?", "bea.toml:4:12"]);
    desk.write("bea.toml", "[[person]]\nname = \"bea\"\ncontact = \"bea@company.example\"\nrevision = 999\n");
    desk.run(&["apply", "-f", "bea.toml"]).await.holds(0, &["1 unchanged"]);
    desk.world.admin.end(&id("person:bea"), "").await.unwrap();
    desk.run(&["apply", "-f", "bea.toml"]).await.holds(3, &["(name-spent)", "bea.toml:2:8"]);
    desk.run(&["apply", "-f", "none.toml"]).await.holds(2, &["cannot read `none.toml`"]);
}

#[tokio::test]
async fn an_export_is_the_directory_and_applying_it_changes_nothing() {
    let desk = Desk::new().await;
    desk.world.admin.end(&id("vendor:globex"), "").await.unwrap();
    // Applications that are there name her, and stay as they are.
    desk.world.admin.end(&id("person:bea"), "").await.unwrap();
    let export = desk.run(&["export"]).await;
    export.holds(0, &["#:schema daypass-manifest.schema.json\n", "left out, because ended: 4\n"]);
    for ended in ["globex", "globex-2026", "courier", "bea"] {
        assert!(!export.stdout.contains(&format!("name = \"{ended}\"")), "{}", export.stdout);
    }
    assert_eq!(desk.run(&["export"]).await.stdout, export.stdout, "the order does not change by itself");
    desk.write("all.toml", &export.stdout);
    let begun = desk.revision().await;
    let applied = desk.run(&["apply", "-f", "all.toml", "-o", "json"]).await;
    applied.holds(0, &[]);
    let json = applied.json();
    assert_eq!((&json["written"], &json["new"], &json["changed"]), (&json!(0), &json!(0), &json!(0)));
    assert!(json["unchanged"].as_u64().unwrap() > 10);
    assert_eq!(desk.revision().await, begun);

    // What is changed is judged as ever.
    desk.write("all.toml", &export.stdout.replace("instances = 2", "instances = 3"));
    desk.run(&["apply", "-f", "all.toml"]).await.holds(3, &["it names `person:bea`", "2 refused"]);
}

#[tokio::test]
async fn an_object_is_described_among_the_others() {
    let desk = Desk::new().await;
    let sync = desk.world.application("sync", "sync").await;
    let told = desk.run(&["describe", "vendor:acme"]).await;
    told.holds(
        0,
        &["vendor:acme: open", "person:rita  open", "contract:acme-2026", "application:sync", "identity:"],
    );
    let json = desk.run(&["describe", "audience:billing", "-o", "json"]).await.json();
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        ids(&json["named_by"]),
        ["application:courier", "application:other", "application:sync", "verifier:billing-api"]
    );
    let own = desk.command("sync", &["describe", "application:sync"]).output().await.unwrap();
    Said::from(own).holds(0, &["application:sync: open", "for admins and auditors"]);
    drop(sync);

    let of_acme = desk.run(&["list", "application", "--vendor", "acme"]).await;
    of_acme.holds(0, &["application:other", "application:sync", "collect invoices"]);
    assert!(!of_acme.stdout.contains("courier"), "{}", of_acme.stdout);
    desk.world.admin.end(&id("contract:globex-2026"), "").await.unwrap();
    let ended = desk.run(&["list", "application", "--life", "ended", "-o", "json"]).await.json();
    assert_eq!(ids(&ended["objects"]), ["application:courier"]);
    desk.run(&["list", "identity", "--vendor", "acme"]).await.holds(0, &["application:sync"]);
    desk.run(&["list", "vendor", "--vendor", "nobody"]).await.holds(3, &["unknown-node"]);
    desk.run(&["list", "person", "--vendor", "acme"]).await.holds(2, &["it belongs to no vendor"]);
}

/// A file of many objects: `persons`, and as many vendors, two contracts and six applications for each.
fn many(persons: usize, turn: usize) -> String {
    let mut text = String::new();
    for n in 0..persons {
        text.push_str(&format!("[[person]]\nname = \"p{n}\"\ncontact = \"p{n}@turn{turn}.example\"\n\n"));
        let owner = (n + turn) % persons;
        text.push_str(&format!("[[vendor]]\nname = \"v{n}\"\nowner = \"p{owner}\"\n\n"));
        for c in 0..2 {
            text.push_str(&format!(
                "[[contract]]\nname = \"c{n}-{c}\"\nvendor = \"v{n}\"\nreference = \"turn {turn}\"\n\
                 start = 2026-01-01T00:00:00Z\nend = 2044-01-01T00:00:00Z\nclassifications = [\"internal\"]\n\n"
            ));
        }
        for a in 0..6 {
            // The first of each vendor loses a scope at every other turn.
            let scopes = if a == 0 && turn % 2 == 1 {
                "\"invoices.read\""
            } else {
                "\"invoices.read\", \"status.read\""
            };
            text.push_str(&format!(
                "[[application]]\nname = \"a{n}-{a}\"\nvendor = \"v{n}\"\ncontract = \"c{n}-{}\"\n\
                 environment = \"production\"\npurpose = \"turn {turn}\"\nclassification = \"internal\"\ninstances = 2\n\
                 owners = {{ business = \"p{n}\", technical = \"tom\", relationship = \"rita\" }}\n\
                 entitlements = [{{ audience = \"billing\", scopes = [{scopes}] }}]\n\n",
                a % 2
            ));
        }
    }
    text
}

/// How an apply is stopped halfway.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    BrokerKilled,
    Interrupted,
}

const PERSONS: usize = 60;
const OBJECTS: u64 = 600;

/// Applies many objects and stops that after the first of them: what it said, and the revision it began at.
async fn stopped(desk: &mut Desk, stop: Stop) -> (Said, u64) {
    // On a busy machine all may be written before it is stopped: then once more, with everything changed.
    for turn in 0..10 {
        desk.write("many.toml", &many(PERSONS, turn));
        let begun = desk.revision().await;
        let child =
            desk.command("dana", &["apply", "-f", "many.toml", "--yes", "-o", "json"]).spawn().unwrap();
        while desk.revision().await < begun + 20 {}
        match stop {
            Stop::BrokerKilled => desk.world.broker.kill(),
            Stop::Interrupted => {
                let child = child.id().unwrap().to_string();
                assert!(Command::new("kill").args(["-INT", &child]).status().await.unwrap().success());
            }
        }
        let said = Said::from(child.wait_with_output().await.unwrap());
        if stop == Stop::BrokerKilled {
            desk.world.broker.serve().await;
            desk.world.admin = desk.world.broker.admin().await;
        }
        if said.code != 0 {
            return (said, begun);
        }
    }
    panic!("it was never stopped halfway");
}

fn outcomes(json: &Value, word: &str) -> u64 {
    let objects = json["objects"].as_array().unwrap();
    objects.iter().filter(|object| object["outcome"] == word).map(|_| 1).sum()
}

#[tokio::test]
async fn after_the_broker_was_killed_in_the_middle_the_next_run_goes_on() {
    let mut desk = Desk::new().await;
    let (broken, begun) = stopped(&mut desk, Stop::BrokerKilled).await;
    broken.holds(5, &["\"kind\":\"partial\"", "run it again"]);
    let json = broken.json();
    let written = outcomes(&json, "written");
    assert_eq!(written + outcomes(&json, "failed") + outcomes(&json, "not-tried"), OBJECTS);
    assert!(outcomes(&json, "failed") > 0, "what was under way is told as such");
    let kept = desk.revision().await - begun;
    assert!((written..OBJECTS).contains(&kept), "what was acknowledged is there: {written} of {kept}");

    let resumed = desk.run(&["apply", "-f", "many.toml", "--yes", "-o", "json"]).await;
    resumed.holds(0, &[]);
    assert_eq!(outcomes(&resumed.json(), "unchanged"), kept);
    assert_eq!(desk.revision().await, begun + OBJECTS, "each was written once");
    desk.run(&["apply", "-f", "many.toml"]).await.holds(0, &["nothing had to be written"]);
}

#[tokio::test]
async fn whoever_stops_it_is_told_how_far_it_came() {
    let mut desk = Desk::new().await;
    let (stopped, begun) = stopped(&mut desk, Stop::Interrupted).await;
    stopped.holds(5, &["\"kind\":\"partial\"", "\"outcome\": \"not-tried\""]);
    let written = stopped.json()["written"].as_u64().unwrap();
    assert_eq!(desk.revision().await, begun + written, "what was under way is told as well");
    desk.run(&["apply", "-f", "many.toml", "--yes"]).await.holds(0, &[]);
    assert_eq!(desk.revision().await, begun + OBJECTS);
}

#[tokio::test]
async fn changed_objects_are_one_commit_each_and_none_the_second_time() {
    let desk = Desk::new().await;
    let persons = size("DAYPASS_APPLY_OBJECTS", 100) / 10;
    desk.write("many.toml", &many(persons, 0));
    desk.run(&["apply", "-f", "many.toml"]).await.holds(0, &[]);
    desk.write("many.toml", &many(persons, 1));
    let begun = desk.revision().await;

    let start = Instant::now();
    let plan = desk.run(&["apply", "-f", "many.toml", "--plan", "-o", "json"]).await;
    let plan_ms = start.elapsed().as_millis();
    plan.holds(0, &[]);
    let start = Instant::now();
    desk.run(&["apply", "-f", "many.toml", "--yes"]).await.holds(0, &[]);
    let apply_ms = start.elapsed().as_millis();
    let commits = desk.revision().await - begun;
    let start = Instant::now();
    desk.run(&["apply", "-f", "many.toml", "--yes"]).await.holds(0, &["nothing had to be written"]);
    let second_ms = start.elapsed().as_millis();
    let second_commits = desk.revision().await - begun - commits;

    let (changed, cuts) = (plan.json()["changed"].clone(), plan.json()["cuts"].clone());
    show(&json!({
        "objects": persons * 10, "changed": changed, "cuts": cuts, "plan_ms": plan_ms, "apply_ms": apply_ms,
        "commits": commits, "second_ms": second_ms, "second_commits": second_commits,
    }));
    assert_eq!(changed, persons * 10);
    assert_eq!(cuts, persons);
    assert_eq!((commits, second_commits), (u64::try_from(persons * 10).unwrap(), 0));
    let stored = Directory::over(desk.world.admin.clone()).object(&id("application:a0-0")).await.unwrap();
    assert!(stored.cut > begun, "it lost a scope");
}
