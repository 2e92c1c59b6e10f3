//! What the broker answers who asks about its log, and when its worker signs.

use std::fs;

use daypass_credential::{Era, Revision};
use daypass_issuer::KeyRing;
use daypass_log::{Hash, Root, proof};

use super::{ISSUER, NOW, Scene, grow, root};
use crate::{call::RequestMark, notary::key, rig::Rig};

/// A known checkpoint's answer, as a reason.
async fn shown(rig: &Rig, note: &str) -> String {
    let answer = rig.broker.checkpoint(note).await;
    answer.err().map(|refusal| refusal.reason().to_string()).unwrap_or_default()
}

#[tokio::test]
async fn a_checkpoint_is_continued_and_a_forged_one_is_nothing() {
    let mut rig = Rig::new().await;
    rig.notary.begin(&rig.broker).await;
    let first = rig.broker.checkpoint("").await.unwrap().noted;
    grow(&*rig.broker.store, 9, 700).await;
    rig.notary.begin(&rig.broker).await;
    let note = first.signed().note();
    let later = rig.broker.checkpoint(note).await.unwrap();
    assert_eq!(later.noted.root(), root(&*rig.broker.store, later.noted.root().size).await);
    proof::check_consistency(&first.root(), &later.noted.root(), &later.consistency).unwrap();
    let same = rig.broker.checkpoint(later.noted.signed().note()).await.unwrap();
    assert!(same.consistency.is_empty());

    let size = first.root().size;
    let foreign = Scene::signed(1).await;
    let foreign = fs::read_to_string(foreign.anchor()).unwrap();
    let huge = "x".repeat(daypass_log::MAX_NOTE + 1);
    for (bad, reason) in [
        (note.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1), "checkpoint-unknown"),
        (note.replacen("t.example/log\n", "u.example/log\n", 1), "checkpoint-unknown"),
        (note.replacen("era 0000000000000001", "era 0000000000000002", 1), "checkpoint-unknown"),
        (foreign, "checkpoint-unknown"),
        (huge, "bad-request"),
        ("nothing".to_owned(), "bad-request"),
        (note.trim_end().to_owned(), "bad-request"),
    ] {
        assert_eq!(shown(&rig, &bad).await, reason, "{}", bad.get(..200).unwrap_or(&bad));
    }
    assert!(rig.broker.notary.sound().is_ok(), "nothing of that shows anything");
}

#[tokio::test]
async fn another_era_of_the_same_key_is_not_this_log() {
    let mut rig = Rig::new().await;
    rig.notary.begin(&rig.broker).await;
    let keys = rig.broker.keys.now();
    let note = note_of(keys.ring(), Era::new(2), Root { size: 999, hash: Hash::leaf(b"x") });
    assert_eq!(shown(&rig, &note).await, "checkpoint-unknown");
    assert!(rig.broker.notary.sound().is_ok());
}

/// What this key would sign for such a tree.
fn note_of(ring: &KeyRing, era: Era, root: Root) -> String {
    let now = NOW;
    let key = key::log_key(ISSUER, ring.audit_key(now).unwrap()).unwrap();
    let checkpoint = daypass_log::Checkpoint::new(&key::origin(ISSUER), root, era).unwrap();
    let signed = checkpoint.sign(&key, |message| ring.sign_audit(message, now).map(|s| s.signature));
    signed.unwrap().note().to_owned()
}

#[tokio::test]
async fn a_checkpoint_beyond_the_log_or_beside_it_ends_everything() {
    for beyond in [true, false] {
        let mut rig = Rig::new().await;
        rig.notary.begin(&rig.broker).await;
        let head = rig.broker.store.head().borrow().revision.get();
        let size = if beyond { head + 1 } else { head };
        let keys = rig.broker.keys.now();
        let note = note_of(keys.ring(), Era::new(1), Root { size, hash: Hash::leaf(b"x") });
        let call = rig.call().await;
        assert_eq!(shown(&rig, &note).await, "log-older");
        assert!(rig.broker.notary.found_older().await.contains("the store is older than what was signed"));
        assert_eq!(fs::read_to_string(rig.files.path().join("anchor")).unwrap(), note);
        assert_eq!(rig.broker.notary.sound().unwrap_err().reason().as_str(), "log-older");
        // What was let in before does not get through either, an end included, and nothing is signed any more.
        let mark = RequestMark::single(&*rig.broker.entropy).unwrap();
        let ended = rig.broker.end(&call, &"vendor:acme".parse().unwrap(), "", mark).await;
        assert_eq!(ended.err().unwrap().reason().as_str(), "log-older");
        grow(&*rig.broker.store, 9, 3).await;
        rig.notary.begin(&rig.broker).await;
        assert_eq!(fs::read_to_string(rig.files.path().join("anchor")).unwrap(), note);
    }
}

/// Changes one bit of the leaf of a revision in the notary's files.
fn damage(rig: &Rig, revision: usize) {
    let path = rig.files.path().join("notary/0");
    let mut bytes = fs::read(&path).unwrap();
    bytes[(revision - 1) * 32] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damaged_hashes_end_nothing_and_are_made_anew() {
    let mut rig = Rig::new().await;
    rig.notary.begin(&rig.broker).await;
    let first = rig.broker.checkpoint("").await.unwrap().noted;
    let anchor = fs::read(rig.files.path().join("anchor")).unwrap();
    grow(&*rig.broker.store, 9, 700).await;
    // One in the tree that is known, and one beside it, with which the way from there to now is wrong.
    for damaged in [2, 12] {
        rig.notary.begin(&rig.broker).await;
        let anchored = fs::read(rig.files.path().join("anchor")).unwrap();
        assert_ne!(anchored, anchor);
        damage(&rig, damaged);
        assert_eq!(shown(&rig, first.signed().note()).await, "busy");
        let call = rig.call().await;
        let refused = rig.broker.prove_event(&call, Revision::new(1 + damaged as u64)).await.err();
        assert_eq!(refused.unwrap().reason().as_str(), "busy");
        assert!(rig.broker.notary.sound().is_ok(), "the log is what was signed");
        assert_eq!(fs::read(rig.files.path().join("anchor")).unwrap(), anchored);
        rig.notary.forget_mended();
        rig.notary.mend().await.unwrap();
        assert_eq!(shown(&rig, first.signed().note()).await, "");
        rig.broker.prove_event(&call, Revision::new(1 + damaged as u64)).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_that_is_another_one_is_told_from_damaged_hashes() {
    let mut rig = Rig::new().await;
    grow(&*rig.broker.store, 9, 700).await;
    rig.notary.begin(&rig.broker).await;
    let keys = rig.broker.keys.now();
    let note = note_of(keys.ring(), Era::new(1), Root { size: 300, hash: Hash::leaf(b"x") });
    damage(&rig, 2);
    assert_eq!(shown(&rig, &note).await, "log-older");
    assert_eq!(fs::read_to_string(rig.files.path().join("anchor")).unwrap(), note);
}

#[tokio::test]
async fn the_log_is_signed_under_any_clock() {
    let mut rig = Rig::new().await;
    rig.notary.begin(&rig.broker).await;
    let before = rig.broker.notary.newest().await.unwrap().root().size;
    // From before the audit key was made, and from after its end.
    for wrong in [0, 4_000_000_000_000] {
        rig.clock.set_wall(wrong);
        grow(&*rig.broker.store, 9, 1).await;
        rig.notary.begin(&rig.broker).await;
        let head = rig.broker.store.head().borrow().revision.get();
        assert_eq!(rig.broker.notary.newest().await.unwrap().root().size, head);
    }
    assert!(rig.broker.notary.newest().await.unwrap().root().size > before);
}

#[tokio::test]
async fn an_event_is_proved_to_whom_it_concerns() {
    let mut rig = Rig::new().await;
    let call = rig.call().await;
    rig.notary.begin(&rig.broker).await;
    let head = rig.broker.store.head().borrow().revision;
    for revision in [1, head.get()] {
        let proven = rig.broker.prove_event(&call, Revision::new(revision)).await.unwrap();
        let leaf = Hash::leaf(&proven.entry.event);
        proof::check_inclusion(leaf, revision - 1, &proven.inclusion, &proven.noted.root()).unwrap();
    }
    for revision in [0, head.get() + 1, u64::MAX] {
        let refused = rig.broker.prove_event(&call, Revision::new(revision)).await.err().unwrap();
        assert_eq!(refused.reason().as_str(), "unknown-node");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_checkpoint_gets_it_before_its_time_or_is_sent_away() {
    let rig = Rig::new().await;
    let (_finish, finishing) = tokio::sync::oneshot::channel();
    let Rig { broker, notary, files, .. } = rig;
    let worker = tokio::spawn(notary.run(broker.clone(), finishing));
    let head = broker.store.head().borrow().revision.get();
    assert!(broker.notary.covering(head).await.unwrap().root().size >= head);
    worker.abort();
    assert!(worker.await.is_err());
    grow(&*broker.store, 9, 1).await;
    tokio::time::pause();
    assert_eq!(broker.notary.covering(head + 1).await.err().unwrap().reason().as_str(), "busy");
    drop(files);
}

#[tokio::test]
async fn the_worker_signs_what_there_is_when_it_is_told_to_end() {
    let mut rig = Rig::new().await;
    rig.notary.begin(&rig.broker).await;
    grow(&*rig.broker.store, 9, 5).await;
    let (finish, finishing) = tokio::sync::oneshot::channel();
    drop::<tokio::sync::oneshot::Sender<()>>(finish);
    let (broker, files) = (rig.broker, rig.files);
    rig.notary.run(broker.clone(), finishing).await;
    let head = broker.store.head().borrow().revision.get();
    let anchor = fs::read_to_string(files.path().join("anchor")).unwrap();
    assert!(anchor.contains(&format!("\n{head}\n")), "{anchor}");
}

#[tokio::test]
async fn an_export_is_what_checks_accept_and_has_no_more_than_two_places() {
    let mut rig = Rig::new().await;
    grow(&*rig.broker.store, 9, 600).await;
    rig.notary.begin(&rig.broker).await;
    let mut export = rig.broker.notary.export(rig.broker.store.clone()).await.unwrap();
    let second = rig.broker.notary.export(rig.broker.store.clone()).await.unwrap();
    let third = rig.broker.notary.export(rig.broker.store.clone()).await.err().unwrap();
    assert_eq!(third.reason().as_str(), "busy");
    drop(second);
    // What is recorded meanwhile is not in it.
    grow(&*rig.broker.store, 8, 50).await;
    let mut bytes = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        assert!(!piece.is_empty() && piece.len() <= 64 * 1024);
        bytes.extend(piece);
    }
    let keys = key::all(rig.broker.keys.now().ring());
    let size = rig.broker.notary.newest().await.unwrap().root().size;
    let reader = daypass_log::export::Reader::new(&bytes[..], &keys, None).unwrap();
    let mut entries = 0;
    reader.verify(|_| entries += 1).unwrap();
    assert_eq!(entries, size);
}
