//! What makes a token ours: each thing alone, changed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_core::node::{KeyAlgorithm, KeyPurpose};
use daypass_credential::Era;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::common::{Broker, END, NOW, REV, name, realm, token_permit};

const BOTH: [KeyAlgorithm; 2] = [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa];

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(ToOwned::to_owned).collect();
    parts.try_into().unwrap()
}

fn json(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token with this header and these claims, signed with the broker's own key.
fn forge(broker: &Broker, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = &broker.ring.tokens()[0];
    let algorithm = key.header.alg;
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), key.registered.handle(), algorithm).unwrap();
    format!("{message}.{signature}")
}

fn check(broker: &Broker, token: &str, expected: TokenError, what: &str) {
    assert_eq!(broker.ring.read_token(token), Err(expected), "{what}");
}

#[test]
fn a_token_says_what_was_recorded_and_reads_back() {
    for algorithm in BOTH {
        let broker = Broker::with(algorithm);
        let (token, record) = (broker.token(), broker.token_record());
        let [header, claims, _] = parts(&token);
        let kid = record.key.as_str();
        let alg = if algorithm == KeyAlgorithm::Es256 { "ES256" } else { "EdDSA" };
        assert_eq!(json(&header), json!({"typ": "at+jwt", "alg": alg, "kid": kid}));
        let expected = json!({
            "iss": "https://broker.example", "sub": "sync", "client_id": "sync", "aud": "billing",
            "iat": NOW.as_secs(), "exp": NOW.as_secs() + 900, "jti": "0000000000000007-41",
            "scope": "invoices.read invoices.write",
            "cnf": {"x5t#S256": record.thumbprint.unwrap().to_string()},
            "dp_era": "0000000000000007", "dp_rev": 41, "dp_lin": record.lineage.to_string(),
        });
        assert_eq!(json(&claims), expected);
        let read = broker.ring.read_token(&token).unwrap();
        assert_eq!(read.lineage, record.lineage);
        assert_eq!(read.cnf.unwrap().thumbprint, record.thumbprint.unwrap());
    }
}

#[test]
fn an_unbound_token_has_no_confirmation() {
    let broker = Broker::new();
    let record = TokenRecord { thumbprint: None, ..broker.token_record() };
    let token = broker.ring.sign_token(&token_permit(record), REV).unwrap();
    assert_eq!(broker.ring.read_token(&token).unwrap().cnf, None);
    assert!(json(&parts(&token)[1]).get("cnf").is_none());
}

#[test]
fn a_token_lives_as_long_as_its_key_and_no_longer() {
    let broker = Broker::new();
    let sign = |expires| {
        let record = TokenRecord { expires, ..broker.token_record() };
        broker.ring.sign_token(&token_permit(record), REV)
    };
    let token = sign(END).unwrap();
    assert_eq!(broker.ring.read_token(&token).unwrap().exp, END.as_secs());
    assert_eq!(sign(Timestamp::from_secs(END.as_secs() + 1)), Err(SignError::OutlivesKey));
}

#[test]
fn only_a_token_key_that_is_here_signs() {
    let broker = Broker::new();
    for key in [name("tok-none"), broker.key(&KeyPurpose::Identity).name.clone()] {
        let record = TokenRecord { key: key.clone(), ..broker.token_record() };
        assert_eq!(broker.ring.sign_token(&token_permit(record), REV), Err(SignError::UnknownKey(key)));
    }
}

#[test]
fn a_changed_token_is_refused() {
    for algorithm in BOTH {
        let broker = Broker::with(algorithm);
        let token = broker.token();
        let [header, claims, signature] = parts(&token);
        let mut other = json(&claims);
        other["exp"] = json!(END.as_secs());
        let other = URL_SAFE_NO_PAD.encode(other.to_string());
        check(&broker, &format!("{header}.{other}.{signature}"), TokenError::BadSignature, "a later exp");
        check(&broker, &format!("{header}.{claims}."), TokenError::BadSignature, "no signature");
        check(&broker, &format!("{header}.{claims}"), TokenError::Malformed, "two parts");
        check(&broker, &format!("{token}.x"), TokenError::Malformed, "four parts");
        check(&broker, &format!("{token} "), TokenError::Malformed, "a space after it");
        check(&broker, &format!("{token}="), TokenError::Malformed, "padding");
        check(&broker, "", TokenError::Malformed, "nothing");
        check(&broker, &"a".repeat(MAX + 1), TokenError::TooLong, "far too much");
    }
}

#[test]
fn another_broker_or_algorithm_does_not_pass() {
    let broker = Broker::new();
    let claims = json(&parts(&broker.token())[1]).to_string();
    let kid = broker.key(&KeyPurpose::Token).name.to_string();
    check(&broker, &Broker::new().token(), TokenError::UnknownKey, "a key of elsewhere");
    let [_, _, signature] = parts(&Broker::new().token());
    let [header, body, _] = parts(&broker.token());
    check(&broker, &format!("{header}.{body}.{signature}"), TokenError::BadSignature, "signed elsewhere");
    for (header, error) in [
        (json!({"typ": "at+jwt", "alg": "none", "kid": kid}), TokenError::Malformed),
        (json!({"typ": "at+jwt", "alg": "HS256", "kid": kid}), TokenError::WrongAlgorithm),
        (json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid}), TokenError::WrongAlgorithm),
        (json!({"typ": "at+jwt", "alg": "ES384", "kid": kid}), TokenError::WrongAlgorithm),
        (json!({"typ": "JWT", "alg": "ES256", "kid": kid}), TokenError::WrongType),
        (json!({"typ": "AT+JWT", "alg": "ES256", "kid": kid}), TokenError::WrongType),
        (json!({"alg": "ES256", "kid": kid}), TokenError::WrongType),
        (json!({"typ": "at+jwt", "alg": "ES256"}), TokenError::UnknownKey),
        (json!({"typ": "at+jwt", "alg": "ES256", "kid": "tok-0"}), TokenError::UnknownKey),
        (json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "crit": ["exp"]}), TokenError::StrangeHeader),
        (
            json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "jku": "https://evil.example"}),
            TokenError::StrangeHeader,
        ),
        (json!({"typ": "at+jwt", "alg": "ES256", "kid": kid, "b64": false}), TokenError::StrangeHeader),
    ] {
        check(&broker, &forge(&broker, &header.to_string(), &claims), error, &header.to_string());
    }
    let twice = format!(r#"{{"typ":"at+jwt","alg":"ES256","alg":"ES256","kid":"{kid}"}}"#);
    check(&broker, &forge(&broker, &twice, &claims), TokenError::Malformed, "alg twice");
}

#[test]
fn hmac_with_the_public_key_does_not_pass() {
    let broker = Broker::new();
    let key = &broker.ring.tokens()[0];
    let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": key.key.name.as_str()}).to_string();
    let [_, claims, _] = parts(&broker.token());
    let message = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.public());
    let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&hmac, message.as_bytes()));
    check(&broker, &format!("{message}.{tag}"), TokenError::WrongAlgorithm, "HS256");
}

#[test]
fn claims_that_are_missing_twice_or_contradictory_do_not_pass() {
    let broker = Broker::new();
    let [header, claims, _] = parts(&broker.token());
    let (header, whole) = (json(&header).to_string(), json(&claims));
    assert!(broker.ring.read_token(&forge(&broker, &header, &whole.to_string())).is_ok());
    for (claim, value) in whole.as_object().unwrap() {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(claim);
        let read = broker.ring.read_token(&forge(&broker, &header, &part.to_string()));
        assert_eq!(read.is_ok(), claim == "cnf", "without {claim}");
        let twice = whole.to_string().replacen('{', &format!("{{\"{claim}\":{value},"), 1);
        check(&broker, &forge(&broker, &header, &twice), TokenError::Malformed, &format!("{claim} twice"));
    }
    for (claim, value, error) in [
        ("iss", json!("https://other.example"), TokenError::OtherIssuer),
        ("iss", json!(["https://broker.example"]), TokenError::Malformed),
        ("dp_era", json!("0000000000000008"), TokenError::OtherEra),
        ("dp_rev", json!(42), TokenError::Inconsistent),
        ("jti", json!("0000000000000007-42"), TokenError::Inconsistent),
        ("sub", json!("other"), TokenError::Inconsistent),
        ("exp", json!(END.as_secs() + 1), TokenError::Inconsistent),
        ("exp", json!(NOW.as_secs()), TokenError::Inconsistent),
        ("exp", json!(u64::MAX), TokenError::Inconsistent),
        ("exp", json!(-1), TokenError::Malformed),
        ("exp", json!(1.5), TokenError::Malformed),
        ("scope", json!("a a"), TokenError::Malformed),
        ("dp_lin", json!(""), TokenError::Malformed),
        ("cnf", json!({"x5t#S256": "short"}), TokenError::Malformed),
        ("cnf", json!({"jkt": "x"}), TokenError::Malformed),
    ] {
        let mut other = whole.clone();
        other[claim] = value.clone();
        check(&broker, &forge(&broker, &header, &other.to_string()), error, &format!("{claim}: {value}"));
    }
    check(
        &broker,
        &forge(&broker, &header, &format!("{whole} x")),
        TokenError::Malformed,
        "text after the claims",
    );
}

#[test]
fn an_ended_key_and_another_era_vouch_for_nothing() {
    let broker = Broker::new();
    let token = broker.token();
    let open = |realm, kept: Vec<_>| KeyRing::open(realm, &broker.kek, kept).unwrap();
    let without = broker.keys.iter().filter(|(key, _)| key.purpose != KeyPurpose::Token);
    let ring = open(realm(), without.cloned().collect());
    assert_eq!(ring.read_token(&token), Err(TokenError::UnknownKey));
    let ring = open(Realm { era: Era::new(8), ..realm() }, broker.keys.clone());
    assert_eq!(ring.read_token(&token), Err(TokenError::OtherEra));
    let ring = open(Realm { issuer: "https://b.example".to_owned(), ..realm() }, broker.keys.clone());
    assert_eq!(ring.read_token(&token), Err(TokenError::OtherIssuer));
}

#[test]
fn a_closed_ring_leaves_no_key_behind() {
    let key = broker_key_handle();
    assert!(jsonwebtoken::crypto::sign(b"x", &key, Algorithm::ES256).is_err());
}

fn broker_key_handle() -> jsonwebtoken::EncodingKey {
    let broker = Broker::new();
    let handle = broker.ring.tokens()[0].registered.handle().clone();
    assert!(jsonwebtoken::crypto::sign(b"x", &handle, Algorithm::ES256).is_ok());
    handle
}
