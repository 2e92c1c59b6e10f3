//! Exports changed in one place at random: `daypass audit verify` finds every change, and names the entry where it is
//! sure of one. `DAYPASS_MUTANTS` says how many, `DAYPASS_SEED` replays a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use daypass_proto::v1::{
    ExportLogRequest, GetCheckpointRequest, ProveEventRequest, audit_service_client::AuditServiceClient,
};
use serde_json::{Value, json};
use support::World;

/// Two full bundles and a part of the third.
const EVENTS: u64 = 600;

/// A small generator (Marsaglia's xorshift, 64 bits), so that a seed replays.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// An export as its lines, each with its end, and another log's.
struct Export {
    lines: Vec<Vec<u8>>,
    other: Vec<Vec<u8>>,
    key: String,
}

/// One change: what was done, the bytes, and the entry that is the first not to fit, where that can be said.
struct Mutant {
    what: &'static str,
    bytes: Vec<u8>,
    first: Option<u64>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_change_to_an_export_is_found() {
    let mutants = support::size("DAYPASS_MUTANTS", 100);
    let seed = support::size("DAYPASS_SEED", 0);
    let seed = if seed == 0 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
    } else {
        seed as u64
    };
    let mut random = Random(seed | 1);
    let export = export().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    fs::write(&path, export.lines.concat()).unwrap();
    let good = verify(&path, &export.key);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let (mut found, mut named, mut nameable) = (0, 0, 0);
    let mut kinds = std::collections::BTreeMap::<_, usize>::new();
    for number in 0..mutants {
        let mutant = export.change(&mut random, number);
        *kinds.entry(mutant.what).or_default() += 1;
        fs::write(&path, &mutant.bytes).unwrap();
        let output = verify(&path, &export.key);
        if output.status.success() {
            eprintln!("not found, seed {seed}: {}", mutant.what);
            continue;
        }
        found += 1;
        if let Some(first) = mutant.first {
            nameable += 1;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let right = said.contains(&format!("revision {first}"));
            named += usize::from(right);
            if !right {
                eprintln!("{} at revision {first}, seed {seed}, but: {said}", mutant.what);
            }
        }
    }
    support::show(&json!({
        "mutants": mutants, "found": found, "entries_changed": nameable, "entries_named": named, "kinds": kinds, "seed": seed,
    }));
    assert_eq!((found, named), (mutants, nameable));
}

/// What a real broker exports, and what another one does.
async fn export() -> Export {
    let world = World::new().await;
    let application = world.application("sync", "sync").await;
    while world.revision().await.get() < EVENTS {
        support::mint(&application).await.unwrap();
    }
    let (lines, key) = lines(&world, EVENTS).await;
    let (other, _) = lines_of_another().await;
    Export { lines, other, key }
}

async fn lines_of_another() -> (Vec<Vec<u8>>, String) {
    let world = World::new().await;
    let revision = world.revision().await.get();
    lines(&world, revision).await
}

async fn lines(world: &World, upto: u64) -> (Vec<Vec<u8>>, String) {
    let mut client = AuditServiceClient::new(world.admin.channel());
    // It answers once a checkpoint covers it.
    client.prove_event(ProveEventRequest { revision: upto }).await.unwrap();
    let key = client.get_checkpoint(GetCheckpointRequest::default()).await.unwrap().into_inner().log_key;
    let mut stream = client.export_log(ExportLogRequest {}).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.message().await.unwrap() {
        bytes.extend_from_slice(&piece.chunk);
    }
    (bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(), key)
}

fn verify(path: &Path, key: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daypass"))
        .args(["audit", "verify", "--key", key])
        .arg(path)
        .env("DAYPASS_HOME", "/nonexistent")
        .env_remove("HOME")
        .output()
        .unwrap()
}

impl Export {
    /// Where the entries are, by revision.
    fn entries(&self) -> Vec<usize> {
        let is_entry = |line: &[u8]| {
            let line: Value = serde_json::from_slice(line).unwrap();
            line.get("tile").is_none() && line.get("format").is_none()
        };
        (0..self.lines.len()).filter(|at| is_entry(&self.lines[*at])).collect()
    }

    /// One random change; every kind comes in turn.
    fn change(&self, random: &mut Random, number: usize) -> Mutant {
        let entries = self.entries();
        let pick = random.below(entries.len());
        let (at, revision) = (entries[pick], u64::try_from(pick).unwrap() + 1);
        let mut lines = self.lines.clone();
        let first = Some(revision);
        let (what, first) = match number % 12 {
            0 => {
                let mut all = lines.concat();
                let place = random.below(all.len());
                all[place] ^= 1 << random.below(8);
                return Mutant { what: "a bit flipped anywhere", bytes: all, first: None };
            }
            1 => {
                let mut all = lines.concat();
                all.remove(random.below(all.len()));
                return Mutant { what: "a byte removed anywhere", bytes: all, first: None };
            }
            2 => {
                let mut all = lines.concat();
                let byte = u8::try_from(random.below(256)).unwrap();
                all.insert(random.below(all.len() + 1), byte);
                return Mutant { what: "a byte added anywhere", bytes: all, first: None };
            }
            3 => {
                let mut all = lines.concat();
                all.truncate(random.below(all.len()));
                return Mutant { what: "cut short anywhere", bytes: all, first: None };
            }
            4 => {
                let place = random.below(lines[at].len() - 1);
                lines[at][place] ^= 1 << random.below(4);
                // A byte that became a line end makes two lines of one: the entry is still the first that does not fit.
                ("an entry changed", first)
            }
            5 => {
                lines.remove(at);
                // The last of a log that is cut leaves no other in its place.
                ("an entry dropped", (pick + 1 < entries.len()).then_some(revision))
            }
            6 => {
                let twice = lines[at].clone();
                lines.insert(at, twice);
                ("an entry doubled", None)
            }
            7 => {
                let other = entries[(pick + 1 + random.below(entries.len() - 1)) % entries.len()];
                lines.swap(at, other);
                let other =
                    u64::try_from(entries.iter().position(|place| *place == other).unwrap()).unwrap() + 1;
                ("two entries that changed places", Some(revision.min(other)))
            }
            8 => {
                let tiles: Vec<usize> = (1..lines.len()).filter(|at| !entries.contains(at)).collect();
                let tile = tiles[random.below(tiles.len())];
                lines.remove(tile);
                ("a tile dropped", None)
            }
            9 => {
                let tile = self.other.iter().find(|line| line.starts_with(b"{\"tile\"")).unwrap();
                let tiles: Vec<usize> = (1..lines.len()).filter(|at| !entries.contains(at)).collect();
                lines[tiles[random.below(tiles.len())]].clone_from(tile);
                ("a tile of another log", None)
            }
            10 => {
                lines[at].clone_from(self.other.last().unwrap());
                ("an entry of another log", first)
            }
            _ => {
                lines[0].clone_from(&self.other[0]);
                ("another log's checkpoint", None)
            }
        };
        Mutant { what, bytes: lines.concat(), first }
    }
}
