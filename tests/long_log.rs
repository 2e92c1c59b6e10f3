//! Checking a long log: minted by a real broker, exported, and verified offline with the public key alone. Against reading
//! the same file and hashing it, on one thread, and with memory that does not grow. `DAYPASS_LOG_EVENTS` says how long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use daypass_sdk::Application;
use serde_json::{Value, json};
use support::{World, name};
use tokio::task::JoinSet;

/// How many mints wait at once, over how many connections.
const AT_ONCE: usize = 64;
const CONNECTIONS: usize = 4;
/// How often each is timed; the median counts.
const ROUNDS: usize = 5;

/// What verifying an export took.
struct Verified {
    millis: f64,
    /// The most memory that was resident at once.
    rss_kib: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_verified_offline_in_constant_memory() {
    let events = u64::try_from(support::size("DAYPASS_LOG_EVENTS", 3000)).unwrap();
    let world = World::new().await;
    let key = log_key(&world).await;
    let applications = applications(&world).await;
    mint_until(&world, &applications, events / 10).await;
    let tenth = exported(&world, "tenth", events / 10);
    mint_until(&world, &applications, events).await;
    let whole = exported(&world, "whole", events);
    let of_tenth = median(&tenth, &key);
    let of_whole = median(&whole, &key);
    let hashed = middle((0..ROUNDS).map(|_| hash(&whole)).collect());
    support::show(&json!({
        "events": said(&whole, &key)["revision"],
        "verify_ms": of_whole.millis.round(),
        "sha256_ms": hashed.round(),
        "ratio": of_whole.millis / hashed,
        "bytes": fs::metadata(&whole).unwrap().len(),
        "rss_mb": of_whole.rss_kib as f64 / 1024.0,
        "rss_mb_at_a_tenth": of_tenth.rss_kib as f64 / 1024.0,
        "verify_ms_at_a_tenth": of_tenth.millis.round(),
    }));
    // Twice is far beyond what differs by chance, and a list of all events would take far more.
    assert!(of_whole.rss_kib < 2 * of_tenth.rss_kib, "{} and {} KiB", of_tenth.rss_kib, of_whole.rss_kib);
}

/// The key that an auditor needs, and all that they need.
async fn log_key(world: &World) -> String {
    use daypass_proto::v1::{GetCheckpointRequest, audit_service_client::AuditServiceClient};
    let mut client = AuditServiceClient::new(world.admin.channel());
    client.get_checkpoint(GetCheckpointRequest::default()).await.unwrap().into_inner().log_key
}

async fn applications(world: &World) -> Vec<Application> {
    let first = world.application("sync", "sync").await;
    let identity = world.broker.home("sync").identity().unwrap();
    let mut all = vec![first];
    for _ in 1..CONNECTIONS {
        let connection = daypass_sdk::Connection::open(&identity).await.unwrap();
        all.push(Application::over(connection).unwrap());
    }
    all
}

/// Mints until the log is at least so long.
async fn mint_until(world: &World, applications: &[Application], events: u64) {
    let certificate = applications[0].certificate(&name("billing"), None).await.unwrap();
    loop {
        let missing = events.saturating_sub(world.revision().await.get());
        if missing == 0 {
            return;
        }
        let mut workers = JoinSet::new();
        for worker in 0..AT_ONCE {
            let (application, certificate) =
                (applications[worker % CONNECTIONS].clone(), certificate.clone());
            let share = (usize::try_from(missing).unwrap() + worker) / AT_ONCE;
            workers.spawn(async move {
                for _ in 0..share {
                    support::token(&application, &certificate, "invoices.read").await.unwrap();
                }
            });
        }
        while let Some(worked) = workers.join_next().await {
            worked.unwrap();
        }
    }
}

/// The log as a file, by the command line, as the admin.
fn exported(world: &World, what: &str, events: u64) -> PathBuf {
    let path = world.broker.path().join(what);
    // The newest checkpoint covers it a second later at the most.
    let proved = daypass(&["audit", "prove", &events.to_string(), "-o", "json"])
        .env("DAYPASS_HOME", world.broker.home("dana").folder())
        .output()
        .unwrap();
    assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    let output = daypass(&["audit", "export", "--out"])
        .arg(&path)
        .env("DAYPASS_HOME", world.broker.home("dana").folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn daypass(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
    command.args(args);
    command
}

/// `daypass audit verify`, as an auditor's machine runs it: the file and the key, and nothing else.
fn verify(export: &Path, key: &str) -> Command {
    let mut command = daypass(&["audit", "verify", "--key", key, "-o", "json"]);
    command.arg(export).env("DAYPASS_HOME", "/nonexistent").env_remove("HOME").stdout(Stdio::piped());
    command
}

fn said(export: &Path, key: &str) -> Value {
    let output = verify(export, key).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn median(export: &Path, key: &str) -> Verified {
    let all: Vec<Verified> = (0..ROUNDS).map(|_| timed(export, key)).collect();
    let rss_kib = all.iter().map(|one| one.rss_kib).max().unwrap();
    Verified { millis: middle(all.iter().map(|one| one.millis).collect()), rss_kib }
}

fn timed(export: &Path, key: &str) -> Verified {
    let begun = Instant::now();
    let mut child = verify(export, key).spawn().unwrap();
    let mut rss_kib = 0;
    while child.try_wait().unwrap().is_none() {
        rss_kib = rss_kib.max(resident(child.id()));
        std::thread::sleep(Duration::from_millis(1));
    }
    Verified { millis: begun.elapsed().as_secs_f64() * 1000.0, rss_kib }
}

/// The most that a process had resident so far, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// Reads the file and hashes it, and does nothing else.
fn hash(export: &Path) -> f64 {
    let begun = Instant::now();
    let (mut file, mut buffer) = (File::open(export).unwrap(), vec![0; 256 * 1024]);
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    assert_ne!(context.finish().as_ref(), [0; 32]);
    begun.elapsed().as_secs_f64() * 1000.0
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
