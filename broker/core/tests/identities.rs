//! Instances over time, in any order of enrolling, renewing, losing answers, ending and waiting: a code leads to one
//! key, a certificate is followed by one, no more than the cap are alive, and what is suspended or over gets nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use daypass_core::{
    Body, Denial, Facts, Life, Node, Shown, Stop,
    enroll::{EnrollAsk, Outcome, decide_enrollment, decide_renewal},
    event::{CertificateRecord, Nonce},
    mint::Terms,
};
use daypass_credential::{Digest, Name, Revision, Timestamp};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use support::{ERA, NOW, World, at, code, digest, id, name, secs};

/// Something that can happen. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Enroll { code: u8, key: u8 },
    Renew { certificate: usize, key: NextKey },
    End(usize),
    Wait(u32),
}

/// The key that a renewal asks for.
#[derive(Debug, Clone, Copy)]
enum NextKey {
    Fresh,
    Own,
    /// What its identity holds now: a lost answer, or somebody who watched.
    Current,
    Previous,
}

fn step() -> impl Strategy<Value = Step> {
    let next = prop_oneof![
        3 => Just(NextKey::Fresh),
        1 => Just(NextKey::Own),
        3 => Just(NextKey::Current),
        1 => Just(NextKey::Previous),
    ];
    prop_oneof![
        3 => (0u8..5, 0u8..6).prop_map(|(code, key)| Step::Enroll { code, key }),
        3 => (0usize..8, next).prop_map(|(certificate, key)| Step::Renew { certificate, key }),
        1 => (0usize..4).prop_map(Step::End),
        1 => (1u32..60).prop_map(Step::Wait),
    ]
}

/// Certificates live for a minute, codes for five.
const CERTIFICATE: u32 = 60;

struct Broker {
    world: World,
    now: Timestamp,
    revision: u64,
    drawn: u8,
    certificates: Vec<Shown>,
    identities: Vec<Name>,
    of_code: BTreeMap<u8, BTreeSet<Digest>>,
    after: BTreeMap<Revision, BTreeSet<Digest>>,
}

impl Broker {
    fn new() -> Self {
        let mut world = World::with((0..5).map(|n| {
            let mut code = code(&format!("code{n}"), "application:sync");
            code.expires = at(300_000);
            Body::Enrollment(code)
        }));
        // Its instances are those that enrol here.
        world.remove("identity:sync-1");
        Self {
            world,
            now: NOW,
            revision: 1_000,
            drawn: 100,
            certificates: Vec::new(),
            identities: Vec::new(),
            of_code: BTreeMap::new(),
            after: BTreeMap::new(),
        }
    }

    fn decide(&self, rule: impl Fn(&Facts, &Terms<'_>) -> Result<Outcome, Stop>) -> Result<Outcome, Denial> {
        let issuer = name("root-1");
        let terms = Terms { era: ERA, key: &issuer, max_ttl: secs(CERTIFICATE) };
        self.world.decide(|facts| rule(facts, &terms))
    }

    fn fresh(&mut self) -> Digest {
        self.drawn += 1;
        digest(self.drawn)
    }

    /// Commits the outcome; a certificate that was issued is shown from then on.
    fn commit(&mut self, outcome: Result<Outcome, Denial>) -> Option<CertificateRecord> {
        self.revision += 1;
        match outcome {
            Ok(Outcome::Issue { permit, puts }) => {
                puts.into_iter().for_each(|node| self.world.put(node));
                let record = permit.record().clone();
                self.certificates.push(Shown {
                    era: ERA,
                    rev: Revision::new(self.revision),
                    lineage: record.lineage.clone(),
                    subject: record.subject.clone(),
                    identity: record.identity.clone(),
                    audience: None,
                    key: record.key,
                    thumbprint: record.key,
                    not_before: record.not_before,
                    expires: record.expires,
                });
                if !self.identities.contains(&record.identity) {
                    self.identities.push(record.identity.clone());
                }
                Some(record)
            }
            Ok(Outcome::Alarm { suspended, .. }) => {
                self.close(suspended);
                None
            }
            Err(_) => None,
        }
    }

    fn close(&mut self, node: Node) {
        let (id, revision) = (node.id().to_string(), self.revision);
        self.world.put(node);
        self.world.cut(&id, revision);
    }

    fn step(&mut self, step: Step) -> Result<bool, TestCaseError> {
        match step {
            Step::Wait(by) => self.now = self.now.after(secs(by)),
            Step::End(n) => {
                if let Some(identity) = self.identities.get(n).cloned() {
                    self.revision += 1;
                    let node = self.world.at(&format!("identity:{identity}")).node.with_life(Life::Ended);
                    self.close(node);
                }
            }
            Step::Enroll { code, key } => {
                let (enrollment, identity) =
                    (name(&format!("code{code}")), name(&format!("i{}", self.revision)));
                let ask = EnrollAsk {
                    enrollment: &enrollment,
                    key: digest(key),
                    identity: &identity,
                    nonce: Nonce([2; 8]),
                };
                let outcome = self.decide(|facts, terms| decide_enrollment(facts, &ask, terms, self.now));
                if let Some(record) = self.commit(outcome) {
                    prop_assert!(self.now < at(300_000), "an expired code");
                    self.issued(&record)?;
                    self.of_code.entry(code).or_default().insert(record.key);
                    return Ok(true);
                }
            }
            Step::Renew { certificate, key } => return self.renew(certificate, key),
        }
        Ok(false)
    }

    fn renew(&mut self, certificate: usize, key: NextKey) -> Result<bool, TestCaseError> {
        let Some(caller) = self.certificates.get(certificate).cloned() else {
            return Ok(false);
        };
        let holds = self.world.identity(caller.identity.as_str()).clone();
        let key = match key {
            NextKey::Fresh => self.fresh(),
            NextKey::Own => caller.key,
            NextKey::Current => holds.key,
            NextKey::Previous => holds.previous.unwrap_or(caller.key),
        };
        let nonce = Nonce([3; 8]);
        let outcome = self.decide(|facts, terms| decide_renewal(facts, &caller, key, nonce, terms, self.now));
        let Some(record) = self.commit(outcome) else {
            return Ok(false);
        };
        prop_assert!(self.now < caller.expires, "an expired certificate");
        prop_assert_eq!(&record.identity, &caller.identity);
        prop_assert!(record.key != caller.key, "the same key again");
        self.issued(&record)?;
        self.after.entry(caller.rev).or_default().insert(record.key);
        Ok(true)
    }

    /// What holds of every certificate at the instant when it is issued.
    fn issued(&mut self, record: &CertificateRecord) -> Result<(), TestCaseError> {
        let stored = self.world.at(&format!("identity:{}", record.identity));
        prop_assert_eq!(stored.node.life, Life::Open);
        let Body::Identity(identity) = &stored.node.body else { panic!("{stored:?}") };
        prop_assert_eq!(identity.key, record.key);
        prop_assert!(record.expires <= identity.until && self.now < record.expires);
        prop_assert!(record.expires <= self.now.after(secs(CERTIFICATE)));
        let itself = id(&format!("identity:{}", record.identity));
        prop_assert!(record.lineage.contains(&itself));
        Ok(())
    }

    /// What holds at any time.
    fn invariants(&self) -> Result<(), TestCaseError> {
        let mut keys = BTreeSet::new();
        let mut live = 0;
        for stored in self.world.nodes.values() {
            if let Body::Identity(identity) = &stored.node.body
                && identity.subject == id("application:sync")
                && stored.node.life != Life::Ended
                && identity.until > self.now
            {
                live += 1;
                keys.insert(identity.key);
            }
        }
        prop_assert!(live <= 2, "{live} instances with a cap of 2");
        prop_assert_eq!(keys.len(), live, "two instances share a key");
        for (code, keys) in &self.of_code {
            prop_assert!(keys.len() <= 1, "code {code} led to {keys:?}");
        }
        for (certificate, keys) in &self.after {
            prop_assert!(keys.len() <= 1, "certificate {certificate} was followed by {keys:?}");
        }
        Ok(())
    }
}

#[test]
fn a_code_leads_to_one_key_and_a_certificate_is_followed_by_one() {
    let issued = Cell::new(0u32);
    let config = Config { failure_persistence: None, ..Config::with_cases(1_500) };
    let steps = proptest::collection::vec(step(), 1..50);
    let result = TestRunner::new(config).run(&steps, |steps| {
        let mut broker = Broker::new();
        for step in steps {
            let yes = broker.step(step)?;
            issued.set(issued.get() + u32::from(yes));
            broker.invariants()?;
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(issued.get() > 1_500, "only {} certificates", issued.get());
}
