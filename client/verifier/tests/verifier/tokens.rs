//! Access tokens: the yes, each no, and the boundary instants.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_core::{event::TokenRecord, node::KeyAlgorithm};
use daypass_credential::{Digest, Revision, Timestamp};
use daypass_verifier::{Algorithm, Event, MAX_TOKEN, Moment, Published, Refused, SKEW};

use crate::{
    common::{Broker, NOW, REV, csr, token_permit},
    forge::{LINEAGE, Signer, audience, claims, published},
    rig::{Rig, at, cut},
};

/// A token of the real broker's and the certificate that it is bound to.
fn bound(broker: &Broker) -> (String, Vec<u8>) {
    let certificate = broker.certificate(Some("billing"), &csr());
    let record =
        TokenRecord { thumbprint: Some(daypass_issuer::digest(&certificate)), ..broker.token_record() };
    (broker.ring.sign_token(&token_permit(record), Revision::new(42)).unwrap(), certificate)
}

fn unbound(broker: &Broker) -> String {
    let record = TokenRecord { thumbprint: None, ..broker.token_record() };
    broker.ring.sign_token(&token_permit(record), REV).unwrap()
}

/// A verifier that trusts a key whose private half is here.
fn trusting(signer: &Signer) -> Rig {
    let audiences = vec![audience("billing"), audience("payroll")];
    Rig::following_with(Published { audiences, ..published(&[("k1", signer)], &[]) })
}

#[test]
fn what_the_broker_signs_is_accepted_and_says_what_the_broker_reads() {
    for algorithm in [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
        let broker = Broker::with(algorithm);
        let rig = Rig::following(&broker);
        let (token, certificate) = bound(&broker);
        let accepted = rig.show(&token, Some(&certificate), at(1)).unwrap();
        assert_eq!(*accepted.claims(), broker.ring.read_token(&token).unwrap());
        assert_eq!(accepted.audience().as_str(), "billing");
        // The second time it is remembered, and says the same.
        let again = rig.show(&token, Some(&certificate), at(2)).unwrap();
        assert_eq!(again.claims(), accepted.claims());
        rig.show(&unbound(&broker), None, at(2)).unwrap();
    }
}

#[test]
fn a_bound_token_needs_its_own_certificate_and_that_one_has_to_be_good() {
    let broker = Broker::new();
    let mut rig = Rig::following(&broker);
    let (token, certificate) = bound(&broker);
    let refused = |rig: &Rig, der: Option<&[u8]>| rig.show(&token, der, at(1)).map(drop);
    assert_eq!(refused(&rig, None), Err(Refused::CertificateMissing));
    let other = broker.certificate(Some("billing"), &csr());
    assert_eq!(refused(&rig, Some(&other)), Err(Refused::OtherCertificate));
    assert_eq!(refused(&rig, Some(&certificate)), Ok(()));
    // The certificate's own number, which this token's lineage does not have.
    rig.cut("credential:41", 101).unwrap();
    let dead = Refused::Cut { node: "credential:41".parse().unwrap(), cut: Revision::new(101) };
    assert_eq!(refused(&rig, Some(&certificate)), Err(Refused::Certificate(Box::new(dead))));
}

#[test]
fn a_certificate_of_another_application_or_audience_binds_nothing() {
    let broker = Broker::new();
    let mut rig = Rig::new(&["billing", "payroll"]);
    rig.feed.connected();
    rig.snapshot(crate::rig::published(&broker), 100, Vec::new(), 0).unwrap();
    rig.refresh(100, at(0)).unwrap();
    let request = csr();
    let payroll = broker.certificate(Some("payroll"), &request);
    let mut record = broker.certificate_record(Some("billing"), &request);
    record.subject = "application:other".parse().unwrap();
    record.lineage = LINEAGE.replace("application:sync", "application:other").parse().unwrap();
    let permit = crate::common::certificate_permit(record);
    let other = broker.ring.sign_certificate(&permit, REV, &request).unwrap();
    for der in [payroll, other] {
        rig.show_certificate(&der, at(1)).unwrap();
        let record = TokenRecord { thumbprint: Some(daypass_issuer::digest(&der)), ..broker.token_record() };
        let token = broker.ring.sign_token(&token_permit(record), REV).unwrap();
        assert_eq!(rig.show(&token, Some(&der), at(1)).map(drop), Err(Refused::OtherCertificate));
    }
}

#[test]
fn a_token_expires_at_its_second_and_not_before() {
    let broker = Broker::new();
    let mut rig = Rig::following(&broker);
    let token = unbound(&broker);
    let last = 900_000;
    rig.refresh(100, at(last - 2)).unwrap();
    rig.show(&token, None, at(last - 1)).unwrap();
    assert_eq!(rig.show(&token, None, at(last)).map(drop), Err(Refused::Expired));
}

#[test]
fn a_token_from_the_future_is_refused_beyond_the_skew() {
    let signer = Signer::new(Algorithm::Es256);
    let rig = trusting(&signer);
    let token = |ahead: u64| {
        let iat = NOW.as_secs() + ahead;
        let claims = claims().replace(&format!("\"iat\":{}", NOW.as_secs()), &format!("\"iat\":{iat}"));
        signer.token(&signer.header("k1"), &claims)
    };
    let skew = u64::from(SKEW.as_secs());
    rig.show(&token(skew), None, at(0)).unwrap();
    assert_eq!(rig.show(&token(skew + 1), None, at(0)).map(drop), Err(Refused::NotYet));
}

#[test]
fn the_horizon_refuses_whatever_the_clock_says() {
    let broker = Broker::new();
    let mut rig = Rig::following(&broker);
    let (token, exp) = (unbound(&broker), NOW.as_secs() + 900);
    rig.take(Event::Horizon(Timestamp::from_secs(exp - 1))).unwrap();
    rig.show(&token, None, at(1)).unwrap();
    assert!(rig.take(Event::Horizon(Timestamp::from_secs(exp))).unwrap());
    assert_eq!(rig.show(&token, None, at(1)).map(drop), Err(Refused::BelowHorizon));
    let years_ago = Moment { wall: Timestamp::from_secs(NOW.as_secs() - 29), ..at(1) };
    assert_eq!(rig.show(&token, None, years_ago).map(drop), Err(Refused::BelowHorizon));
    assert!(!rig.take(Event::Horizon(Timestamp::from_secs(5))).unwrap(), "it never falls");
    assert_eq!(rig.show(&token, None, at(1)).map(drop), Err(Refused::BelowHorizon));
}

#[test]
fn a_cut_anywhere_in_the_lineage_ends_a_token_that_was_accepted_before() {
    let broker = Broker::new();
    let token = unbound(&broker);
    for node in LINEAGE.split(' ').chain(["credential:41"]) {
        let mut rig = Rig::following(&broker);
        let accepted = rig.show(&token, None, at(1)).unwrap();
        rig.cut("vendor:other", 101).unwrap();
        rig.show(&token, None, at(1)).unwrap();
        rig.cut(node, 102).unwrap();
        let dead = Refused::Cut { node: node.parse().unwrap(), cut: Revision::new(102) };
        assert_eq!(rig.show(&token, None, at(1)).map(drop), Err(dead.clone()), "{node}");
        assert_eq!(rig.verifier.check_token_again(&accepted, None, &[], at(1)), Err(dead), "{node}");
    }
}

#[test]
fn what_was_minted_after_a_cut_lives() {
    let broker = Broker::new();
    let mut rig = Rig::following(&broker);
    let cuts = vec![cut("vendor:acme", 40, 9_999_999_999), cut("application:sync", 41, 9_999_999_999)];
    rig.snapshot(crate::rig::published(&broker), 101, cuts, 0).unwrap();
    rig.show(&unbound(&broker), None, at(1)).unwrap();
}

#[test]
fn another_audience_and_a_missing_scope_are_refused() {
    let broker = Broker::new();
    let token = unbound(&broker);
    let mut payroll = Rig::new(&["payroll"]);
    payroll.feed.connected();
    payroll.snapshot(crate::rig::published(&broker), 100, Vec::new(), 0).unwrap();
    payroll.refresh(100, at(0)).unwrap();
    assert_eq!(payroll.show(&token, None, at(1)).map(drop), Err(Refused::OtherAudience));

    let rig = Rig::following(&broker);
    let check = |scopes: &[&str]| {
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        rig.verifier.check_token(&token, None, &scopes, at(1)).map(drop)
    };
    assert_eq!(check(&["invoices.read"]), Ok(()));
    assert_eq!(check(&["invoices.read", "invoices.write"]), Ok(()));
    let missing = Err(Refused::Scope("invoices.delete".parse().unwrap()));
    assert_eq!(check(&["invoices.read", "invoices.delete"]), missing);
}

#[test]
fn another_broker_key_or_era_is_refused() {
    let broker = Broker::new();
    let token = unbound(&broker);
    assert_eq!(Rig::following(&Broker::new()).show(&token, None, at(1)).map(drop), Err(Refused::UnknownKey));

    let signer = Signer::new(Algorithm::Es256);
    let rig = trusting(&signer);
    let check = |token: &str, refused: Refused| {
        assert_eq!(rig.show(token, None, at(1)).map(drop), Err(refused));
    };
    let header = signer.header("k1");
    rig.show(&signer.token(&header, &claims()), None, at(1)).unwrap();
    let from = |what: &str, other: &str| {
        let changed = claims().replace(what, other);
        assert_ne!(changed, claims());
        signer.token(&header, &changed)
    };
    check(&from("broker.example", "broker.example.evil"), Refused::OtherIssuer);
    check(&from("0000000000000007", "0000000000000008"), Refused::OtherEra);
    // Another key under the same name.
    let other = Signer::new(Algorithm::Es256);
    check(&other.token(&header, &claims()), Refused::BadSignature);
    check(&signer.token(&signer.header("k2"), &claims()), Refused::UnknownKey);
}

#[test]
fn a_header_has_one_spelling() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let signer = Signer::new(algorithm);
        let rig = trusting(&signer);
        let check = |header: &str, refused: Refused| {
            let shown = rig.show(&signer.token(header, &claims()), None, at(1));
            assert_eq!(shown.map(drop), Err(refused), "{header}");
        };
        let (alg, other) = match algorithm {
            Algorithm::Es256 => ("ES256", "EdDSA"),
            Algorithm::EdDsa => ("EdDSA", "ES256"),
        };
        rig.show(&signer.token(&signer.header("k1"), &claims()), None, at(1)).unwrap();
        check(r#"{"typ":"at+jwt","alg":"none","kid":"k1"}"#, Refused::WrongAlgorithm);
        check(&format!(r#"{{"typ":"at+jwt","alg":"{other}","kid":"k1"}}"#), Refused::WrongAlgorithm);
        check(r#"{"typ":"at+jwt","alg":"HS256","kid":"k1"}"#, Refused::WrongAlgorithm);
        check(r#"{"typ":"at+jwt","kid":"k1"}"#, Refused::WrongAlgorithm);
        check(&format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"k1"}}"#), Refused::WrongType);
        check(&format!(r#"{{"typ":"AT+JWT","alg":"{alg}","kid":"k1"}}"#), Refused::WrongType);
        check(&format!(r#"{{"typ":"application/at+jwt","alg":"{alg}","kid":"k1"}}"#), Refused::WrongType);
        check(&format!(r#"{{"alg":"{alg}","kid":"k1"}}"#), Refused::WrongType);
        check(&format!(r#"{{"typ":"at+jwt","alg":"{alg}"}}"#), Refused::UnknownKey);
        check(&format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"../k1"}}"#), Refused::UnknownKey);
        for strange in [
            format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"k1"}}"#),
            format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"k1" }}"#),
            format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"k1","crit":["exp"]}}"#),
            format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"k1","jwk":{{}}}}"#),
            format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"k\u0031"}}"#),
        ] {
            check(&strange, Refused::StrangeHeader);
        }
        check(&format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"k1","kid":"k1"}}"#), Refused::Malformed);
        check("", Refused::Malformed);
        check("[]", Refused::Malformed);
    }
}

#[test]
fn claims_twice_missing_or_unknown_are_refused() {
    let signer = Signer::new(Algorithm::Es256);
    let rig = trusting(&signer);
    let check = |claims: &str, refused: Refused| {
        let shown = rig.show(&signer.token(&signer.header("k1"), claims), None, at(1));
        assert_eq!(shown.map(drop), Err(refused), "{claims}");
    };
    let good = claims();
    for claim in good.trim_matches(['{', '}']).split(",\"") {
        let claim = format!("\"{}", claim.trim_start_matches('"'));
        check(&good.replacen('{', &format!("{{{claim},"), 1), Refused::Malformed);
        let without = good.replacen(&claim, "", 1).replace("{,", "{").replace(",,", ",").replace(",}", "}");
        check(&without, Refused::Malformed);
    }
    check(&good.replacen('{', "{\"grant\":\"x\",", 1), Refused::Malformed);
    check(&good.replacen('{', "{\"cnf\":{\"jkt\":\"x\"},", 1), Refused::Malformed);
    let thumbprint = Digest::new([1; 32]);
    let both = format!("{{\"cnf\":{{\"x5t#S256\":\"{thumbprint}\",\"jkt\":\"x\"}},");
    check(&good.replacen('{', &both, 1), Refused::Malformed);
    check(&format!("{good} {{}}"), Refused::Malformed);
    check(&good.replace("\"exp\":", "\"exp\":1e3,\"x\":"), Refused::Malformed);
    check("", Refused::Malformed);
}

#[test]
fn claims_that_contradict_each_other_are_refused() {
    let signer = Signer::new(Algorithm::Es256);
    let rig = trusting(&signer);
    let check = |what: &str, other: &str, refused: Refused| {
        let changed = claims().replace(what, other);
        assert_ne!(changed, claims());
        let shown = rig.show(&signer.token(&signer.header("k1"), &changed), None, at(1));
        assert_eq!(shown.map(drop), Err(refused), "{other}");
    };
    check("\"client_id\":\"sync\"", "\"client_id\":\"other\"", Refused::Inconsistent);
    check("-41\"", "-42\"", Refused::Inconsistent);
    check("\"dp_rev\":41", "\"dp_rev\":42", Refused::Inconsistent);
    check("\"aud\":\"billing\"", "\"aud\":\"payroll\"", Refused::Inconsistent);
    check("\"aud\":\"billing\"", "\"aud\":\"\"", Refused::Inconsistent);
    // A lineage cut short no longer names what could be ended.
    check(" audience:billing", "", Refused::Inconsistent);
    check(" application:sync", "", Refused::Inconsistent);
    check(LINEAGE, "", Refused::Malformed);
    let (exp, iat) = (NOW.as_secs() + 900, NOW.as_secs());
    check(&format!("\"iat\":{iat}"), &format!("\"iat\":{exp}"), Refused::Inconsistent);
}

#[test]
fn a_key_vouches_up_to_its_latest_expiry_for_cached_tokens_too() {
    let signer = Signer::new(Algorithm::Es256);
    let mut rig = trusting(&signer);
    let token = signer.token(&signer.header("k1"), &claims());
    rig.show(&token, None, at(1)).unwrap();
    let with_latest = |latest| {
        let mut published = published(&[("k1", &signer)], &[]);
        published.audiences = vec![audience("billing"), audience("payroll")];
        published.tokens[0].latest = Timestamp::from_secs(latest);
        published
    };
    let exp = NOW.as_secs() + 900;
    rig.keys(with_latest(exp), 101).unwrap();
    rig.show(&token, None, at(1)).unwrap();
    rig.keys(with_latest(exp - 1), 102).unwrap();
    assert_eq!(rig.show(&token, None, at(1)).map(drop), Err(Refused::OutlivesKey));
}

#[test]
fn what_is_no_token_is_refused() {
    let signer = Signer::new(Algorithm::Es256);
    let rig = trusting(&signer);
    let good = signer.token(&signer.header("k1"), &claims());
    let [header, payload, signature] = <[&str; 3]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let check = |token: &str, refused: Refused| {
        assert_eq!(rig.show(token, None, at(1)).map(drop), Err(refused), "`{token}`");
    };
    check("", Refused::Malformed);
    check(".", Refused::Malformed);
    check("..", Refused::Malformed);
    check(header, Refused::Malformed);
    check(&format!("{header}.{payload}"), Refused::Malformed);
    check(&format!("{header}.{payload}."), Refused::BadSignature);
    check(&format!("{header}.{payload}.{signature}."), Refused::BadSignature);
    check(&format!("{header}.{payload}.{signature}="), Refused::BadSignature);
    check(&format!("{header}.{payload}.{signature}A"), Refused::BadSignature);
    check(&format!("{header}.{payload}.{signature}{signature}"), Refused::BadSignature);
    check(&format!(" {good}"), Refused::Malformed);
    check(&format!("{good}\n"), Refused::BadSignature);
    check(&format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 64])), Refused::BadSignature);
    // An empty algorithm needs no signature; here it gets none.
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt","alg":"none","kid":"k1"}"#);
    check(&format!("{none}.{payload}."), Refused::WrongAlgorithm);
    check(&"x".repeat(MAX_TOKEN + 1), Refused::TooLong);
    check(&"x".repeat(MAX_TOKEN), Refused::Malformed);
}

#[test]
fn an_audience_that_the_broker_does_not_have_is_refused() {
    let signer = Signer::new(Algorithm::Es256);
    let mut rig = trusting(&signer);
    let token = signer.token(&signer.header("k1"), &claims());
    rig.show(&token, None, at(1)).unwrap();
    let payroll = vec![audience("payroll")];
    rig.keys(Published { audiences: payroll, ..published(&[("k1", &signer)], &[]) }, 101).unwrap();
    assert_eq!(rig.show(&token, None, at(1)).map(drop), Err(Refused::OtherAudience));
}
