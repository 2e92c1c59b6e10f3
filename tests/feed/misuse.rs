//! What a verifier must not say: each has its answer, and what shows another log is recorded and raises an alarm.

use daypass_core::{Action, Event};
use daypass_credential::{Era, Revision};
use daypass_log::Hash;
use daypass_proto::v1::{
    self, follow_revocations_request::Message as Ask, verification_service_client::VerificationServiceClient,
};
use daypass_sdk::{Connection, EventQuery};
use daypass_verifier::{Feed, Memory, Position};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    alive,
    support::{World, id},
    verifier,
    wire::{Acked, Stream, hello, position, reason},
};

/// The reasons of all recorded refusals of the feed.
async fn recorded(world: &World) -> Vec<String> {
    let mut events = world.admin.events(&EventQuery::default()).await.unwrap();
    let mut reasons = Vec::new();
    while let Some(page) = events.page().await.unwrap() {
        for logged in page.events {
            match Event::from_bytes(&logged.bytes).unwrap().action {
                Action::Refused { method, reason, .. } if method.as_str().ends_with("FollowRevocations") => {
                    reasons.push(reason.to_string());
                }
                _ => {}
            }
        }
    }
    reasons
}

async fn answer(connection: &Connection, said: Vec<Ask>) -> String {
    let mut said = said.into_iter();
    let mut stream = Stream::with(connection.channel(), said.next()).await;
    for message in said {
        stream.say(message).await;
    }
    stream.ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_one_hello_that_can_be_read() {
    let world = World::new().await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let good = hello(&identity);
    let with = |change: fn(&mut v1::FollowHello)| {
        let mut hello = hello(&identity);
        change(&mut hello);
        vec![Ask::Hello(hello)]
    };
    for (said, reason) in [
        (vec![Ask::Counter(0)], "hello-missing"),
        (vec![Ask::Hello(good.clone()), Ask::Hello(good.clone())], "hello-twice"),
        (with(|hello| hello.public_key = vec![4; 65].into()), "bad-request"),
        (with(|hello| hello.public_key = Vec::new().into()), "bad-request"),
        (with(|hello| hello.era = "0000000000000001".into()), "bad-request"),
        (
            with(|hello| {
                hello.era = "one".into();
                hello.known = Some(v1::FeedPosition { revision: 1, leaf: vec![0; 32].into() });
            }),
            "bad-request",
        ),
        (
            with(|hello| hello.known = Some(v1::FeedPosition { revision: 1, leaf: vec![0; 31].into() })),
            "bad-request",
        ),
        (with(|hello| hello.checkpoint = "no checkpoint".into()), "bad-request"),
        (with(|hello| hello.process = vec![7; 15].into()), "bad-request"),
        (vec![Ask::Hello(good.clone()), Ask::Counter(7), Ask::Counter(7)], "bad-request"),
    ] {
        assert_eq!(answer(&connection, said.clone()).await, reason, "{said:?}");
    }
    // Whoever is no verifier does not get that far.
    let application = world.enrolled("sync", "application:sync").await;
    let mut client = VerificationServiceClient::new(application.channel());
    let refused = client.follow_revocations(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(reason(&refused), "wrong-caller");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_knows_another_log_is_refused_and_somebody_hears_of_it() {
    let world = World::new().await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let mut stream = Stream::open(&connection, &identity).await;
    stream.settle().await;
    let known = stream.feed.memory().unwrap();
    let beyond = Position { revision: Revision::new(known.at.revision.get() + 1000), leaf: Hash::leaf(b"x") };
    let other = Position { leaf: Hash::leaf(b"another event"), ..known.at };
    for (at, reason, snapshot) in
        [(beyond, "place-ahead", true), (other, "place-unknown", true), (other, "place-unknown", false)]
    {
        let said = v1::FollowHello {
            known: Some(position(at)),
            era: known.era.to_string(),
            snapshot,
            ..hello(&identity)
        };
        assert_eq!(answer(&connection, vec![Ask::Hello(said)]).await, reason);
    }
    assert_eq!(recorded(&world).await, ["place-ahead", "place-unknown", "place-unknown"]);
    assert!(world.broker.log().contains("knows a log that this one does not continue"), "no alarm");

    // What is known of another era says nothing about this one: its verifier judges by what it gets.
    let elsewhere = Memory { era: Era::new(7), at: other, checkpoint: None, former: Vec::new() };
    let mut stream = Stream::go_on(&connection, &identity, Feed::new(Some(elsewhere))).await;
    stream.settle().await;
    assert_eq!(stream.kinds[0], "snapshot-begin");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_sent_is_acknowledged_and_only_by_whom_it_was_sent_to() {
    let world = World::new().await;
    let sync = alive(&world, "sync", "sync").await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let name = connection.ping().await.unwrap().identity.to_string();
    let mut stream = Stream::open(&connection, &identity).await;
    stream.settle().await;
    let (at, era) = (stream.feed.applied().unwrap(), stream.view.clone().unwrap().era());
    let good = |at| Acked { verifier: "billing-api", identity: &name, era, at };

    let unsent = Position { revision: Revision::new(at.revision.get() + 9), ..at };
    let other = Position { leaf: Hash::leaf(b"another event"), ..at };
    for (acked, reason) in [
        (good(unsent), "acknowledged-unsent"),
        (good(other), "acknowledged-other"),
        (Acked { verifier: "shipping-api", ..good(at) }, "acknowledged-unsigned"),
        (Acked { era: Era::new(7), ..good(at) }, "acknowledged-unsigned"),
    ] {
        let mut stream = Stream::open(&connection, &identity).await;
        stream.settle().await;
        stream.acknowledge(&identity, &acked).await;
        assert_eq!(stream.ended().await, reason);
    }
    let watching = v1::FollowHello { observing: true, ..hello(&identity) };
    let mut watching = Stream::with(connection.channel(), Some(Ask::Hello(watching))).await;
    watching.settle().await;
    watching.acknowledge(&identity, &good(at)).await;
    assert_eq!(watching.ended().await, "bad-request");

    // What is right is taken, and stands in the list.
    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    stream.until("cut").await;
    let standing = crate::standing(&world, &name).await;
    assert_eq!((standing.following, standing.acknowledged, standing.behind), (true, 0, 1));
    let at = stream.feed.applied().unwrap();
    stream.acknowledge(&identity, &good(at)).await;
    stream.settle().await;
    let standing = crate::standing(&world, &name).await;
    assert_eq!((standing.acknowledged, standing.behind), (at.revision.get(), 0));
    assert!(!standing.observing && standing.audiences == ["billing"]);
    let (heard, refuses) = (standing.heard_at.unwrap(), standing.refuses_at.unwrap());
    assert_eq!(refuses.seconds - heard.seconds, 30, "its audience's limit");
    drop((stream, sync));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_says_nothing_of_a_stalled_one_under_the_same_identity() {
    let world = World::new().await;
    let sync = alive(&world, "sync", "sync").await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let name = connection.ping().await.unwrap().identity.to_string();
    let mut stalled = Stream::open(&connection, &identity).await;
    stalled.settle().await;
    let (first, era) = (stalled.feed.applied().unwrap(), stalled.view.clone().unwrap().era());
    let good = |at| Acked { verifier: "billing-api", identity: &name, era, at };
    stalled.acknowledge(&identity, &good(first)).await;
    let other = v1::FollowHello { process: vec![2; 16].into(), ..hello(&identity) };
    let mut new = Stream::with(connection.channel(), Some(Ask::Hello(other))).await;
    new.settle().await;
    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    new.until("cut").await;
    let at = new.feed.applied().unwrap();
    new.acknowledge(&identity, &good(at)).await;
    new.settle().await;
    let acknowledged = async || crate::standing(&world, &name).await.acknowledged;
    assert_eq!(acknowledged().await, first.revision.get());
    drop(stalled);
    new.settle().await;
    assert_eq!(acknowledged().await, first.revision.get(), "it may still accept something");

    // The stalled one comes again, and says it too.
    let mut again = Stream::open(&connection, &identity).await;
    again.settle().await;
    again.acknowledge(&identity, &good(again.feed.applied().unwrap())).await;
    again.settle().await;
    assert_eq!(acknowledged().await, at.revision.get());
    drop(sync);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talks_too_much_is_cut_off() {
    let world = World::new().await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let said = std::iter::once(Ask::Hello(hello(&identity))).chain((0..1000).map(Ask::Counter));
    assert_eq!(answer(&connection, said.collect()).await, "too-much-said");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_has_four_streams_and_the_newest_count() {
    let world = World::new().await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = Stream::open(&connection, &identity).await;
        stream.settle().await;
        streams.push(stream);
    }
    assert_eq!(streams.remove(0).ended().await, "too-many-streams");
    for stream in &mut streams {
        stream.settle().await;
    }
}

/// Each stream costs the broker a snapshot, and what waits for whoever does not read.
#[tokio::test(flavor = "multi_thread")]
async fn one_identity_opens_streams_only_so_often_and_leaves_others_theirs() {
    let world = World::new().await;
    let (connection, _identity) = verifier(&world, "api-1").await;
    let (other, its) = verifier(&world, "api-2").await;
    let mut refused = None;
    for _ in 0..100 {
        let (_say, said) = tokio::sync::mpsc::channel(1);
        let mut client = VerificationServiceClient::new(connection.channel());
        if let Err(status) = client.follow_revocations(ReceiverStream::new(said)).await {
            refused = Some(reason(&status));
            break;
        }
    }
    assert_eq!(refused.as_deref(), Some("busy"));
    Stream::open(&other, &its).await.settle().await;
}
