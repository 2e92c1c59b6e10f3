//! For tests alone: whoever follows the log is told how far it is, judged anew, and cut off where they do not read.

use super::*;

async fn commit(rig: &Rig, number: u64, action: Action) -> Revision {
    let id = ChangeId::new(u128::from(number + 9_000_000).to_be_bytes());
    let event = Event::new(Timestamp::from_millis(NOON), id, Actor::Broker, action);
    let change = Change { event, expect: Vec::new(), private: Vec::new() };
    rig.broker.store.commit(change, Lane::Normal).await.unwrap()
}

fn following(filter: Filter, after: Revision) -> Wish {
    Wish { after, follow: true, ..wish(filter, Order::OldestFirst) }
}

/// The next page with something in it.
async fn next_events(pages: &mut mpsc::Receiver<Found>) -> Vec<u64> {
    loop {
        let page = pages.recv().await.unwrap();
        if !page.events.is_empty() {
            return revisions(page.events.iter());
        }
    }
}

#[tokio::test]
async fn whoever_follows_hears_of_what_fits_and_of_nothing_else() {
    let rig = Rig::new().await;
    let head = rig.broker.store.head().borrow().revision;
    let filter = Filter { actions: vec![ActionKind::Resumed], ..Filter::default() };
    let (mut pages, _refused) = start(&rig, following(filter, head)).await;
    let fits = |name: &str| Action::Resumed { node: id(&format!("vendor:{name}")) };
    commit(&rig, 1, Action::Ended { node: id("vendor:none"), reason: None }).await;
    let first = commit(&rig, 2, fits("a")).await;
    assert_eq!(next_events(&mut pages).await, [first.get()]);
    let second = commit(&rig, 3, fits("b")).await;
    assert_eq!(next_events(&mut pages).await, [second.get()]);
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_is_told_every_few_seconds_how_far_it_is() {
    let rig = Rig::new().await;
    let head = rig.broker.store.head().borrow().revision;
    let (mut pages, _refused) = start(&rig, following(Filter::default(), head)).await;
    for _ in 0..4 {
        let page = tokio::time::timeout(Duration::from_secs(5), pages.recv()).await.unwrap().unwrap();
        assert_eq!((page.events, page.reached, page.head), (vec![], head, head));
    }
}

// By the clock on the wall: the record of the refusal is waited for only so long.
#[tokio::test]
async fn whoever_is_ended_while_following_is_told_so_and_reads_no_further() {
    let rig = Rig::new().await;
    let call = rig.call().await;
    let head = rig.broker.store.head().borrow().revision;
    let (mut pages, mut refused) = start(&rig, following(Filter::default(), head)).await;
    let mark = rig.single();
    let node = id("identity:ada-1");
    let ((refusal, event), ended) = tokio::join!(
        async {
            while pages.recv().await.is_some() {}
            refused.recv().await.unwrap()
        },
        rig.broker.end(&call, &node, "", mark)
    );
    ended.unwrap();
    assert_eq!(refusal.reason().as_str(), "caller-dead");
    assert!(event.is_some(), "it is recorded as any refusal");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_is_cut_off_and_gives_its_place_back() {
    let rig = grown(11, None).await;
    let place = Arc::new(());
    let wish = wish(Filter::default(), Order::OldestFirst);
    let (mut pages, mut refused) =
        Reader::start(rig.broker.clone(), rig.call().await, place.clone(), wish).unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let (refusal, _) = refused.recv().await.unwrap();
    assert_eq!(refusal.reason().as_str(), "deadline");
    assert_eq!(Arc::strong_count(&place), 1, "its place is free");
    assert!(pages.recv().await.is_some(), "what was on its way stays");
    assert!(pages.recv().await.is_none());
}

#[tokio::test]
async fn nobody_follows_a_broker_that_stops_or_after_they_have_left() {
    let rig = Rig::new().await;
    let (mut pages, mut refused) = start(&rig, following(Filter::default(), Revision::ZERO)).await;
    rig.broker.audit.close();
    while pages.recv().await.is_some() {}
    assert!(refused.recv().await.is_none(), "that is no refusal");
    let place = Arc::new(());
    let wish = following(Filter::default(), Revision::ZERO);
    let reading = Reader::start(rig.broker.clone(), rig.call().await, place.clone(), wish).unwrap();
    drop(reading);
    while Arc::strong_count(&place) > 1 {
        tokio::task::yield_now().await;
    }
}
