//! A store of each earlier schema, as the program of that time wrote it (kept under `golden/`), is brought to the present
//! schema, whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{fs, path::Path, process::Command};

use bytes::Bytes;
use daypass_core::{Action, Actor, ChangeId, Event, Life, replay::Replay};
use daypass_credential::{NodeId, Revision, Timestamp};
use daypass_store::{Backup, Change, Check, Entry, Lane, OpenError, Options, Reader, Sled, Store};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// A golden store: its schema, its last revision, and SHA-256 over its events, as the program that wrote it read them.
struct Golden {
    schema: u32,
    head: u64,
    events: &'static str,
}

const GOLDEN: [Golden; 2] = [
    Golden {
        schema: 1,
        head: 22,
        events: "65ed514b52dfd56b9adaa8ee56e7bf5935fd41dccb0b94fd54fa18d56f47cd5d",
    },
    Golden {
        schema: 2,
        head: 22,
        events: "6cef4da035655827610cb92e682b2663f854595839a284e35ae9023fc69c59a6",
    },
];
/// The schema that this program writes.
const PRESENT: u32 = 3;

/// One test at a time: the process that unpacks would, for a moment, hold the locks that others have on their stores.
static ONE_BY_ONE: Mutex<()> = Mutex::const_new(());

/// A golden store, unpacked.
async fn unpacked(golden: &Golden) -> (MutexGuard<'static, ()>, TempDir, std::path::PathBuf) {
    let alone = ONE_BY_ONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::create_dir(&path).unwrap();
    let archive = format!("tests/golden/store-v{}/store.tar.gz", golden.schema);
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(archive);
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&path).status().unwrap();
    assert!(unpacked.success());
    (alone, folder, path)
}

fn open(path: &Path) -> Sled {
    Sled::open(path, Options { check: Check::Whole, ..Options::default() }).unwrap()
}

async fn log(store: &dyn Store) -> Vec<Entry> {
    store.log(Revision::ZERO, 100_000).await.unwrap()
}

fn sha256(events: &[Bytes]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, &events.concat());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn life(store: &dyn Store, id: &str) -> Life {
    let id: NodeId = id.parse().unwrap();
    store.nodes(&[id]).await.unwrap().remove(0).unwrap().node.life
}

#[tokio::test]
async fn a_store_of_each_earlier_schema_goes_on() {
    for golden in &GOLDEN {
        goes_on(golden).await;
    }
}

async fn goes_on(golden: &Golden) {
    let (_alone, _kept, path) = unpacked(golden).await;
    let store = open(&path);
    assert_eq!(store.head().borrow().revision, Revision::new(golden.head));
    let before: Vec<Bytes> = log(&store).await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(sha256(&before), golden.events);
    let first = Event::from_bytes(&before[0]).unwrap();
    assert!(matches!(first.action, Action::Initialized { .. }), "{first:?}");
    assert_eq!(life(&store, "vendor:harbor").await, Life::Ended);
    assert_eq!(life(&store, "application:invoice-sync").await, Life::Open);
    for event in &before {
        for id in Event::from_bytes(event).unwrap().beside() {
            assert!(store.private(id).await.unwrap().is_some(), "{id} is gone");
        }
    }
    let mut replay = Replay::default();
    for (revision, event) in (1..).map(Revision::new).zip(&before) {
        replay.take(revision, &Event::from_bytes(event).unwrap()).unwrap();
    }
    let next = Event::new(
        Timestamp::from_millis(u64::MAX / 2),
        ChangeId::new([7; 16]),
        Actor::Broker,
        Action::ClockAccepted { previous: store.head().borrow().at },
    );
    let change = Change { event: next, expect: Vec::new(), private: Vec::new() };
    assert_eq!(store.commit(change, Lane::Normal).await.unwrap(), Revision::new(golden.head + 1));
    drop(store);

    let again = open(&path);
    let after: Vec<Bytes> = log(&again).await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(after.len(), before.len() + 1);
    assert!(after.starts_with(&before), "what was recorded stays as it is, byte for byte");
}

#[tokio::test]
async fn the_present_schema_is_not_for_earlier_versions() {
    for golden in &GOLDEN {
        let (_alone, _kept, path) = unpacked(golden).await;
        drop(open(&path));
        let db = sled::open(&path).unwrap();
        // Each earlier version of the program reads these four bytes, and refuses anything above its own number.
        assert_eq!(&*db.get(b"m").unwrap().unwrap(), PRESENT.to_be_bytes());
        db.insert(b"m", &99_u32.to_be_bytes()).unwrap();
        db.insert(b"w", "7.3.1").unwrap();
        db.flush().unwrap();
        drop(db);
        fs::File::open(path.join("db")).unwrap().lock().unwrap();
        let refused = Sled::open(&path, Options::default()).err().unwrap();
        assert!(matches!(refused, OpenError::Newer { found: 99, known: PRESENT, .. }), "{refused}");
        assert!(refused.to_string().contains("use daypassd 7.3.1 or newer"), "{refused}");
    }
}

/// A store that is refused stays as it was, also for the program that wrote it.
#[tokio::test]
async fn a_damaged_store_is_not_brought_to_another_schema() {
    for golden in &GOLDEN {
        let (_alone, _kept, path) = unpacked(golden).await;
        let ahead = u128::from(golden.head + 5) << 64 | u128::from(!(golden.head + 5));
        fs::write(path.join("mark"), ahead.to_be_bytes()).unwrap();
        let refused = Sled::open(&path, Options::default()).err().unwrap();
        assert!(matches!(refused, OpenError::Damaged(_)), "{refused}");
        let db = sled::open(&path).unwrap();
        assert_eq!(&*db.get(b"m").unwrap().unwrap(), golden.schema.to_be_bytes());
    }
}

#[tokio::test]
async fn a_backup_of_an_upgraded_store_is_the_same_log() {
    for golden in &GOLDEN {
        let (_alone, kept, path) = unpacked(golden).await;
        let store = open(&path);
        let mut backup = Backup::of(&store);
        let mut bytes = Vec::new();
        while let Some(piece) = backup.next().await.unwrap() {
            bytes.extend(piece);
        }
        let restored = kept.path().join("restored");
        let head =
            Sled::restore(&restored, Options::default(), Reader::open(&bytes[..]).unwrap(), |_| {}).unwrap();
        assert_eq!(head, *store.head().borrow());
        assert_eq!(log(&open(&restored)).await, log(&store).await);
    }
}
