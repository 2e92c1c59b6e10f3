//! The summary of a full bundle of events: what is in it, in a few hundred bytes, so that a search passes over what
//! cannot match.
//!
//! INVARIANT (no event is passed over): [`Summary::may_match`] is true for every bundle that holds a match. It may be
//! true for others.

use std::collections::HashSet;

use daypass_core::{ActionKind, Event, Who};
use daypass_credential::{Digest, Era, NodeId, NodeKind, Timestamp};
use daypass_store::Entry;
use ring::digest::{Context, SHA256};

use super::Filter;

/// The bytes of a summary as it is kept.
pub(super) const SIZE: usize = CHECKED + CHECK;
/// Those that its check covers.
const CHECKED: usize = 8 + 8 + 8 + 4 + 4 + 32 + NODES;
const CHECK: usize = 16;
/// The bytes of the set of nodes. 300 nodes in it, and one search in 250 looks in vain.
const NODES: usize = 512;
/// How many bits stand for a node.
const BITS: usize = 4;

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// Which bundle: the first is 0.
    pub(super) bundle: u64,
    earliest: Timestamp,
    latest: Timestamp,
    /// A bit for each action, and for each outcome.
    actions: u32,
    outcomes: u32,
    /// SHA-256 over the events: ties the summary to them.
    events: Digest,
    /// Which nodes it concerns and who acted, as a Bloom filter.
    nodes: [u8; NODES],
}

/// What is looked up of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Concerned = 1,
    Acting = 2,
}

impl Summary {
    /// The summary of these events, which are the whole bundle.
    pub(super) fn of(bundle: u64, entries: &[Entry]) -> Result<Self, serde_json::Error> {
        let mut hash = Context::new(&SHA256);
        let mut summary = Self {
            bundle,
            earliest: Timestamp::from_millis(u64::MAX),
            latest: Timestamp::ZERO,
            actions: 0,
            outcomes: 0,
            events: Digest::new([0; 32]),
            nodes: [0; NODES],
        };
        let mut known = HashSet::new();
        for entry in entries {
            hash.update(&u64::try_from(entry.event.len()).unwrap_or_default().to_be_bytes());
            hash.update(&entry.event);
            summary.add(&Event::from_bytes(&entry.event)?, &mut known);
        }
        let mut digest = [0; 32];
        digest.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        summary.events = Digest::new(digest);
        Ok(summary)
    }

    fn add(&mut self, event: &Event, known: &mut HashSet<(Role, Who)>) {
        (self.earliest, self.latest) = (self.earliest.min(event.at), self.latest.max(event.at));
        self.actions |= bit(event.action.kind() as u32);
        self.outcomes |= bit(event.action.outcome() as u32);
        let concerned = event.concerns().into_iter().filter(is_searched).map(Who::Node);
        let acting = [event.actor.who()].into_iter().chain(event.actor.identity().map(Who::Node));
        let keys = concerned.map(|who| (Role::Concerned, who)).chain(acting.map(|who| (Role::Acting, who)));
        for key in keys {
            // Most of a bundle is about few: each is hashed once.
            if !known.contains(&key) {
                self.insert(places(key.0, &key.1));
                known.insert(key);
            }
        }
    }

    fn insert(&mut self, places: [usize; BITS]) {
        for place in places {
            if let Some(byte) = self.nodes.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
    }

    fn holds(&self, places: [usize; BITS]) -> bool {
        places.iter().all(|place| self.nodes.get(place / 8).is_none_or(|byte| byte & (1 << (place % 8)) != 0))
    }

    /// May one of the events be what is looked for?
    pub(super) fn may_match(&self, probe: &Probe) -> bool {
        self.actions & probe.actions != 0
            && self.outcomes & probe.outcomes != 0
            && probe.since.is_none_or(|since| since <= self.latest)
            && probe.until.is_none_or(|until| self.earliest < until)
            && probe.nodes.iter().all(|places| self.holds(*places))
    }
}

/// Only these are ever looked for as concerned.
const fn is_searched(node: &NodeId) -> bool {
    matches!(node.kind, NodeKind::Vendor | NodeKind::Application)
}

const fn bit(number: u32) -> u32 {
    1 << (number % u32::BITS)
}

/// The bits that stand for somebody in a role.
fn places(role: Role, who: &Who) -> [usize; BITS] {
    let mut hash = Context::new(&SHA256);
    hash.update(&[role as u8]);
    hash.update(who.to_string().as_bytes());
    let hash = hash.finish();
    let mut places = [0; BITS];
    for (place, two) in places.iter_mut().zip(hash.as_ref().chunks_exact(2)) {
        let number = two.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        *place = number % (NODES * 8);
    }
    places
}

/// A filter, made ready to be asked of many summaries.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    actions: u32,
    outcomes: u32,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    nodes: Vec<[usize; BITS]>,
}

impl Probe {
    pub(super) fn of(filter: &Filter) -> Self {
        let actions = filter.actions.iter().fold(0, |bits, action| bits | bit(*action as u32));
        let concerned = filter.concerns.iter().filter(|node| is_searched(node)).cloned().map(Who::Node);
        let concerned = concerned.map(|who| places(Role::Concerned, &who));
        let acting = filter.actor.iter().map(|who| places(Role::Acting, who));
        Self {
            actions: if filter.actions.is_empty() { u32::MAX } else { actions },
            outcomes: filter.outcome.map_or(u32::MAX, |outcome| bit(outcome as u32)),
            since: filter.since,
            until: filter.until,
            nodes: concerned.chain(acting).collect(),
        }
    }
}

/// Closes summaries with a check that only the same era, the same version of this file, the same list of actions and
/// whoever has the secret gives: any other summary is none. A summary that somebody made up would hide events from those
/// who search.
#[derive(Clone)]
pub(super) struct Seal(Context);

/// To be raised whenever a summary, or what an event concerns, comes to mean something else.
const VERSION: &[u8] = b"daypass summary 2";

impl Seal {
    pub(super) fn of(era: Era, secret: &Digest) -> Self {
        let mut begun = Context::new(&SHA256);
        begun.update(secret.as_bytes());
        begun.update(VERSION);
        begun.update(era.to_string().as_bytes());
        for action in ActionKind::ALL {
            begun.update(action.as_str().as_bytes());
            begun.update(b"\n");
        }
        Self(begun)
    }

    fn check(&self, bytes: &[u8]) -> impl Iterator<Item = u8> + use<> {
        let mut hash = self.0.clone();
        hash.update(bytes);
        let hash: Vec<u8> = hash.finish().as_ref().to_vec();
        hash.into_iter().take(CHECK)
    }

    /// The bytes to keep.
    pub(super) fn write(&self, summary: &Summary) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend(summary.bundle.to_be_bytes());
        bytes.extend(summary.earliest.as_millis().to_be_bytes());
        bytes.extend(summary.latest.as_millis().to_be_bytes());
        bytes.extend(summary.actions.to_be_bytes());
        bytes.extend(summary.outcomes.to_be_bytes());
        bytes.extend(summary.events.as_bytes());
        bytes.extend(summary.nodes);
        let check = self.check(&bytes);
        bytes.extend(check);
        bytes
    }

    /// The summary of this bundle, if that is what the bytes are.
    pub(super) fn read(&self, bundle: u64, bytes: &[u8]) -> Option<Summary> {
        let (checked, check) = bytes.split_at_checked(CHECKED)?;
        if check.len() != CHECK || !self.check(checked).eq(check.iter().copied()) {
            return None;
        }
        let mut rest = checked;
        let summary = Summary {
            bundle: u64::from_be_bytes(take(&mut rest)?),
            earliest: Timestamp::from_millis(u64::from_be_bytes(take(&mut rest)?)),
            latest: Timestamp::from_millis(u64::from_be_bytes(take(&mut rest)?)),
            actions: u32::from_be_bytes(take(&mut rest)?),
            outcomes: u32::from_be_bytes(take(&mut rest)?),
            events: Digest::new(take(&mut rest)?),
            nodes: take(&mut rest)?,
        };
        (summary.bundle == bundle).then_some(summary)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
