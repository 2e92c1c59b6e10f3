//! What the notary holds a log to: restarts at any instant, files that do not fit, stores that were put back.

mod asked;

use std::{fs, path::PathBuf, sync::Arc};

use daypass_core::{Action, Actor, ChangeId, Event, node::KeyPurpose};
use daypass_credential::{Era, Revision, Timestamp, Ttl};
use daypass_issuer::{KeyEncryptionKey, KeyPlan, KeyRing, Realm, generate};
use daypass_log::{Frontier, Hash, Root, VerifierKey, proof};
use daypass_store::{Change, Disk, Faults, Lane, Memory, Store};
use tempfile::TempDir;

use super::{
    Noted, Place, StartError, Subject,
    anchor::Anchor,
    check::{PAGE, Start, check},
    desk::{Desk, Trouble},
    key,
    tree::Tree,
};

const ISSUER: &str = "https://t.example";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const ERA: Era = Era::new(7);

/// A log whose events are told apart by a word.
async fn log(word: u8, size: u64) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(Memory::open(&Disk::new(), &Faults::none()).unwrap());
    grow(&*store, word, size).await;
    store
}

async fn grow(store: &dyn Store, word: u8, by: u64) {
    for _ in 0..by {
        let number = store.head().borrow().revision.get();
        let id = ChangeId::new((u128::from(word) << 64 | u128::from(number)).to_be_bytes());
        let event = Event::new(NOW, id, Actor::Broker, Action::ClockAccepted { previous: NOW });
        let change = Change { event, expect: Vec::new(), private: Vec::new() };
        store.commit(change, Lane::Normal).await.unwrap();
    }
}

/// The root over a log's first entries, made without the notary.
async fn root(store: &dyn Store, size: u64) -> Root {
    let mut frontier = Frontier::new();
    for entry in store.log(Revision::ZERO, usize::try_from(size).unwrap()).await.unwrap() {
        frontier.append(&entry.event);
    }
    assert_eq!(frontier.size(), size);
    frontier.root()
}

fn ring(issuer: &str) -> KeyRing {
    let kek = KeyEncryptionKey::generate().unwrap();
    let domain = "t.example".parse().unwrap();
    let (not_before, not_after) = (NOW.before(Ttl::days(1)), NOW.after(Ttl::days(1)));
    let algorithm = daypass_core::node::KeyAlgorithm::EdDsa;
    let plan = KeyPlan { purpose: KeyPurpose::Audit, algorithm, not_before, not_after };
    let made = generate(plan, &domain, &kek).unwrap();
    let realm = Realm { issuer: issuer.into(), domain, era: ERA };
    KeyRing::open(realm, &kek, [(made.key, made.sealed)]).unwrap()
}

/// The notary's files, its key, and a log of some size.
struct Scene {
    dir: TempDir,
    ring: KeyRing,
    store: Arc<dyn Store>,
    previous: Option<Era>,
    era: Era,
}

impl Scene {
    /// A log of this size, signed.
    async fn signed(size: u64) -> Self {
        let scene = Self {
            dir: tempfile::tempdir().unwrap(),
            ring: ring(ISSUER),
            store: log(1, size).await,
            previous: None,
            era: ERA,
        };
        scene.goes_on().await;
        scene
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("notary")
    }

    fn anchor(&self) -> PathBuf {
        self.dir.path().join("anchor")
    }

    fn keys(&self) -> Vec<VerifierKey> {
        key::all(&self.ring)
    }

    /// A start.
    async fn start(&self) -> Result<Desk, StartError> {
        let place = Place { folder: self.folder(), anchor: self.anchor() };
        let keys = self.keys();
        let subject = Subject { issuer: ISSUER, era: self.era, previous: self.previous, keys: &keys };
        let Start { head, tree, .. } = check(&place, &subject, &*self.store).await?;
        let anchor = Arc::new(Anchor::at(place.anchor));
        Ok(Desk { folder: place.folder, anchor, era: self.era, head, tree })
    }

    async fn follow(&self, desk: &mut Desk) {
        loop {
            let entries = self.store.log(Revision::new(desk.size()), PAGE).await.unwrap();
            if entries.is_empty() {
                return;
            }
            desk.append(&entries).unwrap();
        }
    }

    /// A start that serves, and signs the log as it is; every tile of it is right.
    async fn goes_on(&self) -> Noted {
        let mut desk = self.start().await.unwrap();
        self.follow(&mut desk).await;
        let noted = desk.sign(&self.ring, NOW).unwrap();
        let size = self.store.head().borrow().revision.get();
        assert_eq!(noted.root(), root(&*self.store, size).await);
        for revision in 1..=size {
            let entry = self.store.log(Revision::new(revision - 1), 1).await.unwrap().remove(0);
            let path = proof::inclusion(&*noted.hashes, revision - 1, size).unwrap();
            proof::check_inclusion(Hash::leaf(&entry.event), revision - 1, &path, &noted.root()).unwrap();
        }
        assert_eq!(fs::read_to_string(self.anchor()).unwrap(), noted.signed().note());
        noted
    }

    /// A start that does not serve, and says this.
    async fn refused(&self, words: &str) {
        let kept = self.files();
        match self.start().await {
            Err(StartError::NotTheNewest(text)) => assert!(text.contains(words), "{text}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it serves, where `{words}` was to be said"),
        }
        assert_eq!(self.files(), kept, "a refusal changes nothing");
    }

    /// What is known of the log on disk.
    fn files(&self) -> [Option<Vec<u8>>; 2] {
        [self.anchor(), self.folder().join("head")].map(|path| fs::read(path).ok())
    }

    fn put(&self, [anchor, head]: &[Option<Vec<u8>>; 2]) {
        for (path, content) in [(self.anchor(), anchor), (self.folder().join("head"), head)] {
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
    }

    /// Changes one of the files.
    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.folder().join(name);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_restart_goes_on_with_the_tree_that_there_was() {
    for size in [1, 2, 255, 256, 257, 512, 700] {
        let scene = Scene::signed(size).await;
        let desk = scene.start().await.unwrap();
        assert_eq!(desk.tree.as_ref().map(Tree::size), Some(size), "the files are used");
        grow(&*scene.store, 1, 300).await;
        scene.goes_on().await;
    }
}

#[tokio::test]
async fn a_tree_of_three_levels_of_tiles_is_that_of_the_log() {
    let scene = Scene {
        dir: tempfile::tempdir().unwrap(),
        ring: ring(ISSUER),
        store: log(1, 1).await,
        previous: None,
        era: ERA,
    };
    let mut desk = scene.start().await.unwrap();
    let (mut frontier, mut at) = (Frontier::new(), 0);
    while at < 65_536 + 300 {
        let entries: Vec<_> = (at + 1..=at + 499)
            .map(|n| daypass_store::Entry {
                revision: Revision::new(n),
                event: n.to_string().into_bytes().into(),
            })
            .collect();
        entries.iter().for_each(|entry| frontier.append(&entry.event));
        desk.append(&entries).unwrap();
        at += 499;
    }
    let tree = desk.tree.as_ref().unwrap();
    assert_eq!((tree.size(), tree.root()), (at, frontier.root()));
    for index in [0, 1, 255, 256, 65_535, 65_536, at - 1] {
        let path = proof::inclusion(&**tree.hashes(), index, at).unwrap();
        let leaf = Hash::leaf((index + 1).to_string().as_bytes());
        proof::check_inclusion(leaf, index, &path, &tree.root()).unwrap();
    }
}

#[tokio::test]
async fn a_kill_between_any_two_steps_is_gone_on_from() {
    // Between the log and the hashes: nothing was done.
    let scene = Scene::signed(300).await;
    let before = scene.files();
    grow(&*scene.store, 1, 300).await;
    scene.goes_on().await;
    let after = scene.files();
    // Between the hashes and the head, and between the head and the anchor.
    for files in [before.clone(), [before[0].clone(), after[1].clone()]] {
        scene.put(&files);
        scene.goes_on().await;
    }
    // In the middle of writing hashes.
    scene.put(&before);
    scene.change("0", |bytes| bytes.truncate(400 * 32 + 7));
    scene.change("1", |bytes| bytes.extend([9; 40]));
    scene.goes_on().await;
    // Before there was any head, and with nothing at all.
    for files in [[None, None], [after[0].clone(), None], [None, after[1].clone()]] {
        scene.put(&files);
        scene.goes_on().await;
    }
}

#[tokio::test]
async fn files_that_do_not_fit_are_made_anew() {
    for (name, at, size) in [("0", 0, 300), ("0", 299 * 32, 300), ("0", 255 * 32, 256), ("1", 3, 300)] {
        let scene = Scene::signed(size).await;
        scene.change(name, |bytes| bytes.truncate(at));
        scene.goes_on().await;
        let inside = name == "0" && size == 300 && at == 0;
        if !inside {
            scene.change(name, |bytes| bytes[at] ^= 1);
            scene.goes_on().await;
        }
    }
    let scene = Scene::signed(300).await;
    fs::remove_dir_all(scene.folder()).unwrap();
    scene.goes_on().await;
}

#[tokio::test]
async fn hashes_that_are_damaged_inside_the_tree_speak_for_no_other_log() {
    let scene = Scene::signed(300).await;
    let [anchor, _] = scene.files();
    grow(&*scene.store, 1, 400).await;
    scene.goes_on().await;
    let [_, head] = scene.files();
    scene.put(&[anchor, head]);
    scene.change("0", |bytes| bytes[280 * 32] ^= 1);
    scene.goes_on().await;
}

#[tokio::test]
async fn a_store_that_was_put_back_is_refused() {
    for size in [299, 256, 1] {
        let mut scene = Scene::signed(300).await;
        let [anchor, head] = scene.files();
        scene.store = log(1, size).await;
        scene.refused(&format!("ends at revision {size}, and the anchor")).await;
        scene.put(&[None, head]);
        scene.refused("knows of revision 300").await;
        scene.put(&[anchor.clone(), None]);
        scene.refused("find the newest store, or run `daypassd recover`").await;
        // An anchor is enough, also where the folder of the hashes is as old as the store.
        fs::remove_dir_all(scene.folder()).unwrap();
        fs::remove_file(scene.anchor()).unwrap();
        scene.goes_on().await;
        fs::write(scene.anchor(), anchor.unwrap()).unwrap();
        scene.refused("the store is older than what was signed").await;
    }
}

#[tokio::test]
async fn a_store_that_went_another_way_is_refused() {
    for (common, by) in [(299, 1), (299, 400), (255, 45), (100, 201)] {
        let mut scene = Scene::signed(300).await;
        let [anchor, head] = scene.files();
        scene.store = log(1, common).await;
        grow(&*scene.store, 2, by).await;
        scene.refused("up to revision 300, which the anchor").await;
        scene.put(&[None, head]);
        scene.refused("it is another log").await;
        scene.put(&[anchor, None]);
        scene.refused("it is another log").await;
    }
}

#[tokio::test]
async fn an_anchor_of_another_log_or_key_is_refused() {
    let mut scene = Scene::signed(10).await;
    let own = std::mem::replace(&mut scene.ring, ring(ISSUER));
    scene.refused("is not signed by this log's key").await;
    scene.ring = own;
    let note = fs::read_to_string(scene.anchor()).unwrap();
    for (from, to, words) in [
        ("\n10\n", "\n9\n", "is not signed by this log's key"),
        ("t.example/log\n10", "u.example/log\n10", "is another broker's"),
        ("era 0000000000000007", "era 0000000000000008", "is of era 0000000000000008"),
        ("era 0000000000000007\n", "", "is of era none, and"),
        ("\n10\n", "\nten\n", "holds no checkpoint"),
    ] {
        fs::write(scene.anchor(), note.replacen(from, to, 1)).unwrap();
        scene.refused(words).await;
    }
    fs::write(scene.anchor(), "").unwrap();
    scene.refused("holds no checkpoint").await;
    fs::write(scene.anchor(), vec![b'x'; 1 << 20]).unwrap();
    scene.refused("holds no checkpoint").await;
    fs::write(scene.anchor(), note).unwrap();
    scene.goes_on().await;
}

#[tokio::test]
async fn the_anchor_of_the_era_before_is_replaced() {
    let mut scene = Scene::signed(300).await;
    scene.store = log(2, 5).await;
    (scene.era, scene.ring) = (Era::new(8), ring(ISSUER));
    scene.refused("is of era 0000000000000007, and the store is of era 0000000000000008").await;
    scene.previous = Some(ERA);
    scene.goes_on().await;
    // And the other way around: the store of the era before does not come back.
    scene.store = log(1, 300).await;
    (scene.era, scene.previous) = (ERA, None);
    scene.refused("is of era 0000000000000008, and the store is of era 0000000000000007").await;
}

#[tokio::test]
async fn a_head_that_is_not_what_was_written_needs_the_anchor() {
    let scene = Scene::signed(300).await;
    for bad in ["", "{}", "null", "{\"era\":\"7\",\"size\":300,\"root\":\"\"}", &"x".repeat(2000)] {
        scene.change("head", |bytes| *bytes = bad.into());
        scene.goes_on().await;
        let [_, head] = scene.files();
        scene.change("head", |bytes| *bytes = bad.into());
        let anchor = fs::read(scene.anchor()).unwrap();
        fs::remove_file(scene.anchor()).unwrap();
        scene.refused("the notary's head is not what was written").await;
        scene.put(&[Some(anchor), head]);
    }
}

#[tokio::test]
async fn no_second_tree_of_a_size_is_signed() {
    let scene = Scene::signed(300).await;
    // The log that is followed turns out to be another one than the one that was looked at.
    for size in [300, 400] {
        let mut desk = scene.start().await.unwrap();
        desk.forget_tree();
        let other = log(2, size).await;
        let appended = desk.append(&other.log(Revision::ZERO, PAGE).await.unwrap());
        assert!(matches!(appended, Err(Trouble::Conflict { kept: 300, found: 300 })));
        if size == 300 {
            let signed = desk.sign(&scene.ring, NOW);
            assert!(matches!(signed, Err(Trouble::Conflict { kept: 300, found: 300 })));
        }
    }
    scene.change("0", |bytes| bytes[0] ^= 1);
    // Somebody else kept a larger tree in the same folder.
    let mut desk = scene.start().await.unwrap();
    scene.follow(&mut desk).await;
    grow(&*scene.store, 1, 1).await;
    scene.goes_on().await;
    let signed = desk.sign(&scene.ring, NOW);
    assert!(matches!(signed, Err(Trouble::Conflict { kept: 301, found: 300 })));
    let [anchor, _] = scene.files();
    assert!(String::from_utf8(anchor.unwrap()).unwrap().contains("\n301\n"), "nothing was signed");
}

#[tokio::test]
async fn what_cannot_be_written_is_tried_again() {
    let scene = Scene::signed(300).await;
    grow(&*scene.store, 1, 10).await;
    let mut desk = scene.start().await.unwrap();
    scene.follow(&mut desk).await;
    // A folder in the place of the anchor's next version.
    let blocker = scene.dir.path().join("anchor.new");
    fs::create_dir(&blocker).unwrap();
    assert!(matches!(desk.sign(&scene.ring, NOW), Err(Trouble::Files(_))));
    fs::remove_dir(&blocker).unwrap();
    desk.sign(&scene.ring, NOW).unwrap();
    // Without its folder the notary starts, says so, and goes on once it is there.
    let empty =
        Scene { dir: tempfile::tempdir().unwrap(), store: log(1, 20).await, ..Scene::signed(1).await };
    fs::write(empty.folder(), "not a folder").unwrap();
    let mut desk = Desk {
        folder: empty.folder(),
        anchor: Arc::new(Anchor::at(empty.anchor())),
        era: ERA,
        head: None,
        tree: None,
    };
    let entries = empty.store.log(Revision::ZERO, PAGE).await.unwrap();
    assert!(matches!(desk.append(&entries), Err(Trouble::Files(_))));
    fs::remove_file(empty.folder()).unwrap();
    desk.append(&entries).unwrap();
    desk.sign(&empty.ring, NOW).unwrap();
}

#[tokio::test]
async fn without_a_key_in_force_nothing_is_signed() {
    let scene = Scene::signed(3).await;
    let mut desk = scene.start().await.unwrap();
    for (at, signs) in [
        (NOW.before(Ttl::days(1)), true),
        (NOW.before(Ttl::days(1)).before(Ttl::seconds(1)), false),
        (NOW.after(Ttl::days(1)).before(Ttl::seconds(1)), true),
        (NOW.after(Ttl::days(1)), false),
    ] {
        let signed = desk.sign(&scene.ring, at);
        assert_eq!(signed.is_ok(), signs);
        assert!(signs || matches!(signed, Err(Trouble::NoKey)));
    }
}

#[tokio::test]
async fn a_gap_in_the_log_is_not_passed_over() {
    let scene = Scene::signed(3).await;
    grow(&*scene.store, 1, 3).await;
    let mut desk = scene.start().await.unwrap();
    let entries = scene.store.log(Revision::new(4), PAGE).await.unwrap();
    assert!(matches!(desk.append(&entries), Err(Trouble::Append(_))));
    assert_eq!(desk.size(), 3);
}
