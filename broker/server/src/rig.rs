//! For tests alone: a broker over the memory engine, with a clock that tests set and faults that they order, and what
//! has to hold when things happen between the gate and the commit.

use std::{sync::Arc, time::Duration};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Facts, Life, Node, PrivateId, Put, Shown, TextRef,
    event::Method,
    mint::judge_caller,
    node::{
        Audience, Classification, EndedCredential, Identity, KeyAlgorithm, KeyPurpose, Person, Role,
        ScopeRule, Tier, Vendor,
    },
};
use daypass_credential::{Digest, Era, Name, NodeId, Revision, Timestamp, Ttl};
use daypass_issuer::{KeyEncryptionKey, KeyPlan, Realm, generate};
use daypass_store::{Change, Disk, Faults, Lane, Memory, Store};
use zeroize::Zeroizing;

use crate::{
    audit::{Audit, Summaries},
    broker::{Broker, Lifetimes},
    call::{Call, RequestMark},
    clock::{ClockGuard, tests::SetClock},
    directory::{ObjectWish, ca_plan},
    entropy::SystemEntropy,
    feed::Feed,
    keys::Cabinet,
    notary,
    receipts::Receipts,
    refusal::Refusal,
    refusals::Refusals,
    right_of_way::RightOfWay,
    space::{Limits, Space},
};

const NOON: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;
/// The certificate that the admin shows.
const SHOWN: u64 = 50;

fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) struct Rig {
    pub(crate) broker: Arc<Broker>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) faults: Faults,
    /// What keeps the tree and signs it: a test lets it work.
    pub(crate) notary: notary::Worker,
    /// Where that keeps its files.
    pub(crate) files: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Summaries::none()).await
    }

    /// The same with these summaries of its log.
    pub(crate) async fn with(summaries: Summaries) -> Self {
        let (faults, clock) = (Faults::none(), SetClock::at(NOON));
        let store = Memory::open(&Disk::new(), &faults).unwrap();
        let (kek, now) = (KeyEncryptionKey::generate().unwrap(), Timestamp::from_millis(NOON));
        let realm = Realm {
            issuer: "https://t.example".into(),
            domain: "t.example".parse().unwrap(),
            era: Era::new(1),
        };
        for plan in [
            ca_plan(KeyPurpose::Identity, now),
            signing(KeyPurpose::Token, KeyAlgorithm::Es256, now),
            signing(KeyPurpose::Audit, KeyAlgorithm::EdDsa, now),
        ] {
            let made = generate(plan, &realm.domain, &kek).unwrap();
            let private = vec![(made.key.sealed, Zeroizing::new(made.sealed))];
            write(&store, Put { node: Node::open(Body::Key(made.key)), cut: false }, private).await;
        }
        let contact = TextRef { id: PrivateId::new([9; 16]), hash: Digest::new([0; 32]) };
        let identity = Identity {
            name: name("ada-1"),
            subject: id("person:ada"),
            key: Digest::new([1; 32]),
            previous: None,
            asked_by: None,
            until: now.after(Ttl::days(1)),
        };
        for body in [
            Body::Person(Person {
                name: name("ada"),
                roles: [Role::Admin].into(),
                contact,
                forgotten: false,
            }),
            Body::Identity(identity),
            Body::Vendor(Vendor { name: name("acme"), parent: None, owner: name("ada") }),
        ] {
            write(&store, Put { node: Node::open(body), cut: false }, Vec::new()).await;
        }
        let keys = Cabinet::open(&store, kek, realm).await.unwrap();
        let last = store.head().borrow().at;
        let store: Arc<dyn Store> = Arc::new(store);
        let files = tempfile::tempdir().unwrap();
        let place =
            notary::Place { folder: files.path().join("notary"), anchor: files.path().join("anchor") };
        let log_keys = notary::every_log_key(keys.now().ring());
        let subject = notary::Subject {
            issuer: "https://t.example",
            era: Era::new(1),
            previous: None,
            keys: &log_keys,
        };
        let second = Duration::from_secs(1);
        let (notary, worker) = notary::open(place, &subject, store.clone(), second).await.unwrap();
        let broker = Broker {
            clock: ClockGuard::new(clock.clone(), Some(last)),
            store,
            entropy: Arc::new(SystemEntropy::new()),
            keys,
            era: Era::new(1),
            lifetimes: Lifetimes {
                identity_ttl: Ttl::days(1),
                certificate_ttl: Ttl::days(1),
                token_ttl: Ttl::minutes(60),
            },
            refusals: Refusals::default(),
            space: Space::of("/".into(), Limits::mebibytes(0, 0)),
            notary,
            audit: Audit::new(summaries),
            feed: Feed::new(now),
            receipts: Receipts::at(files.path().join("receipts"), Era::new(1)),
            right_of_way: RightOfWay::default(),
        };
        Self { broker: Arc::new(broker), clock, faults, notary: worker, files }
    }

    /// A call by the admin, as the gate hands it on.
    pub(crate) async fn call(&self) -> Arc<Call> {
        let now = Timestamp::from_millis(NOON);
        let caller = Arc::new(Shown {
            era: Era::new(1),
            rev: Revision::new(SHOWN),
            lineage: "person:ada identity:ada-1".parse().unwrap(),
            subject: id("person:ada"),
            identity: name("ada-1"),
            audience: None,
            key: Digest::new([1; 32]),
            thumbprint: Digest::new([3; 32]),
            not_before: now,
            expires: now.after(Ttl::days(1)),
        });
        let mut facts = Facts::default();
        let lineage = caller.lineage.nodes().iter().cloned().chain([caller.id()]).collect();
        self.broker.read(&mut facts, lineage).await.unwrap();
        self.broker.decide(&mut facts, |facts| judge_caller(facts, &caller, Era::new(1), now)).await.unwrap();
        Arc::new(Call { method: Method::new("Test/Call"), caller, facts })
    }

    pub(crate) fn single(&self) -> RequestMark {
        RequestMark::single(&*self.broker.entropy).unwrap()
    }

    fn has_ca(&self, audience: &str) -> bool {
        let now = Timestamp::from_millis(NOON);
        self.broker.keys.now().ring().audience_ca(&name(audience), now).is_some()
    }
}

fn signing(purpose: KeyPurpose, algorithm: KeyAlgorithm, now: Timestamp) -> KeyPlan {
    KeyPlan { purpose, algorithm, not_before: now.before(Ttl::days(1)), not_after: now.after(Ttl::days(700)) }
}

/// What a log begins with.
fn begun() -> Action {
    let (issuer, trust_domain) = ("https://t.example".into(), "t.example".into());
    Action::Initialized { era: Era::new(1), issuer, trust_domain, previous: None }
}

pub(crate) async fn write(store: &dyn Store, put: Put, private: Vec<(PrivateId, Zeroizing<Vec<u8>>)>) {
    let number = store.head().borrow().revision.get() + 1;
    let action = if number == 1 { begun() } else { Action::Written { node: put.node.id() } };
    let id = ChangeId::new(u128::from(number).to_be_bytes());
    let mut event = Event::new(Timestamp::from_millis(NOON), id, Actor::Broker, action);
    event.puts = vec![put];
    store.commit(Change { event, expect: Vec::new(), private }, Lane::End).await.unwrap();
}

fn audience(called: &str, expected: Option<u64>) -> ObjectWish {
    let scopes = vec![ScopeRule {
        scope: "invoices.read".parse().unwrap(),
        classification: Classification::Internal,
        tier: Tier::Standing,
        max_ttl: Ttl::minutes(15),
        unbound: false,
    }];
    let (name, environment, staleness) = (name(called), name("production"), Ttl::seconds(30));
    let body = Body::Audience(Audience { name, environment, scopes, staleness });
    ObjectWish { body, text: None, expected: expected.map(Revision::new) }
}

fn reason<T>(result: Result<T, Refusal>) -> String {
    result.err().map(|refusal| refusal.reason().to_string()).unwrap_or_default()
}

#[tokio::test]
async fn what_a_stranger_causes_does_not_vouch_for_a_clock() {
    let rig = Rig::new().await;
    rig.broker.trusted_now().unwrap();
    for wrong in [NOON - DAY, NOON + 3650 * DAY] {
        rig.clock.set_wall(wrong);
        assert_eq!(reason(rig.broker.trusted_now()), "clock-untrusted");
        rig.broker.refused_stranger(&Method::new("Test/Stranger"), &Refusal::NoCertificate).await;
        let call = rig.call().await;
        rig.broker.end(&call, &id("vendor:acme"), "", rig.single()).await.unwrap();
        assert_eq!(rig.broker.store.head().borrow().at.as_millis(), NOON);
        assert_eq!(reason(rig.broker.trusted_now()), "clock-untrusted");
    }
    let restarted = ClockGuard::new(rig.clock.clone(), Some(rig.broker.store.head().borrow().at));
    assert!(restarted.trusted(Timestamp::from_millis(NOON)).is_err(), "nor after a restart");
}

#[tokio::test]
async fn a_certificate_ended_after_the_gate_looked_does_nothing_more() {
    let rig = Rig::new().await;
    let call = rig.call().await;
    let ended = Body::Credential(EndedCredential { name: name(&SHOWN.to_string()) });
    write(&*rig.broker.store, Put { node: Node { life: Life::Ended, body: ended }, cut: true }, Vec::new())
        .await;
    let put = rig.broker.put_object(&call, audience("billing", None), rig.single()).await;
    assert_eq!(reason(put), "caller-ended");
    let code = rig.broker.open_enrollment(&call, &id("person:ada"), Ttl::minutes(5)).await;
    assert_eq!(reason(code), "caller-ended");
    let end = rig.broker.end(&call, &id("vendor:acme"), "", rig.single()).await;
    assert_eq!(reason(end), "caller-ended");
}

#[tokio::test]
async fn an_audience_has_its_ca_though_nobody_waited_for_the_answer() {
    let rig = Rig::new().await;
    let call = rig.call().await;
    rig.faults.stall();
    let (broker, mark) = (rig.broker.clone(), rig.single());
    let task = tokio::spawn(async move { broker.put_object(&call, audience("billing", None), mark).await });
    rig.faults.stalled().await;
    task.abort();
    assert!(task.await.is_err());
    rig.faults.release();
    // Whoever asks next waits for the same store, and finds both.
    let again =
        rig.broker.put_object(&rig.call().await, audience("billing", None), rig.single()).await.unwrap();
    assert!(!again.written && rig.has_ca("billing"));
}

#[tokio::test]
async fn a_repeat_gets_its_first_answer_whatever_has_changed_since() {
    let rig = Rig::new().await;
    let call = rig.call().await;
    let (entropy, kek) = (&*rig.broker.entropy, rig.broker.keys.kek());
    let mark = |content: u8| RequestMark::of(&call, "req-1", || vec![content], entropy, kek).unwrap();
    let put = |wish, mark| rig.broker.put_object(&call, wish, mark);
    let first = put(audience("billing", Some(0)), mark(1)).await.unwrap();
    assert!(first.written);
    assert_eq!(put(audience("billing", Some(0)), mark(1)).await.unwrap(), first);
    assert_eq!(reason(put(audience("other", Some(0)), mark(2)).await), "request-id-reused");
}

/// The log is kept for ever and shown to many: what was asked must not be found by trying what it might have been.
#[tokio::test]
async fn nobody_guesses_from_an_event_what_was_asked() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    let call = rig.call().await;
    let mark = |rig: &Rig| {
        let (entropy, kek) = (&*rig.broker.entropy, rig.broker.keys.kek());
        RequestMark::of(&call, "req-1", || b"ada@t.example".to_vec(), entropy, kek).unwrap()
    };
    let (one, another) = (mark(&rig), mark(&other));
    assert_ne!(one.id, another.id);
    assert_ne!(one.digest, another.digest);
    assert_ne!(one.digest, Some(daypass_issuer::digest(b"ada@t.example")));
}

#[tokio::test]
async fn a_store_that_failed_is_said_and_everything_is_refused() {
    let rig = Rig::new().await;
    let call = rig.call().await;
    rig.faults.fail_next();
    let put = rig.broker.put_object(&call, audience("billing", None), rig.single()).await;
    assert_eq!(reason(put), "store-unavailable");
    let end = rig.broker.end(&call, &id("vendor:acme"), "", rig.single()).await;
    assert_eq!(reason(end), "store-unavailable");
    assert!(!rig.has_ca("billing"));
}

#[test]
fn what_the_store_says_no_to_has_its_reason() {
    use daypass_store::CommitError;
    let large = CommitError::TooLarge { what: "event".into(), bytes: 9, limit: 8 };
    assert_eq!(Refusal::from(large).reason().as_str(), "too-large");
    let busy = CommitError::Busy { retry_after: Duration::from_millis(1) };
    assert_eq!(Refusal::from(busy).reason().as_str(), "busy");
}

/// A call of `Health/Check`, which is open, through a gate before a service that never answers.
async fn unanswered(gate: &crate::grpc::GateLayer) -> String {
    use crate::grpc::{Peer, Remote};
    use tonic_types::StatusExt;
    use tower::{Layer, Service};
    let never = tower::service_fn(|_: http::Request<tonic::body::Body>| {
        std::future::pending::<Result<http::Response<tonic::body::Body>, std::convert::Infallible>>()
    });
    let mut request = http::Request::new(tonic::body::Body::empty());
    *request.uri_mut() = http::Uri::from_static("/grpc.health.v1.Health/Check");
    let remote = Remote { peer: Peer::Nobody, address: [192, 0, 2, 1].into() };
    request.extensions_mut().insert(Arc::new(remote));
    let answer = gate.layer(never).call(request).await.unwrap();
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    status.get_error_details().error_info().unwrap().reason.clone()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_cut_off_and_one_too_many_is_sent_away() {
    let gate = crate::grpc::GateLayer::new(Rig::new().await.broker);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..33 {
        let gate = gate.clone();
        calls.spawn(async move { unanswered(&gate).await });
    }
    let mut reasons = calls.join_all().await;
    reasons.sort();
    assert_eq!(reasons.iter().filter(|reason| *reason == "busy").count(), 1);
    assert_eq!(reasons.iter().filter(|reason| *reason == "deadline").count(), 32);
    assert_eq!(unanswered(&gate).await, "deadline", "its place is free again");
}
