//! A broker that says what cannot be true: nothing of it is put in force, and what was known stays as it was.

use daypass_credential::Revision;
use daypass_proto::v1::{self, follow_revocations_response::Message};
use tonic::{Code, Status};

use super::{
    Options, Refused, STRICT, World, billing,
    feed::{self, Echoes, token_key},
};
use crate::log::tests::fake::Log;

#[tokio::test]
async fn half_a_snapshot_changes_nothing() {
    let world = World::with(Log::of(5)).await;
    world.feeder.scene().halves = true;
    let mut following = world.start().await;
    following.told("lost: the broker ended the stream").await;
    following.told("lost: the broker ended the stream").await;
    assert!(following.verifier.position().is_none());
    assert_eq!(following.verdict(&world.token("acme")), Err(Refused::NotReady));
    world.feeder.scene().halves = false;
    following.ready().await;
}

#[tokio::test]
async fn a_snapshot_of_a_broker_that_lags_is_refused_until_it_has_caught_up() {
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.cut("vendor:acme").await;
    following.told("acknowledged 7").await;
    let whole = world.feeder.scene().log.clone();
    {
        let mut scene = world.feeder.scene();
        scene.log.entries.truncate(6);
        scene.cuts.clear();
        // It ignores that no snapshot was asked for.
        scene.spoil = |answers| answers.retain(|answer| !matches!(answer, Message::Resumed(_)));
    }
    let begin = {
        let scene = world.feeder.scene();
        scene.begin(&v1::FollowHello { snapshot: true, ..v1::FollowHello::default() })
    };
    world.feeder.say(begin[0].clone()).await;
    let lost = following.told("lost").await;
    assert!(lost.contains("alarming") && lost.contains("revision 6, and revision 7 was seen"), "{lost}");
    assert!(following.verdict(&world.token("acme")).is_err_and(|no| no.word() == "cut"));
    assert_eq!(following.verifier.position().unwrap().revision, Revision::new(7));
    {
        let mut scene = world.feeder.scene();
        scene.log = whole;
        scene.spoil = |_| {};
    }
    following.told("snapshot 7").await;
    following.told("proven 7").await;
    assert!(
        following.verdict(&world.token("acme")).is_err_and(|no| no.word() == "cut"),
        "though it is not in it"
    );
}

#[tokio::test]
async fn another_leaf_at_the_resumption_is_alarming() {
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.scene().spoil = |answers| {
        if let Some(Message::Resumed(resumed)) = answers.first_mut() {
            resumed.position.as_mut().unwrap().leaf = vec![9; 32].into();
        }
    };
    world.feeder.end_streams();
    following.told("lost: the broker ended").await;
    let lost = following.told("lost").await;
    assert!(lost.contains("alarming") && lost.contains("not the same log"), "{lost}");
    // After that only a snapshot helps.
    world.feeder.scene().spoil = |_| {};
    following.told("snapshot 6").await;
    assert!(world.feeder.scene().hellos.last().unwrap().snapshot);
}

#[tokio::test]
async fn an_echo_of_what_was_never_sent_proves_nothing() {
    let world = World::with(Log::of(6)).await;
    world.feeder.scene().echoes = Echoes::Unknown;
    let mut following = world.start().await;
    let lost = following.told("lost").await;
    assert!(lost.contains("was not sent over this stream"), "{lost}");
    assert_eq!(following.verdict(&world.token("acme")), Err(Refused::Stale));
    world.feeder.scene().echoes = Echoes::Prompt;
    following.ready().await;
}

#[tokio::test]
async fn another_key_under_a_name_that_was_given_is_refused() {
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    let other = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
    let swapped = {
        let mut scene = world.feeder.scene();
        scene.log.entries.push(b"{\"keys\":true}".to_vec());
        v1::FeedKeys { token_keys: vec![token_key("k1", &other)], ..scene.keys() }
    };
    world.feeder.say(Message::Keys(swapped)).await;
    let lost = following.told("lost").await;
    assert!(lost.contains("alarming"), "{lost}");
    assert_eq!(following.verdict(&world.token("acme")), Ok(()), "by the key that is known");
}

#[tokio::test]
async fn a_log_that_does_not_continue_the_known_one_gets_no_stream() {
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.end_streams();
    world.broker.put(Log::of(4)).await;
    following.told("lost").await;
    let lost = following.told("lost alarming").await;
    assert!(lost.contains("put back"), "{lost}");
    assert_eq!(world.feeder.scene().hellos.len(), 1);
    world.broker.put(Log::of(6)).await;
    following.told("resumed 6").await;
}

#[tokio::test]
async fn a_log_that_does_not_continue_it_over_the_stream_proves_nothing() {
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.scene().spoil = |answers| {
        answers.retain(|answer| !matches!(answer, Message::Checkpoint(_)));
    };
    world.feeder.end_streams();
    following.told("lost: the broker ended").await;
    let lost = following.told("lost").await;
    assert!(lost.contains("alarming") && lost.contains("has not shown that its log extends"), "{lost}");
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_stream_and_is_named() {
    let leaf = |length: usize| vec![1; length].into();
    let cut = |node: &str| v1::FeedCutNode {
        node: node.to_owned(),
        revision: 9,
        until: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
    };
    let place = |length| v1::FeedPosition { revision: 9, leaf: leaf(length) };
    let keys = |change: fn(&mut v1::FeedKeys)| {
        let world = token_key("k9", &ring::signature::Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap());
        let mut keys = v1::FeedKeys {
            position: Some(v1::FeedPosition { revision: 9, leaf: vec![1; 32].into() }),
            era: "00000000000000ab".to_owned(),
            issuer: feed::ISSUER.to_owned(),
            trust_domain: "daypass.example".to_owned(),
            token_keys: vec![world],
            audiences: vec![feed::audience("billing")],
            log_keys: Vec::new(),
        };
        change(&mut keys);
        Message::Keys(keys)
    };
    let bad = [
        (Message::Cut(v1::FeedCut { cut: None, leaf: leaf(32) }), "it has no cut"),
        (Message::Cut(v1::FeedCut { cut: Some(cut("vendor:acme")), leaf: leaf(31) }), "its leaf hash"),
        (Message::Cut(v1::FeedCut { cut: Some(cut("acme")), leaf: leaf(32) }), "its node"),
        (
            Message::Cut(v1::FeedCut {
                cut: Some(v1::FeedCutNode { until: None, ..cut("vendor:acme") }),
                leaf: leaf(32),
            }),
            "its last expiry",
        ),
        (Message::Horizon(v1::FeedHorizon { horizon: None }), "its horizon"),
        (Message::Echo(v1::FeedEcho { counter: 0, head: None }), "it has no position"),
        (Message::Echo(v1::FeedEcho { counter: 0, head: Some(place(33)) }), "its leaf hash"),
        (
            Message::SnapshotBegin(v1::FeedSnapshotBegin { era: "AB".into(), position: Some(place(32)) }),
            "its era",
        ),
        (
            Message::Checkpoint(v1::FeedCheckpoint { checkpoint: String::new(), consistency: vec![leaf(1)] }),
            "its proof",
        ),
        (keys(|keys| keys.position = None), "it has no position"),
        (keys(|keys| keys.issuer.clear()), "it has no issuer"),
        (keys(|keys| keys.trust_domain = "A B".into()), "its trust domain"),
        (keys(|keys| keys.token_keys[0].algorithm = "none".into()), "its algorithm"),
        (keys(|keys| keys.token_keys[0].public_key = vec![1; 31].into()), "its keys cannot be used"),
        (keys(|keys| keys.token_keys[0].latest = None), "its last expiry"),
        (keys(|keys| keys.audiences[0].staleness_seconds = 1), "its keys cannot be used"),
        (keys(|keys| keys.audiences[0].audience = "Billing".into()), "its audience"),
        (keys(|keys| keys.audiences[0].roots = vec![vec![1; 9].into()]), "its keys cannot be used"),
        (keys(|keys| keys.log_keys = vec!["x".into()]), "its log key"),
    ];
    for (message, why) in bad {
        let mut reader = super::super::wire::Reader::default();
        let error =
            reader.read(v1::FollowRevocationsResponse { message: Some(message.clone()) }).unwrap_err();
        assert!(error.to_string().starts_with(why), "{message:?}: {error}");
    }
    // One of them over the wire.
    let world = World::with(Log::of(6)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.say(Message::Horizon(v1::FeedHorizon { horizon: None })).await;
    let lost = following.told("lost").await;
    assert!(lost.contains("cannot be read: its horizon"), "{lost}");
    following.told("proven").await;
}

#[tokio::test]
async fn whoever_is_ended_as_soon_as_something_is_proven_comes_back_less_and_less_often() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    let mut longest = 0;
    for _ in 0..6 {
        following.told("proven").await;
        let end = Status::new(Code::ResourceExhausted, "too many streams");
        let stream = world.feeder.scene().open_stream();
        stream.send(Err(end)).await.unwrap();
        world.feeder.end_streams();
        let pause = following.told("pause").await;
        longest = longest.max(pause.strip_prefix("pause ").unwrap().parse::<u64>().unwrap());
    }
    assert!(longest >= 1_600, "{longest} ms");
}

#[tokio::test]
async fn whoever_is_refused_comes_back_once_he_is_not() {
    let world = World::with(Log::of(6)).await;
    world.feeder.scene().refuse = Some(Status::new(Code::PermissionDenied, "not now"));
    let mut following = world.start_with(Options { staleness: STRICT, ..billing() }).await.unwrap();
    assert!(following.told("lost").await.contains("not now"));
    following.told("lost").await;
    assert!(following.verifier.view().is_none());
    world.feeder.scene().refuse = None;
    following.ready().await;
}
