//! Offboarding to its receipt, with the real binaries: counted before, listed after, checked without a broker, and one for
//! each end whatever crashes in between.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

#[path = "../cli_support/mod.rs"]
mod cli_support;
mod mutants;
#[path = "../powerfs/random.rs"]
#[allow(dead_code, reason = "its other tests use the rest")]
mod random;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use cli_support::{Cli, Ran};
use daypass_sdk::Application;
use serde_json::Value;
use support::{World, mint, name, token};

/// Somebody's own command line.
pub(crate) struct Desk {
    pub(crate) cli: Cli,
    home: String,
}

impl Desk {
    pub(crate) fn of(world: &World, who: &str) -> Self {
        let home = world.broker.home(who).folder().display().to_string();
        Self { cli: Cli::new(world.broker.path()), home }
    }

    pub(crate) async fn run(&self, line: &str) -> Ran {
        let args: Vec<&str> =
            ["--home", &self.home].into_iter().chain(line.split_whitespace()).chain(["-o", "json"]).collect();
        self.cli.run(self.cli.command(&args)).await
    }

    pub(crate) async fn json(&self, line: &str) -> Value {
        self.run(line).await.json()
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.cli.folder().join(file)).unwrap()
    }

    /// Checks the receipt with the public key alone: no home, no broker.
    pub(crate) async fn verify(&self, world: &World, file: &str) -> Ran {
        let args =
            ["--home", "nowhere", "receipt", "verify", file, "--key", world.broker.log_key(), "-o", "json"];
        self.cli.run(self.cli.command(&args)).await
    }
}

/// So many tokens, bound to one certificate.
pub(crate) async fn mint_tokens(application: &Application, number: usize) {
    const AT_ONCE: usize = 64;
    let certificate = Arc::new(application.certificate(&name("billing"), None).await.unwrap());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..AT_ONCE.min(number) {
        let (application, certificate) = (application.clone(), certificate.clone());
        let share = number / AT_ONCE + usize::from(client < number % AT_ONCE);
        clients.spawn(async move {
            for _ in 0..share {
                token(&application, &certificate, "invoices.read").await.unwrap();
            }
        });
    }
    clients.join_all().await;
}

async fn closings(desk: &Desk) -> usize {
    let ran = desk.run("audit list --all --action receipt-closed").await;
    ran.stdout.lines().filter(|line| line.contains("\"receipt-closed\"")).count()
}

#[tokio::test]
async fn what_the_preview_counts_is_what_the_receipt_lists() {
    let world = World::new().await;
    let (sync, courier) =
        (world.application("sync", "sync").await, world.application("courier", "courier").await);
    mint_tokens(&sync, 7).await;
    mint(&courier).await.unwrap();
    let desk = Desk::of(&world, "dana");
    let preview = desk.json("offboard acme --preview").await;
    assert_eq!(
        preview["live"],
        serde_json::json!({
            "identity_certificates": 1, "client_certificates": 1, "tokens": 7
        })
    );
    assert_eq!(preview["applications"][0]["application"], "application:sync");
    assert_eq!(preview["audiences"][0]["verifiers"], 1);
    assert!(mint(&sync).await.is_ok(), "a preview changes nothing");

    let preview = desk.json("offboard acme --preview").await;
    let ended = desk.json("offboard acme --yes --wait").await;
    assert_eq!(ended["receipt"]["died"], preview["live"]);
    assert_eq!(ended["receipt"]["audiences"][0]["verifiers"][0]["state"], "not-following");
    let again = desk.json("offboard acme --yes --wait").await;
    assert_eq!((&again["already"], &again["revision"]), (&true.into(), &ended["revision"]));
    assert_eq!(again["receipt"], ended["receipt"], "the same receipt");
    assert!(mint(&courier).await.is_ok(), "the other vendor goes on");

    let got = desk.json("receipt get acme").await;
    assert_eq!(got["receipt"], ended["receipt"]);
    let list = String::from_utf8(desk.read("acme.receipt.list")).unwrap();
    assert_eq!(list.lines().count(), 11);
    assert!(list.lines().all(|line| line.contains("application:sync")), "{list}");
    let verdict = desk.verify(&world, "acme.receipt").await.json();
    assert_eq!((&verdict["good"], &verdict["list_checked"]), (&true.into(), &true.into()));
    let statement = String::from_utf8(desk.read("acme.receipt")).unwrap();
    assert!(!statement.contains("collect invoices"), "no free text");
    assert_eq!(desk.run("audit verify --deep").await.json()["whole"], true);
    assert_eq!(closings(&desk).await, 1);
}

#[tokio::test]
async fn a_vendor_with_nothing_alive_has_a_receipt_and_so_has_one_that_was_plainly_ended() {
    let world = World::new().await;
    let desk = Desk::of(&world, "dana");
    assert_eq!(desk.json("offboard acme --yes --wait").await["receipt"]["audiences"], serde_json::json!([]));
    desk.json("receipt get acme").await;
    assert!(desk.read("acme.receipt.list").is_empty());
    assert_eq!(desk.verify(&world, "acme.receipt").await.json()["good"], true);

    let courier = world.application("courier", "courier").await;
    mint(&courier).await.unwrap();
    desk.json("end vendor:globex --yes").await;
    let got = desk.json("receipt get globex --wait --out sub.receipt").await;
    assert_eq!(got["receipt"]["died"]["tokens"], 1);
}

#[tokio::test]
async fn a_vendor_takes_those_under_it_along() {
    let world = World::new().await;
    world.put(support::vendor("acme-sub", "acme")).await;
    let term = support::contract("sub-2026", "acme-sub", support::now() - 3600, support::now() + 86_400);
    let term = daypass_proto::v1::Contract { parent: "acme-2026".into(), ..term };
    world.put(support::object(daypass_proto::v1::object::Kind::Contract(term))).await;
    let below = support::application("below", "acme-sub", "sub-2026");
    world.put(support::object(daypass_proto::v1::object::Kind::Application(below))).await;
    let below = world.application("below", "below").await;
    mint_tokens(&below, 3).await;
    let desk = Desk::of(&world, "dana");
    let ended = desk.json("offboard acme --yes --wait").await;
    assert_eq!(ended["receipt"]["died"]["tokens"], 3);
    // What was dead already dies no second time.
    let after = desk.json("offboard acme-sub --yes --wait").await;
    assert_eq!(after["receipt"]["died"]["tokens"], 0);
}

#[tokio::test]
async fn who_may_not_end_a_vendor_hears_nothing_of_its_receipt() {
    let world = World::new().await;
    for (who, subject) in [("rita", "person:rita"), ("bea", "person:bea"), ("audrey", "person:audrey")] {
        world.enrolled(who, subject).await;
    }
    world.application("sync", "sync").await;
    let desk = |who| Desk::of(&world, who);
    let refused = async |who, line: &str| {
        let ran = desk(who).run(line).await;
        let failed: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|_| panic!("{ran:?}"));
        (ran.code, failed["error"]["reason"].as_str().unwrap_or_default().to_owned())
    };
    for who in ["bea", "audrey"] {
        assert_eq!(refused(who, "offboard acme --preview").await, (3, "unknown-node".into()), "{who}");
        assert_eq!(refused(who, "offboard acme --yes").await, (3, "unknown-node".into()), "{who}");
    }
    assert_eq!(refused("sync", "receipt get acme").await, (3, "wrong-caller".into()));
    assert_eq!(refused("rita", "receipt get acme").await, (3, "no-receipt".into()), "it is not ended");
    assert_eq!(refused("dana", "receipt get nobody").await.1, "unknown-node");
    desk("rita").json("offboard acme --yes --wait").await;
    assert_eq!(refused("bea", "receipt get acme").await, (3, "unknown-node".into()));
    desk("audrey").json("receipt get acme").await;
}

#[tokio::test]
async fn a_broker_that_is_killed_in_between_closes_one_receipt() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    mint_tokens(&sync, 200).await;
    let desk = Desk::of(&world, "dana");
    let ended = world.admin.offboard(&name("acme"), "").await.unwrap();
    for _ in 0..3 {
        world.broker.kill();
        world.broker.serve().await;
    }
    let got = desk.json("receipt get acme --wait").await;
    assert_eq!(got["receipt"]["revision"], ended.revision.get());
    assert_eq!(got["receipt"]["died"]["tokens"], 200);
    let before = desk.read("acme.receipt");
    world.broker.kill();
    world.broker.serve().await;
    desk.json("receipt get acme").await;
    assert_eq!(desk.read("acme.receipt"), before, "the same to the byte");
    assert_eq!(closings(&desk).await, 1);
}

#[tokio::test]
async fn a_wait_that_breaks_off_says_that_the_vendor_is_ended() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    mint(&sync).await.unwrap();
    world.verifier("billing-api").await;
    let desk = Desk::of(&world, "dana");
    let waits = tokio::spawn(async move { (desk.run("offboard acme --yes --wait").await, desk) });
    while mint(&sync).await.is_ok() {}
    world.broker.kill();
    let (ran, desk) = waits.await.unwrap();
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stderr.contains("is ended"), "{ran:?}");
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(shown["revision"].as_u64().unwrap() > 0 && shown.get("receipt").is_none(), "{shown}");
    world.broker.serve().await;
    let got = desk.json("receipt get acme --wait").await;
    assert_eq!(got["receipt"]["revision"], shown["revision"]);
}
