//! Revisions, conflicts, pages.

use super::*;

/// Each commit takes the next revision, and a refused one takes none.
pub async fn revisions_are_gapless_and_in_order(harness: &mut impl Harness) {
    let store = harness.store();
    assert_eq!(store.head().borrow().revision, Revision::ZERO);
    for number in 1..=5 {
        let event = event(number).put([vendor("acme", &format!("o{number}"))]);
        assert_eq!(commit(&store, change(event)).await, Revision::new(number));
        let refused = store.commit(expecting(super::event(0), "acme", None), Lane::Normal).await;
        assert!(matches!(refused, Err(CommitError::Conflict { .. })));
    }
    let head = *store.head().borrow();
    assert_eq!((head.revision.get(), head.at.as_millis()), (5, 5));
    assert_eq!(consistent(&store).await.len(), 5);
}

/// A change that expects an older state of a node is refused and names it; one that expects the state is not.
pub async fn a_moved_node_conflicts(harness: &mut impl Harness) {
    let store = harness.store();
    commit(&store, change(event(1).put([vendor("acme", "first")]))).await;
    commit(&store, expecting(event(2).put([vendor("acme", "second")]), "acme", Some(1))).await;
    for stale in [Some(1), Some(3), None] {
        let refused = store.commit(expecting(event(3), "acme", stale), Lane::Normal).await;
        assert!(matches!(refused, Err(CommitError::Conflict { node }) if node == vendor_id("acme")));
    }
    commit(&store, expecting(event(4), "acme", Some(2))).await;
    assert_eq!(node(&store, "acme").await.unwrap().node, vendor("acme", "second"));
    consistent(&store).await;
}

/// "There must be none" holds until there is one; "there must be one" does not hold before.
pub async fn a_node_that_must_be_absent_conflicts(harness: &mut impl Harness) {
    let store = harness.store();
    let early = store.commit(expecting(event(1), "acme", Some(1)), Lane::Normal).await;
    assert!(matches!(early, Err(CommitError::Conflict { .. })));
    let put = || event(1).put([vendor("acme", "o")]);
    commit(&store, expecting(put(), "acme", None)).await;
    let second = store.commit(expecting(put(), "acme", None), Lane::Normal).await;
    assert!(matches!(second, Err(CommitError::Conflict { .. })));
    consistent(&store).await;
}

/// Law 4: a change is checked against those before it in its own group, which nobody has seen yet.
pub async fn members_of_a_group_see_each_other(harness: &mut impl Harness) {
    let store = harness.store();
    let first = stall(harness, change(event(1).put([vendor("acme", "first")]))).await;
    let ends = queue(&store, expecting(event(2).cut(vendor("acme", "ended")), "acme", Some(1)), Lane::End);
    let stale = queue(&store, expecting(event(3), "acme", Some(1)), Lane::Normal);
    let fresh = queue(&store, expecting(event(4), "acme", Some(2)), Lane::Normal);
    let absent = queue(&store, expecting(event(5).put([vendor("zeta", "a")]), "zeta", None), Lane::Normal);
    let twice = queue(&store, expecting(event(6).put([vendor("zeta", "b")]), "zeta", None), Lane::Normal);
    harness.faults().release();
    assert_eq!(first.await.unwrap().get(), 1);
    assert_eq!(ends.await.unwrap().get(), 2);
    assert!(matches!(stale.await, Err(CommitError::Conflict { .. })));
    assert_eq!(fresh.await.unwrap().get(), 3);
    assert_eq!(absent.await.unwrap().get(), 4);
    assert!(matches!(twice.await, Err(CommitError::Conflict { .. })));
    consistent(&store).await;
}

/// In one event and in one group, the last put of a node stands, and a cut is not lost to a later put.
pub async fn the_later_of_two_puts_stands(harness: &mut impl Harness) {
    let store = harness.store();
    let first = stall(harness, change(event(1))).await;
    let both = event(2).cut(vendor("acme", "first")).put([vendor("acme", "second")]);
    let second = queue(&store, change(both), Lane::Normal);
    let third = queue(&store, change(event(3).put([vendor("acme", "third")])), Lane::Normal);
    harness.faults().release();
    for pending in [first, second, third] {
        pending.await.unwrap();
    }
    let acme = node(&store, "acme").await.unwrap();
    assert_eq!((acme.revision.get(), acme.cut.map(Revision::get)), (3, Some(2)));
    assert_eq!(acme.node, vendor("acme", "third"));
    consistent(&store).await;
}

/// A put without a cut keeps the earlier one; a put with one replaces it.
pub async fn a_cut_is_kept_until_the_next(harness: &mut impl Harness) {
    let mut store = harness.store();
    let cuts = [(false, None), (true, Some(2)), (false, Some(2)), (true, Some(4)), (false, Some(4))];
    for (number, (cuts, expected)) in (1..).zip(cuts) {
        let node_now = vendor("acme", &format!("o{number}"));
        let event = if cuts { event(number).cut(node_now) } else { event(number).put([node_now]) };
        commit(&store, change(event)).await;
        assert_eq!(node(&store, "acme").await.unwrap().cut.map(Revision::get), expected);
    }
    drop(store);
    harness.reopen();
    store = harness.store();
    assert_eq!(node(&store, "acme").await.unwrap().cut.map(Revision::get), Some(4));
    consistent(&store).await;
}

/// Pages follow each other without gaps, whatever their size, before and after a restart.
pub async fn the_log_is_read_in_pages(harness: &mut impl Harness) {
    let mut written = Vec::new();
    let store = harness.store();
    for number in 1..=40 {
        let event = event(number).put([vendor("acme", &format!("o{number}"))]);
        written.push(event.to_bytes().unwrap());
        commit(&store, change(event)).await;
    }
    drop(store);
    for _ in 0..2 {
        let store = harness.store();
        for page in [1, 7, 39, 40, 41, 1000] {
            assert!(log(&store, page).await.iter().map(|entry| &entry.event).eq(written.iter()));
        }
        assert_eq!(store.log(Revision::new(40), 5).await.unwrap(), []);
        assert_eq!(store.log(Revision::new(99), 5).await.unwrap(), []);
        assert_eq!(store.log(Revision::new(3), 0).await.unwrap(), []);
        drop(store);
        harness.reopen();
    }
}

/// A list has one kind, in the order of names; other kinds do not show in it.
pub async fn nodes_are_listed_in_pages(harness: &mut impl Harness) {
    let store = harness.store();
    let names = ["b", "a", "a-1", "a.b", "z9", "0"];
    for text in names {
        commit(&store, change(event(1).put([vendor(text, "o"), person(text)]))).await;
    }
    let mut sorted: Vec<Name> = names.iter().map(|text| name(text)).collect();
    sorted.sort();
    for page in [1, 2, 6, 100] {
        let listed: Vec<Name> =
            list(&store, NodeKind::Vendor, page).await.iter().map(|s| s.node.id().name).collect();
        assert_eq!(listed, sorted);
    }
    assert_eq!(list(&store, NodeKind::Person, 100).await.len(), names.len());
    assert!(list(&store, NodeKind::Audience, 100).await.is_empty());
    let after = store.list(NodeKind::Vendor, Some(&name("a0")), 1).await.unwrap();
    assert_eq!(after[0].node.id(), vendor_id("b"));
    let asked = store.nodes(&[vendor_id("none"), vendor_id("z9"), vendor_id("b")]).await.unwrap();
    let found: Vec<Option<NodeId>> = asked.iter().map(|s| s.as_ref().map(|s| s.node.id())).collect();
    assert_eq!(found, [None, Some(vendor_id("z9")), Some(vendor_id("b"))]);
}

/// Many tasks read, decide and commit at once: each change rests on what it read, and the nodes are what the log says.
pub async fn many_writers_leave_what_the_log_says(harness: &mut impl Harness) {
    let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(write_many(harness.store(), writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let before = consistent(&harness.store()).await;
    assert_eq!(before.len(), 8 * 400);
    check_decisions(&before);
    harness.reopen();
    assert_eq!(consistent(&harness.store()).await, before);
}

/// Four hundred commits of one writer on three shared nodes; each owner's name tells the revision that was read.
async fn write_many(store: Arc<dyn Store>, writer: u64) {
    for number in 0..400 {
        let shared = format!("v{}", (writer + number) % 3);
        loop {
            let read = node(&store, &shared).await.map(|stored| stored.revision.get());
            let put = vendor(&shared, &format!("w{}", read.unwrap_or(0)));
            let event = if number % 5 == 0 { event(number).cut(put) } else { event(number).put([put]) };
            let lane = Lane::ALL[usize::try_from(number % 4).unwrap()];
            match store.commit(expecting(event, &shared, read), lane).await {
                Ok(_) => break,
                Err(CommitError::Conflict { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// Each put must name, as its owner, the revision of the put before it: nothing was decided on an older state.
fn check_decisions(entries: &[Entry]) {
    let mut newest = std::collections::HashMap::new();
    for entry in entries {
        for put in Event::from_bytes(&entry.event).unwrap().puts {
            let read = newest.insert(put.node.id(), entry.revision).map_or(0, Revision::get);
            let Body::Vendor(vendor) = put.node.body else { panic!("only vendors were written") };
            assert_eq!(vendor.owner, name(&format!("w{read}")));
        }
    }
}
