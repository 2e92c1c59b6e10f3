//! The command line against a real broker, by its own binary: contexts, single credentials, ends with their preview,
//! what is explained, and secrets that nobody reads.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod cli_support;
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use cli_support::{Cli, Ran, fits};
use daypass_sdk::Home;
use serde_json::Value;
use support::{Broker, World, id};

/// A world with the admin and the application `sync` enrolled, and the application's certificate and token in files.
struct Desk {
    world: World,
    cli: Cli,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new().await;
        world.application("sync", "sync").await;
        let cli = Cli::new(world.broker.path());
        Self { world, cli }
    }

    fn home(&self, who: &str) -> String {
        self.world.broker.home(who).folder().display().to_string()
    }

    /// Runs as somebody who is enrolled.
    async fn run(&self, who: &str, args: &[&str]) -> Ran {
        let home = self.home(who);
        let all: Vec<_> = ["--home", home.as_str()].iter().chain(args).map(ToString::to_string).collect();
        let command = self.cli.command(&all.iter().map(String::as_str).collect::<Vec<_>>());
        self.cli.run(command).await
    }

    async fn json(&self, who: &str, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().chain(&["-o", "json"]).copied().collect();
        self.run(who, &args).await.json()
    }

    async fn mint(&self) -> (u64, u64) {
        let certificate = self.json("sync", &["cert", "--audience", "billing", "--out", "billing"]).await;
        let mint =
            ["token", "--audience", "billing", "--scope", "invoices.read", "--cert", "billing/cert.pem"];
        let token = self.json("sync", &mint).await;
        fs::write(self.cli.folder().join("token.txt"), token["token"].as_str().unwrap()).unwrap();
        (certificate["revision"].as_u64().unwrap(), token["revision"].as_u64().unwrap())
    }

    async fn alive(&self, revision: u64) -> bool {
        self.json("dana", &["credential", "show", &revision.to_string()]).await["alive"].as_bool().unwrap()
    }
}

#[tokio::test]
async fn a_credential_is_shown_by_its_number_and_by_its_file() {
    let desk = Desk::new().await;
    let (certificate, token) = desk.mint().await;
    let by_number = desk.json("sync", &["credential", "show", &token.to_string()]).await;
    let by_file = desk.json("sync", &["credential", "show", "--token", "token.txt"]).await;
    assert_eq!(by_number, by_file);
    assert_eq!(by_file["kind"], "token");
    assert_eq!(by_file["subject"], "application:sync");
    assert_eq!(by_file["scopes"], serde_json::json!(["invoices.read"]));
    assert_eq!(by_file["alive"], true);
    let by_certificate = desk.json("sync", &["credential", "show", "--cert", "billing/cert.pem"]).await;
    assert_eq!(by_certificate["revision"], certificate);
    assert_eq!(by_certificate["kind"], "certificate");

    // An application is told its own life and not its vendor's; an admin is told all.
    let life = |shown: &Value, node: &str| {
        let lineage = shown["lineage"].as_array().unwrap();
        lineage.iter().find(|entry| entry["id"] == node).unwrap()["life"].clone()
    };
    assert_eq!(life(&by_file, "application:sync"), "open");
    assert_eq!(life(&by_file, "vendor:acme"), Value::Null);
    let by_admin = desk.json("dana", &["credential", "show", &token.to_string()]).await;
    assert_eq!(life(&by_admin, "vendor:acme"), "open");
    assert_eq!(life(&by_admin, &format!("credential:{certificate}")), "alive");

    desk.world.admin.end(&id("vendor:acme"), "").await.unwrap();
    let shown = desk.run("dana", &["credential", "show", &token.to_string()]).await;
    assert!(shown.stdout.contains("dead: vendor:acme was ended, suspended or narrowed"), "{shown:?}");
}

#[tokio::test]
async fn a_credential_is_revoked_and_what_is_bound_to_it_with_it() {
    let desk = Desk::new().await;
    let (certificate, token) = desk.mint().await;
    let refused = desk.run("sync", &["credential", "revoke", "--cert", "billing/cert.pem"]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("add --yes"), "{refused:?}");
    assert!(desk.alive(certificate).await, "nothing was ended");
    let ended = desk.json("sync", &["credential", "revoke", "--cert", "billing/cert.pem", "--yes"]).await;
    assert_eq!(ended["id"], format!("credential:{certificate}"));
    assert!(!desk.alive(certificate).await && !desk.alive(token).await);
}

#[tokio::test]
async fn the_file_of_another_broker_ends_nothing_here() {
    let (desk, other) = (Desk::new().await, Desk::new().await);
    other.mint().await;
    // Under the same number there is another credential here.
    desk.mint().await;
    let theirs = other.cli.folder().join("billing/cert.pem").display().to_string();
    let before = desk.world.revision().await;
    let refused = desk.run("dana", &["credential", "revoke", "--cert", &theirs, "--yes"]).await;
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("another broker"), "{refused:?}");
    assert_eq!(desk.world.revision().await, before);
}

#[tokio::test]
async fn a_rotation_replaces_key_certificate_and_token_and_ends_the_old_ones() {
    let desk = Desk::new().await;
    let (certificate, token) = desk.mint().await;
    let folder = desk.cli.folder().join("billing");
    let key = fs::read(folder.join("key.pem")).unwrap();
    assert!(fits(&folder));
    let rotate = ["credential", "rotate", "--cert", "billing", "--token", "token.txt", "--yes"];
    let rotated = desk.json("sync", &rotate).await;
    assert_eq!(rotated["ended"]["id"], format!("credential:{certificate}"));
    assert_eq!(rotated["audience"], "billing");
    assert!(!desk.alive(certificate).await && !desk.alive(token).await);
    assert!(fits(&folder));
    assert_ne!(fs::read(folder.join("key.pem")).unwrap(), key, "the key is another");
    let token = desk.json("sync", &["credential", "show", "--token", "token.txt"]).await;
    assert_eq!(token["alive"], true);
    assert_eq!(token["revision"], rotated["token"]["revision"]);
    assert_eq!(token["scopes"], serde_json::json!(["invoices.read"]), "as the token before");
    let mode = |name: &str| fs::metadata(desk.cli.folder().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("billing/key.pem"), mode("token.txt")), (0o600, 0o600));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left");
}

#[tokio::test]
async fn a_rotation_that_broke_off_goes_on_where_it_was() {
    let desk = Desk::new().await;
    let (old, _) = desk.mint().await;
    let folder = desk.cli.folder().join("billing");
    // What stands in the folder if it breaks off after the first file: the next pair written down, the key replaced.
    let next = desk.json("sync", &["cert", "--audience", "billing", "--out", "next"]).await;
    let read = |name: &str| fs::read_to_string(desk.cli.folder().join("next").join(name)).unwrap();
    let sync = desk.world.broker.home("sync").identity().unwrap();
    let journal = toml::toml! {
        subject = "application:sync"
        root = ""
        old = 0
        revision = 0
        expires_at = 0
        bound_by = "scope"
        audience = "billing"
        key = ""
        certificate = ""
    };
    let mut journal = journal;
    let number = |value: u64| toml::Value::Integer(i64::try_from(value).unwrap());
    let root: String = sync.root_fingerprint().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    journal["root"] = "0".repeat(64).into();
    journal["old"] = number(old);
    journal["revision"] = number(next["revision"].as_u64().unwrap());
    journal["expires_at"] = number((support::now() + 600) * 1000);
    journal["key"] = read("key.pem").into();
    journal["certificate"] = read("cert.pem").into();
    let write = |journal: &toml::Table| {
        let text = toml::to_string(journal).unwrap();
        daypass_sdk::write_private(&folder.join(".rotation.toml"), text.as_bytes()).unwrap();
    };
    // At another broker the old number is another credential.
    write(&journal);
    let other = desk.run("sync", &["credential", "rotate", "--cert", "billing", "--yes"]).await;
    assert_eq!(other.code, 6, "{other:?}");
    assert!(fits(&folder) && desk.alive(old).await);
    journal["root"] = root.into();
    write(&journal);
    fs::write(folder.join("key.pem"), read("key.pem")).unwrap();
    assert!(!fits(&folder));

    let refused = desk.run("sync", &["cert", "--audience", "billing", "--out", "billing"]).await;
    assert!(refused.stderr.contains("`daypass credential rotate --cert billing` finishes it"), "{refused:?}");
    let rotated = desk.json("sync", &["credential", "rotate", "--cert", "billing", "--yes"]).await;
    assert_eq!(rotated["revision"], next["revision"]);
    assert!(fits(&folder) && !desk.alive(old).await);
    assert!(!folder.join(".rotation.toml").exists());

    // Where the old one cannot be ended, it says what to do, and keeps what it was about.
    journal["old"] = number(1);
    write(&journal);
    let partial = desk.run("sync", &["credential", "rotate", "--cert", "billing", "--yes"]).await;
    assert_eq!(partial.code, 5, "{partial:?}");
    assert!(partial.stderr.contains("credential:1 could not be ended"), "{partial:?}");
    assert!(
        partial.stderr.contains("next: run `daypass credential rotate --cert billing` again"),
        "{partial:?}"
    );
    assert!(folder.join(".rotation.toml").exists());
}

#[tokio::test]
async fn what_a_killed_writer_left_is_swept_by_the_next() {
    let desk = Desk::new().await;
    desk.mint().await;
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let left = desk.cli.folder().join(format!("billing/.key.pem.{}.0", gone.id()));
    let file = fs::File::create(&left).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
    desk.mint().await;
    assert!(!left.exists());
}

#[tokio::test]
async fn a_secret_that_nobody_reads_is_a_failure() {
    let desk = Desk::new().await;
    desk.mint().await;
    let sync = desk.home("sync");
    let mint = ["--home", &sync, "token", "--audience", "billing", "--scope", "status.read"];
    let mut child = desk.cli.command(&mint).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "the reader is gone");

    // Started without standard output: it is known beforehand, so that nothing is minted in vain.
    let before = desk.world.revision().await;
    for (who, args) in [
        ("sync", "token --audience billing --scope status.read"),
        ("dana", "open-enrollment application:other"),
        ("dana", "open-enrollment application:other -o json"),
    ] {
        let line = format!("exec \"$0\" --home \"$1\" {args} >&-");
        let closed = desk.cli.shell(&line, &[&desk.home(who)]).await;
        assert_eq!(closed.code, 1, "{closed:?}");
        assert!(closed.stderr.contains("lost"), "{closed:?}");
    }
    assert_eq!(desk.world.revision().await, before);
    let nowhere = desk.cli.shell(&format!("exec \"$0\" {} >/dev/null", mint.join(" ")), &[]).await;
    assert_eq!(nowhere.code, 0, "who sends it nowhere knows: {nowhere:?}");
}

#[tokio::test]
async fn an_end_shows_what_dies_with_it_and_asks() {
    let desk = Desk::new().await;
    desk.world.enrolled("rita", "person:rita").await;
    let preview = desk.json("dana", &["end", "vendor:acme", "--preview"]).await;
    let counts = serde_json::json!([
        {"kind": "contract", "count": 1}, {"kind": "application", "count": 2}, {"kind": "identity", "count": 1},
    ]);
    assert_eq!(preview["rests_on_it"], counts);
    assert_eq!(preview["life"], "open");
    let before = desk.world.revision().await;
    let script = desk.run("dana", &["end", "vendor:acme"]).await;
    assert_eq!(script.code, 2, "nobody is there to ask: {script:?}");
    assert_eq!(desk.world.revision().await, before);

    // An owner may end the vendor, and is not told what rests on it.
    let preview = desk.run("rita", &["end", "vendor:acme", "--preview"]).await;
    assert!(preview.stdout.contains("only admins and auditors are told"), "{preview:?}");
    let ended = desk.json("rita", &["end", "vendor:acme", "--yes"]).await;
    assert_eq!(ended["id"], "vendor:acme");
}

#[tokio::test]
async fn on_a_terminal_an_end_goes_on_only_with_a_yes() {
    let desk = Desk::new().await;
    let end = format!("--home {} end vendor:acme", desk.home("dana"));
    let Some(no) = desk.cli.on_terminal(&end, "no\n").await else { return };
    assert!(no.stdout.contains("with it die") && no.stdout.contains("nothing was changed"), "{no:?}");
    assert!(no.stdout.contains("\u{1b}[1m"), "on a terminal there is colour: {no:?}");
    assert_eq!(no.code, 130, "{no:?}");
    let yes = desk.cli.on_terminal(&format!("--color never {end}"), "yes\n").await.unwrap();
    assert!(yes.stdout.contains("vendor:acme is ended") && !yes.stdout.contains('\u{1b}'), "{yes:?}");
    assert_eq!(yes.code, 0, "{yes:?}");
}

#[tokio::test]
async fn on_a_terminal_it_says_when_it_waits_for_longer_than_a_second() {
    let desk = Desk::new().await;
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = desk.world.broker.home("sync").folder().join("identity.toml");
    let (text, ours) = (fs::read_to_string(&file).unwrap(), desk.world.broker.address().port());
    let moved = text.replace(&format!(":{ours}\""), &format!(":{}\"", silent.local_addr().unwrap().port()));
    fs::write(&file, moved).unwrap();
    let ping = format!("--home {} ping", desk.home("sync"));
    desk.cli.on_terminal_until(&ping, "waiting for the broker … 1 s").await;
}

#[tokio::test]
async fn refusals_are_explained_by_their_code_and_by_their_number() {
    let desk = Desk::new().await;
    desk.mint().await;
    let mint = ["token", "--audience", "billing", "--scope", "invoices.write", "--cert", "billing/cert.pem"];
    let refused = desk.run("sync", &[&mint[..], &["-o", "json"]].concat()).await;
    assert_eq!(refused.code, 3);
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert!(
        error["error"]["next"].as_str().unwrap().contains("`daypass explain scope-not-entitled`"),
        "{error}"
    );
    let number = error["error"]["refusal"].as_u64().unwrap().to_string();
    let explained = desk.json("sync", &["explain", &number]).await;
    assert_eq!(explained["reason"], "scope-not-entitled");
    assert_eq!(explained["refusal"]["subject"], "application:sync");
    assert_eq!(explained["refusal"]["method"], "CredentialService/MintToken");
    let offline =
        desk.cli.run(desk.cli.command(&["explain", "scope-not-entitled", "-o", "json"])).await.json();
    assert_eq!(offline["means"], explained["means"]);
    let nothing = desk.run("sync", &["explain", "1"]).await;
    assert_eq!(nothing.code, 3);
    assert!(nothing.stderr.contains("next: check the number"), "{nothing:?}");
}

#[tokio::test]
async fn a_context_is_made_by_enrolling_and_is_for_one_broker() {
    let (one, other) = (Desk::new().await, Broker::start().await);
    let cli = &one.cli;
    let enroll = async |name: &str, broker: &Broker, code: &str| {
        let mut command = cli.command(&[
            "enroll",
            "--context",
            name,
            "--broker",
            &broker.address().to_string(),
            "--code-file",
            "-",
        ]);
        command.stdin(Stdio::piped());
        cli.run_with(command, code).await
    };
    let code = one.world.code("application:other").await.reveal();
    let enrolled = enroll("work", &one.world.broker, &code).await;
    assert_eq!(enrolled.code, 0, "{enrolled:?}");
    let used = cli.run(cli.command(&["context", "use", "work"])).await;
    assert_eq!(used.code, 0, "{used:?}");
    let pong = cli.run(cli.command(&["ping", "-o", "json"])).await.json();
    assert_eq!(pong["subject"], "application:other");
    let listed = cli.run(cli.command(&["context", "list", "-o", "json"])).await.json();
    assert_eq!(listed["contexts"][1]["name"], "work");
    assert_eq!(listed["contexts"][1]["current"], true);
    assert_eq!(listed["contexts"][1]["subject"], "application:other");
    let named = cli.run(cli.command(&["--context", "default", "ping"])).await;
    assert_eq!(named.code, 2, "nobody is enrolled in the default home: {named:?}");

    // Another broker's code in a context that remembers a root, and another broker's identity in its home.
    let theirs = enroll("work", &other, &other.first_code().reveal()).await;
    assert_eq!(theirs.code, 6, "{theirs:?}");
    assert!(theirs.stderr.contains("context `work` is for the broker with root"), "{theirs:?}");
    other.admin().await;
    let home = Home::at(cli.folder().join("config/daypass/contexts/work"));
    fs::copy(other.home("dana").folder().join("identity.toml"), home.folder().join("identity.toml")).unwrap();
    let swapped = cli.run(cli.command(&["ping"])).await;
    assert_eq!(swapped.code, 6, "{swapped:?}");
    assert!(swapped.stderr.contains("next:"), "{swapped:?}");
    let shown = cli.run(cli.command(&["context", "show", "-o", "json"])).await.json();
    assert!(shown["problem"].as_str().unwrap().contains("root"), "{shown}");

    let added = cli
        .run(cli.command(&[
            "context",
            "add",
            "theirs",
            "--folder",
            &other.home("dana").folder().display().to_string(),
            "-o",
            "json",
        ]))
        .await
        .json();
    assert_eq!(added["subject"], "person:dana");
    let pong = cli.run(cli.command(&["--context", "theirs", "ping", "-o", "json"])).await.json();
    assert_eq!(pong["subject"], "person:dana");
    let removed = cli.run(cli.command(&["context", "remove", "theirs"])).await;
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(other.home("dana").identity().is_ok(), "the identity stays");
}
