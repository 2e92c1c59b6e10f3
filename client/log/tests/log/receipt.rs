//! Receipts: what a broker signs is taken, and nothing else is, whoever signed it.

use daypass_credential::{Era, Name, Revision, Timestamp, Ttl};
use daypass_log::{
    Acknowledgement, Checkpoint, CheckpointError, Hash, VerifierKey, proof,
    receipt::{
        Audience, Count, End, Kind, Line, ListFault, Receipt, ReceiptError, Said, State, Statement, Tally,
        VERSION, Verifier,
    },
};
use proptest::prelude::*;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use crate::sample::{Log, key, pair, signer};

const ORIGIN: &str = "broker.example/log";
const ERA: Era = Era::new(0xab);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_123);
/// The end's revision.
const ENDED: u64 = 200;

fn keys() -> Vec<VerifierKey> {
    vec![key(ORIGIN, &pair(7))]
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A log whose entry at [`ENDED`] is the end of a vendor.
fn log() -> Log {
    let end = br#"{"v":1,"at":1700000000123,"id":"00","actor":{"type":"caller"},"action":{"type":"ended","node":"vendor:acme"}}"#;
    let mut entries = Log::of(300).entries;
    entries[usize::try_from(ENDED).unwrap() - 1] = end.to_vec();
    entries.into_iter().collect()
}

fn lines() -> Vec<Line> {
    let line = |revision, kind, audience: Option<&str>, secs| Line {
        revision: Revision::new(revision),
        kind,
        subject: "application:sync".parse().unwrap(),
        audience: audience.map(name),
        expires: Timestamp::from_secs(AT.as_secs() + secs),
    };
    vec![
        line(20, Kind::IdentityCertificate, None, 4000),
        line(21, Kind::ClientCertificate, Some("billing"), 3000),
        line(30, Kind::Token, Some("billing"), 900),
        line(41, Kind::Token, Some("ledger"), 901),
        line(199, Kind::Token, Some("billing"), 1),
    ]
}

fn signed_by(verifier: &str, identity: &str, revision: u64, leaf: Hash) -> Said {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref(), &random).unwrap();
    let (verifier, identity, applied_at) = (name(verifier), name(identity), AT.after(Ttl::seconds(1)));
    let revision = Revision::new(revision);
    let text = Acknowledgement {
        log: ORIGIN,
        era: ERA,
        verifier: &verifier,
        identity: &identity,
        revision,
        leaf,
        applied_at,
    };
    let signature = pair.sign(&random, text.to_string().as_bytes()).unwrap().as_ref().to_vec();
    let key = pair.public_key().as_ref().to_vec();
    Said { verifier, identity, revision, leaf, applied_at, came_at: applied_at, key, signature }
}

fn list() -> Vec<u8> {
    lines().iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

fn statement() -> Statement {
    let log = log();
    let mut tally = Tally::new(Revision::new(ENDED), AT);
    lines().iter().for_each(|line| drop(tally.take(line).unwrap()));
    let totals = tally.finish();
    let one = |verifier: &str, identity: Option<&str>, state| Verifier {
        verifier: name(verifier),
        identity: identity.map(name),
        state,
    };
    let verifiers = [
        vec![
            one("api", Some("api-1"), State::Confirmed),
            one("api", Some("api-2"), State::RefusesFrom(AT.after(Ttl::seconds(30)))),
            one("spare", None, State::NotFollowing),
        ],
        vec![],
    ];
    let audience = |((audience, credentials, last_expiry), verifiers)| Audience {
        audience,
        credentials,
        last_expiry,
        staleness: Ttl::seconds(30),
        verifiers,
    };
    let checkpoint = Checkpoint::new(ORIGIN, log.root(), ERA).unwrap();
    let checkpoint = checkpoint.sign(&keys()[0], signer(&pair(7))).unwrap();
    Statement {
        v: VERSION,
        log: ORIGIN.to_owned(),
        era: ERA,
        vendor: "vendor:acme".parse().unwrap(),
        end: End {
            revision: Revision::new(ENDED),
            at: AT,
            event: log.entries[usize::try_from(ENDED).unwrap() - 1].clone(),
            checkpoint: checkpoint.note().to_owned(),
            inclusion: proof::inclusion(&log, ENDED - 1, log.size()).unwrap(),
        },
        list: totals.list,
        audiences: totals.audiences.into_iter().zip(verifiers).map(audience).collect(),
        acknowledgements: vec![signed_by("api", "api-1", 201, log.leaf(200))],
        closed_at: AT.after(Ttl::seconds(31)),
    }
}

fn signed(statement: &Statement) -> String {
    statement.sign(&keys()[0], signer(&pair(7))).unwrap()
}

fn open(note: &str) -> Result<Receipt, ReceiptError> {
    Receipt::open(note.as_bytes(), &keys())
}

/// Signs a lie with the log's own key: it has to be found.
#[track_caller]
fn refused(bend: impl FnOnce(&mut Statement)) -> ReceiptError {
    let mut bent = statement();
    bend(&mut bent);
    open(&signed(&bent)).expect_err("a lie was taken")
}

#[test]
fn what_a_broker_signs_is_taken_with_its_list() {
    let statement = statement();
    let note = signed(&statement);
    assert!(
        note.starts_with(
            "broker.example/receipt\nvendor:acme was ended at revision 200\n5 credentials died with it\n{"
        ),
        "{note}"
    );
    let receipt = open(&note).unwrap();
    assert_eq!(*receipt.statement(), statement);
    assert_eq!(receipt.checkpoint().checkpoint().root(), log().root());
    receipt.check_list(list().as_slice()).unwrap();
    assert_eq!(
        String::from_utf8(list()).unwrap().lines().next().unwrap(),
        "20 identity-certificate application:sync - 1700004000000"
    );
}

#[test]
fn a_receipt_over_nothing_is_one_as_well() {
    let mut nothing = statement();
    let totals = Tally::new(Revision::new(ENDED), AT).finish();
    (nothing.list, nothing.audiences, nothing.acknowledgements) = (totals.list, vec![], vec![]);
    let receipt = open(&signed(&nothing)).unwrap();
    receipt.check_list([].as_slice()).unwrap();
    assert!(receipt.check_list(list().as_slice()).is_err());
}

#[test]
fn no_byte_of_a_statement_can_be_changed() {
    let note = signed(&statement()).into_bytes();
    for at in 0..note.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bent = note.clone();
            bent[at] ^= flip;
            assert!(Receipt::open(&bent, &keys()).is_err(), "byte {at} with {flip}");
        }
        assert!(Receipt::open(&note[..at], &keys()).is_err(), "cut at {at}");
    }
    for more in ["\n", " ", "x", "\u{2014} other AAAAAAAA\n"] {
        assert!(
            Receipt::open(&[&note, more.as_bytes()].concat(), &keys()).is_err(),
            "with `{more}` behind it"
        );
    }
}

#[test]
fn no_byte_of_a_list_can_be_changed() {
    let (receipt, list) = (open(&signed(&statement())).unwrap(), list());
    for at in 0..list.len() {
        for flip in [0x01, 0x04, 0x20, 0x80] {
            let mut bent = list.clone();
            bent[at] ^= flip;
            assert!(receipt.check_list(bent.as_slice()).is_err(), "byte {at} with {flip}");
        }
        assert!(receipt.check_list(&list[..at]).is_err(), "cut at {at}");
    }
    for more in ["\n", "7", "200 token application:sync billing 1800000000000\n"] {
        assert!(receipt.check_list([&list, more.as_bytes()].concat().as_slice()).is_err(), "with `{more}`");
    }
}

proptest! {
    #[test]
    fn a_line_is_read_back_in_its_one_spelling(text in "[0-9]{1,3} (token|identity-certificate) application:[a-z]{1,2} (-|[a-z]) [0-9]{1,4}") {
        if let Ok(line) = text.parse::<Line>() {
            prop_assert_eq!(line.to_string(), text);
        }
    }
}

#[test]
fn a_list_is_in_order_alive_at_the_end_and_in_one_spelling() {
    let receipt = open(&signed(&statement())).unwrap();
    let good = String::from_utf8(list()).unwrap();
    let check = |list: &str| receipt.check_list(list.as_bytes()).unwrap_err();
    let swapped: Vec<_> = good.split_inclusive('\n').rev().collect();
    assert!(matches!(check(&swapped.concat()), ListFault::Order { line: 2, .. }));
    let expired = good.replace("1700000001000", "1700000000123");
    assert!(matches!(check(&expired), ListFault::Expired { line: 5, .. }));
    for (from, to) in
        [("20 ", "020 "), ("20 ", "+20 "), (" - ", " billing "), ("token", "Token"), ("\n", "\r\n")]
    {
        assert!(matches!(check(&good.replacen(from, to, 1)), ListFault::Line(_)), "{to}");
    }
    assert!(matches!(check(&good.replacen("sync", "sink", 1)), ListFault::Other));
    let first = good.lines().next().unwrap();
    assert!(matches!(check(&format!("{first}\n")), ListFault::Other));
    assert!(matches!(check(&"9".repeat(10_000)), ListFault::Line(1)), "an endless line");
}

#[test]
fn counts_that_are_not_those_of_the_list_are_found() {
    let mut more = statement();
    more.list.credentials.identity_certificates += 1;
    let receipt = open(&signed(&more)).unwrap();
    assert!(matches!(receipt.check_list(list().as_slice()), Err(ListFault::Counts { of: None })));
    let mut later = statement();
    later.audiences[1].last_expiry = AT.after(Ttl::seconds(902));
    let fault = open(&signed(&later)).unwrap().check_list(list().as_slice()).unwrap_err();
    assert!(fault.to_string().contains("`audience:ledger`"), "{fault}");
}

#[test]
fn the_end_has_to_be_in_the_log() {
    let other = |event: &str| {
        let event = event.to_owned().into_bytes();
        move |bent: &mut Statement| {
            let mut entries = log().entries;
            entries[usize::try_from(ENDED).unwrap() - 1].clone_from(&event);
            let log: Log = entries.into_iter().collect();
            let checkpoint = Checkpoint::new(ORIGIN, log.root(), ERA).unwrap();
            bent.end.checkpoint = checkpoint.sign(&keys()[0], signer(&pair(7))).unwrap().note().to_owned();
            bent.end.inclusion = proof::inclusion(&log, ENDED - 1, log.size()).unwrap();
            bent.end.event = event;
        }
    };
    assert!(matches!(refused(|bent| bent.end.event.push(b' ')), ReceiptError::NotIncluded(_)));
    assert!(matches!(refused(|bent| bent.end.inclusion.truncate(1)), ReceiptError::NotIncluded(_)));
    assert!(matches!(
        refused(|bent| bent.end.revision = Revision::new(ENDED - 1)),
        ReceiptError::NotIncluded(_)
    ));
    assert!(matches!(refused(|bent| bent.end.revision = Revision::ZERO), ReceiptError::NotTheEnd(_)));
    for event in [
        r#"{"v":1,"at":1700000000123,"action":{"type":"ended","node":"vendor:other"}}"#,
        r#"{"v":1,"at":1700000000124,"action":{"type":"ended","node":"vendor:acme"}}"#,
        r#"{"v":1,"at":1700000000123,"action":{"type":"resumed","node":"vendor:acme"}}"#,
        r#"{"v":2,"at":1700000000123,"action":{"type":"ended","node":"vendor:acme"}}"#,
        "no event",
    ] {
        assert!(matches!(refused(other(event)), ReceiptError::NotTheEnd(_)), "{event}");
    }
    assert!(matches!(
        refused(|bent| bent.vendor = "vendor:other".parse().unwrap()),
        ReceiptError::NotTheEnd(_)
    ));
    assert!(matches!(refused(|bent| bent.era = Era::new(1)), ReceiptError::Elsewhere));
    let forged = |bent: &mut Statement| {
        let checkpoint = Checkpoint::new(ORIGIN, log().root(), ERA).unwrap();
        let foreign = checkpoint.sign(&key(ORIGIN, &pair(8)), signer(&pair(8))).unwrap();
        bent.end.checkpoint = foreign.note().to_owned();
    };
    assert!(matches!(refused(forged), ReceiptError::Checkpoint(CheckpointError::Note(_))));
}

#[test]
fn who_is_said_to_have_confirmed_has_signed_it_and_reached_the_end() {
    let leaf = |revision: u64| log().leaf(revision - 1);
    let said = |said: Said| move |bent: &mut Statement| bent.acknowledgements = vec![said];
    assert!(
        open(&signed(&{
            let mut exact = statement();
            exact.acknowledgements = vec![signed_by("api", "api-1", ENDED, leaf(ENDED))];
            exact
        }))
        .is_ok()
    );
    for bad in [
        signed_by("api", "api-1", ENDED - 1, leaf(ENDED - 1)),
        signed_by("api", "api-1", ENDED, leaf(ENDED + 1)),
        Said { revision: Revision::new(202), ..signed_by("api", "api-1", 201, leaf(201)) },
        Said { applied_at: AT, ..signed_by("api", "api-1", 201, leaf(201)) },
        Said { key: vec![4; 65], ..signed_by("api", "api-1", 201, leaf(201)) },
    ] {
        assert!(matches!(refused(said(bad)), ReceiptError::Acknowledgement(_)));
    }
    assert!(matches!(refused(|bent| bent.acknowledgements.clear()), ReceiptError::Disagrees(_)));
    let another = signed_by("api", "api-9", 201, leaf(201));
    assert!(matches!(refused(|bent| bent.acknowledgements.push(another)), ReceiptError::Disagrees(_)));
    let hidden = |bent: &mut Statement| bent.audiences[0].verifiers[0].state = State::NotFollowing;
    assert!(matches!(refused(hidden), ReceiptError::Disagrees(_)));
}

#[test]
fn what_is_said_twice_or_does_not_add_up_is_found() {
    for bend in [
        (|bent| bent.audiences.swap(0, 1)) as fn(&mut Statement),
        |bent| bent.audiences[1] = bent.audiences[0].clone(),
        |bent| bent.audiences[0].verifiers.swap(0, 1),
        |bent| drop(bent.audiences.pop()),
        |bent| bent.audiences[0].credentials.tokens += 1,
        |bent| {
            bent.audiences[0].credentials =
                Count { identity_certificates: 1, ..bent.audiences[0].credentials }
        },
        |bent| bent.acknowledgements.push(bent.acknowledgements[0].clone()),
    ] {
        assert!(matches!(refused(bend), ReceiptError::Disagrees(_)));
    }
    assert_eq!(refused(|bent| bent.v = 2), ReceiptError::Version(2));
}

#[test]
fn a_checkpoint_is_no_receipt_and_a_receipt_no_checkpoint() {
    let statement = statement();
    let note = signed(&statement);
    assert!(Checkpoint::open(note.as_bytes(), &keys()).is_err());
    assert!(matches!(open(&statement.end.checkpoint), Err(ReceiptError::Form)));
    assert!(
        Statement { log: "broker.example/other".to_owned(), ..statement.clone() }
            .sign(&key("broker.example/other", &pair(7)), signer(&pair(7)))
            .is_err()
    );
    let strangers = [key(ORIGIN, &pair(8))];
    assert!(Receipt::open(note.as_bytes(), &strangers).is_err());
    let renamed = [key("other.example/log", &pair(7))];
    assert!(Receipt::open(note.as_bytes(), &renamed).is_err());
}

#[test]
fn the_same_in_another_spelling_is_refused_though_the_log_signed_it() {
    let note = signed(&statement());
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    for (from, to) in [
        ("{\"v\":1,", "{ \"v\":1,"),
        ("{\"v\":1,", "{\"v\":1,\"v\":1,"),
        ("{\"v\":1,", "{\"more\":0,\"v\":1,"),
        ("5 credentials", "6 credentials"),
        ("revision 200\n", "revision 200\nand so on\n"),
        ("/receipt\n", "/log\n"),
    ] {
        let bent = format!("{}\n", text.replacen(from, to, 1));
        assert_ne!(bent.trim_end(), text);
        let resigned = daypass_log::sign(&bent, &keys()[0], signer(&pair(7))).unwrap();
        assert!(matches!(open(&resigned), Err(ReceiptError::Form)), "{to}");
    }
}
