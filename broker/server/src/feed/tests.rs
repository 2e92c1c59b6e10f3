//! The feed over a store in memory, with faults to order and clocks to set.

use std::sync::Arc;

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, Node, Permit, Put, Shown,
    event::{Bound, Method, TokenRecord},
    node::{EndedCredential, Identity, Verifier},
};
use daypass_credential::{Digest, Era, NodeId, Revision, ScopeSet, Timestamp, Ttl};
use daypass_log::{Checkpoint, Hash, Root};
use daypass_store::{Change, Lane};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Feed, Follower, Hello, Known, Said, Tip, Told,
    follower::{Over, Refused},
    keep_feed, kept,
    keys::digest_of_point,
    snapshot,
    worker::forget,
};
use crate::{
    call::Call,
    notary::{log_key, log_name},
    refusal::Refusal,
    rig::{Rig, write},
    verification::Presented,
};

const NOON: u64 = 1_700_000_000_000;
const POINT: [u8; 65] = [4; 65];

fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    Timestamp::from_millis(NOON)
}

/// A broker with verifier `api` and its instance `api-1`, followed by the worker.
async fn rig() -> Rig {
    let rig = not_followed().await;
    tokio::spawn(keep_feed(rig.broker.clone()));
    rig.broker.feed.followed(head(&rig)).await.unwrap();
    rig
}

/// The same, and the worker has not begun.
async fn not_followed() -> Rig {
    let rig = Rig::new().await;
    let identity = Identity {
        name: "api-1".parse().unwrap(),
        subject: id("verifier:api"),
        key: digest_of_point(&POINT),
        previous: None,
        asked_by: None,
        until: noon().after(Ttl::days(1)),
    };
    let verifier = Verifier { name: "api".parse().unwrap(), audiences: ["billing".parse().unwrap()].into() };
    for body in [Body::Verifier(verifier), Body::Identity(identity)] {
        write(&*rig.broker.store, Put { node: Node::open(body), cut: false }, Vec::new()).await;
    }
    rig
}

fn head(rig: &Rig) -> Revision {
    rig.broker.store.head().borrow().revision
}

fn call() -> Arc<Call> {
    let caller = Shown {
        era: Era::new(1),
        // None that a test ends.
        rev: Revision::new(6_000),
        lineage: "verifier:api identity:api-1".parse().unwrap(),
        subject: id("verifier:api"),
        identity: "api-1".parse().unwrap(),
        audience: None,
        key: digest_of_point(&POINT),
        thumbprint: Digest::new([3; 32]),
        not_before: noon(),
        expires: noon().after(Ttl::days(1)),
    };
    let method = Method::new("VerificationService/FollowRevocations");
    Arc::new(Call { method, caller: Arc::new(caller), facts: daypass_core::Facts::default() })
}

/// One stream, as it is told and as it ends.
struct Line {
    say: mpsc::Sender<Result<Said, Over>>,
    told: mpsc::Receiver<Told>,
    refused: mpsc::Receiver<Refused>,
}

impl Line {
    async fn open(rig: &Rig) -> Self {
        Self::with(rig, None, String::new()).await
    }

    async fn with(rig: &Rig, known: Option<Known>, checkpoint: String) -> Self {
        let (say, said) = mpsc::channel(8);
        let (told, refused) = Follower::start(rig.broker.clone(), call(), (), ReceiverStream::new(said));
        let (snapshot, key) = (known.is_none(), POINT.to_vec());
        let hello = Hello { known, snapshot, checkpoint, key, observing: false, process: None };
        let line = Self { say, told, refused };
        line.say(Said::Hello(Box::new(hello))).await;
        line
    }

    async fn say(&self, said: Said) {
        self.say.send(Ok(said)).await.unwrap();
    }

    /// What comes up to the echo of this counter, and where that is.
    async fn settle(&mut self, counter: u64) -> (Vec<Told>, Tip) {
        self.say(Said::Counter(counter)).await;
        let mut came = Vec::new();
        loop {
            match self.told.recv().await.expect("the stream goes on") {
                Told::Echo { counter: echoed, head } if echoed == counter => return (came, head),
                told => came.push(told),
            }
        }
    }

    /// What still comes, and why it ends.
    async fn end(&mut self) -> (Vec<Told>, String) {
        let mut came = Vec::new();
        while let Some(told) = self.told.recv().await {
            came.push(told);
        }
        let (refusal, _) = self.refused.recv().await.expect("it says why");
        (came, refusal.reason().to_string())
    }
}

/// The nodes that were told to be cut, in a snapshot or not.
fn cut(told: &[Told]) -> Vec<String> {
    let nodes = told.iter().flat_map(|told| match told {
        Told::SnapshotCuts(cuts) => cuts.iter().map(|cut| cut.node.to_string()).collect(),
        Told::Cut(recent) => vec![recent.cut.node.to_string()],
        _ => Vec::new(),
    });
    nodes.collect()
}

/// Records an event as it is.
async fn record(rig: &Rig, action: Action, puts: Vec<Put>) -> Revision {
    let id = ChangeId::new(rig.broker.entropy.bytes().unwrap());
    let event = Event { puts, ..Event::new(noon(), id, Actor::Broker, action) };
    rig.broker
        .store
        .commit(Change { event, expect: Vec::new(), private: Vec::new() }, Lane::End)
        .await
        .unwrap()
}

/// A token under vendor `acme`, recorded.
fn token(rig: &Rig) -> TokenRecord {
    TokenRecord {
        application: "sync".parse().unwrap(),
        audience: "billing".parse().unwrap(),
        scopes: "invoices.read".parse::<ScopeSet>().unwrap(),
        lineage: "vendor:acme application:sync".parse().unwrap(),
        thumbprint: None,
        issued: noon(),
        expires: noon().after(Ttl::minutes(15)),
        bound_by: Bound::Scope,
        key: rig.broker.keys.now().ring().token_key(noon()).unwrap().name.clone(),
    }
}

async fn minted(rig: &Rig) -> Revision {
    record(rig, Action::TokenMinted(token(rig)), Vec::new()).await
}

/// Mints a token, and ends it.
async fn ended(rig: &Rig) -> NodeId {
    let node = NodeId::credential(minted(rig).await);
    let body = Body::Credential(EndedCredential { name: node.name.clone() });
    write(&*rig.broker.store, Put { node: Node { life: Life::Ended, body }, cut: true }, Vec::new()).await;
    node
}

#[tokio::test]
async fn a_store_that_cannot_be_read_answers_no_counter_and_calls_nothing_active() {
    let rig = rig().await;
    let revision = minted(&rig).await;
    let event = rig.broker.event(revision).await.unwrap().unwrap();
    let permit = Permit::token_again(&event).unwrap();
    let token = rig.broker.keys.now().ring().sign_token(&permit, revision).unwrap();
    let shown = Presented { token, certificate: Vec::new() };
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    assert!(rig.broker.introspect(&call(), &shown).await.unwrap().is_some());

    rig.faults.fail_next();
    let admin = rig.call().await;
    assert!(rig.broker.end(&admin, &id("vendor:acme"), "", rig.single()).await.is_err());
    // From here on nothing waits but clocks.
    tokio::time::pause();
    line.say(Said::Counter(2)).await;
    let (came, why) = line.end().await;
    assert!(!came.iter().any(|told| matches!(told, Told::Echo { .. })), "{came:?}");
    assert_eq!(why, "store-unavailable");
    let asked = rig.broker.introspect(&call(), &shown).await;
    assert!(matches!(asked, Err(Refusal::Store { .. })), "active, or said not to be");
}

#[tokio::test]
async fn a_commit_that_hangs_is_not_told_and_keeps_no_counter_from_its_answer() {
    let rig = rig().await;
    minted(&rig).await;
    let mut line = Line::open(&rig).await;
    let (_, before) = line.settle(1).await;
    let admin = rig.call().await;
    rig.faults.stall();
    let (broker, mark) = (rig.broker.clone(), rig.single());
    let ending = tokio::spawn(async move { broker.end(&admin, &id("vendor:acme"), "", mark).await });
    rig.faults.stalled().await;
    let (came, head) = line.settle(2).await;
    assert!(cut(&came).is_empty() && head == before, "nobody sees a commit before it is durable");
    rig.faults.release();
    let end = ending.await.unwrap().unwrap();
    let (came, head) = line.settle(3).await;
    assert_eq!((cut(&came), head.revision), (vec!["vendor:acme".to_owned()], end));
}

#[tokio::test]
async fn no_clock_that_jumps_moves_the_horizon() {
    let rig = rig().await;
    let horizon = || rig.broker.feed.ledger(|ledger| ledger.horizon());
    assert_eq!(horizon(), noon().before(Ttl::seconds(60)));
    rig.clock.pass(10_000);
    let held = rig.broker.feed.hold_horizon(noon().before(Ttl::seconds(55)));
    forget(&rig.broker);
    assert_eq!(horizon(), noon().before(Ttl::seconds(55)), "somebody asks about that instant");
    drop(held);
    forget(&rig.broker);
    assert_eq!(horizon(), noon().before(Ttl::seconds(50)));
    for wrong in [NOON - 86_400_000, NOON + 86_400_000] {
        rig.clock.set_wall(wrong);
        forget(&rig.broker);
        assert_eq!(horizon(), noon().before(Ttl::seconds(50)));
    }
}

#[tokio::test]
async fn who_is_too_far_behind_gets_a_snapshot_in_the_middle() {
    let rig = rig().await;
    rig.broker.feed.recent(|recent| recent.keep(8));
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    let mut all = Vec::new();
    for _ in 0..40 {
        all.push(ended(&rig).await.to_string());
    }
    // It has read nothing of this so far.
    rig.broker.feed.followed(head(&rig)).await.unwrap();
    let (came, at) = line.settle(2).await;
    assert!(came.iter().any(|told| matches!(told, Told::SnapshotBegin { .. })), "{came:?}");
    let told = cut(&came);
    assert!(all.iter().all(|node| told.contains(node)), "{told:?}");
    assert_eq!(at.revision, head(&rig));
    // Revisions never fall.
    let places = came.iter().filter_map(|told| match told {
        Told::SnapshotBegin { at, .. } => Some(at.revision),
        Told::Cut(recent) => Some(recent.cut.at),
        _ => None,
    });
    assert!(places.is_sorted());
}

#[tokio::test]
async fn who_reads_nothing_is_let_go_after_a_minute() {
    let rig = rig().await;
    for _ in 0..5 {
        ended(&rig).await;
    }
    let instance = || rig.broker.feed.attendance().of(&"api-1".parse().unwrap()).unwrap();
    rig.broker.feed.followed(head(&rig)).await.unwrap();
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    assert_eq!(instance().streams, 1);
    for _ in 0..5 {
        ended(&rig).await;
    }
    let mut changes = rig.broker.feed.attendance().changes();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    changes.wait_for(|_| instance().streams == 0).await.unwrap();
    let took = begun.elapsed().as_secs();
    assert!((60..70).contains(&took), "{took}");
    let (came, why) = line.end().await;
    assert_eq!((came.len(), why.as_str()), (2, "deadline"));
}

#[tokio::test]
async fn a_revision_that_cut_two_is_told_whole_to_who_stopped_between() {
    let rig = rig().await;
    minted(&rig).await;
    let other = TokenRecord { lineage: "vendor:globex application:courier".parse().unwrap(), ..token(&rig) };
    record(&rig, Action::TokenMinted(other), Vec::new()).await;
    let vendor = |called: &str| {
        let (name, owner) = (called.parse().unwrap(), "ada".parse().unwrap());
        let body = Body::Vendor(daypass_core::node::Vendor { name, parent: None, owner });
        Put { node: Node { life: Life::Suspended, body }, cut: true }
    };
    let puts = vec![vendor("acme"), vendor("globex")];
    let at = record(&rig, Action::Written { node: id("vendor:acme") }, puts).await;
    let entry = rig.broker.store.log(Revision::new(at.get() - 1), 1).await.unwrap().remove(0);
    let known = Known { era: Era::new(1), at: Tip { revision: at, leaf: Hash::leaf(&entry.event) } };
    let mut line = Line::with(&rig, Some(known), String::new()).await;
    let (came, _) = line.settle(1).await;
    assert!(matches!(came[0], Told::Resumed { .. }));
    assert_eq!(cut(&came), ["vendor:acme", "vendor:globex"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_has_not_followed_the_log_yet_asks_to_come_again() {
    let rig = not_followed().await;
    let mut line = Line::open(&rig).await;
    assert_eq!(line.end().await.1, "busy");
}

#[tokio::test]
async fn a_broker_that_stops_says_so_to_all_who_follow() {
    let rig = rig().await;
    let mut lines = [Line::open(&rig).await, Line::open(&rig).await];
    for line in &mut lines {
        line.settle(1).await;
    }
    rig.broker.feed.close();
    for line in &mut lines {
        assert_eq!(line.end().await.1, "stopping");
    }
}

#[tokio::test]
async fn the_ledger_is_kept_and_used_for_the_log_that_it_followed_alone() {
    let rig = rig().await;
    let (broker, path) = (rig.broker.clone(), rig.files.path().join("ledger"));
    let open = |path: &std::path::Path| {
        let (path, broker) = (path.to_owned(), broker.clone());
        async move { Feed::open(noon(), path, &*broker.store, broker.era, broker.keys.kek()).await }
    };
    let first = ended(&rig).await;
    minted(&rig).await;
    broker.feed.followed(head(&rig)).await.unwrap();
    let (written, tip) = broker.feed.copy();
    let file = kept::closed(broker.keys.kek(), broker.era, tip, &written).unwrap();
    assert_eq!(open(&path).await.tip.borrow().revision, Revision::ZERO, "there is none yet");
    std::fs::write(&path, &file).unwrap();
    ended(&rig).await;

    let again = open(&path).await;
    assert_eq!(*again.tip.borrow(), tip);
    let form = |ledger: &daypass_core::ledger::Ledger| serde_json::to_string(ledger).unwrap();
    assert_eq!(again.ledger(form), form(&written.ledger));
    let page = again.recent(|recent| recent.after(Revision::ZERO, tip.revision, 9)).unwrap();
    let entry = broker.store.log(Revision::new(page[0].cut.at.get() - 1), 1).await.unwrap().remove(0);
    assert_eq!((&page[0].cut.node, page[0].leaf), (&first, Hash::leaf(&entry.event)));

    // Whatever is changed, and another log, is not gone on with.
    for at in (0..file.len()).step_by(7) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert_eq!(open(&path).await.tip.borrow().revision, Revision::ZERO, "byte {at}");
    }
    let elsewhere = Tip { leaf: Hash::leaf(b"another event"), ..tip };
    for (era, tip) in [(Era::new(1), elsewhere), (Era::new(2), tip)] {
        std::fs::write(&path, kept::closed(broker.keys.kek(), era, tip, &written).unwrap()).unwrap();
        assert_eq!(open(&path).await.tip.borrow().revision, Revision::ZERO);
    }
}

/// An echo says that nothing is missing, and an ended key that is still trusted would be: it is gone before the echo comes.
#[tokio::test]
async fn a_key_that_was_ended_is_gone_before_the_next_echo() {
    let rig = rig().await;
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    let kid = token(&rig).key;
    let node = NodeId::new(daypass_credential::NodeKind::Key, kid.clone());
    let stored = rig.broker.store.nodes(&[node]).await.unwrap().remove(0).unwrap();
    let kids = |came: &[Told]| {
        came.iter().rev().find_map(|told| match told {
            Told::Keys { offer, .. } => {
                Some(offer.all.tokens.iter().map(|key| key.kid.clone()).collect::<Vec<_>>())
            }
            _ => None,
        })
    };
    write(&*rig.broker.store, Put { node: stored.node.with_life(Life::Ended), cut: true }, Vec::new()).await;
    let (came, at) = line.settle(2).await;
    assert_eq!((kids(&came), at.revision), (Some(Vec::new()), head(&rig)));
}

/// A checkpoint with the log's own signature, of a log that is longer.
fn forked(rig: &Rig) -> String {
    let keys = rig.broker.keys.now();
    let (issuer, size) = ("https://t.example", head(rig).get() + 9);
    let key = log_key(issuer, keys.ring().audit_key(noon()).unwrap()).unwrap();
    let root = Root { size, hash: Hash::leaf(b"x") };
    let signed = Checkpoint::new(&log_name(issuer), root, Era::new(1)).unwrap();
    let signed = signed.sign(&key, |message| keys.ring().sign_audit(message, noon()).map(|s| s.signature));
    signed.unwrap().note().to_owned()
}

#[tokio::test]
async fn a_checkpoint_that_the_log_does_not_continue_ends_everything() {
    let mut rig = rig().await;
    rig.notary.begin(&rig.broker).await;
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    let note = forked(&rig);
    assert_eq!(
        Line::with(&rig, None, note.replace("t.example", "u.example")).await.end().await.1,
        "checkpoint-unknown"
    );
    assert_eq!(Line::with(&rig, None, "nothing".to_owned()).await.end().await.1, "bad-request");
    assert_eq!(Line::with(&rig, None, note).await.end().await.1, "log-older");
    // Whoever follows hears of it as well.
    tokio::time::pause();
    assert_eq!(line.end().await.1, "log-older");
}

#[tokio::test]
async fn a_log_that_was_found_older_answers_no_counter_from_then_on() {
    let mut rig = rig().await;
    rig.notary.begin(&rig.broker).await;
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    assert_eq!(Line::with(&rig, None, forked(&rig)).await.end().await.1, "log-older");
    line.say(Said::Counter(2)).await;
    tokio::time::pause();
    let (came, why) = line.end().await;
    assert!(!came.iter().any(|told| matches!(told, Told::Echo { .. })), "{came:?}");
    assert_eq!(why, "log-older");
}

#[tokio::test]
async fn who_was_ended_before_the_stream_began_is_told_nothing() {
    let rig = rig().await;
    let node = id("identity:api-1");
    let stored = rig.broker.store.nodes(&[node]).await.unwrap().remove(0).unwrap();
    write(&*rig.broker.store, Put { node: stored.node.with_life(Life::Ended), cut: true }, Vec::new()).await;
    rig.broker.feed.followed(head(&rig)).await.unwrap();
    tokio::time::pause();
    let (came, why) = Line::open(&rig).await.end().await;
    assert!(came.is_empty(), "{came:?}");
    assert_eq!(why, "caller-dead");
}

/// Ends come as fast as this verifier reads: there is always one more to be told.
#[tokio::test]
async fn who_reads_no_faster_than_the_log_grows_is_answered_all_the_same() {
    let rig = rig().await;
    let mut line = Line::open(&rig).await;
    line.settle(1).await;
    for _ in 0..4 {
        ended(&rig).await;
    }
    line.say(Said::Counter(2)).await;
    for _ in 0..40 {
        ended(&rig).await;
        rig.broker.feed.followed(head(&rig)).await.unwrap();
        if let Told::Echo { counter: 2, .. } = line.told.recv().await.unwrap() {
            return;
        }
    }
    panic!("told all the time, and never that nothing is missing");
}

/// Whoever goes away while a snapshot is made for them would otherwise have as many made at once as they like.
#[tokio::test]
async fn a_snapshot_that_nobody_waits_for_any_longer_is_finished_before_the_next_one() {
    let rig = Rig::new().await;
    let broker = rig.broker.clone();
    let (held, is_held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let locked = broker.clone();
    let holder = std::thread::spawn(move || {
        let _book = locked.feed.book.write().unwrap();
        held.send(()).unwrap();
        released.recv().unwrap();
    });
    is_held.recv().unwrap();
    let asking = broker.clone();
    let first = tokio::spawn(async move { snapshot::take(&asking, Revision::ZERO).await.map(drop) });
    while broker.feed.snapshots.0.try_lock().is_ok() {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert!(broker.feed.snapshots.0.try_lock().is_err(), "it is still being made");
    release.send(()).unwrap();
    holder.join().unwrap();
    assert!(matches!(snapshot::take(&broker, Revision::ZERO).await, Err(Refusal::Busy { .. })));
}

#[tokio::test]
async fn a_process_under_a_clock_that_is_behind_began_no_earlier_than_the_log_knows() {
    let rig = rig().await;
    let (broker, path) = (&rig.broker, rig.files.path().join("none"));
    let began = noon().before(Ttl::minutes(60));
    let feed = Feed::open(began, path, &*broker.store, broker.era, broker.keys.kek()).await;
    assert_eq!(feed.attendance().began(), noon());
}
