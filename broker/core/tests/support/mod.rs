//! A small good world, and how to bend it: a vendor under a reseller, one application, its audience, people and keys.
//! [`World::settle`] reads what a rule asks for, as the broker does; [`Case`] is one wish for a credential.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, and each file uses a part of this"
)]

mod objects;

use std::{collections::BTreeMap, sync::Arc};

use daypass_core::{
    Body, Denial, Facts, Life, Node, Shown, Stop, Stored,
    event::{CertificateRecord, Nonce, TokenRecord},
    mint::{CertificateAsk, Terms, TokenAsk, decide_certificate, decide_token},
    node::{
        Application, Audience, Contract, EndedCredential, Enrollment, Identity, Key, KeyPurpose, Person,
        Role, Roster, Tier, Vendor, Verifier,
    },
    text::{PrivateId, TextRef},
};
use daypass_credential::{Digest, Era, Name, NodeId, Revision, Timestamp, Ttl};

pub(crate) use objects::{
    CHAIN, application, audience, bound, caller, caller_person, code, contract, entitlement, identity, key,
    person, rule, shown, vendor, verifier,
};

pub(crate) const ERA: Era = Era::new(7);
/// Not a whole second, so that rounding shows.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000_250);
/// All nodes of the good world are older than this certificate.
pub(crate) const CALLER_REV: u64 = 500;
pub(crate) const BOUND_REV: u64 = 600;

pub(crate) const STANDING: Tier = Tier::Standing;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

pub(crate) fn secs(secs: u32) -> Ttl {
    Ttl::from_secs(secs).unwrap()
}

/// `NOW` and so many milliseconds later, or earlier.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis().checked_add_signed(millis).unwrap())
}

pub(crate) const fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

pub(crate) const fn text(byte: u8) -> TextRef {
    TextRef { id: PrivateId::new([byte; 16]), hash: digest(byte) }
}

/// What the store holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<NodeId, Stored>,
    head: u64,
}

macro_rules! bodies {
    ($($method:ident, $variant:ident, $body:ty;)*) => {
        impl World {
            $(pub(crate) fn $method(&mut self, name: &str) -> &mut $body {
                let node = format!(concat!(stringify!($method), ":{}"), name);
                match &mut self.at(&node).node.body {
                    Body::$variant(body) => body,
                    other => panic!("{other:?}"),
                }
            })*
        }
    };
}

bodies! {
    vendor, Vendor, Vendor;
    contract, Contract, Contract;
    application, Application, Application;
    person, Person, Person;
    audience, Audience, Audience;
    verifier, Verifier, Verifier;
    identity, Identity, Identity;
    key, Key, Key;
    enrollment, Enrollment, Enrollment;
    roster, Roster, Roster;
}

impl World {
    pub(crate) fn good() -> Self {
        let mut world = Self::default();
        for (person_, roles) in [
            ("ada", &[Role::Admin][..]),
            ("aldo", &[Role::Auditor]),
            ("rolf", &[]),
            ("olga", &[]),
            ("bert", &[]),
            ("tina", &[]),
            ("nobody", &[]),
        ] {
            world.open(Body::Person(person(person_, roles)));
            let own = format!("{person_}-1");
            world.open(Body::Identity(identity(&own, &format!("person:{person_}"), 20)));
        }
        world.open(Body::Vendor(vendor("reseller", None, "rolf")));
        world.open(Body::Vendor(vendor("acme", Some("reseller"), "olga")));
        world.open(Body::Contract(contract("reseller-2026", "reseller", None)));
        world.open(Body::Contract(contract("acme-2026", "acme", Some("reseller-2026"))));
        world.open(Body::Audience(audience("billing", "prod")));
        world.open(Body::Audience(audience("lab", "test")));
        world.open(Body::Application(application("sync")));
        world.open(Body::Verifier(verifier("gate", &["billing"])));
        world.open(Body::Identity(identity("sync-1", "application:sync", 10)));
        world.open(Body::Identity(identity("gate-1", "verifier:gate", 30)));
        world.open(Body::Key(key("token-1", KeyPurpose::Token)));
        world.open(Body::Key(key("root-1", KeyPurpose::Identity)));
        world.open(Body::Key(key("ca-1", KeyPurpose::Audience { audience: name("billing") })));
        world
    }

    /// A good world with bodies beside it.
    pub(crate) fn with(bodies: impl IntoIterator<Item = Body>) -> Self {
        let mut world = Self::good();
        bodies.into_iter().for_each(|body| world.open(body));
        world
    }

    pub(crate) fn open(&mut self, body: Body) {
        self.put(Node::open(body));
    }

    pub(crate) fn put(&mut self, node: Node) {
        self.head += 1;
        let cut = self.nodes.get(&node.id()).and_then(|stored| stored.cut);
        self.nodes.insert(node.id(), Stored { revision: Revision::new(self.head), cut, node });
    }

    pub(crate) fn at(&mut self, node: &str) -> &mut Stored {
        self.nodes.get_mut(&id(node)).unwrap_or_else(|| panic!("no {node}"))
    }

    pub(crate) fn remove(&mut self, node: &str) {
        self.nodes.remove(&id(node)).unwrap();
    }

    pub(crate) fn set_life(&mut self, node: &str, life: Life) {
        self.at(node).node.life = life;
    }

    pub(crate) fn cut(&mut self, node: &str, at: u64) {
        self.at(node).cut = Some(Revision::new(at));
    }

    /// The credential of this revision was ended by itself.
    pub(crate) fn end_credential(&mut self, rev: u64) {
        let name = NodeId::credential(Revision::new(rev)).name;
        let body = Body::Credential(EndedCredential { name });
        self.put(Node { life: Life::Ended, body });
    }

    pub(crate) fn read(&self, node: &NodeId) -> Option<Arc<Stored>> {
        self.nodes.get(node).cloned().map(Arc::new)
    }

    /// Decides as the broker does: reads what the rule has to know, until it says yes or no.
    pub(crate) fn settle<T>(&self, rule: impl Fn(&Facts) -> Result<T, Stop>) -> (Result<T, Denial>, Facts) {
        let mut facts = Facts::default();
        for _ in 0..64 {
            match rule(&facts) {
                Ok(yes) => return (Ok(yes), facts),
                Err(Stop::Denied(no)) => return (Err(no), facts),
                Err(Stop::Need(node)) => {
                    assert!(!facts.knows(&node), "asked twice for `{node}`");
                    facts.add(node.clone(), self.read(&node));
                }
            }
        }
        panic!("a rule that never settles");
    }

    pub(crate) fn decide<T>(&self, rule: impl Fn(&Facts) -> Result<T, Stop>) -> Result<T, Denial> {
        self.settle(rule).0
    }
}

/// One wish for a token or a client certificate; as it begins, it is granted.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) caller: Shown,
    pub(crate) bound: Option<Shown>,
    pub(crate) audience: Name,
    pub(crate) scopes: String,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) era: Era,
    pub(crate) max_ttl: Ttl,
    pub(crate) now: Timestamp,
    pub(crate) certificate_key: Digest,
}

impl Case {
    pub(crate) fn good() -> Self {
        Self {
            world: World::good(),
            caller: caller(),
            bound: Some(bound()),
            audience: name("billing"),
            scopes: "read write".to_owned(),
            ttl: None,
            era: ERA,
            max_ttl: Ttl::minutes(60),
            now: NOW,
            certificate_key: digest(12),
        }
    }

    pub(crate) fn token_by(&self, facts: &Facts) -> Result<TokenRecord, Stop> {
        let (scopes, key) = (self.scopes.parse().unwrap(), name("token-1"));
        let ask = TokenAsk {
            audience: &self.audience,
            scopes: &scopes,
            bound_to: self.bound.as_ref(),
            ttl: self.ttl,
        };
        let terms = Terms { era: self.era, key: &key, max_ttl: self.max_ttl };
        decide_token(facts, &self.caller, &ask, &terms, self.now).map(|permit| permit.record().clone())
    }

    pub(crate) fn certificate_by(&self, facts: &Facts) -> Result<CertificateRecord, Stop> {
        let key = name("ca-1");
        let ask = CertificateAsk {
            audience: &self.audience,
            key: self.certificate_key,
            nonce: Nonce([1; 8]),
            ttl: self.ttl,
        };
        let terms = Terms { era: self.era, key: &key, max_ttl: self.max_ttl };
        decide_certificate(facts, &self.caller, &ask, &terms, self.now).map(|permit| permit.record().clone())
    }

    pub(crate) fn token(&self) -> Result<TokenRecord, Denial> {
        self.world.decide(|facts| self.token_by(facts))
    }

    pub(crate) fn certificate(&self) -> Result<CertificateRecord, Denial> {
        self.world.decide(|facts| self.certificate_by(facts))
    }
}
