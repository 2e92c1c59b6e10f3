//! A broker that does what it should, and one that goes away and comes back.

use std::sync::Arc;

use daypass_credential::{Era, Revision, Timestamp};
use daypass_log::{Acknowledgement, Hash};
use daypass_proto::v1::{self, follow_revocations_response::Message};
use daypass_verifier::{Bundle, Event, Feed, Part, Position, Published};

use super::{
    News, Options, Refused, STRICT, SystemClock, Verifier, Watch, World, billing,
    feed::{self, Echoes, INSTANCE, ISSUER, audience, token_key},
};
use crate::{
    Error,
    log::tests::fake::{ERA, Log, ORIGIN},
    wire::timestamp,
};

#[test]
fn a_verifier_that_nothing_feeds_accepts_nothing() {
    let options = daypass_verifier::Options::default();
    let verifier = Verifier::new(["billing".parse().unwrap()], &options, Arc::new(SystemClock)).unwrap();
    assert_eq!(verifier.check_token("a.b.c", None, &[]).err(), Some(Refused::NotReady));
    assert_eq!((verifier.age(), verifier.refuses_in(), verifier.is_fresh()), (None, None, false));
    assert!(verifier.position().is_none());
    assert!(Verifier::new([], &options, Arc::new(SystemClock)).is_err());
}

#[test]
fn only_what_moves_is_told_to_whoever_keeps_something_open() {
    let options = daypass_verifier::Options::default();
    let verifier = Verifier::new(["billing".parse().unwrap()], &options, Arc::new(SystemClock)).unwrap();
    let mut feed = Feed::new(None);
    feed.connected();
    let at = Position { revision: Revision::new(1), leaf: Hash::leaf(b"event") };
    let keys = Bundle::open(Published {
        era: ERA,
        issuer: ISSUER.to_owned(),
        domain: "daypass.example".parse().unwrap(),
        tokens: Vec::new(),
        audiences: Vec::new(),
        log_keys: Vec::new(),
    });
    feed.take(Event::SnapshotBegin { era: ERA, at }).unwrap();
    feed.take(Event::Part(Part::Keys(keys.unwrap()))).unwrap();
    let view = feed.take(Event::SnapshotEnd { cuts: 0 }).unwrap().unwrap();
    let mut moved = verifier.moved();
    verifier.apply(Arc::clone(&view), false);
    assert!(!moved.has_changed().unwrap());
    assert_eq!(verifier.position(), Some(at));
    verifier.apply(view, true);
    assert!(moved.has_changed().unwrap());
    moved.mark_unchanged();
}

#[tokio::test]
async fn what_is_cut_is_refused_and_acknowledged_with_the_identitys_key() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    let (acme, other) = (world.token("acme"), world.token("other"));
    assert_eq!(following.verdict(&acme), Ok(()));
    let mut moved = following.verifier.moved();
    moved.mark_unchanged();
    world.feeder.cut("vendor:acme").await;
    assert_eq!(following.told("cut").await, "cut vendor:acme 6");
    assert!(moved.has_changed().unwrap());
    let refused = following.verdict(&acme).unwrap_err();
    assert_eq!(refused, Refused::Cut { node: "vendor:acme".parse().unwrap(), cut: Revision::new(6) });
    assert_eq!(following.verdict(&other), Ok(()));
    assert_eq!(following.told("checked").await, "checked cut");

    let of = |said: &v1::FollowAcknowledgement| said.position.as_ref().unwrap().revision;
    world.feeder.until(|scene| scene.acknowledgements.iter().any(|said| of(said) == 6)).await;
    let scene = world.feeder.scene();
    let said = scene.acknowledgements.iter().find(|said| of(said) == 6).unwrap();
    let applied_at = said.applied_at.unwrap();
    let text = Acknowledgement {
        log: ORIGIN,
        era: ERA,
        verifier: &"api".parse().unwrap(),
        identity: &INSTANCE.parse().unwrap(),
        revision: Revision::new(6),
        leaf: Hash::leaf(&scene.log.entries[5]),
        applied_at: crate::wire::instant(Some(applied_at)).unwrap(),
    };
    assert!(text.is_signed(&scene.hellos[0].public_key, &said.signature));
}

#[tokio::test]
async fn cuts_that_come_at_once_are_acknowledged_together_and_the_last_one_always() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    following.told("acknowledged 5").await;
    let begun = std::time::Instant::now();
    for n in 0..300 {
        world.feeder.cut(&format!("application:a{n}")).await;
    }
    following.told("acknowledged 305").await;
    // One more for the one that came at once, one for the part of a pause that had passed.
    let most = 2 + begun.elapsed().as_millis() / 50;
    world.feeder.until(|scene| acknowledged(scene).last() == Some(&305)).await;
    let said = acknowledged(&world.feeder.scene());
    let of_these = said.iter().filter(|revision| **revision > 5).count();
    assert!(of_these as u128 <= most, "{of_these} of {most}: {said:?}");
    assert!(said.is_sorted());
}

fn acknowledged(scene: &feed::Scene) -> Vec<u64> {
    scene.acknowledgements.iter().map(|said| said.position.as_ref().unwrap().revision).collect()
}

#[tokio::test]
async fn an_echo_moves_nobody_who_keeps_something_open() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start_with(Options { staleness: STRICT, ..billing() }).await.unwrap();
    following.ready().await;
    let mut moved = following.verifier.moved();
    moved.mark_unchanged();
    for _ in 0..3 {
        following.told("proven").await;
    }
    assert!(!moved.has_changed().unwrap());
    let horizon = Timestamp::from_secs(90);
    world.feeder.say(Message::Horizon(v1::FeedHorizon { horizon: Some(timestamp(horizon)) })).await;
    following.told("horizon 90").await;
    assert!(moved.has_changed().unwrap());
}

#[tokio::test]
async fn whoever_observes_acknowledges_nothing() {
    let world = World::with(Log::of(5)).await;
    let observing = Options { staleness: STRICT, ..Options::observing() };
    let mut following = world.start_with(observing).await.unwrap();
    world.feeder.until(|scene| !scene.hellos.is_empty()).await;
    world.feeder.cut("vendor:acme").await;
    following.told("cut").await;
    for _ in 0..3 {
        following.told("proven").await;
    }
    let scene = world.feeder.scene();
    assert!(scene.hellos[0].observing && scene.acknowledgements.is_empty());
}

#[tokio::test]
async fn a_stream_that_ends_is_resumed_where_it_was() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.cut("vendor:acme").await;
    following.told("acknowledged 6").await;
    world.feeder.end_streams();
    assert_eq!(following.told("lost").await, "lost: the broker ended the stream: ");
    assert_eq!(following.told("resumed").await, "resumed 6");
    following.told("proven 6").await;
    following.told("acknowledged 6").await;
    let hello = world.feeder.scene().hellos[1].clone();
    assert_eq!((hello.snapshot, hello.era), (false, ERA.to_string()));
    assert_eq!(hello.process, world.feeder.scene().hellos[0].process, "the same process goes on");
    assert_eq!(hello.process.len(), 16);
    assert_eq!(hello.known, Some(feed::place(&world.feeder.scene().log, 6)));
    assert!(hello.checkpoint.starts_with(&format!("{ORIGIN}\n5\n")));
    assert!(following.verdict(&world.token("acme")).is_err());
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_and_what_was_missed_comes() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    world.feeder.end_streams();
    world.broker.cut().await;
    following.told("lost").await;
    following.told("resumed").await;
    assert_eq!(world.feeder.cut("vendor:acme").await, 6);
    following.told("cut vendor:acme 6").await;
    assert!(following.verdict(&world.token("acme")).is_err());
}

#[tokio::test]
async fn a_broker_that_never_echoes_is_never_trusted() {
    let world = World::with(Log::of(5)).await;
    world.feeder.scene().echoes = Echoes::Never;
    let mut following = world.start().await;
    following.told("snapshot").await;
    world.feeder.until(|scene| scene.counters.len() >= 2).await;
    let token = world.token("acme");
    assert_eq!(following.verdict(&token), Err(Refused::Stale));
    assert!(!following.verifier.is_fresh());
    world.feeder.scene().echoes = Echoes::Prompt;
    following.ready().await;
    assert_eq!(following.verdict(&token), Ok(()));
}

#[tokio::test]
async fn proofs_that_come_late_for_ever_are_never_enough() {
    let world = World::with(Log::of(5)).await;
    world.feeder.scene().echoes = Echoes::Late(6);
    let mut following = world.start_with(Options { staleness: STRICT, ..billing() }).await.unwrap();
    for _ in 0..4 {
        let proven = following.told("proven").await;
        let age: u64 = proven.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(age >= 1_000, "{proven}");
        assert_eq!(following.verdict(&world.token("acme")), Err(Refused::Stale));
    }
    world.feeder.scene().echoes = Echoes::Prompt;
    following.ready().await;
    assert_eq!(following.verdict(&world.token("acme")), Ok(()));
}

#[tokio::test]
async fn a_machine_that_slept_refuses_at_once_and_recovers_by_itself() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    let token = world.token("acme");
    assert_eq!(following.verdict(&token), Ok(()));
    world.clock.jump(3_600);
    assert_eq!(following.verdict(&token), Err(Refused::Stale));
    assert_eq!(following.verifier.refuses_in(), Some(std::time::Duration::ZERO));
    assert_eq!(following.told("lost").await, "lost: the broker has not answered for too long: ");
    following.ready().await;
    assert_eq!(following.verdict(&token), Ok(()));
    assert_eq!(world.feeder.scene().hellos.len(), 2);
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_left_after_a_while() {
    let world = World::with(Log::of(5)).await;
    world.feeder.scene().mute = true;
    let mut following = world.start().await;
    world.feeder.until(|scene| !scene.counters.is_empty()).await;
    world.feeder.scene().echoes = Echoes::Never;
    world.clock.jump(60);
    following.told("lost").await;
    {
        let mut scene = world.feeder.scene();
        (scene.mute, scene.echoes) = (false, Echoes::Prompt);
    }
    following.ready().await;
}

#[tokio::test]
async fn keys_and_audiences_change_while_it_runs() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    let token = world.token("acme");
    assert_eq!(following.verdict(&token), Ok(()));
    let keys = {
        let mut scene = world.feeder.scene();
        let next = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
        scene.keys = vec![token_key("k2", &next)];
        scene.audiences.push(audience("payroll"));
        scene.log.entries.push(b"{\"keys\":true}".to_vec());
        scene.keys()
    };
    world.feeder.say(Message::Keys(keys)).await;
    following.told("keys").await;
    assert_eq!(following.verdict(&token), Err(Refused::UnknownKey));
    following.told("acknowledged 6").await;
    let audiences: Vec<_> =
        following.verifier.view().unwrap().bundle().audiences().map(|(name, _)| name.to_string()).collect();
    assert_eq!(audiences, ["billing", "payroll"]);
}

#[tokio::test]
async fn an_audience_that_it_is_not_registered_for_is_told_at_the_beginning() {
    let world = World::with(Log::of(5)).await;
    for named in [&["billing", "payroll"][..], &["payroll"]] {
        let options = Options::of(named.iter().map(|name| name.parse().unwrap()));
        let following = world.start_with(options).await.unwrap();
        let error = following.not_ready().await;
        assert!(matches!(&error, Error::BadInput(text) if text.contains("`payroll`")), "{error:?}");
    }
    world.feeder.scene().audiences.clear();
    let error = world.start().await.not_ready().await;
    assert!(matches!(&error, Error::BadInput(text) if text.contains("`billing`")), "{error:?}");
}

#[tokio::test]
async fn another_era_takes_the_place_of_the_one_before_whole() {
    let world = World::with(Log::of(5)).await;
    let mut following = world.start().await;
    following.ready().await;
    let (token, next) = (world.token("acme"), Log { era: Era::new(0xac), seed: 9, ..Log::of(3) });
    assert_eq!(following.verdict(&token), Ok(()));
    let signer = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
    {
        let mut scene = world.feeder.scene();
        scene.keys = vec![token_key("k1", &signer)];
        scene.log = next;
    }
    let snapshot = {
        let scene = world.feeder.scene();
        let hello = v1::FollowHello { snapshot: true, ..v1::FollowHello::default() };
        scene.begin(&hello)
    };
    for message in snapshot {
        world.feeder.say(message).await;
    }
    assert_eq!(following.told("snapshot 3").await, "snapshot 3");
    assert_eq!(following.verdict(&token), Err(Refused::UnknownKey));
    following.told("acknowledged 3").await;
    following.told("proven 3").await;
}

#[tokio::test]
async fn only_a_verifier_can_follow() {
    let world = World::with(Log::of(5)).await;
    let identity = world.broker.identity(&world.folder());
    let connection = crate::Connection::open(&identity).await.unwrap();
    let error = Verifier::start(&connection, &billing()).unwrap_err();
    assert!(matches!(&error, Error::BadInput(text) if text.contains("application:sync")), "{error:?}");
}

#[tokio::test]
async fn whoever_waits_for_what_nobody_follows_is_told() {
    let world = World::with(Log::of(5)).await;
    let following = world.start().await;
    following.ready().await;
    let copy = following.verifier.clone();
    following.verifier.close().await;
    copy.ready().await.unwrap();
    world.clock.jump(60);
    let waiting = tokio::time::timeout(super::PATIENCE, copy.ready()).await.unwrap();
    assert!(matches!(waiting, Err(Error::Unable(_))), "{waiting:?}");

    // The task that follows is gone with whoever it tells of things.
    let identity = feed::identity(&world.broker, &world.folder());
    let connection = crate::Connection::open(&identity).await.unwrap();
    let watch = Watch::new(|news| assert!(!matches!(news, News::Proven { .. }), "a fault of the service's"));
    let options = Options { watch, staleness: STRICT, ..billing() };
    let verifier = Verifier::start_by(&connection, &options, world.clock.clone()).unwrap();
    let refused = async {
        while verifier.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, refused).await.unwrap();
    world.clock.jump(1);
    assert_eq!(verifier.check_token(&world.token("acme"), None, &[]).err(), Some(Refused::Stale));
}

#[tokio::test]
async fn the_stream_ends_with_the_last_copy() {
    let world = World::with(Log::of(5)).await;
    let following = world.start().await;
    following.ready().await;
    let copy = following.verifier.clone();
    drop(following);
    copy.ready().await.unwrap();
    let counters = world.feeder.scene().counters.len();
    world.feeder.until(|scene| scene.counters.len() > counters).await;
    let open = world.feeder.scene().open_stream();
    drop(copy);
    open.closed().await;
}
