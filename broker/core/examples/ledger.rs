//! What the ledger costs: a million live tokens over a thousand applications, in bytes a credential and events a second,
//! and what an end costs with all of them alive. One line of JSON.
//!
//! `cargo run --release -p daypass-core --example ledger [-- lonely]`; with `lonely` each token rests on a client
//! certificate of its own, which is the dearest there is. Memory is what Linux says of the process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that does not come about has nothing to say"
)]

use std::time::{Duration, Instant};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, Node,
    event::{Bound, CertificateRecord, Nonce, TokenRecord},
    ledger::{Ledger, When},
    node::Vendor,
};
use daypass_credential::{Digest, Era, Name, NodeId, Revision, Timestamp};
use serde_json::json;

const APPLICATIONS: u64 = 1_000;
const TOKENS: u64 = 1_000_000;
/// Seconds that a token lives: 1,000 are minted in each, so that a million are alive.
const LIFE: u64 = 1_000;

fn main() {
    let lonely = std::env::args().any(|argument| argument == "lonely");
    let mut world = World::new(lonely);
    let before = memory();
    (0..TOKENS).for_each(|_| world.mint());
    let filled = (memory() - before, world.rate());
    // Twice the same once more, with as much expiring as is minted.
    let (mut steady, mut forgetting) = (0, Duration::ZERO);
    world.taking = (0, Duration::ZERO);
    for n in 1..=2 * TOKENS {
        world.mint();
        if n % 1_000 == 0 {
            forgetting = forgetting.max(world.forget());
        }
        if n % 100_000 == 0 {
            steady = steady.max(memory() - before);
        }
    }
    let when = When { now: world.now(), revision: world.ledger.head() };
    let all = world.ledger.count(&node("vendor:all"), when).unwrap().all();
    let (counting, _) = timed(|| world.ledger.count(&node("vendor:all"), when).unwrap());
    let (counting_one, _) = timed(|| world.ledger.count(&node("application:a7"), when).unwrap());
    let (listing, listed) =
        timed(|| world.ledger.alive(&node("vendor:all"), when, Revision::ZERO).unwrap().count() as u64);
    assert_eq!(listed, all);
    let (writing, written) = timed(|| serde_json::to_vec(&world.ledger).unwrap());
    let (reading, read) = timed(|| serde_json::from_slice::<Ledger>(&written).unwrap());
    assert_eq!(read.kept().credentials as u64, all + 1, "and the one under another vendor");
    drop(read);
    let kept = world.ledger.kept();
    let (end_all, end_one) = world.ends();
    println!(
        "{}",
        json!({
            "lonely": lonely,
            "live": all,
            "lines": kept.lines,
            "nodes": kept.nodes,
            "bytes_a_credential_filled": filled.0 / world.credentials(TOKENS),
            "bytes_a_credential_steady_peak": steady / all,
            "events_a_second_filling": filled.1 as u64,
            "events_a_second_steady": world.rate() as u64,
            "forget_worst_ms": millis(forgetting),
            "end_of_a_million_us": micros(end_all),
            "end_of_one_us": micros(end_one),
            "count_a_million_ms": millis(counting),
            "count_a_thousand_ms": millis(counting_one),
            "list_a_million_ms": millis(listing),
            "write_ms": millis(writing),
            "written_bytes": written.len(),
            "read_ms": millis(reading),
        })
    );
}

/// A log of mints by applications that take turns; each has a vendor of its own, and all are under one more.
struct World {
    ledger: Ledger,
    lonely: bool,
    minted: u64,
    /// One event for each application, filled in anew each time.
    tokens: Vec<Event>,
    certificates: Vec<Event>,
    /// How many events were followed, in what time.
    taking: (u64, Duration),
}

impl World {
    fn new(lonely: bool) -> Self {
        let action = Action::Initialized {
            era: Era::new(1),
            issuer: "https://broker.example".to_owned(),
            trust_domain: "broker.example".to_owned(),
            previous: None,
        };
        let mut world = Self {
            ledger: Ledger::default(),
            lonely,
            minted: 0,
            tokens: (0..APPLICATIONS).map(|n| event(Action::TokenMinted(token(n)))).collect(),
            certificates: (0..APPLICATIONS)
                .map(|n| event(Action::CertificateMinted(certificate(n))))
                .collect(),
            taking: (0, Duration::ZERO),
        };
        world.ledger.take(Revision::new(1), &event(action)).unwrap();
        world.take(Kind::One);
        world
    }

    const fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.minted / (TOKENS / LIFE))
    }

    /// How many credentials come with so many tokens.
    const fn credentials(&self, tokens: u64) -> u64 {
        if self.lonely { 2 * tokens } else { tokens }
    }

    fn mint(&mut self) {
        let expires = Timestamp::from_secs(self.now().as_secs() + LIFE);
        let n = (self.minted % APPLICATIONS) as usize;
        if self.lonely {
            let Action::CertificateMinted(record) = &mut self.certificates[n].action else { return };
            record.expires = expires;
            self.take(Kind::Certificate(n));
        }
        let own = format!("credential:{}", self.ledger.head());
        let Action::TokenMinted(record) = &mut self.tokens[n].action else { return };
        record.expires = expires;
        if self.lonely {
            let line = lineage(n as u64);
            record.lineage = format!("{line} {own}").parse().unwrap();
        }
        self.take(Kind::Token(n));
        self.minted += 1;
    }

    fn take(&mut self, kind: Kind) {
        let one;
        let event = match kind {
            Kind::Token(n) => &self.tokens[n],
            Kind::Certificate(n) => &self.certificates[n],
            Kind::One => {
                let lineage = "vendor:one application:one".parse().unwrap();
                let expires = Timestamp::from_secs(100 * LIFE);
                one = event(Action::TokenMinted(TokenRecord { lineage, expires, ..token(0) }));
                &one
            }
        };
        let (time, fallen) = timed(|| self.ledger.take(self.ledger.head().next(), event).unwrap());
        assert!(fallen.is_empty());
        self.taking = (self.taking.0 + 1, self.taking.1 + time);
    }

    fn forget(&mut self) -> Duration {
        let now = self.now();
        timed(|| self.ledger.forget(now)).0
    }

    /// What it takes to end the vendor of all, and the vendor of one: medians, in turns, each time on a copy.
    fn ends(&self) -> (Duration, Duration) {
        let mut samples: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..21 {
            for (vendor, times) in ["all", "one"].iter().zip(&mut samples) {
                times.push(end(&mut self.ledger.clone(), vendor));
            }
        }
        let [all, one] = samples.map(|mut times| {
            times.sort();
            times[times.len() / 2]
        });
        (all, one)
    }

    fn rate(&self) -> f64 {
        self.taking.0 as f64 / self.taking.1.as_secs_f64()
    }
}

fn end(ledger: &mut Ledger, vendor: &str) -> Duration {
    let (name, owner) = (name(vendor), name("olga"));
    let body = Body::Vendor(Vendor { name, parent: None, owner });
    let ended = event(Action::Ended { node: node(&format!("vendor:{vendor}")), reason: None });
    let ended = ended.cut(Node { life: Life::Ended, body });
    let revision = ledger.head().next();
    let (time, fallen) = timed(|| ledger.take(revision, &ended).unwrap());
    assert_eq!(fallen.len(), 1);
    time
}

#[derive(Clone, Copy)]
enum Kind {
    Token(usize),
    Certificate(usize),
    One,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn node(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn event(action: Action) -> Event {
    Event::new(Timestamp::ZERO, ChangeId::new([0; 16]), Actor::Broker, action)
}

/// As long as lineages are: what stands above, the instance, what asked, and the audience.
fn lineage(n: u64) -> String {
    format!(
        "vendor:all vendor:v{n} contract:c{n} application:a{n} identity:i{n} credential:{} audience:billing",
        2 + n
    )
}

fn token(n: u64) -> TokenRecord {
    TokenRecord {
        application: name(&format!("a{n}")),
        audience: name("billing"),
        scopes: "read".parse().unwrap(),
        lineage: format!("{} credential:{}", lineage(n), 2_000 + n).parse().unwrap(),
        thumbprint: Some(Digest::new([1; 32])),
        issued: Timestamp::ZERO,
        expires: Timestamp::ZERO,
        bound_by: Bound::Scope,
        key: name("token-1"),
    }
}

fn certificate(n: u64) -> CertificateRecord {
    CertificateRecord {
        subject: node(&format!("application:a{n}")),
        identity: name(&format!("i{n}")),
        audience: Some(name("billing")),
        lineage: lineage(n).parse().unwrap(),
        key: Digest::new([1; 32]),
        nonce: Nonce([1; 8]),
        not_before: Timestamp::ZERO,
        expires: Timestamp::ZERO,
        bound_by: Bound::Scope,
        issuer: name("ca-billing"),
    }
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = run();
    (start.elapsed(), done)
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1_000.0
}

/// The bytes of this process that are in memory now.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}
