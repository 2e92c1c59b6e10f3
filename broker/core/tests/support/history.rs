//! Logs made by the real rules: a broker without a store, that does one thing after another and records each.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use daypass_core::{
    Action, Actor, Body, ChangeId, Denial, Event, Facts, Life, Node, Put, Shown, Stop,
    authority::{may_end, may_open_enrollment, may_write},
    directory::{Write, decide_write},
    ending::{End, decide_end},
    enroll::{EnrollAsk, Outcome, decide_enrollment, decide_renewal},
    event::{CertificateRecord, Method, Nonce, Previous, Reason, Rule, TreeHead},
    forgetting::{Forget, decide_forget},
    mint::{CertificateAsk, Terms, TokenAsk, decide_certificate, decide_token, judge_caller},
    node::{Enrollment, KeyPurpose, Role},
    resuming::{Resume, decide_resume},
};
use daypass_credential::{Digest, Era, Name, NodeId, NodeKind, Revision, Timestamp, Ttl};

use crate::support::{
    ERA, NOW, World, application, audience, contract, digest, id, key, name, person, vendor, verifier,
};

/// A log, and the state that it leaves.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    world: World,
    pub(crate) now: Timestamp,
    /// Identity certificates, by who holds them: the newest of each.
    pub(crate) held: Vec<Shown>,
    /// Client certificates.
    pub(crate) clients: Vec<Shown>,
    /// Open codes and spent ones.
    codes: Vec<Name>,
    keys: u8,
}

impl History {
    /// A log that has just begun: the broker's keys, the admin, and a code for them.
    pub(crate) fn begun() -> Self {
        let mut history = Self {
            events: Vec::new(),
            world: World::default(),
            now: NOW,
            held: Vec::new(),
            clients: Vec::new(),
            codes: vec![name("c0de-ada")],
            keys: 0,
        };
        let code = Enrollment {
            name: name("c0de-ada"),
            subject: id("person:ada"),
            expires: NOW.after(Ttl::days(1)),
            key: Some(digest(1)),
            spent: None,
        };
        let action = Action::Initialized {
            era: ERA,
            issuer: "https://broker.example".into(),
            trust_domain: "broker.example".into(),
            previous: None,
        };
        let puts = [
            Body::Key(key("root-1", KeyPurpose::Identity)),
            Body::Key(key("token-1", KeyPurpose::Token)),
            Body::Key(key("audit-1", KeyPurpose::Audit)),
            Body::Person(person("ada", &[Role::Admin])),
            Body::Enrollment(code),
        ];
        history.record(Actor::Broker, None, action, puts.map(|body| put(Node::open(body), false)).into());
        history
    }

    /// The same of an era that follows another, with vendors that it suspended.
    fn begun_anew() -> Self {
        let mut history = Self::begun();
        let Action::Initialized { previous, .. } = &mut history.events[0].action else { panic!() };
        let head = TreeHead { size: Revision::new(7), root: digest(1) };
        *previous = Some(Previous { era: Era::new(1), head, known: None });
        let suspended = ["old", "older"].map(|vendor_| Body::Vendor(vendor(vendor_, None, "rolf")));
        let puts = suspended.map(|body| put(Node { life: Life::Suspended, body }, false));
        history.record(Actor::Broker, None, Action::CarriedOver, puts.into());
        history
    }

    /// The good directory, written by the admin, with an instance of the application and of its technical owner.
    pub(crate) fn good() -> Self {
        let mut history = Self::begun_anew();
        history.enroll("c0de-ada", 1).unwrap();
        for person_ in ["rolf", "olga", "bert", "tina", "leaver"] {
            history.write(Body::Person(person(person_, &[]))).unwrap();
        }
        for body in [
            Body::Audience(audience("billing", "prod")),
            Body::Vendor(vendor("reseller", None, "rolf")),
            Body::Vendor(vendor("acme", Some("reseller"), "olga")),
            Body::Contract(contract("reseller-2026", "reseller", None)),
            Body::Contract(contract("acme-2026", "acme", Some("reseller-2026"))),
            Body::Application(application("sync")),
            Body::Verifier(verifier("gate", &["billing"])),
        ] {
            history.write(body).unwrap();
        }
        history.enrolled("application:sync");
        history.enrolled("person:tina");
        history
    }

    pub(crate) fn head(&self) -> Revision {
        Revision::new(self.events.len() as u64)
    }

    fn next_id(&self) -> ChangeId {
        ChangeId::new((self.events.len() as u128 + 1).to_be_bytes())
    }

    fn key(&mut self) -> Digest {
        self.keys = self.keys.wrapping_add(1);
        Digest::new([
            self.keys, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
            9, 9,
        ])
    }

    fn record(&mut self, actor: Actor, rule: Option<Rule>, action: Action, puts: Vec<Put>) -> Revision {
        let mut event = Event::new(self.now, self.next_id(), actor, action);
        (event.rule, event.puts) = (rule, puts);
        self.take(event)
    }

    pub(crate) fn take(&mut self, event: Event) -> Revision {
        let revision = self.head().next();
        for put in &event.puts {
            let id = put.node.id();
            let before = self.world.nodes.get(&id).and_then(|stored| stored.cut);
            let cut = if put.cut { Some(revision) } else { before };
            let stored = daypass_core::Stored { revision, cut, node: put.node.clone() };
            self.world.nodes.insert(id, stored);
        }
        self.events.push(event);
        revision
    }

    fn decide<T>(&self, rule: impl Fn(&Facts) -> Result<T, Stop>) -> Result<T, Denial> {
        self.world.decide(rule)
    }

    pub(crate) fn life(&self, node: &str) -> Option<Life> {
        self.world.nodes.get(&id(node)).map(|stored| stored.node.life)
    }

    /// The newest certificate of somebody.
    pub(crate) fn certificate_of(&self, subject: &str) -> Option<Shown> {
        self.held.iter().rev().find(|shown| shown.subject == id(subject)).cloned()
    }

    pub(crate) fn admin(&self) -> Shown {
        self.certificate_of("person:ada").unwrap()
    }

    pub(crate) fn write(&mut self, body: Body) -> Result<Option<Revision>, Denial> {
        let admin = self.admin();
        let (rule, write) = self.decide(|facts| {
            judge_caller(facts, &admin, ERA, self.now)?;
            Ok((may_write(facts, &admin)?, decide_write(facts, &body)?))
        })?;
        let Write::Put { node, new, cut } = write else { return Ok(None) };
        let action = Action::Written { node: node.id() };
        let mut puts = vec![put(*node, cut)];
        if let Body::Audience(audience) = &body
            && new
        {
            let purpose = KeyPurpose::Audience { audience: audience.name.clone() };
            puts.push(put(Node::open(Body::Key(key(&format!("ca-{}", audience.name), purpose))), false));
        }
        Ok(Some(self.record(actor(&admin), Some(rule), action, puts)))
    }

    /// A code for this subject, by the admin.
    pub(crate) fn open(&mut self, subject: &str) -> Result<Name, Denial> {
        let (admin, subject) = (self.admin(), id(subject));
        let rule = self.decide(|facts| {
            judge_caller(facts, &admin, ERA, self.now)?;
            may_open_enrollment(facts, &admin, &subject)
        })?;
        if self.world.nodes.get(&subject).is_none_or(|stored| stored.node.life != Life::Open) {
            return Err(Denial::UnknownNode { node: subject });
        }
        let code = name(&format!("c0de-{}", self.events.len()));
        let enrollment = Enrollment {
            name: code.clone(),
            subject: subject.clone(),
            expires: self.now.after(Ttl::minutes(60)),
            key: None,
            spent: None,
        };
        let puts = vec![put(Node::open(Body::Enrollment(enrollment)), false)];
        self.record(actor(&admin), Some(rule), Action::EnrollmentOpened { subject }, puts);
        self.codes.push(code.clone());
        Ok(code)
    }

    /// Shows a code with a key; an alarm is recorded like anything else.
    pub(crate) fn enroll(&mut self, code: &str, key: u8) -> Result<Revision, Denial> {
        let (code, fresh, root) = (name(code), name(&format!("i{}", self.events.len())), name("root-1"));
        let ask = EnrollAsk { enrollment: &code, key: digest(key), identity: &fresh, nonce: Nonce([1; 8]) };
        let terms = Terms { era: ERA, key: &root, max_ttl: Ttl::days(1) };
        let outcome = self.decide(|facts| decide_enrollment(facts, &ask, &terms, self.now))?;
        self.issue(Actor::Code { enrollment: code }, outcome, Some(Rule::CODE), Action::Enrolled)
    }

    /// Opens a code and spends it.
    pub(crate) fn enrolled(&mut self, subject: &str) -> Revision {
        let code = self.open(subject).unwrap();
        let key = self.key().as_bytes()[0];
        self.enroll(code.as_str(), key.wrapping_add(100)).unwrap()
    }

    pub(crate) fn renew(&mut self, caller: &Shown, key: u8) -> Result<Revision, Denial> {
        let root = name("root-1");
        let terms = Terms { era: ERA, key: &root, max_ttl: Ttl::days(1) };
        let outcome =
            self.decide(|facts| decide_renewal(facts, caller, digest(key), Nonce([2; 8]), &terms, self.now))?;
        self.issue(actor(caller), outcome, None, Action::Renewed)
    }

    fn issue(
        &mut self,
        actor: Actor,
        outcome: Outcome,
        rule: Option<Rule>,
        action: impl Fn(CertificateRecord) -> Action,
    ) -> Result<Revision, Denial> {
        match outcome {
            Outcome::Issue { permit, puts } => {
                let record = permit.record().clone();
                let puts = puts.into_iter().map(|node| put(node, false)).collect();
                let revision = self.record(actor, rule, action(record.clone()), puts);
                self.held.push(shown(&record, revision));
                Ok(revision)
            }
            Outcome::Alarm { suspended, because, .. } => {
                let action = Action::Suspended { node: suspended.id(), because };
                Ok(self.record(actor, None, action, vec![put(suspended, true)]))
            }
        }
    }

    pub(crate) fn certificate(&mut self, caller: &Shown) -> Result<Shown, Denial> {
        let (billing, ca, key) = (name("billing"), name("ca-billing"), self.key());
        let ask = CertificateAsk { audience: &billing, key, nonce: Nonce([3; 8]), ttl: None };
        let terms = Terms { era: ERA, key: &ca, max_ttl: Ttl::minutes(60) };
        let permit = self.decide(|facts| decide_certificate(facts, caller, &ask, &terms, self.now))?;
        let record = permit.record().clone();
        let revision = self.record(actor(caller), None, Action::CertificateMinted(record.clone()), vec![]);
        let shown = shown(&record, revision);
        self.clients.push(shown.clone());
        Ok(shown)
    }

    pub(crate) fn token(
        &mut self,
        caller: &Shown,
        bound: Option<&Shown>,
        scopes: &str,
    ) -> Result<Revision, Denial> {
        let (billing, token_key, scopes) = (name("billing"), name("token-1"), scopes.parse().unwrap());
        let ask = TokenAsk { audience: &billing, scopes: &scopes, bound_to: bound, ttl: None };
        let terms = Terms { era: ERA, key: &token_key, max_ttl: Ttl::minutes(60) };
        let permit = self.decide(|facts| decide_token(facts, caller, &ask, &terms, self.now))?;
        Ok(self.record(actor(caller), None, Action::TokenMinted(permit.record().clone()), vec![]))
    }

    pub(crate) fn end(
        &mut self,
        caller: &Shown,
        node: &str,
        subject: Option<&NodeId>,
    ) -> Result<Option<Revision>, Denial> {
        let node = id(node);
        let (right, end) = self.decide(|facts| {
            judge_caller(facts, caller, ERA, self.now)?;
            Ok((may_end(facts, caller, &node, subject)?, decide_end(facts, &node)?))
        })?;
        let End::Cut(ended) = end else { return Ok(None) };
        let action = Action::Ended { node, reason: None };
        Ok(Some(self.record(actor(caller), Some(right.rule()), action, vec![put(*ended, true)])))
    }

    pub(crate) fn forget(&mut self, person: &str) -> Result<Option<Revision>, Denial> {
        let (admin, texts) = (self.admin(), vec![daypass_core::PrivateId::new([2; 16])]);
        let erase = self.decide(|facts| {
            judge_caller(facts, &admin, ERA, self.now)?;
            Ok((may_write(facts, &admin)?, decide_forget(facts, &name(person), &texts)?))
        })?;
        let (rule, Forget::Erase { node, texts }) = erase else { return Ok(None) };
        let action = Action::Forgotten { node: node.id(), erased: texts };
        Ok(Some(self.record(actor(&admin), Some(rule), action, vec![put(*node, false)])))
    }

    /// The admin resumes what was suspended.
    pub(crate) fn resume(&mut self, node: &str) -> Option<Revision> {
        let admin = self.admin();
        let judged = self.decide(|facts| {
            judge_caller(facts, &admin, ERA, self.now)?;
            Ok((may_write(facts, &admin)?, decide_resume(facts, &id(node))?))
        });
        let (rule, Resume::Open(open)) = judged.ok()? else { return None };
        let action = Action::Resumed { node: id(node) };
        Some(self.record(actor(&admin), Some(rule), action, vec![put(*open, false)]))
    }

    /// Somebody is refused something.
    pub(crate) fn refuse(&mut self, caller: &Shown, about: Option<&str>) -> Revision {
        let (method, reason) =
            (Method::new("CredentialService/MintToken"), Reason::new("scope-not-entitled"));
        let about = about.map(id);
        self.record(actor(caller), None, Action::Refused { method, reason, about }, vec![])
    }

    pub(crate) fn count_strangers(&mut self) -> Revision {
        let (method, reason) = (Method::new("EnrollmentService/Enroll"), Reason::new("code-unknown"));
        self.record(Actor::Stranger, None, Action::RefusalsCounted { method, reason, count: 7 }, vec![])
    }

    /// The broker closes the receipt of a vendor that was ended.
    pub(crate) fn close_receipt(&mut self, vendor: &str, ended: Revision) -> Revision {
        let (statement, list) = (digest(1), digest(2));
        let action = Action::ReceiptClosed { node: id(vendor), ended, statement, list, credentials: 5 };
        self.record(Actor::Broker, None, action, vec![])
    }

    pub(crate) fn accept_clock(&mut self, now: Timestamp) -> Revision {
        let action = Action::ClockAccepted { previous: self.events.last().unwrap().at };
        self.now = now;
        self.record(Actor::Broker, None, action, vec![])
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + millis);
    }

    /// The identities that there are.
    pub(crate) fn identities(&self) -> Vec<NodeId> {
        self.world.nodes.keys().filter(|node| node.kind == NodeKind::Identity).cloned().collect()
    }

    pub(crate) fn codes(&self) -> &[Name] {
        &self.codes
    }
}

pub(crate) fn put(node: Node, cut: bool) -> Put {
    Put { node, cut }
}

fn actor(shown: &Shown) -> Actor {
    Actor::Caller { subject: shown.subject.clone(), identity: shown.identity.clone(), credential: shown.rev }
}

fn shown(record: &CertificateRecord, rev: Revision) -> Shown {
    Shown {
        era: ERA,
        rev,
        lineage: record.lineage.clone(),
        subject: record.subject.clone(),
        identity: record.identity.clone(),
        audience: record.audience.clone(),
        key: record.key,
        thumbprint: record.key,
        not_before: record.not_before,
        expires: record.expires,
    }
}
