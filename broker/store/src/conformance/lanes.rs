//! Who goes first, and what happens when too many wait.

use super::*;

/// Law 8: what waits is taken lane by lane, whoever came first.
pub async fn ends_go_first(harness: &mut impl Harness) {
    let store = harness.store();
    let first = stall(harness, change(event(0))).await;
    let lanes = [Lane::Background, Lane::Normal, Lane::OwnEnd, Lane::End, Lane::Normal, Lane::End];
    let waiting: Vec<Pending> = lanes.into_iter().map(|lane| queue(&store, change(event(1)), lane)).collect();
    harness.faults().release();
    assert_eq!(first.await.unwrap().get(), 1);
    let mut revisions = Vec::new();
    for pending in waiting {
        revisions.push(pending.await.unwrap().get());
    }
    assert_eq!(revisions, [7, 5, 4, 2, 6, 3]);
    consistent(&store).await;
}

/// A full lane answers at once with when to try again; ends still find room, and overtake all that wait.
pub async fn a_full_lane_refuses(harness: &mut impl Harness) {
    let store = harness.store();
    let first = stall(harness, change(event(0))).await;
    let mut waiting = Vec::new();
    let retry_after = loop {
        let store = Arc::clone(&store);
        let mut asked: Pending = Box::pin(async move { store.commit(change(event(1)), Lane::Normal).await });
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Pending => waiting.push(asked),
            std::task::Poll::Ready(Err(CommitError::Busy { retry_after })) => break retry_after,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
        }
    };
    assert!(!retry_after.is_zero() && waiting.len() >= 256);
    let ends = [queue(&store, change(event(2)), Lane::OwnEnd), queue(&store, change(event(2)), Lane::End)];
    harness.faults().release();
    first.await.unwrap();
    let [own_end, end] = ends;
    assert_eq!((end.await.unwrap().get(), own_end.await.unwrap().get()), (2, 3));
    for (pending, revision) in waiting.into_iter().zip(4..) {
        assert_eq!(pending.await.unwrap().get(), revision);
    }
    consistent(&store).await;
}

/// Whoever stops waiting has asked all the same.
pub async fn a_caller_that_leaves_takes_nothing_back(harness: &mut impl Harness) {
    let store = harness.store();
    let first = stall(harness, change(event(0))).await;
    let leaves = queue(&store, change(event(1).put([vendor("acme", "o")])), Lane::Normal);
    drop((first, leaves));
    harness.faults().release();
    let next = commit(&store, change(event(2))).await;
    assert_eq!(next.get(), 3);
    assert_eq!(node(&store, "acme").await.unwrap().revision.get(), 2);
    consistent(&store).await;
}
