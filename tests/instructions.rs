//! How many instructions the broker takes for a mint, counted by valgrind, with the notary at work and without it.
//! Time says nothing on a busy machine; instructions do. Run by `tests/show 3.6`, in release.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use daypass_proto::v1::{self, credential_service_client::CredentialServiceClient};
use daypass_sdk::ClientCertificate;
use serde_json::json;
use support::{Broker, World, name};
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// How many mints wait at once.
const AT_ONCE: usize = 16;

/// What was counted.
struct Counted {
    /// Instructions of the whole process for each mint.
    per_mint: f64,
    /// How many seconds the mints took.
    seconds: f64,
    /// How many checkpoints were signed meanwhile.
    checkpoints: u64,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run by tests/show 3.6"]
async fn the_notary_costs_a_mint_next_to_nothing() {
    let mints = support::size("DAYPASS_MINTS", 2000);
    let without = counted(mints, Notary::CannotWork).await;
    assert_eq!(without.checkpoints, 0, "the notary worked");
    let with = counted(mints, Notary::Works).await;
    assert!(with.checkpoints > 0);
    support::show(&json!({
        "instructions_per_mint": { "without": without.per_mint.round(), "with": with.per_mint.round() },
        "ratio": with.per_mint / without.per_mint,
        "mints": mints,
        "seconds": with.seconds.round(),
        "checkpoints": with.checkpoints,
        "mints_per_checkpoint": mints as f64 / with.checkpoints as f64,
    }));
}

/// Nothing switches the notary off; but it does not get on where folders stand in the place of its files.
#[derive(PartialEq)]
enum Notary {
    Works,
    CannotWork,
}

/// The instructions of a broker with its notary at work or not.
async fn counted(mints: usize, notary: Notary) -> Counted {
    let mut world = World::new().await;
    let application = world.application("sync", "sync").await;
    let certificate = application.certificate(&name("billing"), None).await.unwrap();
    assert!(world.broker.stop().await);
    if notary == Notary::CannotWork {
        for file in ["0", "summaries"] {
            let file = world.broker.path().join("data/notary").join(file);
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }
    }
    let out = world.broker.path().join("callgrind");
    let file = format!("--callgrind-out-file={}", out.display());
    world.broker.spawn_under(&["valgrind", "-q", "--tool=callgrind", &file]);
    world.broker.listens().await;
    // Not by way of the SDK, which does not mint at a broker that shows no checkpoint.
    let identity = world.broker.home("sync").identity().unwrap();
    let proof = identity.proof();
    let channel =
        daypass_sdk::connect(world.broker.address(), &identity.trust(), Some(&proof)).await.unwrap();
    let client = CredentialServiceClient::new(channel);
    // What is done once is not counted.
    minted(&client, &certificate, 4 * AT_ONCE).await;
    dump(&world.broker, &out, 1);
    let begun = Instant::now();
    let checkpoints = watched(&world.broker, minted(&client, &certificate, mints)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let instructions = dump(&world.broker, &out, 2);
    Counted { per_mint: instructions as f64 / mints as f64, seconds, checkpoints }
}

async fn minted(client: &CredentialServiceClient<Channel>, certificate: &ClientCertificate, mints: usize) {
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let (mut client, leaf) = (client.clone(), certificate.leaf().to_vec());
        let share = mints / AT_ONCE + usize::from(worker < mints % AT_ONCE);
        workers.spawn(async move {
            for _ in 0..share {
                let request = v1::MintTokenRequest {
                    audience: "billing".into(),
                    scopes: vec!["invoices.read".into()],
                    client_certificate: leaf.clone().into(),
                    ..v1::MintTokenRequest::default()
                };
                client.mint_token(request).await.unwrap();
            }
        });
    }
    while let Some(worked) = workers.join_next().await {
        worked.unwrap();
    }
}

/// Works, and counts the checkpoints that come meanwhile.
async fn watched(broker: &Broker, work: impl Future<Output = ()>) -> u64 {
    let (mut last, mut seen) = (size(broker), 0);
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return seen,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                let now = size(broker);
                seen += u64::from(now != last);
                last = now;
            }
        }
    }
}

/// Has valgrind write what it counted since the last time.
fn dump(broker: &Broker, out: &Path, part: u32) -> u64 {
    let said =
        Command::new("callgrind_control").args(["-d", &broker.process().to_string()]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = fs::read_to_string(out.with_extension(part.to_string())).unwrap();
    let total =
        text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    total.and_then(|total| total.trim().parse().ok()).unwrap_or_else(|| panic!("no total in part {part}"))
}

/// The size of the log in the anchor, where the notary has got to.
fn size(broker: &Broker) -> String {
    let anchor = fs::read_to_string(broker.path().join("data/anchor")).unwrap_or_default();
    anchor.lines().nth(1).unwrap_or_default().to_owned()
}
