//! The suite that every engine passes: what the trait promises, as tests. An engine's own test file says how it is
//! started and calls [`conformance!`](crate::conformance!); each promise is then a test of its own there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_imports,
    reason = "a suite of tests, that stands in the library so that every engine can run it"
)]

mod durability;
mod lanes;
mod order;
mod repeats;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Expect, Node, PrivateId, Stored,
    node::{Person, Vendor},
    text::TextRef,
};
use daypass_credential::{Digest, Name, NodeId, NodeKind, Revision, Timestamp};

pub use self::{durability::*, lanes::*, order::*, repeats::*};
use crate::{Change, CommitError, Entry, Faults, Fold, Lane, Store};

/// How the suite handles an engine.
pub trait Harness: Send {
    /// The engine.
    fn store(&self) -> Arc<dyn Store>;

    /// The faults of the engine that runs now.
    fn faults(&self) -> Faults;

    /// Ends the engine, and starts another over what is durable.
    fn reopen(&mut self);
}

/// Writes a test for each promise. The expression makes a new [`Harness`] over an empty store.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::conformance! { $harness =>
            revisions_are_gapless_and_in_order
            a_moved_node_conflicts
            a_node_that_must_be_absent_conflicts
            members_of_a_group_see_each_other
            the_later_of_two_puts_stands
            a_cut_is_kept_until_the_next
            the_log_is_read_in_pages
            nodes_are_listed_in_pages
            many_writers_leave_what_the_log_says
            nothing_is_seen_before_it_is_durable
            the_head_is_told_of_each_group
            the_time_of_the_log_falls_only_where_somebody_vouches
            a_failed_sync_is_final
            a_lost_answer_leaves_the_change_recorded
            what_is_refused_in_a_failed_group_did_not_happen
            everything_is_there_after_reopening
            private_values_are_replaced_whole
            what_an_event_erases_is_gone_with_it
            nothing_is_erased_before_that_is_durable
            what_is_too_large_is_refused
            ends_go_first
            a_full_lane_refuses
            a_caller_that_leaves_takes_nothing_back
            a_change_is_recorded_once
            a_refused_change_may_be_tried_again
        }
    };
    ($harness:expr => $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let kept = async { $crate::conformance::$promise(&mut $harness).await };
                tokio::time::timeout(std::time::Duration::from_secs(60), kept).await.expect("it hangs");
            }
        )*
    };
}

/// An id that no other change of this process has.
fn fresh_id() -> ChangeId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ChangeId::new(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn vendor_id(vendor: &str) -> NodeId {
    NodeId::new(NodeKind::Vendor, name(vendor))
}

/// A vendor whose owner tells one version of it from another.
fn vendor(vendor: &str, owner: &str) -> Node {
    Node::open(Body::Vendor(Vendor { name: name(vendor), parent: None, owner: name(owner) }))
}

fn person(person: &str) -> Node {
    let contact = TextRef { id: private_id(0), hash: Digest::new([0; 32]) };
    Node::open(Body::Person(Person { name: name(person), roles: [].into(), contact, forgotten: false }))
}

fn private_id(number: u8) -> PrivateId {
    PrivateId::new([number; 16])
}

/// An event that writes nothing, at an instant.
fn event(at: u64) -> Event {
    let action = Action::Written { node: vendor_id("any") };
    Event::new(Timestamp::from_millis(at), fresh_id(), Actor::Broker, action)
}

/// A change that expects nothing.
fn change(event: Event) -> Change {
    Change { event, expect: Vec::new(), private: Vec::new() }
}

/// A change that expects one node as of a revision.
fn expecting(event: Event, node: &str, revision: Option<u64>) -> Change {
    let expect = vec![Expect { node: vendor_id(node), revision: revision.map(Revision::new) }];
    Change { event, expect, private: Vec::new() }
}

async fn commit(store: &Arc<dyn Store>, change: Change) -> Revision {
    store.commit(change, Lane::Normal).await.unwrap()
}

/// A commit that is under way.
type Pending = Pin<Box<dyn Future<Output = Result<Revision, CommitError>> + Send>>;

/// Asks for a commit and returns once it is queued. It must not be answered yet.
fn queue(store: &Arc<dyn Store>, change: Change, lane: Lane) -> Pending {
    let store = Arc::clone(store);
    let mut pending: Pending = Box::pin(async move { store.commit(change, lane).await });
    let polled = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "answered before it can be: {polled:?}");
    pending
}

/// Stalls the engine with a commit under way, so that what is queued next makes up one group.
async fn stall(harness: &impl Harness, change: Change) -> Pending {
    harness.faults().stall();
    let pending = queue(&harness.store(), change, Lane::Normal);
    harness.faults().stalled().await;
    pending
}

async fn node(store: &Arc<dyn Store>, vendor: &str) -> Option<Arc<Stored>> {
    store.nodes(&[vendor_id(vendor)]).await.unwrap().remove(0)
}

/// The whole log, read in pages of this size.
async fn log(store: &Arc<dyn Store>, page: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(Revision::ZERO, |entry| entry.revision);
        let next = store.log(after, page).await.unwrap();
        assert!(next.len() <= page);
        if next.is_empty() {
            return entries;
        }
        entries.extend(next);
    }
}

/// All nodes of a kind, read in pages of this size.
async fn list(store: &Arc<dyn Store>, kind: NodeKind, page: usize) -> Vec<Arc<Stored>> {
    let mut nodes: Vec<Arc<Stored>> = Vec::new();
    loop {
        let after = nodes.last().map(|stored| stored.node.id().name);
        let next = store.list(kind, after.as_ref(), page).await.unwrap();
        assert!(next.len() <= page);
        if next.is_empty() {
            return nodes;
        }
        nodes.extend(next);
    }
}

/// Law 1: the log is gapless up to the head, and the nodes are what its events leave.
async fn consistent(store: &Arc<dyn Store>) -> Vec<Entry> {
    let entries = log(store, 100).await;
    let mut fold = Fold::default();
    for entry in &entries {
        fold.apply(entry).unwrap();
    }
    assert_eq!(store.head().borrow().revision, fold.head());
    let mut listed: Vec<Arc<Stored>> = Vec::new();
    for kind in NodeKind::ALL {
        listed.extend(list(store, *kind, 7).await);
    }
    assert!(listed.iter().map(|stored| &**stored).eq(fold.nodes()), "the nodes are not what the log leaves");
    entries
}
