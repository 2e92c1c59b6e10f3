//! A broker and what reached a verifier, by plain memory of everything: slow, and nothing shared with the code under test.

use std::collections::{HashMap, HashSet};

use daypass_credential::{Cut, Era, NodeId, Timestamp};
use daypass_verifier::{Algorithm, Bundle, Counter, Echo, Event, Moment, Part, Published};

use crate::{
    common::realm,
    forge::{Signer, audience},
    rig::place,
};

/// A token, and what became of it.
pub(crate) struct Minted {
    pub(crate) text: String,
    pub(crate) era: u64,
    pub(crate) rev: u64,
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    pub(crate) nodes: HashSet<NodeId>,
    pub(crate) kid: String,
    /// When the broker ended something that it rests on, or its key, or its era.
    pub(crate) ended: Option<u64>,
    /// It was refused for something that does not pass.
    pub(crate) dead: bool,
}

#[derive(Clone)]
pub(crate) enum Change {
    Cut(Cut),
    Keys(Vec<String>),
}

/// The broker, by plain memory of everything. Its eras are counted.
pub(crate) struct Broker {
    pub(crate) era: u64,
    pub(crate) head: u64,
    pub(crate) horizon: u64,
    pub(crate) changes: Vec<(u64, Change)>,
    pub(crate) signers: HashMap<String, Signer>,
    /// The keys in use, the signing one last.
    pub(crate) keys: Vec<String>,
    /// The latest expiry issued under each node.
    pub(crate) latest: HashMap<NodeId, u64>,
}

/// What reached the verifier, by plain memory of everything.
pub(crate) struct Arrived {
    pub(crate) era: u64,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) horizon: u64,
    pub(crate) keys: Vec<String>,
    /// When the newest counter was sent that was echoed.
    pub(crate) proven: Option<Moment>,
}

pub(crate) fn vendor(n: u8) -> NodeId {
    format!("vendor:v{n}").parse().unwrap()
}

impl Broker {
    pub(crate) fn new(era: u64) -> Self {
        let mut broker = Self {
            era,
            head: 1,
            horizon: 0,
            changes: Vec::new(),
            signers: HashMap::new(),
            keys: Vec::new(),
            latest: HashMap::new(),
        };
        broker.add_key();
        broker
    }

    pub(crate) fn add_key(&mut self) {
        let kid = format!("k{}", self.signers.len());
        self.signers.insert(kid.clone(), Signer::new(Algorithm::EdDsa));
        self.keys.push(kid);
    }

    pub(crate) fn bundle(&self, keys: &[String]) -> Bundle {
        let published = Published {
            era: Era::new(self.era),
            issuer: realm().issuer,
            domain: realm().domain,
            tokens: keys.iter().map(|kid| self.signers[kid].published(kid)).collect(),
            audiences: vec![audience("billing")],
            log_keys: Vec::new(),
        };
        Bundle::open(published).unwrap()
    }

    /// The state at a revision: the cuts that still matter, and the keys.
    pub(crate) fn snapshot(&self, at: u64) -> Vec<(Event, Vec<String>)> {
        let before = || self.changes.iter().filter(|(rev, _)| *rev <= at);
        let cuts = before().filter_map(|(_, change)| match change {
            Change::Cut(cut) if cut.until > Timestamp::from_secs(self.horizon) => Some(cut.clone()),
            Change::Cut(_) | Change::Keys(_) => None,
        });
        let cuts: Vec<Cut> = cuts.collect();
        let keys = before().rev().find_map(|(_, change)| match change {
            Change::Keys(keys) => Some(keys.clone()),
            Change::Cut(_) => None,
        });
        let keys = keys.unwrap_or_else(|| vec!["k0".to_owned()]);
        let count = cuts.len() as u64;
        let plain = |event| (event, Vec::new());
        vec![
            plain(Event::SnapshotBegin { era: Era::new(self.era), at: place(at) }),
            plain(Event::Part(Part::Cuts(cuts))),
            plain(Event::Part(Part::Horizon(Timestamp::from_secs(self.horizon)))),
            (Event::Part(Part::Keys(self.bundle(&keys))), keys),
            plain(Event::SnapshotEnd { cuts: count }),
        ]
    }
}

impl Arrived {
    pub(crate) fn take(&mut self, event: Event, keys: Vec<String>, sent: &HashMap<Counter, Moment>) {
        match event {
            Event::Cut { cut, .. } => self.cuts.push(cut),
            Event::Horizon(horizon) => self.horizon = self.horizon.max(horizon.as_secs()),
            Event::Keys { .. } => self.keys = keys,
            Event::Echo(Echo { counter, .. }) => {
                let sent = sent[&counter];
                let newer = self.proven.is_none_or(|proven| sent.boot >= proven.boot);
                self.proven = if newer { Some(sent) } else { self.proven };
            }
            _ => {}
        }
    }
}
