//! Access tokens: the yes, each no, and the boundary instants.

use daypass_core::{event::TokenRecord, node::KeyAlgorithm};
use daypass_credential::{Digest, Revision, Timestamp};
use daypass_verifier::{Algorithm, Event, Moment, Published, Refused, SKEW};

use crate::{
    common::{Broker, NOW, REV, csr, token_permit},
    forge::{LINEAGE, Signer, audience, claims, published, trusting},
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

/// Everything is wrong at first, and one thing after another is put right: what is told is always the first of what is
/// left, so that nobody learns of a token's life who could not use it.
#[test]
fn the_reasons_come_in_the_order_that_gives_nothing_away() {
    let signer = Signer::new(Algorithm::Es256);
    let mut claims = claims()
        .replace("broker.example", "other.example")
        .replace("0000000000000007", "0000000000000009")
        .replace(&format!("\"exp\":{}", NOW.as_secs() + 900), &format!("\"exp\":{}", NOW.as_secs() + 10))
        .replace("billing", "payroll")
        .replacen('{', &format!("{{\"cnf\":{{\"x5t#S256\":\"{}\"}},", Digest::new([1; 32])), 1);
    let mut rig = trusting(&signer);
    rig.cut("vendor:acme", 101).unwrap();
    rig.take(Event::Horizon(Timestamp::from_secs(NOW.as_secs() + 20))).unwrap();
    let late = at(40_000);
    let mut now = late;
    let wanted = ["invoices.delete".parse().unwrap()];
    let mut told = Vec::new();
    loop {
        let token = signer.token(&signer.header("k1"), &claims);
        let scopes = if told.contains(&"scope") { &[][..] } else { &wanted[..] };
        let Err(refused) = rig.verifier.check_token(&token, None, scopes, now) else { break };
        told.push(refused.word());
        match refused {
            Refused::OtherIssuer => claims = claims.replace("other.example", "broker.example"),
            Refused::OtherEra => claims = claims.replace("0000000000000009", "0000000000000007"),
            // The boot clock still says that nothing was heard for too long.
            Refused::Expired => now = Moment { boot: late.boot, ..at(9_000) },
            Refused::BelowHorizon => {
                claims = claims.replace(
                    &format!("\"exp\":{}", NOW.as_secs() + 10),
                    &format!("\"exp\":{}", NOW.as_secs() + 900),
                );
            }
            Refused::OtherAudience => claims = claims.replace("payroll", "billing"),
            Refused::CertificateMissing => {
                let (start, end) = (claims.find("\"cnf\"").unwrap(), claims.find("\"iss\"").unwrap());
                claims.replace_range(start..end, "");
            }
            Refused::Scope(_) => {}
            Refused::Cut { .. } => {
                claims = claims.replace("-41\"", "-141\"").replace("\"dp_rev\":41", "\"dp_rev\":141");
            }
            Refused::Stale => now = at(9_000),
            other => panic!("{other:?}"),
        }
    }
    let order = [
        "other-issuer",
        "other-era",
        "expired",
        "below-horizon",
        "other-audience",
        "certificate-missing",
        "scope",
        "cut",
        "stale",
    ];
    assert_eq!(told, order);
}

#[test]
fn the_same_name_in_another_era_is_another_key() {
    let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let mut rig = trusting(&old);
    let token = old.token(&old.header("k1"), &claims());
    rig.show(&token, None, at(1)).unwrap();
    rig.feed.connected();
    let published = published(&[("k1", &new)], &[]);
    let next =
        Published { era: daypass_credential::Era::new(8), audiences: vec![audience("billing")], ..published };
    rig.snapshot(next, 5, Vec::new(), 0).unwrap();
    assert_eq!(rig.show(&token, None, at(1)).map(drop), Err(Refused::UnknownKey));
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

#[test]
fn without_named_audiences_all_those_that_there_are_keys_for_are_checked() {
    let signer = Signer::new(Algorithm::Es256);
    let mut rig = trusting(&signer);
    rig.verifier = daypass_verifier::Verifier::of_all(&daypass_verifier::Options::default());
    let keys = |audiences| Published { audiences, ..published(&[("k1", &signer)], &[]) };
    let [billing, payroll] = ["billing", "payroll"].map(|audience| {
        let claims = claims().replace("billing", audience);
        signer.token(&signer.header("k1"), &claims)
    });
    rig.keys(keys(vec![audience("billing")]), 101).unwrap();
    rig.show(&billing, None, at(1)).unwrap();
    assert_eq!(rig.show(&payroll, None, at(1)).map(drop), Err(Refused::OtherAudience));
    rig.keys(keys(vec![audience("payroll")]), 102).unwrap();
    rig.show(&payroll, None, at(1)).unwrap();
    assert_eq!(rig.show(&billing, None, at(1)).map(drop), Err(Refused::OtherAudience));
}
