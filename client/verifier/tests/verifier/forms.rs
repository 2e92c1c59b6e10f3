//! The form of access tokens: whatever the broker would not write is refused, also where a trusted key signed it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_credential::Digest;
use daypass_verifier::{Algorithm, MAX_TOKEN, Refused};

use crate::{
    common::{Broker, NOW},
    forge::{LINEAGE, Signer, claims, trusting},
    rig::{Rig, at},
};

#[test]
fn another_broker_key_or_era_is_refused() {
    let token = Broker::new().token();
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
