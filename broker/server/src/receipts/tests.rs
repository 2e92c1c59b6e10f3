//! Receipts over the memory engine: closed by themselves, the same from memory and from the log, and one for an end
//! whatever was there before.

use std::{fs, io::Cursor, time::Duration};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, Node, Put,
    event::{Bound, TokenRecord},
    node::{Audience as AudienceNode, Identity, Roster, Vendor, Verifier},
};
use daypass_credential::{Digest, Era, Name, NodeId, Revision, Timestamp, Ttl};
use daypass_log::{
    Acknowledgement,
    receipt::{Receipt, State as Known},
};
use daypass_store::{Change, Entry, Lane};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::{
    State, find, keep_receipts,
    list::{self, Of},
    shown::{Closed, Piece, Told},
};
use crate::{
    broker::Broker,
    feed::{Acknowledged, Instance, keep_feed},
    notary,
    rig::Rig,
};

const LIMIT: Ttl = Ttl::seconds(30);

fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn now(broker: &Broker) -> Timestamp {
    broker.clock.now()
}

async fn record(broker: &Broker, actor: Actor, action: Action, puts: Vec<Put>) -> Revision {
    let change = ChangeId::new(broker.entropy.bytes().unwrap());
    let event = Event { puts, ..Event::new(broker.stamp(), change, actor, action) };
    broker.store.commit(Change { event, expect: vec![], private: vec![] }, Lane::Normal).await.unwrap()
}

async fn write(broker: &Broker, body: Body) {
    let node = Node::open(body);
    let action = Action::Written { node: node.id() };
    record(broker, Actor::Broker, action, vec![Put { node, cut: false }]).await;
}

async fn mint(broker: &Broker, vendor: &str, application: &str, audience: &str, ttl: Ttl) -> Revision {
    let at = now(broker);
    let token = TokenRecord {
        application: name(application),
        audience: name(audience),
        scopes: "read".parse().unwrap(),
        lineage: format!("vendor:{vendor} application:{application} identity:i-{application}")
            .parse()
            .unwrap(),
        thumbprint: None,
        issued: at,
        expires: at.after(ttl),
        bound_by: Bound::Scope,
        key: name("token-1"),
    };
    record(broker, Actor::Broker, Action::TokenMinted(token), vec![]).await
}

/// A broker at work: an audience with a verifier of one instance, and tokens of two vendors.
async fn scene() -> (Rig, tokio::sync::oneshot::Sender<()>) {
    let mut rig = Rig::new().await;
    let broker = rig.broker.clone();
    for audience in ["billing", "ledger"] {
        let (name, environment) = (name(audience), name("production"));
        write(&broker, Body::Audience(AudienceNode { name, environment, scopes: vec![], staleness: LIMIT }))
            .await;
    }
    let vendor = |name: Name, parent: Option<Name>| Vendor { name, parent, owner: "ada".parse().unwrap() };
    write(&broker, Body::Vendor(vendor(name("other"), None))).await;
    write(&broker, Body::Verifier(Verifier { name: name("api"), audiences: [name("billing")].into() })).await;
    let identity = Identity {
        name: name("api-1"),
        subject: id("verifier:api"),
        key: Digest::new([5; 32]),
        previous: None,
        asked_by: None,
        until: now(&broker).after(Ttl::days(1)),
    };
    write(&broker, Body::Identity(identity)).await;
    let identities = vec![name("api-1")];
    write(&broker, Body::Roster(Roster { name: name("v.api"), subject: id("verifier:api"), identities }))
        .await;
    for number in 0..10 {
        mint(&broker, "acme", "sync", "billing", Ttl::seconds(60 + number)).await;
        mint(&broker, "acme", "dull", "ledger", Ttl::seconds(5)).await;
        mint(&broker, "other", "stays", "billing", Ttl::seconds(600)).await;
    }
    mint(&broker, "acme", "dull", "ledger", Ttl::seconds(100)).await;
    // Those with five seconds are over.
    rig.clock.pass(10_000);
    tokio::spawn(keep_feed(broker.clone()));
    let (finish, finishing) = tokio::sync::oneshot::channel();
    let worker = std::mem::replace(&mut rig.notary, idle().await);
    tokio::spawn(worker.run(broker, finishing));
    (rig, finish)
}

/// A notary's worker with nothing to do: the scene lets the real one work.
async fn idle() -> notary::Worker {
    Rig::new().await.notary
}

async fn end(rig: &Rig, vendor: &str) -> Revision {
    rig.broker.end(&*rig.call().await, &id(vendor), "", rig.single()).await.unwrap()
}

async fn of(broker: &Broker, vendor: &str, revision: Revision) -> Of {
    let at = broker.event(revision).await.unwrap().unwrap().at;
    Of { vendor: id(vendor), revision, at }
}

async fn closed(rig: &Rig, vendor: &str) -> Closed {
    let end = rig.broker.end_for_receipt(&*rig.call().await, &id(vendor)).await.unwrap();
    let mut told = rig.broker.receipt(&end).await.unwrap();
    loop {
        match told {
            Told::Closed(closed) => return closed,
            Told::Open(_) => told = rig.broker.receipt_moves(&end, &told).await.unwrap(),
        }
    }
}

/// Statement and list as they are handed out, checked as anybody checks them.
async fn handed_out(rig: &Rig, vendor: &str) -> (Receipt, Vec<u8>, Vec<u8>) {
    let closed = closed(rig, vendor).await;
    let end = rig.broker.end_for_receipt(&*rig.call().await, &id(vendor)).await.unwrap();
    let mut pieces = rig.broker.open_receipt(&end, closed).await.unwrap();
    let (mut statement, mut list) = (Vec::new(), Vec::new());
    while let Some(piece) = pieces.next().await.unwrap() {
        match piece {
            Piece::Statement(bytes) => statement.extend(bytes),
            Piece::List(bytes) => list.extend(bytes),
        }
    }
    let receipt = Receipt::open(&statement, &notary::every_log_key(rig.broker.keys.now().ring())).unwrap();
    receipt.check_list(Cursor::new(&list)).unwrap();
    (receipt, statement, list)
}

async fn closings(broker: &Broker) -> Vec<Entry> {
    let log = broker.store.log(Revision::ZERO, 10_000).await.unwrap();
    let closes = |entry: &Entry| {
        matches!(Event::from_bytes(&entry.event).unwrap().action, Action::ReceiptClosed { .. })
    };
    log.into_iter().filter(closes).collect()
}

fn said(rig: &Rig, revision: Revision, leaf: daypass_log::Hash) -> Instance {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref(), &random).unwrap();
    let applied_at = now(&rig.broker);
    let text = Acknowledgement {
        log: "t.example/log",
        era: Era::new(1),
        verifier: &name("api"),
        identity: &name("api-1"),
        revision,
        leaf,
        applied_at,
    };
    let signature = pair.sign(&random, text.to_string().as_bytes()).unwrap().as_ref().to_vec();
    let key = pair.public_key().as_ref().to_vec();
    let acknowledged = Acknowledged { revision, leaf, applied_at, came_at: applied_at, key, signature };
    Instance { acknowledged: Some(acknowledged), ..follows(rig) }
}

fn follows(rig: &Rig) -> Instance {
    Instance {
        verifier: name("api"),
        streams: 1,
        observing: false,
        acknowledged: None,
        heard: Some(now(&rig.broker)),
        told: Revision::ZERO,
    }
}

#[tokio::test]
async fn memory_and_log_give_the_same_list() {
    let (rig, _finish) = scene().await;
    let broker = &rig.broker;
    let of = of(broker, "vendor:acme", end(&rig, "vendor:acme").await).await;
    mint(broker, "acme", "sync", "billing", Ttl::seconds(60)).await;
    let path = broker.receipts.files.list(of.revision);
    let from_memory = list::make(broker, &of).await.unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(list::from_log(broker, &of).await.unwrap(), from_memory);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(from_memory.list.credentials.tokens, 11, "{}", String::from_utf8(bytes).unwrap());
}

#[tokio::test]
async fn what_the_ledger_has_forgotten_the_log_still_tells() {
    let (rig, _finish) = scene().await;
    let broker = &rig.broker;
    let of = of(broker, "vendor:acme", end(&rig, "vendor:acme").await).await;
    broker.feed.followed(of.revision).await.unwrap();
    let before = list::make(broker, &of).await.unwrap();
    // Nobody makes a receipt here, and so nobody holds back what is forgotten.
    drop(broker.receipts.waiting.lock().unwrap().take());
    rig.clock.pass(600_000);
    // The worker raises the horizon every few seconds, and behind the clock.
    while broker.feed.ledger(|ledger| ledger.horizon()) <= of.at {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(list::make(broker, &of).await.unwrap(), before);
}

#[tokio::test]
async fn a_receipt_closes_by_itself_and_holds() {
    let (rig, _finish) = scene().await;
    tokio::spawn(keep_receipts(rig.broker.clone()));
    rig.clock.pass(31_000);
    let revision = end(&rig, "vendor:acme").await;
    let (receipt, statement, _) = handed_out(&rig, "vendor:acme").await;
    let said = receipt.statement();
    assert_eq!((said.end.revision, said.list.credentials.tokens), (revision, 11));
    let [billing, ledger] = said.audiences.as_slice() else { panic!("{said:?}") };
    assert_eq!((billing.credentials.tokens, ledger.credentials.tokens), (10, 1));
    assert_eq!(billing.verifiers.iter().map(|one| one.state).collect::<Vec<_>>(), [Known::NotFollowing]);
    assert!(ledger.verifiers.is_empty(), "nobody checks for it: dead by expiry at {:?}", ledger.last_expiry);
    let [closing] = closings(&rig.broker).await.try_into().unwrap();
    let digest = daypass_issuer::digest(&statement);
    assert!(String::from_utf8_lossy(&closing.event).contains(&digest.to_string()));
}

#[tokio::test]
async fn who_acknowledged_is_named_with_the_signature() {
    let (rig, _finish) = scene().await;
    tokio::spawn(keep_receipts(rig.broker.clone()));
    rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
    let revision = end(&rig, "vendor:acme").await;
    let ended = rig.broker.end_for_receipt(&*rig.call().await, &id("vendor:acme")).await.unwrap();
    let told = rig.broker.receipt(&ended);
    assert!(matches!(told.await.unwrap(), Told::Open(_)), "somebody follows, and has not confirmed it");
    let tip = rig.broker.feed.followed(revision).await.unwrap();
    rig.broker.feed.attendance().pretend(&name("api-1"), said(&rig, tip.revision, tip.leaf));
    let (receipt, ..) = handed_out(&rig, "vendor:acme").await;
    assert_eq!(receipt.statement().audiences[0].verifiers[0].state, Known::Confirmed);
    assert_eq!(receipt.statement().acknowledgements[0].revision, tip.revision);
}

#[tokio::test]
async fn who_says_nothing_is_waited_for_up_to_their_limit() {
    let (rig, _finish) = scene().await;
    tokio::spawn(keep_receipts(rig.broker.clone()));
    rig.clock.pass(31_000);
    let heard = now(&rig.broker);
    rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
    let revision = end(&rig, "vendor:acme").await;
    rig.broker.feed.followed(revision).await.unwrap();
    let end = rig.broker.end_for_receipt(&*rig.call().await, &id("vendor:acme")).await.unwrap();
    // Heard again since, which was told after the end: that keeps nobody.
    rig.clock.pass(29_000);
    rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
    let mut told = rig.broker.receipt(&end).await.unwrap();
    while !matches!(&told, Told::Open(progress) if progress.closes_at.is_some()) {
        told = rig.broker.receipt_moves(&end, &told).await.unwrap();
    }
    let Told::Open(progress) = &told else { panic!() };
    assert_eq!(progress.audiences[0].awaited, 1);
    assert_eq!(progress.closes_at, Some(heard.after(LIMIT)));
    assert!(closings(&rig.broker).await.is_empty());
    rig.clock.pass(1_000);
    let (receipt, ..) = handed_out(&rig, "vendor:acme").await;
    assert_eq!(receipt.statement().audiences[0].verifiers[0].state, Known::RefusesFrom(heard.after(LIMIT)));
}

/// Ended and narrowed verifiers accept what they did until their limit: nobody tells them anything any longer.
#[tokio::test]
async fn who_was_shut_out_just_before_is_waited_for_as_well() {
    for shut_out in ["verifier:api", "identity:api-1"] {
        let (rig, _finish) = scene().await;
        tokio::spawn(keep_receipts(rig.broker.clone()));
        rig.clock.pass(31_000);
        let heard = now(&rig.broker);
        rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
        end(&rig, shut_out).await;
        end(&rig, "vendor:acme").await;
        let end = rig.broker.end_for_receipt(&*rig.call().await, &id("vendor:acme")).await.unwrap();
        let mut told = rig.broker.receipt(&end).await.unwrap();
        loop {
            match &told {
                Told::Open(progress) if progress.closes_at.is_some() => break,
                Told::Open(_) => told = rig.broker.receipt_moves(&end, &told).await.unwrap(),
                Told::Closed(_) => panic!("`{shut_out}` was not waited for"),
            }
        }
        rig.clock.pass(30_000);
        let (receipt, ..) = handed_out(&rig, "vendor:acme").await;
        let state = receipt.statement().audiences[0].verifiers[0].state;
        assert_eq!(state, Known::RefusesFrom(heard.after(LIMIT)), "{shut_out}");
        // Long after, it has nothing to do with another end.
        rig.clock.pass(60_000);
        self::end(&rig, "vendor:other").await;
        let (receipt, ..) = handed_out(&rig, "vendor:other").await;
        let after: Vec<_> = receipt.statement().audiences[0].verifiers.iter().map(|one| one.state).collect();
        assert!(after.iter().all(|state| *state == Known::NotFollowing), "{after:?}");
    }
}

/// An audience with this limit, and the verifier with these audiences.
async fn terms(rig: &Rig, limit: Ttl, audiences: &[&str]) {
    let audience = AudienceNode {
        name: name("billing"),
        environment: name("production"),
        scopes: vec![],
        staleness: limit,
    };
    write(&rig.broker, Body::Audience(audience)).await;
    let audiences = audiences.iter().map(|audience| name(audience)).collect();
    write(&rig.broker, Body::Verifier(Verifier { name: name("api"), audiences })).await;
    let head = rig.broker.store.head().borrow().revision;
    rig.broker.feed.followed(head).await.unwrap();
}

#[tokio::test]
async fn who_was_not_told_of_other_terms_goes_by_those_before() {
    let minutes = Ttl::minutes(10);
    let cases = [(minutes, Ttl::seconds(5), &["billing"][..], minutes), (LIMIT, LIMIT, &[][..], LIMIT)];
    for (before, after, audiences, counts) in cases {
        let (rig, _finish) = scene().await;
        tokio::spawn(keep_receipts(rig.broker.clone()));
        mint(&rig.broker, "acme", "sync", "billing", Ttl::minutes(30)).await;
        rig.clock.pass(31_000);
        terms(&rig, before, &["billing"]).await;
        rig.clock.pass(1_000_000);
        let heard = now(&rig.broker);
        rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
        terms(&rig, after, audiences).await;
        rig.clock.pass(6_000);
        end(&rig, "vendor:acme").await;
        let end = rig.broker.end_for_receipt(&*rig.call().await, &id("vendor:acme")).await.unwrap();
        let mut told = rig.broker.receipt(&end).await.unwrap();
        loop {
            match &told {
                Told::Open(progress) if progress.closes_at.is_some() => break,
                Told::Open(_) => told = rig.broker.receipt_moves(&end, &told).await.unwrap(),
                Told::Closed(_) => panic!("it goes by a limit of {before:?}"),
            }
        }
        let Told::Open(progress) = told else { panic!() };
        assert_eq!(progress.closes_at, Some(heard.after(counts)));
        rig.clock.pass(counts.as_millis());
        let (receipt, ..) = handed_out(&rig, "vendor:acme").await;
        let state = receipt.statement().audiences[0].verifiers[0].state;
        assert_eq!(state, Known::RefusesFrom(heard.after(counts)));
    }
}

#[tokio::test]
async fn many_receipts_that_wait_look_no_more_often_than_one() {
    const VENDORS: u64 = 20;
    let (rig, _finish) = scene().await;
    rig.clock.pass(31_000);
    rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
    for number in 0..VENDORS {
        let vendor = name(&format!("vendor-{number}"));
        write(&rig.broker, Body::Vendor(Vendor { name: vendor.clone(), parent: None, owner: name("ada") }))
            .await;
        mint(&rig.broker, vendor.as_str(), "sync", "billing", Ttl::seconds(600)).await;
        end(&rig, &format!("vendor:{vendor}")).await;
    }
    tokio::spawn(keep_receipts(rig.broker.clone()));
    let mut moved = rig.broker.receipts.moved.subscribe();
    let waits = |state: &State| matches!(state, State::Open(progress) if progress.closes_at.is_some());
    while rig.broker.receipts.known().values().filter(|state| waits(state)).count() < VENDORS as usize {
        moved.changed().await.unwrap();
    }
    let (begun, before) = (std::time::Instant::now(), *moved.borrow_and_update());
    let mut looks = 0;
    while looks < 2 * VENDORS {
        rig.broker.feed.attendance().pretend(&name("api-1"), follows(&rig));
        moved.changed().await.unwrap();
        looks = *moved.borrow_and_update() - before;
    }
    let least = Duration::from_millis(10 * (2 * VENDORS - 1));
    assert!(begun.elapsed() >= least, "{looks} looks in {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_end_has_one_receipt_whatever_lay_there_before() {
    let (rig, _finish) = scene().await;
    rig.clock.pass(31_000);
    let revision = end(&rig, "vendor:acme").await;
    rig.broker.feed.followed(revision).await.unwrap();
    // What a crash left: a list that broke off, and a statement that no event has.
    let files = &rig.broker.receipts.files;
    files.draft(revision).await.unwrap().append("half a li".to_owned()).await.unwrap().keep().await.unwrap();
    files.write_statement(revision, "nobody's".to_owned()).await.unwrap();
    files.write_closed_at(revision, Revision::new(3)).await.unwrap();
    tokio::spawn(keep_receipts(rig.broker.clone()));
    let (_, statement, list) = handed_out(&rig, "vendor:acme").await;
    assert_eq!(end(&rig, "vendor:acme").await, revision, "ended again is ended once");
    // Another start finds it, with the file that names the event and without.
    assert!(find::unclosed(&rig.broker).await.unwrap().is_empty());
    fs::remove_file(files.list(revision).with_file_name("closed")).unwrap();
    rig.broker.receipts.known().clear();
    assert!(find::unclosed(&rig.broker).await.unwrap().is_empty());
    // A list that is gone is made again, in the same bytes.
    fs::remove_file(files.list(revision)).unwrap();
    assert_eq!(handed_out(&rig, "vendor:acme").await.2, list);
    assert_eq!(closings(&rig.broker).await.len(), 1);
    // A statement is not: another would be another receipt.
    files.write_statement(revision, String::from_utf8(statement).unwrap().replace("11", "12")).await.unwrap();
    let end = rig.broker.end_for_receipt(&*rig.call().await, &id("vendor:acme")).await.unwrap();
    let lost = rig.broker.open_receipt(&end, closed(&rig, "vendor:acme").await).await.err().unwrap();
    assert_eq!(lost.reason().as_str(), "receipt-lost");
}

#[tokio::test]
async fn what_was_not_ended_here_has_no_receipt() {
    let (rig, _finish) = scene().await;
    let call = rig.call().await;
    let reason = async |vendor: &str| {
        rig.broker.end_for_receipt(&call, &id(vendor)).await.err().unwrap().reason().to_string()
    };
    assert_eq!(reason("vendor:acme").await, "no-receipt");
    assert_eq!(reason("vendor:nobody").await, "unknown-node");
    // As an era before ended it.
    let over = Body::Vendor(Vendor { name: name("over"), parent: None, owner: name("ada") });
    let node = Node { life: Life::Ended, body: over };
    record(&rig.broker, Actor::Broker, Action::CarriedOver, vec![Put { node, cut: true }]).await;
    assert_eq!(reason("vendor:over").await, "no-receipt");
    assert!(find::unclosed(&rig.broker).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_preview_counts_what_the_receipt_then_lists() {
    let (rig, _finish) = scene().await;
    tokio::spawn(keep_receipts(rig.broker.clone()));
    rig.clock.pass(31_000);
    let call = rig.call().await;
    let preview = rig.broker.preview_offboarding(&call, &id("vendor:acme")).await.unwrap();
    assert_eq!(preview.applications[&name("sync")].tokens, 10);
    assert_eq!(preview.applications[&name("dull")].tokens, 1);
    assert_eq!((preview.audiences[0].verifiers, preview.audiences[0].following), (1, 0));
    end(&rig, "vendor:acme").await;
    let (receipt, ..) = handed_out(&rig, "vendor:acme").await;
    assert_eq!(receipt.statement().list.credentials, preview.total);
    let foreseen = preview.audiences.iter().map(|at| (&at.audience, at.live, at.last_expiry));
    let listed =
        receipt.statement().audiences.iter().map(|at| (&at.audience, at.credentials, at.last_expiry));
    assert!(foreseen.eq(listed));
    let after = rig.broker.preview_offboarding(&call, &id("vendor:acme")).await.unwrap();
    assert_eq!(after.total.all(), 0, "it is dead already");
    let unknown = rig.broker.preview_offboarding(&call, &id("vendor:nobody")).await.err().unwrap();
    assert_eq!(unknown.reason().as_str(), "unknown-node");
}
