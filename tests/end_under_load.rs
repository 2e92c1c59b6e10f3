//! A vendor is ended while 64 clients mint: nothing is minted after the end, and nothing before it is alive.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use daypass_credential::Revision;
use serde_json::json;
use support::{World, id, mint, token};

/// How many clients mint at once.
const CLIENTS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mint_passes_the_end_of_its_vendor() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    let certificate = Arc::new(sync.certificate(&support::name("billing"), None).await.unwrap());
    let minted = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (sync, certificate, minted) = (sync.clone(), certificate.clone(), minted.clone());
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                loop {
                    match token(&sync, &certificate, "invoices.read").await {
                        Ok(token) => tokens.push(token),
                        Err(error) => return (tokens, error.reason().unwrap().to_owned()),
                    }
                    minted.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let enough = u64::try_from(support::size("DAYPASS_END_AFTER", 2_000)).unwrap();
    while minted.load(Ordering::Relaxed) < enough {
        tokio::task::yield_now().await;
    }
    let end = world.admin.end(&id("vendor:acme"), "").await.unwrap();

    let mut tokens = Vec::new();
    for client in clients {
        let (more, reason) = client.await.unwrap();
        assert_eq!(reason, "caller-dead");
        tokens.extend(more);
    }
    let after_end = tokens.iter().filter(|token| token.revision > end).count();
    let mut alive = 0;
    for token in &tokens {
        let live = billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap();
        alive += usize::from(live.is_some());
    }
    assert!(end > Revision::ZERO && support::reason(mint(&sync).await) == "caller-dead");
    support::show(&json!({ "minted": tokens.len(), "after_end": after_end, "alive_after_end": alive }));
    assert_eq!((after_end, alive), (0, 0), "of {}", tokens.len());
}
