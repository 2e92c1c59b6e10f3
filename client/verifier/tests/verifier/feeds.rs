//! The feed: whole snapshots or none, never back, and no stream that cannot be true.

use daypass_credential::{Era, Revision};
use daypass_log::Hash;
use daypass_verifier::{
    Bundle, Echo, Event, Feed, FeedError, KeyChange, Memory, Part, Position, Published, Refused,
};

use crate::{
    common::{Broker, csr},
    forge::{Authority, published},
    rig::{ERA, Rig, at, cut, place, published as real},
};

/// The same revision in a log that went another way.
fn elsewhere(revision: u64) -> Position {
    Position { leaf: Hash::leaf(b"another"), ..place(revision) }
}

const LATER: u64 = 9_999_999_999;

fn older(known: u64, found: u64) -> FeedError {
    FeedError::Older { known: Revision::new(known), found: Revision::new(found) }
}

/// A rig that follows, with a certificate that is good and one whose contract is cut in none of the tests.
pub(crate) fn known() -> (Broker, Rig, Vec<u8>) {
    let broker = Broker::new();
    let rig = Rig::following(&broker);
    let der = broker.certificate(Some("billing"), &csr());
    rig.show_certificate(&der, at(1)).unwrap();
    (broker, rig, der)
}

fn check(rig: &Rig, der: &[u8], cut: Option<u64>) {
    let dead = |at| Refused::Cut { node: "vendor:acme".parse().unwrap(), cut: Revision::new(at) };
    assert_eq!(rig.show_certificate(der, at(1)).map(drop).err(), cut.map(dead));
}

#[test]
fn half_a_snapshot_changes_nothing() {
    let (broker, mut rig, der) = known();
    rig.feed.connected();
    rig.take(Event::SnapshotBegin { era: ERA, at: place(200) }).unwrap();
    rig.take(Event::Part(Part::Cuts(vec![cut("vendor:acme", 150, LATER)]))).unwrap();
    rig.take(Event::Part(Part::Keys(Bundle::open(real(&broker)).unwrap()))).unwrap();
    check(&rig, &der, None);
    rig.feed.disconnected();
    check(&rig, &der, None);
    assert_eq!(rig.feed.applied(), Some(place(100)));
    assert_eq!(rig.take(Event::SnapshotEnd { cuts: 1 }), Err(FeedError::OutOfPlace("the end of a snapshot")));
    rig.feed.connected();
    rig.snapshot(real(&broker), 200, vec![cut("vendor:acme", 150, LATER)], 0).unwrap();
    check(&rig, &der, Some(150));
    assert_eq!(rig.feed.applied(), Some(place(200)));
}

#[test]
fn a_snapshot_that_lacks_something_is_refused() {
    let (broker, mut rig, der) = known();
    let bundle = || Bundle::open(real(&broker)).unwrap();
    let mut check_parts = |parts: Vec<Part>, cuts, expected: FeedError| {
        rig.feed.connected();
        rig.take(Event::SnapshotBegin { era: ERA, at: place(200) }).unwrap();
        let taken = parts.into_iter().try_for_each(|part| rig.take(Event::Part(part)).map(drop));
        assert_eq!(taken.and_then(|()| rig.take(Event::SnapshotEnd { cuts }).map(drop)), Err(expected));
        check(&rig, &der, None);
    };
    let cuts = || Part::Cuts(vec![cut("vendor:acme", 150, LATER)]);
    check_parts(vec![cuts()], 1, FeedError::NotWhole("the keys are missing"));
    check_parts(vec![Part::Keys(bundle())], 1, FeedError::NotWhole("cuts are missing"));
    check_parts(vec![cuts(), Part::Keys(bundle())], 2, FeedError::NotWhole("cuts are missing"));
    let twice = vec![Part::Keys(bundle()), Part::Keys(bundle())];
    check_parts(twice, 0, FeedError::NotWhole("the keys are in it twice"));
    let other = Published { era: Era::new(9), ..real(&broker) };
    let other = Part::Keys(Bundle::open(other).unwrap());
    check_parts(vec![other], 0, FeedError::Keys(KeyChange::Era(Era::new(9))));
}

#[test]
fn a_snapshot_below_what_is_known_is_refused() {
    let (broker, mut rig, der) = known();
    rig.cut("vendor:acme", 150).unwrap();
    rig.feed.connected();
    let lagging = rig.snapshot(real(&broker), 149, Vec::new(), 0);
    assert_eq!(lagging, Err(older(150, 149)));
    assert!(older(150, 149).is_alarming());
    check(&rig, &der, Some(150));
    rig.feed.connected();
    let forked = rig.take(Event::SnapshotBegin { era: ERA, at: elsewhere(150) });
    assert_eq!(forked, Err(FeedError::Forked(Revision::new(150))));
    rig.feed.connected();
    rig.snapshot(real(&broker), 150, vec![cut("vendor:acme", 150, LATER)], 0).unwrap();
}

#[test]
fn a_snapshot_never_takes_back_a_cut_or_the_horizon() {
    let (broker, mut rig, der) = known();
    rig.cut("vendor:acme", 150).unwrap();
    rig.take(Event::Horizon(daypass_credential::Timestamp::from_secs(50))).unwrap();
    rig.feed.connected();
    // A snapshot that has forgotten it, and one with an older cut of the same node.
    rig.snapshot(real(&broker), 160, Vec::new(), 7).unwrap();
    check(&rig, &der, Some(150));
    rig.snapshot(real(&broker), 161, vec![cut("vendor:acme", 120, LATER)], 7).unwrap();
    check(&rig, &der, Some(150));
    assert_eq!(rig.verifier.view().unwrap().horizon().as_secs(), 50);
}

#[test]
fn cuts_come_in_the_order_of_the_log() {
    let (_, mut rig, der) = known();
    rig.cut("vendor:acme", 150).unwrap();
    assert_eq!(rig.cut("vendor:other", 149), Err(older(150, 149)));
    check(&rig, &der, Some(150));
    assert!(rig.feed.connected().snapshot, "who knows what else came in another order");

    let (_, mut rig, der) = known();
    rig.cut("vendor:other", 150).unwrap();
    rig.cut("vendor:acme", 150).unwrap();
    check(&rig, &der, Some(150));
    let forked = rig.take(Event::Cut { cut: cut("vendor:a", 150, LATER), leaf: elsewhere(150).leaf });
    assert_eq!(forked, Err(FeedError::Forked(Revision::new(150))));
}

#[test]
fn a_resumption_goes_on_from_the_place_that_was_named() {
    let (_, mut rig, der) = known();
    rig.cut("vendor:other", 150).unwrap();
    rig.feed.disconnected();
    let hello = rig.feed.connected();
    assert_eq!((hello.known, hello.snapshot), (Some((ERA, place(150))), false));
    rig.take(Event::Resumed { era: ERA, at: place(150) }).unwrap();
    rig.cut("vendor:acme", 151).unwrap();
    check(&rig, &der, Some(151));
}

/// One commit may cut several nodes and change keys, and a stream may break between them. So all of the place that was
/// named comes again, the first of it included.
#[test]
fn what_a_stream_broke_off_within_a_commit_comes_after_the_resumption() {
    let (broker, mut rig, der) = known();
    rig.cut("vendor:other", 150).unwrap();
    rig.feed.disconnected();
    rig.feed.connected();
    rig.take(Event::Resumed { era: ERA, at: place(150) }).unwrap();
    rig.cut("vendor:other", 150).unwrap();
    rig.cut("vendor:acme", 150).unwrap();
    check(&rig, &der, Some(150));
    assert_eq!(rig.keys(real(&broker), 150), Ok(false), "the keys that are known");
    rig.refresh(150, at(1)).unwrap();
}

#[test]
fn a_resumption_elsewhere_is_refused() {
    let check_resumed = |era, at: Position, expected: FeedError| {
        let (_, mut rig, _) = known();
        rig.feed.connected();
        assert_eq!(rig.take(Event::Resumed { era, at }), Err(expected));
        assert!(rig.feed.connected().snapshot);
        let again = rig.take(Event::Resumed { era: ERA, at: place(100) });
        assert_eq!(again, Err(FeedError::OutOfPlace("a resumption")), "a snapshot was asked for");
    };
    let other_place =
        |known, found| FeedError::OtherPlace { known: Revision::new(known), found: Revision::new(found) };
    check_resumed(ERA, place(99), other_place(100, 99));
    check_resumed(ERA, place(101), other_place(100, 101));
    check_resumed(Era::new(8), place(100), other_place(100, 100));
    check_resumed(ERA, elsewhere(100), FeedError::Forked(Revision::new(100)));
}

#[test]
fn nothing_comes_before_the_beginning() {
    let broker = Broker::new();
    let bundle = Bundle::open(real(&broker)).unwrap();
    let events = [
        (Event::Cut { cut: cut("vendor:a", 101, LATER), leaf: place(101).leaf }, "a cut"),
        (Event::Horizon(daypass_credential::Timestamp::from_secs(1)), "a horizon"),
        (Event::Keys { bundle: bundle.clone(), at: place(101) }, "keys"),
        (Event::Checkpoint { note: Vec::new(), proof: Vec::new() }, "a checkpoint"),
        (Event::Part(Part::Cuts(Vec::new())), "a part of a snapshot"),
        (Event::SnapshotEnd { cuts: 0 }, "the end of a snapshot"),
        (Event::Resumed { era: ERA, at: place(100) }, "a resumption"),
    ];
    for (event, what) in events {
        let mut feed = Feed::new(None);
        assert_eq!(feed.take(event.clone()).err(), Some(FeedError::OutOfPlace(what)), "no stream");
        feed.connected();
        assert_eq!(feed.take(event.clone()).err(), Some(FeedError::OutOfPlace(what)), "a new stream");
        feed.connected();
        feed.take(Event::SnapshotBegin { era: ERA, at: place(100) }).unwrap();
        let inside = matches!(event, Event::Part(_));
        if !inside && !matches!(event, Event::SnapshotEnd { .. }) {
            assert_eq!(feed.take(event).err(), Some(FeedError::OutOfPlace(what)), "within a snapshot");
        }
    }
    let mut feed = Feed::new(None);
    let begin = Event::SnapshotBegin { era: ERA, at: place(100) };
    assert_eq!(feed.take(begin.clone()).err(), Some(FeedError::OutOfPlace("a snapshot")));
    feed.connected();
    feed.take(begin.clone()).unwrap();
    assert_eq!(feed.take(begin).err(), Some(FeedError::OutOfPlace("a snapshot")), "within one");
}

#[test]
fn an_echo_within_a_snapshot_or_from_an_older_head_proves_nothing() {
    let (_, mut rig, der) = known();
    let stale = at(40_000);
    rig.feed.connected();
    rig.take(Event::SnapshotBegin { era: ERA, at: place(200) }).unwrap();
    assert_eq!(rig.refresh(200, stale), Err(FeedError::OutOfPlace("an echo")));
    assert_eq!(rig.show_certificate(&der, stale).map(drop), Err(Refused::Stale));

    let (_, mut rig, der) = known();
    rig.cut("vendor:other", 150).unwrap();
    assert_eq!(rig.refresh(149, stale), Err(older(150, 149)));
    assert_eq!(rig.show_certificate(&der, stale).map(drop), Err(Refused::Stale));
}

#[test]
fn an_echo_moves_the_place_to_the_head_that_was_read() {
    let (_, mut rig, _) = known();
    rig.refresh(180, at(1)).unwrap();
    assert_eq!(rig.feed.applied(), Some(place(180)));
    assert_eq!(rig.verifier.view().unwrap().position(), place(180));
    assert_eq!(rig.cut("vendor:acme", 179), Err(older(180, 179)), "it was to come before the echo");
}

#[test]
fn what_is_refused_leaves_the_place_as_it_was() {
    let (broker, mut rig, _) = known();
    let never = daypass_verifier::Counter(77);
    assert!(rig.take(Event::Echo(Echo { counter: never, head: place(150) })).is_err());
    assert_eq!(rig.feed.applied(), Some(place(100)));
    let (_, mut rig, _) = known();
    let other = Published { issuer: "https://other.example".to_owned(), ..real(&broker) };
    assert!(rig.keys(other, 150).is_err());
    assert_eq!(rig.feed.applied(), Some(place(100)));
    let (broker, mut rig, _) = known();
    let counter = rig.feed.ask(at(40_000)).unwrap();
    assert!(rig.take(Event::Echo(Echo { counter, head: place(99) })).is_err());
    rig.feed.connected();
    rig.snapshot(real(&broker), 100, Vec::new(), 0).unwrap();
    assert_eq!(rig.verifier.view().unwrap().age(at(40_001)), Some(40_001), "that echo proved nothing");
}

#[test]
fn a_view_judges_by_its_horizon_before_the_sets_forget() {
    let (_, mut rig, der) = known();
    rig.cut("vendor:other", 150).unwrap();
    let shown = rig.show_certificate(&der, at(1)).unwrap();
    let expires = shown.expires();
    // Not far enough for the sets to be swept.
    rig.take(Event::Horizon(daypass_credential::Timestamp::from_millis(expires.as_millis() - 1))).unwrap();
    assert_eq!(rig.verifier.view().unwrap().judge(&shown.rests()), Ok(()));
    rig.take(Event::Horizon(expires)).unwrap();
    let judged = rig.verifier.view().unwrap().judge(&shown.rests());
    assert_eq!(judged, Err(daypass_credential::Dead::BelowHorizon));
}

#[test]
fn what_a_process_remembers_holds_for_the_next_one() {
    let (broker, mut rig, _) = known();
    rig.refresh(180, at(1)).unwrap();
    let memory = rig.feed.memory().unwrap();
    let again = |memory: &Memory| {
        let mut rig = Rig::new(&["billing"]);
        rig.feed = Feed::new(Some(memory.clone()));
        let hello = rig.feed.connected();
        assert_eq!((hello.known, hello.snapshot), (Some((ERA, place(180))), true), "no cuts are kept");
        rig
    };
    assert_eq!(again(&memory).snapshot(real(&broker), 179, Vec::new(), 0), Err(older(180, 179)));
    let forked = again(&memory).take(Event::SnapshotBegin { era: ERA, at: elsewhere(180) });
    assert_eq!(forked, Err(FeedError::Forked(Revision::new(180))));
    assert_eq!(again(&memory).snapshot(real(&broker), 180, Vec::new(), 0), Ok(true));
    let former = Memory { former: vec![Era::new(3)], ..memory };
    let gone = again(&former).take(Event::SnapshotBegin { era: Era::new(3), at: place(500) });
    assert_eq!(gone, Err(FeedError::Superseded(Era::new(3))));
    let mut rig = again(&former);
    let ca = Authority::new("billing");
    rig.snapshot(Published { era: Era::new(8), ..published(&[], &[("billing", &ca)]) }, 5, Vec::new(), 0)
        .unwrap();
    assert_eq!(rig.feed.memory().unwrap().former, [Era::new(3), ERA]);
}

#[test]
fn a_verifier_never_goes_back_whoever_feeds_it() {
    let (broker, mut rig, der) = known();
    let before = rig.verifier.view().unwrap();
    rig.cut("vendor:acme", 150).unwrap();
    rig.verifier.apply(before);
    check(&rig, &der, Some(150));
    // A second feed of the same verifier, over a broker that lags.
    rig.feed = Feed::new(None);
    rig.feed.connected();
    rig.snapshot(real(&broker), 149, Vec::new(), 0).unwrap();
    rig.refresh(149, at(1)).unwrap();
    check(&rig, &der, Some(150));
    assert_eq!(rig.verifier.view().unwrap().position(), place(150));
}

#[test]
fn many_cuts_are_all_kept_and_forgotten_under_the_horizon() {
    let (_, mut rig, der) = known();
    let soon = crate::common::NOW.as_secs() + 100;
    for n in 0..1_000 {
        let cut = cut(&format!("vendor:v{n}"), 101 + n, if n % 2 == 0 { soon } else { LATER });
        rig.take(Event::Cut { cut, leaf: place(101 + n).leaf }).unwrap();
    }
    rig.cut("vendor:acme", 2_000).unwrap();
    check(&rig, &der, Some(2_000));
    let view = rig.verifier.view().unwrap();
    assert_eq!(view.cuts(), 1_001);
    rig.take(Event::Horizon(daypass_credential::Timestamp::from_secs(soon))).unwrap();
    assert_eq!(rig.verifier.view().unwrap().cuts(), 501);
    check(&rig, &der, Some(2_000));
    assert_eq!(view.cuts(), 1_001, "a view never changes");
}
