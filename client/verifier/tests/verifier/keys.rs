//! Keys come and go with the feed: what was ended is gone at once, for what was checked before too, and never returns.

use daypass_core::node::{KeyAlgorithm, KeyPurpose};
use daypass_credential::{Era, Timestamp};
use daypass_verifier::{Algorithm, FeedError, KeyChange, Published, Refused};

use crate::{
    common::{Broker, csr, name, realm},
    forge::{Authority, Signer, audience, claims, published},
    rig::{Rig, at},
};

struct Keys {
    first: Signer,
    second: Signer,
    billing: Authority,
}

impl Keys {
    fn new() -> Self {
        Self {
            first: Signer::new(Algorithm::Es256),
            second: Signer::new(Algorithm::EdDsa),
            billing: Authority::new("billing"),
        }
    }

    fn published(&self, kids: &[&str]) -> Published {
        let all = [("k1", &self.first), ("k2", &self.second)];
        let some: Vec<_> = all.into_iter().filter(|(kid, _)| kids.contains(kid)).collect();
        published(&some, &[("billing", &self.billing)])
    }

    fn token(&self, kid: &str) -> String {
        let signer = if kid == "k1" { &self.first } else { &self.second };
        signer.token(&signer.header(kid), &claims())
    }
}

#[test]
fn an_ended_key_is_gone_at_once_for_what_was_checked_before() {
    let keys = Keys::new();
    let mut rig = Rig::following_with(keys.published(&["k1"]));
    let shown = |rig: &Rig, kid| rig.show(&keys.token(kid), None, at(1)).map(drop);
    let cached = keys.token("k1");
    let accepted = rig.show(&cached, None, at(1)).unwrap();
    assert_eq!(shown(&rig, "k2"), Err(Refused::UnknownKey));
    rig.keys(keys.published(&["k1", "k2"]), 101).unwrap();
    assert_eq!((shown(&rig, "k1"), shown(&rig, "k2")), (Ok(()), Ok(())));
    rig.keys(keys.published(&["k2"]), 102).unwrap();
    assert_eq!(rig.show(&cached, None, at(1)).map(drop), Err(Refused::UnknownKey));
    assert_eq!(rig.verifier.check_token_again(&accepted, None, &[], at(1)), Err(Refused::UnknownKey));
    assert_eq!((shown(&rig, "k1"), shown(&rig, "k2")), (Err(Refused::UnknownKey), Ok(())));
}

#[test]
fn an_ended_ca_is_gone_at_once_for_what_was_checked_before() {
    let (old, new) = (Authority::new("billing"), Authority::new("billing"));
    let both = |anchors: &[&Authority]| {
        let mut published = published(&[], &[("billing", &old)]);
        published.audiences[0].anchors = anchors.iter().map(|ca| ca.der.clone()).collect();
        published
    };
    let mut rig = Rig::following_with(both(&[&old, &new]));
    let certificates = [old.leaf(|_| {}), new.leaf(|_| {})];
    certificates.iter().for_each(|der| drop(rig.show_certificate(der, at(1)).unwrap()));
    rig.keys(both(&[&new]), 101).unwrap();
    assert_eq!(rig.show_certificate(&certificates[0], at(1)).map(drop), Err(Refused::UnknownKey));
    rig.show_certificate(&certificates[1], at(1)).unwrap();
    let returned = FeedError::Keys(KeyChange::Returned(name("billing")));
    assert_eq!(rig.keys(both(&[&old, &new]), 102), Err(returned));
}

#[test]
fn an_ended_key_never_returns() {
    let keys = Keys::new();
    let returned = FeedError::Keys(KeyChange::Returned(name("k1")));
    let mut rig = Rig::following_with(keys.published(&["k1", "k2"]));
    rig.keys(keys.published(&["k2"]), 101).unwrap();
    assert_eq!(rig.keys(keys.published(&["k1", "k2"]), 102), Err(returned.clone()));
    assert!(returned.is_alarming());
    // Nor in a snapshot, nor under another name, nor another key under its name.
    rig.feed.connected();
    assert_eq!(rig.snapshot(keys.published(&["k1", "k2"]), 103, Vec::new(), 0), Err(returned.clone()));
    let named = |signer: &Signer, kid: &str| published(&[(kid, signer)], &[("billing", &keys.billing)]);
    rig.feed.connected();
    let renamed = FeedError::Keys(KeyChange::Returned(name("k9")));
    assert_eq!(rig.snapshot(named(&keys.first, "k9"), 103, Vec::new(), 0), Err(renamed));
    rig.feed.connected();
    let other = Signer::new(Algorithm::Es256);
    assert_eq!(rig.snapshot(named(&other, "k1"), 103, Vec::new(), 0), Err(returned));
    assert_eq!(rig.show(&keys.token("k1"), None, at(1)).map(drop), Err(Refused::UnknownKey));
    rig.show(&keys.token("k2"), None, at(1)).unwrap();
}

#[test]
fn a_name_stays_with_its_key_and_a_key_with_its_end() {
    let keys = Keys::new();
    let refused = |change: &dyn Fn(&mut Published)| {
        let mut rig = Rig::following_with(keys.published(&["k1"]));
        let mut published = keys.published(&["k1"]);
        change(&mut published);
        let taken = rig.keys(published, 101);
        rig.show(&keys.token("k1"), None, at(1)).unwrap();
        taken
    };
    let check = |expected: KeyChange, change: &dyn Fn(&mut Published)| {
        assert_eq!(refused(change), Err(FeedError::Keys(expected)));
    };
    check(KeyChange::Replaced(name("k1")), &|published| {
        published.tokens = vec![keys.second.published("k1")];
    });
    check(KeyChange::Extended(name("k1")), &|published| {
        published.tokens[0].latest = Timestamp::from_millis(published.tokens[0].latest.as_millis() + 1);
    });
    check(KeyChange::Era(Era::new(8)), &|published| published.era = Era::new(8));
    check(KeyChange::Realm, &|published| published.issuer.push('/'));
    check(KeyChange::Realm, &|published| {
        published.domain = "other.example".parse().unwrap();
        published.audiences.clear();
    });
    assert_eq!(refused(&|published| published.tokens.push(keys.second.published("k2"))), Ok(true));
}

#[test]
fn an_audience_that_comes_back_has_its_ca_again() {
    let keys = Keys::new();
    let mut rig = Rig::following_with(keys.published(&["k1"]));
    let without = Published { audiences: vec![audience("payroll")], ..keys.published(&["k1"]) };
    rig.keys(without, 101).unwrap();
    let der = keys.billing.leaf(|_| {});
    assert_eq!(rig.show_certificate(&der, at(1)).map(drop), Err(Refused::UnknownKey));
    rig.keys(keys.published(&["k1"]), 102).unwrap();
    rig.show_certificate(&der, at(1)).unwrap();
}

#[test]
fn the_real_brokers_keys_make_a_bundle_of_either_algorithm() {
    for algorithm in [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
        let broker = Broker::with(algorithm);
        let kept = broker.keys.iter().filter(|(key, _)| key.purpose != KeyPurpose::Token);
        let ring = daypass_issuer::KeyRing::open(realm(), &broker.kek, kept.cloned()).unwrap();
        let mut rig = Rig::following(&broker);
        let der = broker.certificate(Some("billing"), &csr());
        rig.show_certificate(&der, at(1)).unwrap();
        let mut published = crate::rig::published(&broker);
        published.tokens.clear();
        rig.keys(published, 101).unwrap();
        assert!(ring.read_token(&broker.token()).is_err());
        assert_eq!(rig.show(&broker.token(), None, at(1)).map(drop), Err(Refused::UnknownKey));
        rig.show_certificate(&der, at(1)).unwrap();
    }
}
