//! What is seen when, what a failure leaves, and what a restart finds.

use daypass_core::event::{MAX_EVENT, Method, Reason};
use zeroize::Zeroizing;

use super::*;
use crate::{MAX_PRIVATE, MAX_PRIVATE_VALUE, StoreError};

/// A vendor and a private value in one change.
fn with_private(owner: &str, value: &[u8]) -> Change {
    let private = vec![(private_id(7), Zeroizing::new(value.to_vec()))];
    Change { event: event(9).put([vendor("acme", owner)]), expect: Vec::new(), private }
}

async fn private(store: &Arc<dyn Store>) -> Option<Vec<u8>> {
    store.private(private_id(7)).await.unwrap().map(|value| value.to_vec())
}

/// While a group is being synced, nodes, lists, log, head and private values are as before it.
pub async fn nothing_is_seen_before_it_is_durable(harness: &mut impl Harness) {
    let store = harness.store();
    commit(&store, with_private("first", b"one")).await;
    let mut head = store.head();
    let second = with_private("second", b"two");
    let unseen = second.event.id;
    let pending = stall(harness, second).await;
    for _ in 0..2 {
        assert_eq!(node(&store, "acme").await.unwrap().node, vendor("acme", "first"));
        assert_eq!(private(&store).await.as_deref(), Some(&b"one"[..]));
        assert_eq!(consistent(&store).await.len(), 1);
        assert!(!head.has_changed().unwrap());
        assert_eq!(store.recorded(unseen).await.unwrap(), None);
        let waits = queue(&store, change(event(3)), Lane::Normal);
        drop(waits);
    }
    harness.faults().release();
    assert_eq!(pending.await.unwrap().get(), 2);
    assert_eq!(node(&store, "acme").await.unwrap().node, vendor("acme", "second"));
    assert_eq!(private(&store).await.as_deref(), Some(&b"two"[..]));
    assert!(head.borrow_and_update().revision.get() >= 2);
}

/// Whoever follows the head hears of a commit, and then finds it.
pub async fn the_head_is_told_of_each_group(harness: &mut impl Harness) {
    let store = harness.store();
    let mut head = store.head();
    for number in 1..=3 {
        commit(&store, change(event(number * 10))).await;
        head.changed().await.unwrap();
        let newest = *head.borrow_and_update();
        assert_eq!((newest.revision.get(), newest.at.as_millis()), (number, number * 10));
        assert_eq!(store.log(Revision::new(number - 1), 9).await.unwrap().len(), 1);
    }
    assert!(!store.head().has_changed().unwrap(), "a new follower has nothing to hear yet");
}

/// The head's instant is the latest so far, until somebody vouches for another.
pub async fn the_time_of_the_log_falls_only_where_somebody_vouches(harness: &mut impl Harness) {
    let store = harness.store();
    let vouched = |at| {
        let action = Action::ClockAccepted { previous: Timestamp::ZERO };
        change(Event { action, ..event(at) })
    };
    for (change, millis) in [
        (change(event(50)), 50),
        (change(event(40)), 50),
        (change(event(60)), 60),
        (vouched(20), 20),
        (change(event(10)), 20),
    ] {
        commit(&store, change).await;
        assert_eq!(store.head().borrow().at.as_millis(), millis);
    }
}

/// Nothing is acknowledged, nothing tried again, everything refused, and whoever follows the head learns of it.
pub async fn a_failed_sync_is_final(harness: &mut impl Harness) {
    let store = harness.store();
    commit(&store, with_private("first", b"one")).await;
    let mut head = store.head();
    let stalled = stall(harness, with_private("second", b"two")).await;
    let waits = queue(&store, change(event(3)), Lane::End);
    harness.faults().fail_next();
    harness.faults().release();
    assert!(matches!(stalled.await, Err(CommitError::Unknown(_))));
    assert!(matches!(waits.await, Err(CommitError::Store(StoreError::Failed(_)))));
    assert!(head.changed().await.is_err(), "the head goes on");
    refuses_everything(&store).await;
    drop((store, head));
    harness.reopen();
    after_the_failure(&harness.store()).await;
}

async fn refuses_everything(store: &Arc<dyn Store>) {
    let late = store.commit(change(event(4)), Lane::End).await;
    assert!(matches!(late, Err(CommitError::Store(StoreError::Failed(_)))));
    assert!(matches!(store.nodes(&[vendor_id("acme")]).await, Err(StoreError::Failed(_))));
    assert!(matches!(store.list(NodeKind::Vendor, None, 1).await, Err(StoreError::Failed(_))));
    assert!(matches!(store.log(Revision::ZERO, 1).await, Err(StoreError::Failed(_))));
    assert!(matches!(store.private(private_id(7)).await, Err(StoreError::Failed(_))));
}

/// The failed group is there whole, or not at all; the one that waited is not.
async fn after_the_failure(store: &Arc<dyn Store>) {
    let recorded = consistent(store).await.len();
    let (owner, value) = match recorded {
        1 => ("first", &b"one"[..]),
        2 => ("second", &b"two"[..]),
        other => panic!("{other} entries"),
    };
    assert_eq!(node(store, "acme").await.unwrap().node, vendor("acme", owner));
    assert_eq!(private(store).await.as_deref(), Some(value));
    let next = commit(store, change(event(5))).await;
    assert_eq!(next.get(), recorded as u64 + 1);
}

/// Unknown is answered although the change went through; after a restart it is there, and repeating it says where.
pub async fn a_lost_answer_leaves_the_change_recorded(harness: &mut impl Harness) {
    let (store, event) = (harness.store(), event(1).put([vendor("acme", "o")]));
    harness.faults().lose_next();
    let lost = store.commit(change(event.clone()), Lane::Normal).await;
    assert!(matches!(lost, Err(CommitError::Unknown(_))));
    drop(store);
    harness.reopen();
    let store = harness.store();
    assert_eq!(consistent(&store).await.len(), 1);
    let again = store.commit(change(event), Lane::Normal).await;
    assert!(matches!(again, Err(CommitError::Repeated { revision }) if revision.get() == 1));
}

/// A refusal that rests on a change of the same group says nothing of that change if the group fails; a repeat of
/// that change is as unknown as the change itself.
pub async fn what_is_refused_in_a_failed_group_did_not_happen(harness: &mut impl Harness) {
    let store = harness.store();
    let first = stall(harness, change(event(1))).await;
    let written = event(2).put([vendor("acme", "o")]);
    let writes = queue(&store, change(written.clone()), Lane::Normal);
    let refused = queue(&store, expecting(event(3), "acme", None), Lane::Normal);
    let repeats = queue(&store, change(written), Lane::Normal);
    harness.faults().step();
    assert_eq!(first.await.unwrap().get(), 1);
    harness.faults().stalled().await;
    harness.faults().lose_next();
    harness.faults().release();
    assert!(matches!(writes.await, Err(CommitError::Unknown(_))));
    assert!(matches!(refused.await, Err(CommitError::Store(StoreError::Failed(_)))));
    assert!(matches!(repeats.await, Err(CommitError::Unknown(_))));
    drop(store);
    harness.reopen();
    assert_eq!(consistent(&harness.store()).await.len(), 2);
}

/// Nodes, cuts, log, head, private values and the ids of changes survive.
pub async fn everything_is_there_after_reopening(harness: &mut impl Harness) {
    let store = harness.store();
    let repeated = event(1).cut(vendor("acme", "o"));
    commit(&store, change(repeated.clone())).await;
    commit(&store, with_private("p", b"value")).await;
    commit(&store, change(event(77).put([person("ada")]))).await;
    let (entries, acme) = (consistent(&store).await, node(&store, "acme").await);
    drop(store);
    for _ in 0..3 {
        harness.reopen();
        let store = harness.store();
        assert_eq!(consistent(&store).await, entries);
        assert_eq!(node(&store, "acme").await, acme);
        assert_eq!(private(&store).await.as_deref(), Some(&b"value"[..]));
        let head = *store.head().borrow();
        assert_eq!((head.revision.get(), head.at.as_millis()), (3, 77));
        let again = store.commit(change(repeated.clone()), Lane::Normal).await;
        assert!(matches!(again, Err(CommitError::Repeated { revision }) if revision.get() == 1));
    }
    assert_eq!(commit(&harness.store(), change(event(78))).await.get(), 4);
}

/// A value written again is the new one, at once and after a restart.
pub async fn private_values_are_replaced_whole(harness: &mut impl Harness) {
    let store = harness.store();
    assert_eq!(private(&store).await, None);
    for value in [&b"a long value"[..], b"", b"short"] {
        commit(&store, with_private("o", value)).await;
        assert_eq!(private(&store).await.as_deref(), Some(value));
    }
    drop(store);
    harness.reopen();
    assert_eq!(private(&harness.store()).await.as_deref(), Some(&b"short"[..]));
}

/// An event that erases the private value of [`with_private`].
fn erasing() -> Change {
    let erased = vec![private_id(7)];
    let action = Action::Forgotten { node: NodeId::new(NodeKind::Person, name("ada")), erased };
    change(Event { action, ..event(9).put([person("ada")]) })
}

/// The value is gone with the event that says so, at once and after restarts; the log is as it was, and one more.
pub async fn what_an_event_erases_is_gone_with_it(harness: &mut impl Harness) {
    let store = harness.store();
    commit(&store, with_private("o", b"value")).await;
    let before = consistent(&store).await;
    commit(&store, erasing()).await;
    commit(&store, erasing()).await;
    assert_eq!(private(&store).await, None);
    drop(store);
    for _ in 0..2 {
        harness.reopen();
        let store = harness.store();
        assert_eq!(private(&store).await, None);
        assert!(consistent(&store).await.starts_with(&before));
    }
    // What is written and erased in one group is gone, whichever lane it came by; what is written after that is there.
    let store = harness.store();
    let stalled = stall(harness, change(event(1))).await;
    let writes = queue(&store, with_private("p", b"late"), Lane::Normal);
    let erases = queue(&store, erasing(), Lane::Normal);
    harness.faults().release();
    for done in [stalled, writes, erases] {
        done.await.unwrap();
    }
    assert_eq!(private(&store).await, None);
    let both = Change { private: with_private("q", b"both").private, ..erasing() };
    commit(&store, both).await;
    assert_eq!(private(&store).await, None);
    commit(&store, with_private("q", b"after")).await;
    assert_eq!(private(&store).await.as_deref(), Some(&b"after"[..]));
}

/// While the event that erases it is being synced, a value is there; if that sync fails, event and value agree.
pub async fn nothing_is_erased_before_that_is_durable(harness: &mut impl Harness) {
    let store = harness.store();
    commit(&store, with_private("o", b"value")).await;
    let pending = stall(harness, erasing()).await;
    assert_eq!(private(&store).await.as_deref(), Some(&b"value"[..]));
    harness.faults().fail_next();
    harness.faults().release();
    assert!(matches!(pending.await, Err(CommitError::Unknown(_))));
    drop(store);
    harness.reopen();
    let store = harness.store();
    let erased = consistent(&store).await.len() == 2;
    assert_eq!(private(&store).await.is_none(), erased);
}

/// Each limit holds to the byte; what is refused leaves no trace.
pub async fn what_is_too_large_is_refused(harness: &mut impl Harness) {
    let store = harness.store();
    let sized = |sizes: &[usize]| {
        let values = sizes.iter().enumerate();
        let private = values.map(|(n, size)| (private_id(n as u8), Zeroizing::new(vec![1; *size]))).collect();
        Change { event: event(1), expect: Vec::new(), private }
    };
    let most = vec![MAX_PRIVATE_VALUE; MAX_PRIVATE / MAX_PRIVATE_VALUE];
    commit(&store, sized(&most)).await;
    for over in [&[MAX_PRIVATE_VALUE + 1][..], &[&most[..], &[1]].concat()] {
        let refused = store.commit(sized(over), Lane::Normal).await;
        assert!(matches!(refused, Err(CommitError::TooLarge { .. })));
    }
    commit(&store, change(event_of(MAX_EVENT))).await;
    let refused = store.commit(change(event_of(MAX_EVENT + 1)), Lane::Normal).await;
    assert!(
        matches!(refused, Err(CommitError::TooLarge { bytes, limit: MAX_EVENT, .. }) if bytes == MAX_EVENT + 1)
    );
    assert_eq!(consistent(&store).await.len(), 2);
}

/// An event of exactly this size.
fn event_of(size: usize) -> Event {
    let sized = |length: usize| {
        let word: &'static str = "x".repeat(length).leak();
        let action = Action::Refused { method: Method::new(word), reason: Reason::new("none"), about: None };
        Event::new(Timestamp::from_millis(1), fresh_id(), Actor::Broker, action)
    };
    let rest = sized(0).to_bytes().unwrap().len();
    sized(size - rest)
}
