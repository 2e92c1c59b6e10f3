//! What the store's writers commit, and whether a store still holds it. Each change follows from its writer and number
//! alone, so that what is found can be compared byte by byte.

use std::collections::{BTreeMap, HashMap};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Node, PrivateId,
    node::{Life, Vendor, Verifier},
};
use daypass_credential::{Revision, Timestamp};
use daypass_store::{Change, Lane, Store};
use zeroize::Zeroizing;

use crate::{powerfs::Random, support::name};

/// A writer and the number of one of its changes.
pub(crate) type Slot = (u64, u64);

/// What was said to be durable, in the life of one store.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Under which revision each change was acknowledged.
    acked: BTreeMap<Slot, Revision>,
    /// The newest revision that a reader saw.
    seen: Revision,
}

/// What a store holds of it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Acknowledged or seen, and not there.
    pub(crate) lost: usize,
    /// There, and not what was written.
    pub(crate) wrong: Vec<String>,
}

/// The change of this slot, and its lane.
pub(crate) fn change((writer, number): Slot) -> (Change, Lane) {
    let mut random = Random::new(writer.wrapping_mul(0x1_0001).wrapping_add(number));
    let called = |number: u64| name(&format!("w{writer}-{number}"));
    let vendor =
        |number| Node::open(Body::Vendor(Vendor { name: called(number), parent: None, owner: name("rita") }));
    let id = ChangeId::new((u128::from(writer) << 64 | u128::from(number)).to_be_bytes());
    let event = |action| Event::new(Timestamp::from_secs(1_000_000), id, Actor::Broker, action);
    let (event, lane) = match number % 8 {
        // The vendor before it ends.
        7 => {
            let ended = vendor(number - 1).with_life(Life::Ended);
            (event(Action::Ended { node: ended.id(), reason: None }).cut(ended), Lane::End)
        }
        // Nearly as long as an event may be.
        3 => {
            let audiences =
                (0..random.between(1, 60)).map(|n| name(&format!("{n}-{}", "long".repeat(8)))).collect();
            let node = Node::open(Body::Verifier(Verifier { name: called(number), audiences }));
            (event(Action::Written { node: node.id() }).put([node]), Lane::Normal)
        }
        _ => {
            let node = vendor(number);
            (event(Action::Written { node: node.id() }).put([node]), Lane::Normal)
        }
    };
    let private = private((writer, number)).into_iter().collect();
    (Change { event, expect: Vec::new(), private }, lane)
}

/// The private value that lies beside a change, if one does.
fn private((writer, number): Slot) -> Option<(PrivateId, Zeroizing<Vec<u8>>)> {
    let mut random = Random::new(writer ^ number.rotate_left(32));
    let bytes = match random.between(0, 20) {
        0 => random.between(4_000, 8_192),
        1..=5 => random.between(1, 600),
        _ => return None,
    };
    let value: Vec<u8> = std::iter::repeat_with(|| random.next().to_le_bytes()[0])
        .take(usize::try_from(bytes).unwrap())
        .collect();
    let id = PrivateId::new((u128::from(number) << 64 | u128::from(writer)).to_be_bytes());
    Some((id, Zeroizing::new(value)))
}

impl Ledger {
    /// Takes down a line that a writer said; see `writer`. True if the line said that the store is open.
    pub(crate) fn note(&mut self, line: &str) -> bool {
        let mut words = line.split(' ');
        let said = words.next();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        match said {
            Some("open") => return true,
            Some("seen") => self.seen = self.seen.max(Revision::new(number())),
            Some("ack") => {
                let slot = (number(), number());
                self.acked.insert(slot, Revision::new(number()));
            }
            _ => {}
        }
        false
    }

    pub(crate) fn acked(&self) -> usize {
        self.acked.len()
    }

    /// Compares all of it with the store.
    pub(crate) async fn compare(&self, store: &dyn Store) -> Verdict {
        let mut verdict = Verdict::default();
        let found = self.read(store, &mut verdict).await;
        let head = store.head().borrow().revision;
        let unseen = self.seen.get().saturating_sub(head.get());
        let missing = self.acked.iter().filter(|(slot, revision)| found.get(slot) != Some(revision)).count();
        verdict.lost = missing.max(usize::try_from(unseen).unwrap());
        self.in_flight(&found, &mut verdict);
        for slot in found.keys() {
            if let Some((id, value)) = private(*slot)
                && store.private(id).await.unwrap().as_ref() != Some(&value)
            {
                verdict.wrong.push(format!("the private value of {slot:?}"));
            }
        }
        verdict
    }

    /// Every change in the log, each compared with what it was.
    async fn read(&self, store: &dyn Store, verdict: &mut Verdict) -> HashMap<Slot, Revision> {
        let (mut found, mut after) = (HashMap::new(), Revision::ZERO);
        loop {
            let entries = store.log(after, 4096).await.unwrap();
            let Some(last) = entries.last() else { return found };
            after = last.revision;
            for entry in entries {
                let event = Event::from_bytes(&entry.event).unwrap();
                let id = u128::from_be_bytes(*event.id.as_bytes());
                let slot =
                    (u64::try_from(id >> 64).unwrap(), u64::try_from(id & u128::from(u64::MAX)).unwrap());
                let known = change(slot).0.event.to_bytes().unwrap();
                if entry.event != known || found.insert(slot, entry.revision).is_some() {
                    verdict.wrong.push(format!("revision {} of {slot:?}", entry.revision));
                }
            }
        }
    }

    /// A writer waits for each change before it makes the next: of those not acknowledged, one each may be there.
    fn in_flight(&self, found: &HashMap<Slot, Revision>, verdict: &mut Verdict) {
        let mut beyond: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (writer, number) in found.keys().filter(|slot| !self.acked.contains_key(slot)) {
            beyond.entry(*writer).or_default().push(*number);
        }
        for (writer, numbers) in beyond {
            let acked = self.acked.range((writer, 0)..=(writer, u64::MAX)).next_back();
            let next = acked.map_or(0, |((_, number), _)| number + 1);
            if numbers != [next] {
                verdict
                    .wrong
                    .push(format!("writer {writer} has {numbers:?}, and was acknowledged up to {next}"));
            }
        }
    }
}

/// The names of the writers of a round.
pub(crate) fn writers(round: u64) -> impl Iterator<Item = u64> {
    (0..WRITERS).map(move |writer| round * WRITERS + writer)
}

/// How many write at once.
pub(crate) const WRITERS: u64 = 8;
