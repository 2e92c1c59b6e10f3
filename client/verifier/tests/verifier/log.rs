//! Checkpoints that come with the feed: each signed by the log and extending the one before, or the stream is not believed.

use std::convert::Infallible;

use daypass_credential::{Era, Revision};
use daypass_log::{
    Checkpoint, Frontier, Hash, NoteError, Tile, TileSource, VerifierKey,
    proof::{ProofError, consistency},
};
use daypass_verifier::{Event, Feed, FeedError, Memory, Published};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::{
    common::Broker,
    rig::{ERA, Rig, at, place, published},
};

const ORIGIN: &str = "broker.example/log";

/// A log of at most 256 entries, which all are in one tile.
struct Log(Vec<Hash>);

impl Log {
    fn of(size: u64, mark: &str) -> Self {
        Self((0..size).map(|n| Hash::leaf(format!("{mark}{n}").as_bytes())).collect())
    }

    fn note(&self, size: u64, era: Era, pair: &Ed25519KeyPair) -> Vec<u8> {
        let mut tree = Frontier::new();
        self.0.iter().take(usize::try_from(size).unwrap()).for_each(|leaf| tree.append_leaf(*leaf));
        let sign = |message: &[u8]| Ok::<_, Infallible>(pair.sign(message).as_ref().try_into().unwrap());
        let checkpoint = Checkpoint::new(ORIGIN, tree.root(), era).unwrap();
        checkpoint.sign(&key(pair), sign).unwrap().note().as_bytes().to_vec()
    }

    fn event(&self, from: u64, to: u64) -> Event {
        let proof = if from == 0 { Vec::new() } else { consistency(self, from, to).unwrap() };
        Event::Checkpoint { note: self.note(to, ERA, &pair(7)), proof }
    }
}

impl TileSource for Log {
    type Error = Infallible;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Infallible> {
        Ok(self.0.iter().copied().take(usize::from(tile.width())).collect())
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(pair: &Ed25519KeyPair) -> VerifierKey {
    VerifierKey::new(ORIGIN, pair.public_key().as_ref().try_into().unwrap()).unwrap()
}

fn keys(broker: &Broker) -> Published {
    Published { log_keys: vec![key(&pair(7))], ..published(broker) }
}

fn following(broker: &Broker) -> Rig {
    Rig::following_with(keys(broker))
}

#[test]
fn each_checkpoint_extends_the_one_before() {
    let (broker, log) = (Broker::new(), Log::of(150, "a"));
    let mut rig = following(&broker);
    for (from, to) in [(0, 100), (100, 100), (100, 101), (101, 150)] {
        assert!(!rig.take(log.event(from, to)).unwrap(), "no view changes by it");
        assert_eq!(rig.feed.checkpoint().unwrap().checkpoint().root().size, to);
    }
    let hello = rig.feed.connected();
    assert_eq!(hello.checkpoint.unwrap().checkpoint().root().size, 150);
}

#[test]
fn an_older_or_contradicting_checkpoint_is_refused() {
    let (broker, log, other) = (Broker::new(), Log::of(150, "a"), Log::of(150, "b"));
    let check = |event: Event, expected: ProofError| {
        let mut rig = following(&broker);
        rig.take(log.event(0, 120)).unwrap();
        let error = FeedError::Inconsistent(expected);
        assert!(error.is_alarming());
        assert_eq!(rig.take(event), Err(error));
        assert_eq!(rig.feed.checkpoint().unwrap().checkpoint().root().size, 120, "the one before is kept");
        assert!(rig.feed.connected().snapshot);
    };
    check(log.event(0, 119), ProofError::Shrunk { from: 120, to: 119 });
    check(other.event(0, 120), ProofError::EarlierRoot);
    check(other.event(120, 150), ProofError::EarlierRoot);
    check(log.event(0, 150), ProofError::Length);
    let Event::Checkpoint { note, .. } = other.event(0, 150) else { panic!() };
    let Event::Checkpoint { proof, .. } = log.event(120, 150) else { panic!() };
    check(Event::Checkpoint { note, proof }, ProofError::Root);
}

#[test]
fn a_checkpoint_counts_if_the_log_signed_it_in_this_era() {
    let (broker, log) = (Broker::new(), Log::of(150, "a"));
    let check = |note: Vec<u8>, expected: FeedError| {
        let mut rig = following(&broker);
        assert_eq!(rig.take(Event::Checkpoint { note, proof: Vec::new() }), Err(expected));
        assert!(rig.feed.checkpoint().is_none());
    };
    check(log.note(100, ERA, &pair(8)), FeedError::Checkpoint(NoteError::Untrusted.into()));
    check(log.note(100, Era::new(8), &pair(7)), FeedError::CheckpointEra);
    check(Vec::new(), FeedError::Checkpoint(NoteError::Unsigned.into()));
}

#[test]
fn a_store_behind_what_its_log_signed_is_refused() {
    let (broker, log) = (Broker::new(), Log::of(150, "a"));
    let mut rig = following(&broker);
    rig.take(log.event(0, 150)).unwrap();
    let older = |found| FeedError::Older { known: Revision::new(150), found: Revision::new(found) };
    // Over the same stream a snapshot may have been read before the checkpoint was signed.
    rig.snapshot(keys(&broker), 149, Vec::new(), 0).unwrap();
    rig.feed.connected();
    assert_eq!(rig.snapshot(keys(&broker), 149, Vec::new(), 0), Err(older(149)));
    // So for the next process, which has nothing but the memory of this one.
    let memory = rig.feed.memory().unwrap();
    assert_eq!(memory.at, place(149));
    let again = |revision| {
        let mut rig = Rig::new(&["billing"]);
        rig.feed = Feed::new(Some(memory.clone()));
        rig.feed.connected();
        rig.snapshot(keys(&broker), revision, Vec::new(), 0)?;
        rig.take(log.event(0, 120))
    };
    assert_eq!(again(149), Err(older(149)));
    let shrunk = FeedError::Inconsistent(ProofError::Shrunk { from: 150, to: 120 });
    assert_eq!(again(150), Err(shrunk));
}

#[test]
fn a_new_stream_proves_nothing_before_it_shows_that_its_log_extends_what_was_signed() {
    let (broker, log, other) = (Broker::new(), Log::of(150, "a"), Log::of(150, "b"));
    let reconnected = || {
        let mut rig = following(&broker);
        rig.take(log.event(0, 120)).unwrap();
        rig.refresh(120, at(1)).unwrap();
        rig.feed.connected();
        rig
    };
    // Put back to before the checkpoint, and gone on with until it is longer: no place that is known tells them apart.
    let mut rig = reconnected();
    rig.snapshot(keys(&broker), 130, Vec::new(), 0).unwrap();
    assert_eq!(rig.refresh(130, at(20_000)), Err(FeedError::Unproven));
    let mut rig = reconnected();
    rig.snapshot(keys(&broker), 130, Vec::new(), 0).unwrap();
    let forked = FeedError::Inconsistent(ProofError::EarlierRoot);
    assert_eq!(rig.take(other.event(120, 130)), Err(forked));
    assert_eq!(rig.verifier.view().unwrap().age(at(20_001)), Some(20_000), "proven by the stream before");
    for to in [120, 130] {
        let mut rig = reconnected();
        rig.take(Event::Resumed { era: ERA, at: place(120) }).unwrap();
        rig.take(log.event(120, to)).unwrap();
        rig.refresh(130, at(20_000)).unwrap();
        assert_eq!(rig.verifier.view().unwrap().age(at(20_001)), Some(1));
    }
}

#[test]
fn another_era_begins_another_log() {
    let (broker, log) = (Broker::new(), Log::of(150, "a"));
    let mut rig = following(&broker);
    rig.take(log.event(0, 150)).unwrap();
    let (next, other) = (Era::new(8), Broker::new());
    rig.feed.connected();
    rig.snapshot(Published { era: next, ..keys(&other) }, 3, Vec::new(), 0).unwrap();
    assert!(rig.feed.checkpoint().is_none());
    assert_eq!(rig.refresh(3, at(1)), Ok(true), "what the old log signed cannot be extended by the new one");
    let note = Log::of(3, "b").note(3, next, &pair(7));
    rig.take(Event::Checkpoint { note, proof: Vec::new() }).unwrap();
    let Memory { era, checkpoint, .. } = rig.feed.memory().unwrap();
    assert_eq!((era, checkpoint.unwrap().checkpoint().era()), (next, Some(next)));
}
