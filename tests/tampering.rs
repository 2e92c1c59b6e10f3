//! Exports changed in one place at random: `daypass audit verify` finds every change, and names the entry where it is
//! sure of one. `DAYPASS_MUTANTS` says how many, `DAYPASS_SEED` replays a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs,
    path::Path,
    process::Command,
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

/// One change: what was done, and the bytes.
struct Mutant {
    what: &'static str,
    bytes: Vec<u8>,
}

/// Where the first line that is not as it was stands.
enum Place {
    Header,
    /// The tiles that all entries rest on: no entry can be named.
    Edge,
    /// The entry, or the full tile before it, is the first that does not fit.
    Entry(u64),
}

/// What was said of a mutant.
struct Verdict {
    code: Option<i32>,
    /// The first entry that does not fit, by the document; nothing without a document.
    first: Option<u64>,
    all: String,
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
    assert_eq!(good.code, Some(0), "{}", good.all);
    let (mut found, mut named, mut nameable) = (0, 0, 0);
    let mut kinds = std::collections::BTreeMap::<_, usize>::new();
    for number in 0..mutants {
        let mutant = export.change(&mut random, number);
        *kinds.entry(mutant.what).or_default() += 1;
        fs::write(&path, &mutant.bytes).unwrap();
        let verdict = verify(&path, &export.key);
        let place = export.struck(&mutant.bytes);
        // A program that breaks down has found nothing; and only a first line that is none makes it no export at all.
        let told = verdict.code == Some(3) || verdict.code == Some(2) && matches!(place, Place::Header);
        if !told {
            eprintln!("not found, seed {seed}: {}: {}", mutant.what, verdict.all);
            continue;
        }
        found += 1;
        let right = match place {
            Place::Header => verdict.first.is_none(),
            // Cut off there, it ends before the first entry.
            Place::Edge => matches!(verdict.first, None | Some(1)),
            Place::Entry(first) => {
                nameable += 1;
                named += usize::from(verdict.first == Some(first));
                verdict.first == Some(first)
            }
        };
        assert!(right, "{}, seed {seed}, number {number}, but: {}", mutant.what, verdict.all);
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

fn verify(path: &Path, key: &str) -> Verdict {
    let output = Command::new(env!("CARGO_BIN_EXE_daypass"))
        .args(["audit", "verify", "-o", "json", "--key", key])
        .arg(path)
        .env("DAYPASS_HOME", "/nonexistent")
        .env_remove("HOME")
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let all = format!("{said} {}", String::from_utf8_lossy(&output.stderr));
    Verdict { code: output.status.code(), first: said["fault"]["first_bad"].as_u64(), all }
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

    /// Where the first line of these bytes that is not as it was stands.
    fn struck(&self, bytes: &[u8]) -> Place {
        let changed: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let same = |at: &usize| self.lines.get(*at).map(Vec::as_slice) == changed.get(*at).copied();
        let at = (0..).find(|at| !same(at)).unwrap();
        let entries = self.entries();
        let before = u64::try_from(entries.iter().filter(|entry| **entry < at).count()).unwrap();
        match self.lines.get(at) {
            _ if at == 0 => Place::Header,
            // Only the tiles of the edge have a width.
            Some(line) if line.starts_with(b"{\"tile\"") && line.windows(3).any(|part| part == b".p/") => {
                Place::Edge
            }
            // A full tile stands before the first of its entries.
            _ => Place::Entry(before + 1),
        }
    }

    /// One random change; every kind comes in turn.
    fn change(&self, random: &mut Random, number: usize) -> Mutant {
        let entries = self.entries();
        let pick = random.below(entries.len());
        let at = entries[pick];
        let mut lines = self.lines.clone();
        let what = match number % 12 {
            0 => {
                let mut all = lines.concat();
                let place = random.below(all.len());
                all[place] ^= 1 << random.below(8);
                return Mutant { what: "a bit flipped anywhere", bytes: all };
            }
            1 => {
                let mut all = lines.concat();
                all.remove(random.below(all.len()));
                return Mutant { what: "a byte removed anywhere", bytes: all };
            }
            2 => {
                let mut all = lines.concat();
                let byte = u8::try_from(random.below(256)).unwrap();
                all.insert(random.below(all.len() + 1), byte);
                return Mutant { what: "a byte added anywhere", bytes: all };
            }
            3 => {
                let mut all = lines.concat();
                all.truncate(random.below(all.len()));
                return Mutant { what: "cut short anywhere", bytes: all };
            }
            4 => {
                let place = random.below(lines[at].len() - 1);
                lines[at][place] ^= 1 << random.below(4);
                "an entry changed"
            }
            5 => {
                lines.remove(at);
                "an entry dropped"
            }
            6 => {
                let twice = lines[at].clone();
                lines.insert(at, twice);
                "an entry doubled"
            }
            7 => {
                let other = entries[(pick + 1 + random.below(entries.len() - 1)) % entries.len()];
                lines.swap(at, other);
                "two entries that changed places"
            }
            8 => {
                let tiles: Vec<usize> = (1..lines.len()).filter(|at| !entries.contains(at)).collect();
                let tile = tiles[random.below(tiles.len())];
                lines.remove(tile);
                "a tile dropped"
            }
            9 => {
                let tile = self.other.iter().find(|line| line.starts_with(b"{\"tile\"")).unwrap();
                let tiles: Vec<usize> = (1..lines.len()).filter(|at| !entries.contains(at)).collect();
                lines[tiles[random.below(tiles.len())]].clone_from(tile);
                "a tile of another log"
            }
            10 => {
                lines[at].clone_from(self.other.last().unwrap());
                "an entry of another log"
            }
            _ => {
                lines[0].clone_from(&self.other[0]);
                "another log's checkpoint"
            }
        };
        Mutant { what, bytes: lines.concat() }
    }
}
