//! A large directory: ten thousand nodes come over in events of the size that events have, with their texts.

use std::{sync::Arc, time::Instant};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Node, PrivateId, TextRef,
    event::MAX_EVENT,
    node::{Application, Classification, Contract, Entitlement, Owners, Person, Vendor},
};
use daypass_credential::{Digest, Name, Revision, Timestamp};
use daypass_store::{Change, Check, Lane, Options, Sled, Store};
use serde_json::json;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::{
    good, recover,
    support::{Broker, name, size},
};

/// A text of the greatest length, in characters of the greatest width.
fn text(number: u64) -> (TextRef, (PrivateId, Zeroizing<Vec<u8>>)) {
    let id = PrivateId::new(u128::from(number).to_be_bytes());
    let bytes = Zeroizing::new([&[7; 16], "\u{1f5dd}".repeat(1000).as_bytes()].concat());
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    (TextRef { id, hash: Digest::new(hash.as_ref().try_into().unwrap()) }, (id, bytes))
}

/// As long as a name of the directory may be.
fn long(kind: &str, number: u64) -> Name {
    name(&format!("{kind}{number:0>59}"))
}

fn nodes(number: u64, contact: TextRef, purpose: TextRef) -> Vec<Body> {
    let (person, vendor, contract) = (long("p", number), long("v", number), long("c", number));
    let held = |n: u64| Entitlement {
        audience: long("a", n),
        scopes: (0..8).map(|s| format!("scope{s:0>20}")).collect::<Vec<_>>().join(" ").parse().unwrap(),
    };
    vec![
        Body::Person(Person { name: person.clone(), roles: [].into(), contact, forgotten: false }),
        Body::Vendor(Vendor { name: vendor.clone(), parent: None, owner: person.clone() }),
        Body::Contract(Contract {
            name: contract.clone(),
            vendor: vendor.clone(),
            reference: "PO 2026/118".parse().unwrap(),
            parent: None,
            start: Timestamp::ZERO,
            end: Timestamp::from_secs(4_000_000_000),
            classifications: [Classification::Internal].into(),
        }),
        Body::Application(Application {
            name: long("s", number),
            vendor,
            contract,
            environment: name("production"),
            purpose,
            classification: Classification::Internal,
            owners: Owners { business: person.clone(), technical: person.clone(), relationship: person },
            // Every tenth as large as an application may be.
            entitlements: (0..if number.is_multiple_of(10) { 9 } else { 1 }).map(held).collect(),
            instances: 2,
            max_ttl: None,
        }),
    ]
}

#[tokio::test]
async fn ten_thousand_nodes_come_over_with_their_texts() {
    let broker = Broker::init("");
    let rounds = u64::try_from(size("DAYPASS_RECOVER_NODES", 2_000) / 4).unwrap();
    let store = Sled::open(&broker.store_path(), Options::default()).unwrap();
    let store = Arc::new(store);
    let mut waiting = JoinSet::new();
    for number in 1..=rounds {
        let (contact, contact_text) = text(number * 2);
        let (purpose, purpose_text) = text(number * 2 + 1);
        for (n, body) in nodes(number, contact, purpose).into_iter().enumerate() {
            let node = Node::open(body);
            let id = ChangeId::new((u128::from(number) << 8 | n as u128).to_be_bytes());
            let at = Timestamp::from_millis(number);
            let event = Event::new(at, id, Actor::Broker, Action::Written { node: node.id() }).put([node]);
            let private = match n {
                0 => vec![contact_text.clone()],
                3 => vec![purpose_text.clone()],
                _ => Vec::new(),
            };
            let change = Change { event, expect: Vec::new(), private };
            let store = store.clone();
            waiting.spawn(async move { store.commit(change, Lane::Normal).await.unwrap() });
        }
        if waiting.len() >= 256 {
            settle(&mut waiting).await;
        }
    }
    settle(&mut waiting).await;
    drop(store);
    let begun = Instant::now();
    let recovered = good(&recover(&broker, "dana").0);
    let took = begun.elapsed();
    for kind in ["vendor", "contract", "application"] {
        assert_eq!(recovered["carried"][kind], rounds, "{recovered}");
    }
    assert_eq!(recovered["suspended_vendors"], rounds);
    let store =
        Sled::open(&broker.store_path(), Options { check: Check::Whole, ..Options::default() }).unwrap();
    let entries = store.log(Revision::ZERO, 1_000_000).await.unwrap();
    let longest = entries.iter().map(|entry| entry.event.len()).max().unwrap();
    let bytes: usize = entries.iter().map(|entry| entry.event.len()).sum();
    assert!(longest <= MAX_EVENT, "{longest}");
    let filled = bytes * 100 / (entries.len() * MAX_EVENT);
    assert!(filled > 60, "events are filled to {filled} % only");
    for number in [1, rounds / 2, rounds] {
        let (_, (id, bytes)) = text(number * 2);
        assert_eq!(store.private(id).await.unwrap(), Some(bytes));
    }
    let events = entries.len();
    eprintln!(
        "{}",
        json!({ "nodes": rounds * 4, "events": events, "filled": filled, "millis": took.as_millis() })
    );
}

async fn settle(waiting: &mut JoinSet<Revision>) {
    while let Some(done) = waiting.join_next().await {
        done.unwrap();
    }
}
