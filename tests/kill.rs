//! Kill -9 in the middle of a stream of mints: each credential that a client received is in the log.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::HashMap, time::Duration};

use daypass_core::{Action, Event};
use daypass_credential::{Name, Revision};
use daypass_sdk::{Application, Connection};
use daypass_store::{Check, Options, Sled, Store};
use serde_json::json;
use support::World;
use tokio::task::JoinSet;

/// How many clients mint at once.
const CLIENTS: usize = 16;

/// What a client holds: its number, and for which scope and with what expiry.
type Held = (Revision, u64);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_received_survives_a_kill() {
    let rounds = support::size("DAYPASS_KILL_ROUNDS", 5);
    let mut world = World::new().await;
    drop(world.application("sync", "sync").await);
    let mut acked: Vec<Held> = Vec::new();
    for round in 0..rounds {
        let identity = world.broker.home("sync").identity().unwrap();
        let sync = Application::over(Connection::open(&identity).await.unwrap()).unwrap();
        let certificate = sync.certificate(&support::name("billing"), None).await.unwrap();
        acked.push((certificate.revision, certificate.expires_at.as_secs()));
        let certificate = std::sync::Arc::new(certificate);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (sync, certificate) = (sync.clone(), certificate.clone());
            clients.spawn(async move {
                let mut held: Vec<Held> = Vec::new();
                while let Ok(token) = support::token(&sync, &certificate, "invoices.read").await {
                    held.push((token.revision, token.expires_at.as_secs()));
                }
                held
            });
        }
        // A different instant each round: the first mints, or deep in the stream.
        let instant = Duration::from_millis(u64::try_from(5 + round * 37 % 400).unwrap());
        tokio::time::sleep(instant).await;
        world.broker.kill();
        acked.extend(clients.join_all().await.into_iter().flatten());
        world.broker.serve().await;
    }
    assert!(world.broker.stop().await);
    let recorded = recorded(&world).await;
    let lost = acked.iter().filter(|(revision, expires)| recorded.get(revision) != Some(expires)).count();
    support::show(&json!({ "rounds": rounds, "acked": acked.len(), "lost": lost }));
    assert_eq!(lost, 0, "of {}", acked.len());
    assert!(acked.len() > rounds * 2, "only {} were received", acked.len());
}

/// Every credential of `sync` in the log, read whole and checked whole from disk.
async fn recorded(world: &World) -> HashMap<Revision, u64> {
    let options = Options { check: Check::Whole, ..Options::default() };
    let store = Sled::open(&world.broker.store_path(), options).unwrap();
    let sync: Name = support::name("sync");
    let (mut found, mut after) = (HashMap::new(), Revision::ZERO);
    loop {
        let entries = store.log(after, 4096).await.unwrap();
        let Some(last) = entries.last() else { return found };
        after = last.revision;
        for entry in &entries {
            match Event::from_bytes(&entry.event).unwrap().action {
                Action::TokenMinted(record) if record.application == sync => {
                    found.insert(entry.revision, record.expires.as_secs());
                }
                Action::CertificateMinted(record) if record.subject.name == sync => {
                    found.insert(entry.revision, record.expires.as_secs());
                }
                _ => {}
            }
        }
    }
}
