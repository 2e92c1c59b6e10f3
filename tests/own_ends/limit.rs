//! The limit, by what a partner sees of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use daypass_credential::{NodeId, Revision};
use daypass_sdk::{Application, Connection, Error, RefusalClass, Token, TokenRequest};
use tokio::task::JoinSet;

use crate::support::{World, name, reason, scopes};

/// How many own ends are remembered before nothing more is opened.
const LIMIT: usize = 1024;
/// How many clients work at once.
const CLIENTS: usize = 32;

/// A token that is bound to nothing.
pub(crate) async fn token(application: &Application) -> Result<Token, Error> {
    let (audience, scopes) = (name("billing"), scopes("status.read"));
    let request = TokenRequest { audience: &audience, scopes: &scopes, certificate: None, ttl: None };
    application.token(&request).await
}

/// Mints so many tokens, each of which `by` ends at once.
async fn end_many(application: &Application, by: &Connection, many: usize) {
    let left = Arc::new(AtomicUsize::new(many));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (application, by, left) = (application.clone(), by.clone(), left.clone());
        clients.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let minted = token(&application).await.unwrap();
                end(&by, minted.revision).await;
            }
        });
    }
    clients.join_all().await;
}

async fn end(by: &Connection, credential: Revision) {
    by.end(&NodeId::credential(credential), "").await.unwrap();
}

/// Mints until the broker has counted what was ended before, and returns how it was refused.
async fn refused(application: &Application) -> Error {
    for _ in 0..10_000 {
        if let Err(error) = token(application).await {
            return error;
        }
    }
    panic!("nothing is refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limit_nothing_more_is_opened_and_ending_goes_on() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let other = world.application("other", "other").await;
    let courier = world.application("courier", "courier").await;
    end_many(&sync, sync.connection(), LIMIT - 1).await;
    end_many(&other, &world.admin, LIMIT).await;
    let live = token(&courier).await.unwrap();
    end_many(&courier, courier.connection(), LIMIT).await;

    let error = refused(&courier).await;
    assert_eq!(error.reason(), Some("too-many-ended"));
    let Error::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.class, RefusalClass::Exhausted);
    assert!(!error.may_retry(), "the instant is said, and is far");
    assert!(refusal.message.contains("ask again from 20"), "{}", refusal.message);
    // The log was followed beyond all that the others ended.
    token(&sync).await.unwrap();
    token(&other).await.unwrap();

    // Ending goes on, of what is left and of what is over.
    end(courier.connection(), live.revision).await;
    end(courier.connection(), live.revision).await;
    assert_eq!(reason(courier.certificate(&name("billing"), None).await), "too-many-ended");
    assert_eq!(reason(daypass_sdk::renew(&world.broker.home("courier")).await), "too-many-ended");
    let last = token(&sync).await.unwrap();
    end(sync.connection(), last.revision).await;
    assert_eq!(refused(&sync).await.reason(), Some("too-many-ended"));
    daypass_sdk::renew(&world.broker.home("other")).await.unwrap();

    // A restart counts the same: it is in the log.
    assert!(world.broker.stop().await, "{}", world.broker.log());
    world.broker.serve().await;
    world.settled().await;
    for application in [&sync, &courier] {
        assert_eq!(refused(application).await.reason(), Some("too-many-ended"));
    }
    token(&other).await.unwrap();
}
