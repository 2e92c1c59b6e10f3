//! Events: they read back as written, their bytes do not drift, and the largest that rules allow can be stored.
//! `DAYPASS_BLESS=1` writes the golden file anew: only for a new action, for a new field that may be missing (with a test
//! that it may), or together with a new schema version.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{collections::BTreeSet, env, fs, path::Path};

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, Node, PrivateId,
    event::{
        Bound, CertificateRecord, MAX_EVENT, Method, Nonce, Previous, Reason, Rule, SCHEMA, Suspicion,
        TokenRecord, TreeHead,
    },
    forgetting::MAX_ERASED,
    node::{EndedCredential, Enrollment, Identity, KeyPurpose, Person, Roster, Spent},
};
use daypass_credential::{Era, NodeKind, Revision, Timestamp};
use support::{
    ERA, NOW, application, at, audience, bound, caller, code, contract, digest, id, identity, key, name,
    person, text, vendor, verifier,
};

fn certificate(audience: Option<&str>) -> CertificateRecord {
    CertificateRecord {
        subject: id("application:sync"),
        identity: name("sync-1"),
        audience: audience.map(name),
        lineage: if audience.is_some() { bound().lineage } else { caller().lineage },
        key: digest(12),
        nonce: Nonce([0, 0, 0, 0, 0, 0, 1, 255]),
        not_before: NOW.floor_secs(),
        expires: at(900_000).floor_secs(),
        bound_by: Bound::Scope,
        issuer: name("ca-1"),
    }
}

fn token() -> TokenRecord {
    TokenRecord {
        application: name("sync"),
        audience: name("billing"),
        scopes: "read write".parse().unwrap(),
        lineage: bound().lineage,
        thumbprint: Some(digest(11)),
        issued: NOW,
        expires: at(900_000).floor_secs(),
        bound_by: Bound::Parent,
        key: name("token-1"),
    }
}

fn spent() -> Enrollment {
    Enrollment {
        key: Some(digest(10)),
        spent: Some(Spent { identity: name("sync-1"), key: digest(10) }),
        ..code("c0de", "application:sync")
    }
}

fn with_id(n: u8, actor: Actor, action: Action) -> Event {
    Event::new(at(i64::from(n)), ChangeId::new([n; 16]), actor, action)
}

/// One event of each action; between them every kind of node and of actor.
fn events() -> Vec<Event> {
    let broker = || Actor::Broker;
    let admin = || Actor::Caller {
        subject: id("person:ada"),
        identity: name("ada-1"),
        credential: Revision::new(500),
    };
    let sync = || Actor::Caller {
        subject: id("application:sync"),
        identity: name("sync-1"),
        credential: Revision::new(9),
    };
    let roster =
        Roster { name: name("a.sync"), subject: id("application:sync"), identities: vec![name("sync-1")] };
    let renewed = Identity {
        key: digest(12),
        previous: Some(digest(10)),
        asked_by: Some(Revision::new(7)),
        ..identity("sync-1", "application:sync", 12)
    };
    let (method, reason) = (|| Method::new("CredentialService/MintToken"), Reason::new);
    let started = Action::Initialized {
        era: ERA,
        issuer: "https://broker.example".into(),
        trust_domain: "broker.example".into(),
        previous: None,
    };
    let again = Action::Initialized {
        era: ERA,
        issuer: "https://broker.example".into(),
        trust_domain: "broker.example".into(),
        previous: Some(Previous {
            era: Era::new(1),
            head: TreeHead { size: Revision::new(700), root: digest(41) },
            known: Some(TreeHead { size: Revision::new(900), root: digest(42) }),
        }),
    };
    let mut allowed = with_id(18, sync(), Action::Ended { node: id("credential:8"), reason: None });
    (allowed.behalf, allowed.rule) = (Some(id("vendor:acme")), Some(Rule::OWN_CREDENTIAL));
    let gone = Person { forgotten: true, ..person("ada", &[]) };
    let erased = vec![PrivateId::new([2; 16]), PrivateId::new([4; 16])];
    let forgotten = with_id(17, admin(), Action::Forgotten { node: id("person:ada"), erased })
        .put([Node { life: Life::Ended, body: Body::Person(gone) }]);
    let refused = |about| Action::Refused { method: method(), reason: reason("scope-not-entitled"), about };
    let suspended =
        Node { life: Life::Suspended, body: Body::Identity(identity("sync-1", "application:sync", 10)) };
    let ended = |body| Node { life: Life::Ended, body };
    let written = |n, body: Body| {
        let node = Node::open(body);
        with_id(n, admin(), Action::Written { node: node.id() })
    };
    let mut narrowed = written(3, Body::Application(application("sync")));
    narrowed = narrowed.cut(Node::open(Body::Application(application("sync"))));
    narrowed.request = Some(digest(40));
    vec![
        with_id(1, broker(), started).put(
            [
                Body::Key(key("root-1", KeyPurpose::Identity)),
                Body::Key(key("ca-1", KeyPurpose::Audience { audience: name("billing") })),
                Body::Key(key("token-1", KeyPurpose::Token)),
                Body::Key(key("audit-1", KeyPurpose::Audit)),
                Body::Person(person("ada", &[daypass_core::node::Role::Admin])),
            ]
            .map(Node::open),
        ),
        written(2, Body::Vendor(vendor("acme", Some("reseller"), "olga"))).put(
            [
                Body::Vendor(vendor("acme", Some("reseller"), "olga")),
                Body::Contract(contract("acme-2026", "acme", Some("reseller-2026"))),
                Body::Audience(audience("billing", "prod")),
                Body::Verifier(verifier("gate", &["billing", "lab"])),
            ]
            .map(Node::open),
        ),
        narrowed,
        with_id(4, admin(), Action::EnrollmentOpened { subject: id("application:sync") })
            .put([Node::open(Body::Enrollment(code("c0de", "application:sync")))]),
        with_id(5, Actor::Code { enrollment: name("c0de") }, Action::Enrolled(certificate(None))).put(
            [
                Body::Enrollment(spent()),
                Body::Identity(identity("sync-1", "application:sync", 10)),
                Body::Roster(roster),
            ]
            .map(Node::open),
        ),
        with_id(6, sync(), Action::Renewed(certificate(None))).put([Node::open(Body::Identity(renewed))]),
        with_id(7, sync(), Action::CertificateMinted(certificate(Some("billing")))),
        with_id(8, sync(), Action::TokenMinted(token())),
        with_id(9, admin(), Action::Ended { node: id("credential:8"), reason: Some(text(4)) })
            .cut(ended(Body::Credential(EndedCredential { name: name("8") }))),
        with_id(10, sync(), Action::Suspended { node: suspended.id(), because: Suspicion::RenewedTwice })
            .cut(suspended),
        with_id(11, sync(), refused(None)),
        with_id(
            12,
            Actor::Stranger,
            Action::RefusalsCounted { method: method(), reason: reason("no-certificate"), count: u64::MAX },
        ),
        with_id(13, broker(), Action::ClockAccepted { previous: Timestamp::from_millis(u64::MAX) }),
        with_id(14, broker(), again),
        with_id(15, broker(), Action::CarriedOver)
            .put([Node { life: Life::Suspended, body: Body::Vendor(vendor("acme", None, "olga")) }]),
        with_id(16, admin(), Action::Resumed { node: id("vendor:acme") })
            .put([Node::open(Body::Vendor(vendor("acme", None, "olga")))]),
        forgotten,
        allowed,
        with_id(19, sync(), refused(Some(id("audience:billing")))),
        with_id(
            20,
            broker(),
            Action::ReceiptClosed {
                node: id("vendor:acme"),
                ended: Revision::new(17),
                statement: digest(1),
                list: digest(2),
                credentials: 3,
            },
        ),
    ]
}

/// A new action breaks this, and has to be given an event above.
fn number(action: &Action) -> usize {
    match action {
        Action::Initialized { .. } => 0,
        Action::Written { .. } => 1,
        Action::EnrollmentOpened { .. } => 2,
        Action::Enrolled(_) => 3,
        Action::Renewed(_) => 4,
        Action::CertificateMinted(_) => 5,
        Action::TokenMinted(_) => 6,
        Action::Ended { .. } => 7,
        Action::Suspended { .. } => 8,
        Action::Refused { .. } => 9,
        Action::RefusalsCounted { .. } => 10,
        Action::ClockAccepted { .. } => 11,
        Action::CarriedOver => 12,
        Action::Resumed { .. } => 13,
        Action::Forgotten { .. } => 14,
        Action::ReceiptClosed { .. } => 15,
    }
}

#[test]
fn every_event_reads_back_as_written() {
    for event in events() {
        let bytes = event.to_bytes().unwrap();
        let read = Event::from_bytes(&bytes).unwrap();
        assert_eq!(read, event);
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn there_is_an_event_of_each_action_and_a_node_of_each_kind() {
    let actions: BTreeSet<_> = events().iter().map(|event| number(&event.action)).collect();
    assert_eq!(actions, (0..16).collect());
    let kinds: BTreeSet<_> = events().iter().flat_map(|e| &e.puts).map(|put| put.node.id().kind).collect();
    assert_eq!(kinds, NodeKind::ALL.iter().copied().collect());
}

#[test]
fn the_bytes_of_events_do_not_drift() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events.jsonl");
    let lines =
        events().into_iter().map(|event| String::from_utf8(event.to_bytes().unwrap()).unwrap() + "\n");
    let found: String = lines.collect();
    if env::var_os("DAYPASS_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &found).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    for (found, golden) in found.lines().zip(golden.lines()) {
        assert_eq!(found, golden, "see the head of this file");
    }
    assert_eq!(found, golden, "see the head of this file");
}

#[test]
fn what_is_no_event_of_this_schema_is_not_read() {
    let good = String::from_utf8(events()[2].to_bytes().unwrap()).unwrap();
    assert!(good.starts_with(&format!("{{\"v\":{SCHEMA},")));
    assert!(Event::from_bytes(good.as_bytes()).is_ok());
    let swap = |from: &str, to: &str| good.replacen(from, to, 1);
    for bad in [
        String::new(),
        "{}".to_owned(),
        good.strip_suffix('}').unwrap().to_owned(),
        format!("{good}{good}"),
        swap("\"v\":1", "\"v\":0"),
        swap("\"v\":1", "\"v\":2"),
        swap("\"v\":1", "\"v\":1,\"v\":1"),
        swap("\"v\":1,", ""),
        swap("\"type\":\"written\"", "\"type\":\"rewritten\""),
        swap("\"kind\":\"application\"", "\"kind\":\"vendor\""),
        swap("\"life\":\"open\"", "\"life\":\"Open\""),
        swap("\"life\":\"open\",", ""),
        swap("\"name\":\"sync\"", "\"name\":\"Sync\""),
        swap("03030303030303030303030303030303", "0303"),
    ] {
        assert!(Event::from_bytes(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn no_flag_is_written_that_is_not_set() {
    for event in events() {
        let text = String::from_utf8(event.to_bytes().unwrap()).unwrap();
        assert!(!text.contains("null") && !text.contains("\"cut\":false"), "{text}");
    }
}

/// The longest lineage, name and scopes that the rules allow.
#[test]
fn the_largest_token_fits_an_event() {
    let long = |letter: &str, length: usize| letter.repeat(length);
    let mut nodes: Vec<String> = (0..4).map(|n| format!("vendor:{n}{}", long("v", 59))).collect();
    nodes.extend((0..4).map(|n| format!("contract:{n}{}", long("c", 59))));
    nodes.push(format!("application:{}", long("a", 60)));
    nodes.extend((0..2).map(|n| format!("identity:{n}{}", long("i", 31))));
    nodes.extend((0..3).map(|n| format!("credential:{}", u64::MAX - n)));
    nodes.push(format!("audience:{}", long("d", 60)));
    let scopes: Vec<String> = (0..32).map(|n| format!("{n:02}{}", long("s", 62))).collect();
    let subject = id(&format!("application:{}", long("a", 60)));
    let record = TokenRecord {
        application: subject.name.clone(),
        audience: name(&long("d", 60)),
        scopes: scopes.join(" ").parse().unwrap(),
        lineage: nodes.join(" ").parse().unwrap(),
        key: name(&long("k", 32)),
        ..token()
    };
    let actor =
        Actor::Caller { subject, identity: name(&long("i", 32)), credential: Revision::new(u64::MAX) };
    let mut event = with_id(1, actor, Action::TokenMinted(record));
    event.request = Some(digest(1));
    let bytes = event.to_bytes().unwrap().len();
    assert!(bytes <= MAX_EVENT, "{bytes}");
}

/// The enrolment that fills the largest roster.
#[test]
fn the_largest_enrolment_fits_an_event() {
    let long = |letter: &str, length: usize| letter.repeat(length);
    let mut nodes: Vec<String> = (0..4).map(|n| format!("vendor:{n}{}", long("v", 59))).collect();
    nodes.extend((0..4).map(|n| format!("contract:{n}{}", long("c", 59))));
    nodes.push(format!("application:{}", long("a", 60)));
    nodes.push(format!("identity:{}", long("i", 32)));
    let subject = format!("application:{}", long("a", 60));
    let record = CertificateRecord {
        subject: id(&subject),
        identity: name(&long("i", 32)),
        lineage: nodes.join(" ").parse().unwrap(),
        issuer: name(&long("k", 32)),
        ..certificate(None)
    };
    let enrollment = Enrollment {
        subject: id(&subject),
        spent: Some(Spent { identity: name(&long("i", 32)), key: digest(1) }),
        ..code(&long("e", 40), &subject)
    };
    let identities = (0..32).map(|n| name(&format!("{n:02}{}", long("i", 30)))).collect();
    let roster = Roster { name: name(&format!("a.{}", long("a", 60))), subject: id(&subject), identities };
    let bodies = [
        Body::Enrollment(enrollment),
        Body::Identity(identity(&long("i", 32), &subject, 1)),
        Body::Roster(roster),
    ];
    let actor = Actor::Code { enrollment: name(&long("e", 40)) };
    let mut event = with_id(1, actor, Action::Enrolled(record)).put(bodies.map(Node::open));
    event.rule = Some(Rule::CODE);
    let bytes = event.to_bytes().unwrap().len();
    assert!(bytes <= MAX_EVENT, "{bytes}");
}

/// The event that erases the most, of a person with the longest name.
#[test]
fn the_largest_forgetting_fits_an_event() {
    let long = |letter: &str, length: usize| letter.repeat(length);
    let gone =
        Person { name: name(&long("p", 60)), forgotten: true, ..person("x", daypass_core::node::Role::ALL) };
    let node = Node { life: Life::Ended, body: Body::Person(gone) };
    let erased = vec![PrivateId::new([255; 16]); MAX_ERASED];
    let actor = Actor::Caller {
        subject: id(&format!("person:{}", long("a", 60))),
        identity: name(&long("i", 32)),
        credential: Revision::new(u64::MAX),
    };
    let mut event = with_id(1, actor, Action::Forgotten { node: node.id(), erased }).put([node]);
    (event.request, event.rule) = (Some(digest(1)), Some(Rule::ADMIN));
    let bytes = event.to_bytes().unwrap().len();
    assert!(bytes <= MAX_EVENT, "{bytes}");
}

#[test]
fn a_person_written_before_anybody_was_forgotten_reads_as_it_was() {
    let before = serde_json::to_string(&Body::Person(person("ada", &[]))).unwrap();
    assert!(!before.contains("forgotten"), "{before}");
    assert!(matches!(serde_json::from_str(&before), Ok(Body::Person(Person { forgotten: false, .. }))));
}

/// Events from before a field existed stay readable, and are written as they were.
#[test]
fn an_identity_written_before_its_asking_certificate_was_kept_reads_as_it_was() {
    let before = r#"{"kind":"identity","name":"sync-1","subject":"application:sync","key":"DAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw","until":1050000250}"#;
    let body: Body = serde_json::from_str(before).unwrap();
    assert!(matches!(&body, Body::Identity(Identity { asked_by: None, previous: None, .. })), "{body:?}");
    assert_eq!(serde_json::to_string(&body).unwrap(), before);
}
