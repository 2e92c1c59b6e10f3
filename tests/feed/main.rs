//! The feed over real sockets: raw streams, judged by the state machine of the verifiers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod many;
mod misuse;
#[allow(dead_code, reason = "shared by tests, each of which uses a part")]
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::time::{Duration, Instant};

use daypass_proto::v1::{self, verification_service_client::VerificationServiceClient};
use daypass_sdk::{Application, Connection, Identity};
use daypass_verifier::Feed;
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

/// How an instance stands, as an admin sees it.
async fn standing(world: &World, identity: &str) -> v1::VerifierStanding {
    let mut client = VerificationServiceClient::new(world.admin.channel());
    let listed = client.list_verifiers(v1::ListVerifiersRequest {}).await.unwrap().into_inner();
    listed.verifiers.into_iter().find(|standing| standing.identity == identity).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_where_it_was_gets_only_what_came_since() {
    let world = World::new().await;
    alive(&world, "courier", "courier").await;
    alive(&world, "sync", "sync").await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let mut stream = Stream::open(&connection, &identity).await;
    stream.settle().await;
    let mut feed = stream.feed;
    feed.disconnected();
    world.admin.end(&id("vendor:globex"), "").await.unwrap();
    world.put(support::audience("storage", "production")).await;
    world.put(support::verifier("billing-api", &["billing", "storage"])).await;

    let mut stream = Stream::go_on(&connection, &identity, feed).await;
    stream.settle().await;
    assert_eq!(stream.kinds, ["resumed", "cut", "horizon", "keys", "checkpoint", "echo"]);
    assert!(stream.knows_cut("vendor:globex"));
    let view = stream.view.clone().unwrap();
    assert!(view.bundle().staleness(&name("storage")).is_some());
    let signed = stream.feed.checkpoint().unwrap().checkpoint().root().size;

    // A proof that the log continues the checkpoint has to come before anything is fresh, and does.
    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    let mut feed = stream.feed;
    feed.disconnected();
    let mut stream = Stream::go_on(&connection, &identity, feed).await;
    stream.settle().await;
    assert!(stream.feed.checkpoint().unwrap().checkpoint().root().size >= signed);

    // Who has lost its cuts, as after a restart, gets a snapshot, and goes no further back.
    let memory = stream.feed.memory();
    let mut stream = Stream::go_on(&connection, &identity, Feed::new(memory)).await;
    stream.settle().await;
    assert_eq!(stream.kinds[0], "snapshot-begin");
    assert!(stream.knows_cut("vendor:globex") && stream.knows_cut("vendor:acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_with_the_audience_that_they_are_for() {
    let world = World::new().await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let mut stream = Stream::open(&connection, &identity).await;
    stream.settle().await;
    // Nothing to it: it is not registered for it.
    world.put(support::audience("storage", "production")).await;
    stream.settle().await;
    assert!(!stream.kinds[6..].contains(&"keys"), "{:?}", stream.kinds);
    world.put(support::verifier("billing-api", &["billing", "storage"])).await;
    stream.until("keys").await;
    let view = stream.view.clone().unwrap();
    assert!(view.bundle().staleness(&name("storage")).is_some());
    world.put(support::verifier("billing-api", &["billing"])).await;
    stream.until("keys").await;
    assert!(stream.view.clone().unwrap().bundle().staleness(&name("storage")).is_none());
    stream.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_was_ended_loses_its_stream_at_once() {
    let world = World::new().await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let (other, other_identity) = verifier(&world, "api-2").await;
    let mut stream = Stream::open(&connection, &identity).await;
    let mut stays = Stream::open(&other, &other_identity).await;
    stream.settle().await;
    let name = connection.ping().await.unwrap().identity;
    let begun = Instant::now();
    world.admin.end(&id(&format!("identity:{name}")), "").await.unwrap();
    assert_eq!(stream.ended().await, "caller-dead");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    stays.settle().await;
    world.admin.end(&id("verifier:billing-api"), "").await.unwrap();
    assert_eq!(stays.ended().await, "caller-dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_said_and_the_stream_goes_on_where_it_was() {
    let mut world = World::new().await;
    alive(&world, "sync", "sync").await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let mut stream = Stream::open(&connection, &identity).await;
    stream.settle().await;
    let (behind, behind_identity) = verifier(&world, "api-2").await;
    let mut earlier = Stream::open(&behind, &behind_identity).await;
    earlier.settle().await;
    let mut known = earlier.feed;
    known.disconnected();
    alive(&world, "courier", "courier").await;
    world.admin.end(&id("vendor:globex"), "").await.unwrap();
    stream.until("cut").await;
    assert!(world.broker.stop().await, "{}", world.broker.log());
    assert_eq!(stream.ended().await, "stopping");
    assert!(world.broker.path().join("data/ledger").exists());
    world.broker.serve().await;
    let mut feed = stream.feed;
    feed.disconnected();
    let connection = Connection::open(&identity).await.unwrap();
    let mut stream = Stream::go_on(&connection, &identity, feed).await;
    stream.settle().await;
    assert_eq!(stream.kinds[0], "resumed");
    let behind = Connection::open(&behind_identity).await.unwrap();
    let mut late = Stream::go_on(&behind, &behind_identity, known).await;
    late.settle().await;
    assert!(late.kinds[0] == "resumed" && late.knows_cut("vendor:globex"), "{:?}", late.kinds);
    // What was alive before is known to be: ending it is worth telling.
    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    stream.until("cut").await;
}
