//! What code of others says of our log: a real broker's checkpoints, proofs and tiles, as they are and bent, checked
//! with the Go project's packages for transparency logs (see `checker.go`). `tests/proofs/install` installs those; where
//! they are missing this is left out, and said, and with `DAYPASS_REQUIRE_ALL=1` it is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod bent;
mod checker;
#[path = "../support/mod.rs"]
mod support;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_proto::v1::{self, audit_service_client::AuditServiceClient};
use serde_json::{Value, json};
use support::World;
use tonic::transport::Channel;

use checker::{Check, Checker, Claim};

/// What the log says of itself at one size.
struct Said {
    key: String,
    note: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn code_of_others_takes_our_proofs_and_refuses_bent_ones() {
    let folder = tempfile::tempdir().unwrap();
    let Some(checker) = Checker::build(folder.path()) else {
        assert!(
            std::env::var_os("DAYPASS_REQUIRE_ALL").is_none_or(|value| value != "1"),
            "Go or its packages are missing, and DAYPASS_REQUIRE_ALL asks for every test: run tests/proofs/install"
        );
        println!("left out: Go or golang.org/x/mod is missing (tests/proofs/install installs both)");
        return;
    };
    let checks = gathered().await;
    let said = checker.ask(&checks);
    assert_eq!(said.len(), checks.len());
    let wrong: Vec<_> =
        checks.iter().zip(&said).filter(|(check, why)| check.holds != why.is_empty()).collect();
    for (check, why) in &wrong {
        eprintln!("{}: should hold: {}, but: {why:?}", check.what, check.holds);
    }
    let genuine = checks.iter().filter(|check| check.holds).count();
    let count = |holds| {
        checks.iter().zip(&said).filter(|(c, why)| c.holds == holds && why.is_empty() == holds).count()
    };
    support::show(&json!({
        "checker": format!("golang.org/x/mod/sumdb (note, tlog), {}", checker.version),
        "proofs": genuine,
        "accepted": count(true),
        "tampered": checks.len() - genuine,
        "rejected_tampered": count(false),
    }));
    assert!(wrong.is_empty() && genuine > 100 && checks.len() > 2 * genuine);
}

/// Everything that a growing log says, and the same bent.
async fn gathered() -> Vec<Check> {
    let world = World::new().await;
    let mut client = AuditServiceClient::new(world.admin.channel());
    let application = world.application("sync", "sync").await;
    let mut checks = Vec::new();
    let mut earlier: Option<Said> = None;
    // Sizes within the first bundle, at its end, beyond it, and with more than one full tile.
    for upto in [40_u64, 254, 256, 259, 300, 512, 700] {
        while world.revision().await.get() < upto {
            let (_certificate, _token) = support::mint(&application).await.unwrap();
        }
        let newest = covering(&mut client, upto).await;
        consistency(&mut client, earlier.as_ref(), &mut checks).await;
        let said = newest;
        checks.push(Check::new("checkpoint", true, &said.key, &said.note, &Claim::Note));
        bent::notes(&said.key, &said.note, &mut checks);
        for revision in (1..=upto).step_by(usize::try_from(upto / 16 + 1).unwrap()).chain([upto]) {
            inclusion(&mut client, &said.key, revision, earlier.as_ref(), &mut checks).await;
        }
        earlier = Some(said);
    }
    tiles(&mut client, &earlier.unwrap().key, &mut checks).await;
    checks
}

/// The newest checkpoint, once it covers this revision.
async fn covering(client: &mut AuditServiceClient<Channel>, revision: u64) -> Said {
    let request = v1::ProveEventRequest { revision };
    client.prove_event(request).await.unwrap();
    let newest = client.get_checkpoint(v1::GetCheckpointRequest::default()).await.unwrap().into_inner();
    Said { key: newest.log_key, note: newest.checkpoint }
}

/// From an earlier checkpoint to the newest.
async fn consistency(
    client: &mut AuditServiceClient<Channel>,
    earlier: Option<&Said>,
    checks: &mut Vec<Check>,
) {
    let Some(earlier) = earlier else { return };
    let request = v1::GetCheckpointRequest { known: earlier.note.clone() };
    let newest = client.get_checkpoint(request).await.unwrap().into_inner();
    let proof: Vec<Vec<u8>> = newest.consistency.iter().map(|hash| hash.to_vec()).collect();
    let claim = Claim::Consistency { earlier: earlier.note.clone(), proof };
    checks.push(Check::new("consistency", true, &earlier.key, &newest.checkpoint, &claim));
    bent::proofs(&earlier.key, &newest.checkpoint, &claim, checks);
    // Back in time.
    let Claim::Consistency { proof, .. } = claim else { return };
    if newest.checkpoint == earlier.note {
        return;
    }
    let back = Claim::Consistency { earlier: newest.checkpoint, proof };
    checks.push(Check::new("consistency backwards", false, &earlier.key, &earlier.note, &back));
}

async fn inclusion(
    client: &mut AuditServiceClient<Channel>,
    key: &str,
    revision: u64,
    earlier: Option<&Said>,
    checks: &mut Vec<Check>,
) {
    let proved = client.prove_event(v1::ProveEventRequest { revision }).await.unwrap().into_inner();
    let proof = proved.inclusion.iter().map(|hash| hash.to_vec()).collect();
    let claim = Claim::Inclusion { index: revision - 1, entry: proved.event.to_vec(), proof };
    checks.push(Check::new(format!("inclusion of {revision}"), true, key, &proved.checkpoint, &claim));
    bent::proofs(key, &proved.checkpoint, &claim, checks);
    if let Some(earlier) = earlier.filter(|earlier| earlier.note != proved.checkpoint) {
        checks.push(Check::new("a proof for another size", false, key, &earlier.note, &claim));
    }
}

/// All entries of an export against its tiles, and those against its checkpoint.
async fn tiles(client: &mut AuditServiceClient<Channel>, key: &str, checks: &mut Vec<Check>) {
    let mut stream = client.export_log(v1::ExportLogRequest {}).await.unwrap().into_inner();
    let mut export = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        export.extend_from_slice(&piece.chunk);
    }
    let mut lines = export.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let header: Value = serde_json::from_slice(lines.next().unwrap()).unwrap();
    let note = header["checkpoint"].as_str().unwrap().to_owned();
    let (mut tiles, mut entries) = (Vec::new(), Vec::new());
    for line in lines {
        match serde_json::from_slice::<Value>(line).unwrap()["tile"].as_str() {
            Some(path) => {
                let read: Value = serde_json::from_slice(line).unwrap();
                tiles.push((path.to_owned(), STANDARD.decode(read["hashes"].as_str().unwrap()).unwrap()));
            }
            None => entries.push(line.to_vec()),
        }
    }
    let claim = Claim::Tiles { tiles, entries };
    checks.push(Check::new("tiles", true, key, &note, &claim));
    bent::tiles(key, &note, &claim, checks);
}
