//! Whatever happens to broker, stream and clocks: the verifier says exactly what plain memory of everything that reached
//! it says, accepts nothing that the broker ended longer ago than the limit, and never takes back a refusal.

use std::collections::{HashMap, HashSet, VecDeque};

use daypass_credential::{Cut, Era, NodeId, Revision, Timestamp};
use daypass_verifier::{Counter, Echo, Event, FeedError, Moment, Part, Refused, SKEW};
use proptest::prelude::*;

use crate::{
    common::NOW,
    model::{Arrived, Broker, Change, Minted, vendor},
    rig::{LIMIT, Rig, place},
};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A token is minted under some of the vendors.
    Mint {
        vendors: Vec<u8>,
        secs: u64,
    },
    /// Vendors are ended by one commit, which may end the token key as well.
    Cut {
        vendors: Vec<u8>,
        key: bool,
    },
    /// A credential is ended by itself: the one so many before the last.
    CutOne(usize),
    /// The broker raises its horizon to its own time.
    Forget,
    /// The token key is replaced; the old one is ended or goes on vouching.
    Rotate {
        end: bool,
    },
    /// A new stream. The broker reads its store this many commits behind, and may insist on a snapshot.
    Connect {
        lag: u64,
        snapshot: bool,
    },
    Disconnect,
    /// The verifier sends a counter.
    Ask,
    /// The broker sends what is new, and echoes the counters that it got.
    Serve,
    /// So many of the events on their way arrive.
    Deliver(usize),
    /// Time passes, also while the machine is suspended.
    Tick(u64),
    /// The verifier's wall clock is set, to so many milliseconds off.
    SetClock(i64),
    /// The store is recovered: another era.
    Recover,
}

fn step() -> impl Strategy<Value = Step> {
    let some = |many| proptest::sample::subsequence(vec![0u8, 1, 2], many);
    prop_oneof![
        8 => (some(1..=3), 1u64..120).prop_map(|(vendors, secs)| Step::Mint { vendors, secs }),
        4 => (some(1..=2), prop::bool::weighted(0.1)).prop_map(|(vendors, key)| Step::Cut { vendors, key }),
        2 => (0usize..4).prop_map(Step::CutOne),
        2 => Just(Step::Forget),
        1 => any::<bool>().prop_map(|end| Step::Rotate { end }),
        5 => (0u64..4, any::<bool>()).prop_map(|(lag, snapshot)| Step::Connect { lag, snapshot }),
        2 => Just(Step::Disconnect),
        8 => Just(Step::Ask),
        10 => Just(Step::Serve),
        10 => (1usize..12).prop_map(Step::Deliver),
        6 => (1u64..20_000).prop_map(Step::Tick),
        1 => prop_oneof![Just(0i64), -100_000i64..100_000].prop_map(Step::SetClock),
        1 => Just(Step::Recover),
    ]
}

struct World {
    boot: u64,
    clock_off: i64,
    broker: Broker,
    minted: Vec<Minted>,
    rig: Rig,
    arrived: Option<Arrived>,
    connected: bool,
    up: VecDeque<Counter>,
    /// Events on their way, each with the names of the keys in it.
    down: VecDeque<(Event, Vec<String>)>,
    sent: HashMap<Counter, Moment>,
    /// The broker's place in its changes, for this stream.
    served: usize,
    /// What arrived of a snapshot that is not whole yet.
    snapshot: Vec<(Part, Vec<String>)>,
}

impl World {
    fn new() -> Self {
        Self {
            boot: 5_000_000,
            clock_off: 0,
            broker: Broker::new(1),
            minted: Vec::new(),
            rig: Rig::new(&["billing"]),
            arrived: None,
            connected: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            sent: HashMap::new(),
            served: 0,
            snapshot: Vec::new(),
        }
    }

    /// The broker's time, in seconds.
    fn secs(&self) -> u64 {
        NOW.as_secs() + self.boot / 1_000
    }

    fn now(&self) -> Moment {
        let true_time = NOW.as_millis() + self.boot;
        Moment { boot: self.boot, wall: Timestamp::from_millis(true_time.strict_add_signed(self.clock_off)) }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Mint { vendors, secs } => self.mint(&vendors, secs),
            Step::Cut { vendors, key } => {
                self.broker.head += 1;
                vendors.into_iter().for_each(|n| self.cut(vendor(n)));
                if key {
                    self.rotate(true);
                }
            }
            Step::CutOne(back) => {
                let ours = self.minted.iter().rev().filter(|minted| minted.era == self.broker.era);
                let node = ours.map(|minted| NodeId::credential(Revision::new(minted.rev))).nth(back);
                if let Some(node) = node {
                    self.broker.head += 1;
                    self.cut(node);
                }
            }
            Step::Forget => self.broker.horizon = self.broker.horizon.max(self.secs()),
            Step::Rotate { end } => {
                self.broker.head += 1;
                self.rotate(end);
            }
            Step::Connect { lag, snapshot } => self.connect(lag, snapshot),
            Step::Disconnect => self.disconnect(),
            Step::Ask => {
                let now = self.now();
                if let Some(counter) = self.rig.feed.ask(now) {
                    self.sent.insert(counter, now);
                    self.up.push_back(counter);
                }
            }
            Step::Serve => self.serve(),
            Step::Deliver(most) => {
                for _ in 0..most.min(self.down.len()) {
                    let (event, keys) = self.down.pop_front().unwrap();
                    self.arrive(event, keys);
                }
            }
            Step::Tick(millis) => self.boot += millis,
            Step::SetClock(off) => self.clock_off = off,
            Step::Recover => self.recover(),
        }
    }

    fn mint(&mut self, vendors: &[u8], secs: u64) {
        let (iat, exp) = (self.secs(), self.secs() + secs);
        let broker = &mut self.broker;
        broker.head += 1;
        let (rev, kid) = (broker.head, broker.keys.last().unwrap().clone());
        let era = Era::new(broker.era);
        let above: Vec<String> = vendors.iter().map(|n| vendor(*n).to_string()).collect();
        let lineage = format!("{} application:sync identity:i1 audience:billing", above.join(" "));
        let claims = format!(
            r#"{{"iss":"https://broker.example","sub":"sync","aud":"billing","exp":{exp},"iat":{iat},"jti":"{era}-{rev}","client_id":"sync","scope":"a","dp_era":"{era}","dp_rev":{rev},"dp_lin":"{lineage}"}}"#
        );
        let itself = NodeId::credential(Revision::new(rev));
        let nodes: HashSet<NodeId> = vendors.iter().map(|n| vendor(*n)).chain([itself]).collect();
        for node in &nodes {
            let latest = broker.latest.entry(node.clone()).or_insert(0);
            *latest = exp.max(*latest);
        }
        let signer = &broker.signers[&kid];
        let text = signer.token(&signer.header(&kid), &claims);
        self.minted.push(Minted {
            text,
            era: broker.era,
            rev,
            exp,
            iat,
            nodes,
            kid,
            ended: None,
            dead: false,
        });
    }

    /// The newest commit cuts this.
    fn cut(&mut self, node: NodeId) {
        let at = self.broker.head;
        let until = self.broker.latest.get(&node).copied().unwrap_or(0);
        // A cut under which nothing live was minted is not sent.
        if until > self.broker.horizon {
            let (at, until) = (Revision::new(at), Timestamp::from_secs(until));
            self.broker.changes.push((at.get(), Change::Cut(Cut { node: node.clone(), at, until })));
        }
        let era = self.broker.era;
        self.end(|minted| minted.era == era && minted.nodes.contains(&node));
    }

    fn rotate(&mut self, end: bool) {
        self.broker.add_key();
        let gone = if end { Some(self.broker.keys.remove(0)) } else { None };
        self.broker.changes.push((self.broker.head, Change::Keys(self.broker.keys.clone())));
        let era = self.broker.era;
        self.end(|minted| minted.era == era && Some(&minted.kid) == gone.as_ref());
    }

    fn recover(&mut self) {
        self.disconnect();
        self.broker = Broker::new(self.broker.era + 1);
        self.end(|_| true);
    }

    /// The broker ends these now, if they were not ended before.
    fn end(&mut self, which: impl Fn(&Minted) -> bool) {
        let now = self.boot;
        self.minted.iter_mut().filter(|minted| which(minted)).for_each(|minted| {
            minted.ended.get_or_insert(now);
        });
    }

    fn connect(&mut self, lag: u64, snapshot: bool) {
        self.disconnect();
        self.connected = true;
        let hello = self.rig.feed.connected();
        let known = hello.known.filter(|(era, _)| *era == Era::new(self.broker.era));
        let known = known.map(|(_, position)| position);
        let from = match known {
            Some(at) if !hello.snapshot && !snapshot => {
                let resumed = Event::Resumed { era: Era::new(self.broker.era), at };
                self.down.push_back((resumed, Vec::new()));
                // Of the place that was named, a part may have come.
                at.revision.get() - 1
            }
            known => {
                let at = self.broker.head.saturating_sub(lag).max(1);
                self.down.extend(self.broker.snapshot(at));
                if known.is_some_and(|known| known.revision.get() > at) {
                    return self.refused_as_older();
                }
                at
            }
        };
        self.served = self.broker.changes.iter().filter(|(rev, _)| *rev <= from).count();
    }

    /// What the broker read lags behind what is known.
    fn refused_as_older(&mut self) {
        let (begin, _) = self.down.pop_front().unwrap();
        assert!(matches!(self.rig.take(begin), Err(FeedError::Older { .. })));
        self.disconnect();
    }

    fn disconnect(&mut self) {
        self.rig.feed.disconnected();
        self.connected = false;
        self.up.clear();
        self.down.clear();
        self.snapshot.clear();
    }

    fn serve(&mut self) {
        if !self.connected {
            return;
        }
        let broker = &self.broker;
        for (rev, change) in &broker.changes[self.served..] {
            self.down.push_back(match change {
                Change::Cut(cut) => (Event::Cut { cut: cut.clone(), leaf: place(*rev).leaf }, Vec::new()),
                Change::Keys(keys) => {
                    (Event::Keys { bundle: broker.bundle(keys), at: place(*rev) }, keys.clone())
                }
            });
        }
        self.served = broker.changes.len();
        let horizon = Event::Horizon(Timestamp::from_secs(broker.horizon));
        self.down.push_back((horizon, Vec::new()));
        let echo = |counter| (Event::Echo(Echo { counter, head: place(broker.head) }), Vec::new());
        self.down.extend(self.up.drain(..).map(echo));
    }

    /// An event arrives: at the verifier, and in plain memory.
    fn arrive(&mut self, event: Event, keys: Vec<String>) {
        self.rig.take(event.clone()).expect("an honest broker");
        match event {
            Event::Part(part) => self.snapshot.push((part, keys)),
            Event::SnapshotEnd { .. } => self.arrive_whole(),
            other => {
                if let Some(arrived) = &mut self.arrived {
                    arrived.take(other.clone(), keys, &self.sent);
                }
                if let Event::Echo(echo) = other {
                    self.check_whole(echo.head.revision.get());
                }
            }
        }
    }

    /// Whoever takes in an echo has all that the broker did up to its head.
    fn check_whole(&self, head: u64) {
        let arrived = self.arrived.as_ref().expect("an echo comes after a snapshot");
        let changes = self.broker.changes.iter().filter(|(rev, _)| *rev <= head);
        let mut keys = None;
        for (rev, change) in changes {
            match change {
                Change::Cut(cut) => {
                    let over = cut.until.as_secs() <= arrived.horizon;
                    assert!(over || arrived.cuts.contains(cut), "the cut at {rev} never came");
                }
                Change::Keys(now) => keys = Some(now),
            }
        }
        assert!(keys.is_none_or(|keys| *keys == arrived.keys), "the keys never came");
    }

    fn arrive_whole(&mut self) {
        let era = self.broker.era;
        let new = || Arrived { era, cuts: Vec::new(), horizon: 0, keys: Vec::new(), proven: None };
        let mut arrived = self.arrived.take().filter(|arrived| arrived.era == era).unwrap_or_else(new);
        for (part, keys) in self.snapshot.drain(..) {
            match part {
                Part::Cuts(cuts) => arrived.cuts.extend(cuts),
                Part::Horizon(horizon) => arrived.horizon = arrived.horizon.max(horizon.as_secs()),
                Part::Keys(_) => arrived.keys = keys,
            }
        }
        self.arrived = Some(arrived);
    }

    /// What plain memory says of a token: is it good, and if not, is it dead for ever.
    fn plain(&self, minted: &Minted) -> (bool, bool) {
        let Some(arrived) = &self.arrived else { return (false, false) };
        let now = self.now();
        let cut = |cut: &Cut| minted.nodes.contains(&cut.node) && cut.at.get() > minted.rev;
        let ours = minted.era == arrived.era;
        let ended = minted.exp <= arrived.horizon || arrived.cuts.iter().any(cut);
        let dead = minted.era < arrived.era || (ours && ended);
        let limit = LIMIT.as_millis();
        let fresh = arrived.proven.is_some_and(|proven| {
            let by_boot = now.boot - proven.boot;
            let by_wall = now.wall.as_millis().saturating_sub(proven.wall.as_millis());
            by_boot < limit && by_wall < limit
        });
        let in_time = minted.exp * 1_000 > now.wall.as_millis()
            && minted.iat * 1_000 <= now.wall.as_millis() + SKEW.as_millis();
        (ours && !dead && fresh && in_time && arrived.keys.contains(&minted.kid), dead)
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let (now, boot, limit) = (self.now(), self.boot, LIMIT.as_millis());
        let verdicts: Vec<_> = self.minted.iter().map(|minted| self.plain(minted)).collect();
        for (minted, (good, dead)) in self.minted.iter_mut().zip(verdicts) {
            let shown = self.rig.show(&minted.text, None, now).map(drop);
            prop_assert_eq!(shown.is_ok(), good, "{} of {}: {:?}", minted.rev, minted.era, shown);
            if shown.is_ok() {
                prop_assert!(!minted.dead, "{} came back to life", minted.rev);
                let late = minted.ended.is_some_and(|ended| boot - ended >= limit);
                prop_assert!(!late, "{} was ended longer ago than the limit", minted.rev);
            }
            minted.dead |= dead || matches!(shown, Err(Refused::Cut { .. } | Refused::BelowHorizon));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verifier_agrees_with_plain_memory_and_never_accepts_what_ended_before_the_limit(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check()?;
        }
    }
}

#[test]
fn a_stream_that_breaks_between_two_cuts_of_a_commit_loses_none() {
    let mut world = World::new();
    let begun = [
        Step::Connect { lag: 0, snapshot: true },
        Step::Deliver(9),
        Step::Mint { vendors: vec![0, 1], secs: 60 },
        Step::Cut { vendors: vec![0, 1], key: true },
        Step::Serve,
    ];
    let goes_on = [Step::Connect { lag: 0, snapshot: false }, Step::Ask, Step::Serve, Step::Deliver(9)];
    // One of them has arrived, or both, or the keys as well.
    for arrived in 1..=3 {
        let steps = begun.iter().cloned().chain([Step::Deliver(arrived)]).chain(goes_on.iter().cloned());
        for step in steps {
            world.step(step);
            world.check().unwrap();
        }
    }
}
