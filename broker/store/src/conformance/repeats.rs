//! Repeated changes, told by their ids.

use super::*;

/// The same change again, in the same group, later, or after a restart: its first revision is named. That holds
/// before any conflict, since a change that went through conflicts with itself.
pub async fn a_change_is_recorded_once(harness: &mut impl Harness) {
    let mut store = harness.store();
    let once = event(1).put([vendor("acme", "o")]);
    let asked = || expecting(once.clone(), "acme", None);
    let before = stall(harness, change(event(0))).await;
    let first = queue(&store, asked(), Lane::Normal);
    let same_group = queue(&store, asked(), Lane::Normal);
    harness.faults().release();
    before.await.unwrap();
    assert_eq!(first.await.unwrap().get(), 2);
    assert_eq!(store.recorded(event(9).id).await.unwrap(), None);
    assert!(matches!(same_group.await, Err(CommitError::Repeated { revision }) if revision.get() == 2));
    for _ in 0..2 {
        let later = store.commit(asked(), Lane::Normal).await;
        assert!(matches!(later, Err(CommitError::Repeated { revision }) if revision.get() == 2));
        assert_eq!(store.recorded(once.id).await.unwrap().map(Revision::get), Some(2));
        drop(store);
        harness.reopen();
        store = harness.store();
    }
    assert_eq!(consistent(&store).await.len(), 2);
}

/// A refused change is no repeat: decided anew, it is recorded under the same id.
pub async fn a_refused_change_may_be_tried_again(harness: &mut impl Harness) {
    let store = harness.store();
    let event = event(1).put([vendor("acme", "o")]);
    let refused = store.commit(expecting(event.clone(), "acme", Some(9)), Lane::Normal).await;
    assert!(matches!(refused, Err(CommitError::Conflict { .. })));
    assert_eq!(commit(&store, expecting(event, "acme", None)).await.get(), 1);
    consistent(&store).await;
}
