//! The feed over real sockets: raw streams, judged by the state machine of the verifiers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;
mod wire;

use daypass_sdk::{Application, Connection, Identity};
use support::{World, id, mint, name};
use wire::Stream;

/// An instance of the verifier of `billing`.
async fn verifier(world: &World, who: &str) -> (Connection, Identity) {
    let identity = world.broker.enroll(who, &world.code("verifier:billing-api").await).await.unwrap();
    (Connection::open(&identity).await.unwrap(), identity)
}

/// An application with something alive under it.
async fn alive(world: &World, who: &str, application: &str) -> Application {
    let application = world.application(who, application).await;
    mint(&application).await.unwrap();
    application
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_gets_a_snapshot_and_then_each_cut_that_kills_something() {
    let world = World::new().await;
    alive(&world, "courier", "courier").await;
    world.admin.end(&id("vendor:globex"), "").await.unwrap();
    alive(&world, "sync", "sync").await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let mut stream = Stream::open(&connection, &identity).await;
    stream.settle().await;
    assert_eq!(
        stream.kinds,
        ["snapshot-begin", "snapshot-cuts", "horizon", "keys", "snapshot-end", "checkpoint", "echo"]
    );
    assert!(stream.knows_cut("vendor:globex") && stream.cuts.len() == 1);
    let bundle = stream.view.clone().unwrap();
    assert!(bundle.bundle().staleness(&name("billing")).is_some());
    assert!(bundle.bundle().staleness(&name("shipping")).is_none(), "it does not check for that");

    // Nothing was minted for this one.
    let quiet = world.admin.end(&id("application:other"), "").await.unwrap();
    let end = world.admin.end(&id("vendor:acme"), "").await.unwrap();
    stream.until("cut").await;
    assert_eq!(stream.cuts.last().unwrap().at, end);
    assert!(!stream.knows_cut("application:other") && end > quiet);
    stream.settle().await;
    assert_eq!(stream.cuts.len(), 2);
}
