//! Opening the embedded engine: what is refused, and with which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use daypass_core::{Action, Actor, Body, ChangeId, Event, Node, PrivateId, node::Vendor};
use daypass_credential::{NodeId, Revision, Timestamp};
use daypass_store::{Change, Check, Lane, OpenError, Options, Sled, Store, StoreError};
use tempfile::TempDir;
use zeroize::Zeroizing;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    (directory, path)
}

fn open(path: &Path, check: Check) -> Result<Sled, OpenError> {
    Sled::open(path, Options { check, ..Options::default() })
}

fn refusal(path: &Path, check: Check) -> OpenError {
    open(path, check).err().expect("it opened")
}

async fn commit(store: &Sled, number: u64) {
    let vendor =
        Vendor { name: format!("v{number}").parse().unwrap(), parent: None, owner: "ada".parse().unwrap() };
    let node = Node::open(Body::Vendor(vendor));
    let action = Action::Written { node: node.id() };
    let id = ChangeId::new(u128::from(number).to_be_bytes());
    let event = Event::new(Timestamp::from_millis(number), id, Actor::Broker, action).put([node]);
    store.commit(Change { event, expect: Vec::new(), private: Vec::new() }, Lane::Normal).await.unwrap();
}

/// A store with some commits, each its own run; closed again.
async fn filled(path: &Path, commits: u64) {
    let store = Sled::create(path, Options::default()).unwrap();
    for number in 1..=commits {
        commit(&store, number).await;
    }
}

/// Changes the database behind the store's back.
fn tamper(path: &Path, change: impl FnOnce(&sled::Db)) {
    let db = sled::open(path).unwrap();
    change(&db);
    db.flush().unwrap();
    drop(db);
    // sled's threads hold its lock a little longer.
    fs::File::open(path.join("db")).unwrap().lock().unwrap();
}

fn run_key(revision: u64) -> Vec<u8> {
    [b"r", &revision.to_be_bytes()[..]].concat()
}

/// Fills a store, changes it, and expects both checks to call it damaged with these words.
async fn check_damage(words: &str, change: impl FnOnce(&sled::Db)) {
    let (_kept, path) = place();
    filled(&path, 5).await;
    tamper(&path, change);
    for check in [Check::Newest, Check::Whole] {
        let refused = refusal(&path, check);
        assert!(matches!(&refused, OpenError::Damaged(why) if why.contains(words)), "{refused}");
    }
}

#[tokio::test]
async fn a_store_is_created_once_and_opened_only_if_it_is_there() {
    let (_kept, path) = place();
    assert!(matches!(refusal(&path, Check::Newest), OpenError::Missing(_)));
    assert!(!path.exists(), "asking for a store must not make one");
    filled(&path, 1).await;
    assert!(matches!(Sled::create(&path, Options::default()).err(), Some(OpenError::Exists(_))));
    drop(open(&path, Check::Whole).unwrap());
}

#[tokio::test]
async fn the_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_kept, path) = place();
    filled(&path, 1).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_store_in_use_is_not_opened() {
    let (_kept, path) = place();
    filled(&path, 1).await;
    let first = open(&path, Check::Newest).unwrap();
    assert!(matches!(refusal(&path, Check::Newest), OpenError::InUse(_)));
    assert!(matches!(Sled::create(&path, Options::default()).err(), Some(OpenError::Exists(_))));
    commit(&first, 2).await;
    drop(first);
    drop(open(&path, Check::Whole).unwrap());
}

#[test]
fn what_the_system_refuses_is_an_error_of_its_own() {
    let (kept, _path) = place();
    let file = kept.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(Sled::create(&file, Options::default()).err(), Some(OpenError::Io { .. })));
    assert!(matches!(refusal(&file, Check::Newest), OpenError::Io { .. }));
    fs::create_dir_all(kept.path().join("odd/db")).unwrap();
    assert!(matches!(refusal(&kept.path().join("odd"), Check::Newest), OpenError::Io { .. }));
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    let (_kept, path) = place();
    filled(&path, 1).await;
    tamper(&path, |db| {
        db.insert(b"m", &4_u32.to_be_bytes()).unwrap();
    });
    assert!(matches!(refusal(&path, Check::Newest), OpenError::Newer { found: 4, known: 3, .. }));
}

#[tokio::test]
async fn a_store_without_its_version_is_refused() {
    check_damage("no schema version", |db| {
        db.remove(b"m").unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_gap_in_the_log_is_found() {
    check_damage("gap", |db| {
        db.remove(run_key(3)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_log_without_its_beginning_is_found() {
    check_damage("does not begin", |db| {
        db.remove(run_key(1)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_log_that_ends_before_its_nodes_is_found() {
    check_damage("newer than the log", |db| {
        db.remove(run_key(5)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_run_that_is_cut_short_is_found() {
    check_damage("not a run of events", |db| {
        let run = db.get(run_key(2)).unwrap().unwrap();
        db.insert(run_key(2), &run[..run.len() - 1]).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_node_that_does_not_parse_is_found() {
    check_damage("cannot be read", |db| {
        db.insert(b"nvendor:v1", b"short").unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_node_under_another_name_is_found() {
    check_damage("stands where", |db| {
        let node = db.get(b"nvendor:v1").unwrap().unwrap();
        db.insert(b"nvendor:v9", node).unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_the_whole_check_finds_a_node_that_the_log_does_not_leave() {
    let (_kept, path) = place();
    filled(&path, 5).await;
    tamper(&path, |db| {
        db.remove(b"nvendor:v1").unwrap();
    });
    drop(open(&path, Check::Newest).unwrap());
    assert!(matches!(refusal(&path, Check::Whole), OpenError::Damaged(_)));
}

/// Bytes turned anywhere in the data file: sled cuts off what comes after, which here is damage and no shorter log.
#[tokio::test]
async fn rot_is_no_shorter_log() {
    let (kept, path) = place();
    filled(&path, 200).await;
    let length = fs::metadata(path.join("db")).unwrap().len();
    for step in 0..24_u64 {
        let copy = kept.path().join(format!("copy{step}"));
        copy_store(&path, &copy);
        rot(&copy.join("db"), usize::try_from(length / 24 * step).unwrap());
        check_nothing_is_lost(&copy);
    }
}

#[tokio::test]
async fn a_file_cut_short_is_no_shorter_log() {
    let (kept, path) = place();
    filled(&path, 200).await;
    let bytes = fs::read(path.join("db")).unwrap();
    for part in 0..8 {
        let copy = kept.path().join(format!("copy{part}"));
        copy_store(&path, &copy);
        fs::write(copy.join("db"), &bytes[..bytes.len() / 8 * part]).unwrap();
        check_nothing_is_lost(&copy);
    }
}

/// Refused as damaged, or whole.
fn check_nothing_is_lost(path: &Path) {
    match open(path, Check::Whole) {
        Ok(store) => assert_eq!(store.head().borrow().revision.get(), 200),
        Err(refused) => assert!(matches!(refused, OpenError::Damaged(_)), "{refused}"),
    }
}

#[tokio::test]
async fn a_store_without_its_mark_is_refused() {
    let (_kept, path) = place();
    filled(&path, 5).await;
    for spoil in [|mark: &Path| fs::write(mark, "").unwrap(), |mark: &Path| fs::remove_file(mark).unwrap()] {
        spoil(&path.join("mark"));
        let refused = refusal(&path, Check::Newest);
        assert!(matches!(&refused, OpenError::Damaged(why) if why.contains("mark")), "{refused}");
    }
}

/// A crash may leave a snapshot that sled had begun to write; sled would take it for a whole one.
#[tokio::test]
async fn a_snapshot_that_broke_off_does_no_harm() {
    let (_kept, path) = place();
    filled(&path, 5).await;
    for half in ["", "half a snapshot, long enough to look like one"] {
        let snapshot = path.join("snap.FFFFFFFFFFFFFFFF.generating");
        fs::write(&snapshot, half).unwrap();
        let store = open(&path, Check::Whole).unwrap();
        assert_eq!(store.head().borrow().revision.get(), 5);
        assert!(!snapshot.exists());
    }
}

#[tokio::test]
async fn a_store_whose_making_broke_off_is_made_again() {
    let (kept, path) = place();
    let part = kept.path().join("store.new");
    filled(&part, 0).await;
    assert!(matches!(refusal(&path, Check::Newest), OpenError::Missing(_)));
    filled(&path, 1).await;
    assert!(!part.exists());
    drop(open(&path, Check::Whole).unwrap());
}

#[tokio::test]
async fn a_store_that_somebody_is_making_is_left_alone() {
    let (kept, path) = place();
    let part = kept.path().join("store.new");
    filled(&part, 0).await;
    let _theirs = open(&part, Check::Newest).unwrap();
    assert!(matches!(Sled::create(&path, Options::default()).err(), Some(OpenError::InUse(_))));
    assert!(part.exists() && !path.exists());
}

#[tokio::test]
async fn what_is_in_a_stores_place_stays_there() {
    let (_kept, path) = place();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("theirs"), "x").unwrap();
    assert!(matches!(Sled::create(&path, Options::default()).err(), Some(OpenError::Io { .. })));
    assert_eq!(fs::read(path.join("theirs")).unwrap(), b"x");
}

fn copy_store(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|f| f.path().is_file()) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Turns 64 bytes around.
fn rot(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = !*byte);
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_held_store_is_opened_by_nobody_and_an_open_one_is_not_held() {
    let (_kept, path) = place();
    assert!(matches!(Sled::hold(&path).err(), Some(OpenError::Missing(_))));
    filled(&path, 3).await;
    let held = Sled::hold(&path).unwrap();
    assert_eq!(held.durable(), Some(Revision::new(3)));
    assert!(matches!(refusal(&path, Check::Newest), OpenError::InUse(_)));
    drop(held);
    let store = open(&path, Check::Whole).unwrap();
    assert!(matches!(Sled::hold(&path).err(), Some(OpenError::InUse(_))));
    drop(store);
    drop(Sled::hold(&path).unwrap());
}

/// A text that nothing else in a store's files is like.
const TEXT: &[u8] = b"someone@somewhere.example, and 20 words more";

fn text_id() -> PrivateId {
    PrivateId::new([9; 16])
}

/// Writes the text, or erases it.
async fn commit_text(store: &Sled, number: u64, erased: Vec<PrivateId>) {
    let private = if erased.is_empty() { vec![(text_id(), Zeroizing::new(TEXT.to_vec()))] } else { vec![] };
    let node: NodeId = "person:ada".parse().unwrap();
    let id = ChangeId::new((u128::from(number) << 64).to_be_bytes());
    let action = Action::Forgotten { node, erased };
    let event = Event::new(Timestamp::from_millis(number), id, Actor::Broker, action);
    store.commit(Change { event, expect: Vec::new(), private }, Lane::Normal).await.unwrap();
}

/// The key of the text, as its file has it: it begins with the id.
fn key_of_text(path: &Path) -> Option<Vec<u8>> {
    let veil = fs::read(path.join("veil")).unwrap();
    veil.chunks(64).find(|place| place.starts_with(text_id().as_bytes())).map(<[u8]>::to_vec)
}

fn holds_text(path: &Path) -> bool {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.map(fs::read).any(|bytes| bytes.unwrap().windows(TEXT.len()).any(|at| at == TEXT))
}

/// sled keeps the bytes of what it removed; what it keeps here is sealed, and the key is overwritten.
#[tokio::test]
async fn an_erased_text_is_nowhere_in_the_files_and_its_key_neither() {
    let (_kept, path) = place();
    let store = Sled::create(&path, Options::default()).unwrap();
    commit_text(&store, 1, vec![]).await;
    assert_eq!(store.private(text_id()).await.unwrap().unwrap().as_slice(), TEXT);
    let key = key_of_text(&path).unwrap();
    commit_text(&store, 2, vec![text_id()]).await;
    assert_eq!(key_of_text(&path), None, "at once, before the store is closed");
    drop(store);
    let store = open(&path, Check::Whole).unwrap();
    assert!(store.private(text_id()).await.unwrap().is_none());
    assert!(!holds_text(&path));
    let files = fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(32).any(|at| at == &key[16..48]), "the key is in {}", file.display());
    }
    // The place is used again.
    let length = fs::metadata(path.join("veil")).unwrap().len();
    commit_text(&store, 3, vec![]).await;
    assert_eq!(fs::metadata(path.join("veil")).unwrap().len(), length);
    assert_eq!(store.private(text_id()).await.unwrap().unwrap().as_slice(), TEXT);
}

/// A crash after the commit and before the key was overwritten: the next start does that.
#[tokio::test]
async fn a_key_that_outlived_its_value_is_overwritten_at_the_next_start() {
    let (_kept, path) = place();
    let store = Sled::create(&path, Options::default()).unwrap();
    commit_text(&store, 1, vec![]).await;
    let before = fs::read(path.join("veil")).unwrap();
    commit_text(&store, 2, vec![text_id()]).await;
    drop(store);
    fs::write(path.join("veil"), &before).unwrap();
    drop(open(&path, Check::Whole).unwrap());
    assert_eq!(key_of_text(&path), None);
}

/// A key whose writing was cut short belongs to a value that was never written.
#[tokio::test]
async fn a_torn_key_is_a_free_place_and_missing_ones_are_damage() {
    let (_kept, path) = place();
    let store = Sled::create(&path, Options::default()).unwrap();
    commit_text(&store, 1, vec![]).await;
    drop(store);
    let whole = fs::read(path.join("veil")).unwrap();
    fs::write(path.join("veil"), [&whole[..], &[7; 40]].concat()).unwrap();
    let store = open(&path, Check::Whole).unwrap();
    assert_eq!(store.private(text_id()).await.unwrap().unwrap().as_slice(), TEXT);
    drop(store);
    let mut other = whole.clone();
    other[20] ^= 1;
    fs::write(path.join("veil"), other).unwrap();
    let store = open(&path, Check::Whole).unwrap();
    assert!(matches!(store.private(text_id()).await, Err(StoreError::Damaged(_))));
    // What nobody can read any more can still be erased.
    commit_text(&store, 2, vec![text_id()]).await;
    assert!(store.private(text_id()).await.unwrap().is_none());
    drop(store);
    fs::remove_file(path.join("veil")).unwrap();
    let refused = refusal(&path, Check::Newest);
    assert!(matches!(&refused, OpenError::Damaged(why) if why.contains("keys of its private")), "{refused}");
}
