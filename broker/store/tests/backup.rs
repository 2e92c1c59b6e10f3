//! Backups: what is in one comes back, byte for byte; what is not whole does not come back at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{path::Path, sync::Arc};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Node, PrivateId, TextRef,
    node::{Person, Vendor},
};
use daypass_credential::{Digest, NodeId, NodeKind, Revision, Timestamp};
use daypass_store::{
    Backup, BackupError, Change, Check, CommitError, Disk, Faults, Frame, Lane, Memory, OpenError, Options,
    Reader, RestoreError, Sled, Store, broken_off,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

fn private(number: u64) -> PrivateId {
    PrivateId::new(u128::from(number).to_be_bytes())
}

async fn commit(store: &dyn Store, number: u64) -> Result<Revision, CommitError> {
    let (body, beside) = if number.is_multiple_of(3) {
        let contact = TextRef { id: private(number), hash: Digest::new([0; 32]) };
        let person = Person {
            name: format!("p{number}").parse().unwrap(),
            roles: [].into(),
            contact,
            forgotten: false,
        };
        let value = Zeroizing::new(format!("contact {number}").into_bytes());
        (Body::Person(person), vec![(private(number), value)])
    } else {
        let vendor = Vendor {
            name: format!("v{}", number % 50).parse().unwrap(),
            parent: None,
            owner: "ada".parse().unwrap(),
        };
        (Body::Vendor(vendor), Vec::new())
    };
    let node = Node::open(body);
    let action = Action::Written { node: node.id() };
    let id = ChangeId::new(u128::from(number).to_be_bytes());
    let mut event = Event::new(Timestamp::from_millis(number), id, Actor::Broker, action);
    event = if number.is_multiple_of(7) { event.cut(node) } else { event.put([node]) };
    store.commit(Change { event, expect: Vec::new(), private: beside }, Lane::Normal).await
}

async fn filled(events: u64) -> Memory {
    let store = Memory::open(&Disk::new(), &Faults::none()).unwrap();
    for number in 1..=events {
        commit(&store, number).await.unwrap();
    }
    store
}

async fn backup(store: &dyn Store) -> Vec<u8> {
    let (mut backup, mut bytes) = (Backup::of(store), Vec::new());
    while let Some(piece) = backup.next().await.unwrap() {
        bytes.extend(piece);
    }
    bytes
}

fn place() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

fn restore(path: &Path, bytes: &[u8]) -> Result<(), RestoreError> {
    let reader = Reader::open(bytes).map_err(RestoreError::Backup)?;
    Sled::restore(path, Options::default(), reader, |_| {}).map(drop)
}

fn read(bytes: &[u8]) -> Result<usize, BackupError> {
    Reader::open(bytes)?.try_fold(0, |count, frame| frame.map(|_| count + 1))
}

#[tokio::test]
async fn what_is_in_a_backup_comes_back() {
    let (_kept, path) = place();
    let store = filled(3000).await;
    restore(&path, &backup(&store).await).unwrap();
    let restored = Sled::open(&path, Options { check: Check::Whole, ..Options::default() }).unwrap();
    assert_eq!(*restored.head().borrow(), *store.head().borrow());
    let all = |store: Arc<dyn Store>| async move { store.log(Revision::ZERO, 10_000).await.unwrap() };
    let (restored, store): (Arc<dyn Store>, Arc<dyn Store>) = (Arc::new(restored), Arc::new(store));
    assert_eq!(all(restored.clone()).await, all(store.clone()).await);
    for kind in [NodeKind::Vendor, NodeKind::Person] {
        let listed = |store: Arc<dyn Store>| async move { store.list(kind, None, 10_000).await.unwrap() };
        assert_eq!(listed(restored.clone()).await, listed(store.clone()).await);
    }
    for number in (3..=3000).step_by(3) {
        let value = restored.private(private(number)).await.unwrap().unwrap();
        assert_eq!(*value, format!("contact {number}").into_bytes());
    }
    // What was recorded is known as recorded, and the log goes on where it was.
    assert!(
        matches!(commit(&*restored, 2999).await, Err(CommitError::Repeated { revision }) if revision.get() == 2999)
    );
    assert_eq!(commit(&*restored, 3001).await.unwrap(), Revision::new(3001));
}

#[tokio::test]
async fn an_empty_log_has_a_backup() {
    let (_kept, path) = place();
    restore(&path, &backup(&filled(0).await).await).unwrap();
    let restored = Sled::open(&path, Options::default()).unwrap();
    assert_eq!(restored.head().borrow().revision, Revision::ZERO);
}

#[tokio::test]
async fn a_backup_made_while_the_store_goes_on_holds_what_was_there_at_its_beginning() {
    let store = filled(600).await;
    let (mut under_way, mut bytes) = (Backup::of(&store), Vec::new());
    let mut number = 600;
    while let Some(piece) = under_way.next().await.unwrap() {
        bytes.extend(piece);
        number += 1;
        commit(&store, number).await.unwrap();
    }
    assert_eq!(read(&bytes).unwrap(), 600);
}

#[tokio::test]
async fn an_erased_text_is_no_reason_to_have_no_backup() {
    let (_kept, path) = place();
    let store = filled(0).await;
    let contact = TextRef { id: private(1), hash: Digest::new([0; 32]) };
    let person = Person { name: "ada".parse().unwrap(), roles: [].into(), contact, forgotten: false };
    let action = Action::Written { node: NodeId::new(NodeKind::Person, "ada".parse().unwrap()) };
    let event = Event::new(Timestamp::ZERO, ChangeId::new([1; 16]), Actor::Broker, action);
    let event = event.put([Node::open(Body::Person(person))]);
    store.commit(Change { event, expect: Vec::new(), private: Vec::new() }, Lane::Normal).await.unwrap();
    restore(&path, &backup(&store).await).unwrap();
    assert!(Sled::open(&path, Options::default()).unwrap().private(private(1)).await.unwrap().is_none());
}

fn erasing(number: u64) -> Event {
    let erased = vec![private(3), private(6)];
    let action = Action::Forgotten { node: NodeId::new(NodeKind::Person, "p3".parse().unwrap()), erased };
    let id = ChangeId::new(u128::from(number).to_be_bytes());
    Event::new(Timestamp::from_millis(number), id, Actor::Broker, action)
}

#[tokio::test]
async fn what_was_erased_before_a_backup_is_not_in_it() {
    let (_kept, path) = place();
    let store = filled(10).await;
    store.commit(Change { event: erasing(11), expect: vec![], private: vec![] }, Lane::Normal).await.unwrap();
    let bytes = backup(&store).await;
    assert!(!bytes.windows(9).any(|at| at == b"contact 3" || at == b"contact 6"));
    assert!(bytes.windows(9).any(|at| at == b"contact 9"));
    restore(&path, &bytes).unwrap();
    let restored = Sled::open(&path, Options { check: Check::Whole, ..Options::default() }).unwrap();
    assert!(restored.private(private(3)).await.unwrap().is_none());
    assert!(restored.private(private(9)).await.unwrap().is_some());
}

/// A text that a backup still holds, although an event in it says that it was erased, does not come back.
#[tokio::test]
async fn restoring_erases_what_the_log_says_is_erased() {
    let (_kept, path) = place();
    let store = filled(10).await;
    let bytes = backup(&store).await;
    let frames = Reader::open(&bytes[..]).unwrap();
    let erases = Frame {
        revision: Revision::new(11),
        event: erasing(11).to_bytes().unwrap().into(),
        private: Vec::new(),
    };
    Sled::restore(&path, Options::default(), frames.chain([Ok(erases)]), |_| {}).unwrap();
    let restored = Sled::open(&path, Options { check: Check::Whole, ..Options::default() }).unwrap();
    for (number, there) in [(3, false), (6, false), (9, true)] {
        assert_eq!(restored.private(private(number)).await.unwrap().is_some(), there, "{number}");
    }
}

#[tokio::test]
async fn a_backup_cut_short_is_refused_wherever_it_is_cut() {
    let whole = backup(&filled(20).await).await;
    assert_eq!(read(&whole).unwrap(), 20);
    for length in 0..whole.len() {
        let refused = read(&whole[..length]).unwrap_err();
        assert!(matches!(refused, BackupError::CutShort { .. } | BackupError::NotOne), "{length}: {refused}");
    }
    let refused = read(&whole[..whole.len() - 1]).unwrap_err();
    assert_eq!(refused.to_string(), "the backup is cut short: it ends after revision 20 of 20");
}

#[tokio::test]
async fn a_backup_with_one_byte_changed_is_refused_whichever_it_is() {
    let whole = backup(&filled(20).await).await;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "byte {at} of {}", whole.len());
    }
}

#[tokio::test]
async fn nothing_may_follow_and_nothing_may_be_missing() {
    let whole = backup(&filled(3).await).await;
    let longer = [&whole[..], b"x"].concat();
    assert!(matches!(read(&longer), Err(BackupError::Damaged(_))), "{:?}", read(&longer));
    assert!(matches!(read(&[&whole[..], &whole[..]].concat()), Err(BackupError::Damaged(_))));
    assert!(matches!(read(b"#!/bin/sh\nrm -rf something\n"), Err(BackupError::NotOne)));
    let huge = [&whole[..17], &[b'e', 0xff, 0xff, 0xff, 0xff]].concat();
    assert!(matches!(read(&huge), Err(BackupError::Damaged(_))));
}

#[tokio::test]
async fn a_backup_that_could_not_be_finished_says_why() {
    let store = filled(300).await;
    let mut under_way = Backup::of(&store);
    let mut bytes = under_way.next().await.unwrap().unwrap();
    bytes.extend(under_way.next().await.unwrap().unwrap());
    bytes.extend(broken_off("the disk\u{1b}[31m is gone"));
    let refused = read(&bytes).unwrap_err();
    assert_eq!(refused.to_string(), "the backup was not finished: the disk\\u{1b}[31m is gone");
}

#[tokio::test]
async fn a_newer_backup_is_refused() {
    let whole = backup(&filled(1).await).await;
    let known = daypass_core::event::GENERATION;
    let written = format!("\"event_schema\":{known}");
    let text = String::from_utf8_lossy(&whole[22..60]).replace(&written, "\"event_schema\":9");
    let newer = [&whole[..22], text.as_bytes(), &whole[60..]].concat();
    let refused = read(&newer);
    assert!(
        matches!(refused, Err(BackupError::Newer { found: 9, known: k, .. }) if k == known),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_a_backup_says_of_its_maker_steers_no_terminal() {
    let whole = backup(&filled(1).await).await;
    let text = String::from_utf8_lossy(&whole[22..80]).into_owned();
    let at = text.find("0.1.0").unwrap() + 22;
    let forged = [&whole[..at], b"\x1b[2J1", &whole[at + 5..]].concat();
    assert!(matches!(read(&forged), Err(BackupError::Damaged(_))), "{:?}", read(&forged));
}

#[tokio::test]
async fn a_backup_is_not_restored_over_a_store() {
    let (_kept, path) = place();
    let bytes = backup(&filled(3).await).await;
    restore(&path, &bytes).unwrap();
    let refused = restore(&path, &bytes).unwrap_err();
    assert!(matches!(refused, RestoreError::Open(OpenError::Exists(_))), "{refused}");
    let live = Sled::open(&path, Options::default()).unwrap();
    assert!(matches!(restore(&path, &bytes), Err(RestoreError::Open(OpenError::Exists(_)))));
    assert_eq!(commit(&live, 4).await.unwrap(), Revision::new(4), "what runs there goes on");
}
