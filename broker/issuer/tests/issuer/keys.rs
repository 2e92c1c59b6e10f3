//! Keys: made, sealed, opened, chosen, published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use crate::common::{BEGIN, Broker, END, NOW, audience, name, plan, realm};
use daypass_core::node::{KeyAlgorithm, KeyPurpose};
use daypass_credential::Timestamp;
use daypass_issuer::{
    GenerateError, KeyEncryptionKey, KeyPlan, KeyRing, NewKey, OpenError, Realm, SealError, TrustDomain,
    generate,
};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::json;

const ALL: [fn() -> KeyPurpose; 4] =
    [|| KeyPurpose::Identity, || audience("billing"), || KeyPurpose::Token, || KeyPurpose::Audit];

#[test]
fn each_purpose_has_its_algorithms() {
    let kek = KeyEncryptionKey::generate().unwrap();
    for purpose in ALL {
        for algorithm in [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
            let made = generate(plan(purpose(), algorithm), &realm().domain, &kek);
            let fits = match purpose() {
                KeyPurpose::Token => true,
                KeyPurpose::Audit => algorithm == KeyAlgorithm::EdDsa,
                KeyPurpose::Identity | KeyPurpose::Audience { .. } => algorithm == KeyAlgorithm::Es256,
            };
            match made {
                Ok(made) => {
                    assert!(fits);
                    KeyRing::open(realm(), &kek, [(made.key, made.sealed)]).unwrap();
                }
                Err(error) => assert_eq!((fits, error), (false, GenerateError::Algorithm)),
            }
        }
    }
}

#[test]
fn a_key_ends_after_it_begins() {
    let kek = KeyEncryptionKey::generate().unwrap();
    let make = |not_before, not_after| {
        let plan = KeyPlan { not_before, not_after, ..plan(KeyPurpose::Identity, KeyAlgorithm::Es256) };
        generate(plan, &realm().domain, &kek)
    };
    assert!(make(BEGIN, Timestamp::from_secs(BEGIN.as_secs() + 1)).is_ok());
    let never = Timestamp::from_millis(u64::MAX);
    let same_second = Timestamp::from_millis(BEGIN.as_millis() + 999);
    for (begin, end) in [(BEGIN, BEGIN), (END, BEGIN), (BEGIN, never), (BEGIN, same_second)] {
        assert_eq!(make(begin, end), Err(GenerateError::Lifetime));
    }
}

#[test]
fn a_ring_opens_only_what_belongs_together() {
    let broker = Broker::new();
    let open = |keys: Vec<_>| KeyRing::open(realm(), &broker.kek, keys).err();
    assert_eq!(open(broker.keys.clone()), None);
    let (first, second) = (broker.keys[0].clone(), broker.keys[1].clone());
    let altered = OpenError::Sealed { key: first.0.name.clone(), source: SealError::Altered };
    assert_eq!(open(vec![(first.0.clone(), second.1.clone())]), Some(altered));
    let twice = OpenError::Twice(first.0.name.clone());
    assert_eq!(open(vec![first.clone(), first.clone()]), Some(twice));
    let other = KeyEncryptionKey::generate().unwrap();
    let wrong = KeyRing::open(realm(), &other, [first.clone()]).err();
    let other_kek = OpenError::Sealed { key: first.0.name.clone(), source: SealError::OtherKek };
    assert_eq!(wrong, Some(other_kek));
}

#[test]
fn a_ca_of_another_trust_domain_is_not_opened() {
    let broker = Broker::new();
    let moved = Realm { domain: "other.example".parse::<TrustDomain>().unwrap(), ..realm() };
    let opened = KeyRing::open(moved, &broker.kek, broker.keys.clone());
    assert!(matches!(opened.err(), Some(OpenError::Certificate { .. })));
}

#[test]
fn the_newest_key_in_force_signs() {
    let kek = KeyEncryptionKey::generate().unwrap();
    let secs = |n| Timestamp::from_secs(BEGIN.as_secs() + n);
    let make = |from, until| {
        let plan = KeyPlan {
            not_before: secs(from),
            not_after: secs(until),
            ..plan(KeyPurpose::Token, KeyAlgorithm::Es256)
        };
        let NewKey { key, sealed } = generate(plan, &realm().domain, &kek).unwrap();
        (key, sealed)
    };
    let keys = vec![make(0, 100), make(50, 150), make(200, 300)];
    let names: Vec<_> = keys.iter().map(|(key, _)| key.name.clone()).collect();
    let ring = KeyRing::open(realm(), &kek, keys).unwrap();
    let before = Timestamp::from_secs(BEGIN.as_secs() - 1);
    assert_eq!(ring.token_key(before), None);
    for (at, expected) in [
        (0, Some(0)),
        (49, Some(0)),
        (50, Some(1)),
        (149, Some(1)),
        (150, None),
        (199, None),
        (200, Some(2)),
        (299, Some(2)),
        (300, None),
    ] {
        let found = ring.token_key(secs(at)).map(|key| &key.name);
        assert_eq!(found, expected.map(|n: usize| &names[n]), "at {at}");
    }
    let published = |at| ring.key_set(secs(at)).keys.len();
    assert_eq!((published(0), published(99), published(100), published(300)), (3, 3, 2, 0));
}

#[test]
fn each_purpose_finds_its_own_key() {
    let broker = Broker::new();
    let purpose = |key: Option<&daypass_core::node::Key>| key.map(|key| key.purpose.clone());
    assert_eq!(purpose(broker.ring.token_key(NOW)), Some(KeyPurpose::Token));
    assert_eq!(purpose(broker.ring.identity_ca(NOW)), Some(KeyPurpose::Identity));
    assert_eq!(purpose(broker.ring.audit_key(NOW)), Some(KeyPurpose::Audit));
    let billing = broker.ring.audience_ca(&name("billing"), NOW);
    assert_eq!(purpose(billing), Some(audience("billing")));
    assert_eq!(broker.ring.audience_ca(&name("nobody"), NOW), None);
}

#[test]
fn the_key_set_is_as_its_standards_say() {
    for (algorithm, kty, crv, alg) in
        [(KeyAlgorithm::Es256, "EC", "P-256", "ES256"), (KeyAlgorithm::EdDsa, "OKP", "Ed25519", "EdDSA")]
    {
        let broker = Broker::with(algorithm);
        let set = serde_json::to_value(broker.ring.key_set(NOW)).unwrap();
        let key = &set["keys"][0];
        let kid = broker.key(&KeyPurpose::Token).name.as_str();
        assert_eq!(key["kty"], json!(kty));
        assert_eq!(key["crv"], json!(crv));
        assert_eq!((&key["alg"], &key["use"]), (&json!(alg), &json!("sig")));
        assert_eq!(key["kid"], json!(kid));
        assert_eq!(key["x"].as_str().unwrap().len(), 43);
        assert_eq!(key.get("y").is_some(), algorithm == KeyAlgorithm::Es256);
        assert!(key.get("d").is_none());
        // Whoever reads the set can check a token with it, knowing nothing else.
        let jwk = &broker.ring.key_set(NOW).keys[0];
        let decoding = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
        let mut validation =
            jsonwebtoken::Validation::new(jsonwebtoken::decode_header(broker.token()).unwrap().alg);
        validation.set_audience(&["billing"]);
        validation.set_issuer(&["https://broker.example"]);
        validation.validate_exp = false;
        jsonwebtoken::decode::<serde_json::Value>(broker.token(), &decoding, &validation).unwrap();
    }
}

#[test]
fn the_bundle_keeps_roots_and_audiences_apart() {
    let broker = Broker::new();
    let bundle = broker.ring.trust_bundle(NOW);
    assert_eq!(bundle.roots, [broker.key(&KeyPurpose::Identity).public.0.clone()]);
    assert_eq!(bundle.audiences.len(), 2);
    assert_eq!(bundle.audiences[&name("billing")], [broker.key(&audience("billing")).public.0.clone()]);
    let after = broker.ring.trust_bundle(END);
    assert!(after.roots.is_empty() && after.audiences.is_empty());
}

#[test]
fn audit_statements_verify_with_the_public_half() {
    let broker = Broker::new();
    let signed = broker.ring.sign_audit(b"checkpoint", NOW).unwrap();
    let key = broker.key(&KeyPurpose::Audit);
    assert_eq!(signed.key, key.name);
    let bare = &key.public.0[12..];
    let verify = |message: &[u8]| UnparsedPublicKey::new(&ED25519, bare).verify(message, &signed.signature);
    assert!(verify(b"checkpoint").is_ok());
    assert!(verify(b"checkpoinT").is_err());
    assert!(broker.ring.sign_audit(b"checkpoint", END).is_err());
}
