//! What is published is taken whole or not at all.

use daypass_credential::Ttl;
use daypass_verifier::{Algorithm, AnchorError, Bundle, BundleError, Published};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyUsagePurpose};

use crate::{
    common::name,
    forge::{Authority, Signer, published, uri},
};

fn good() -> (Signer, Authority) {
    (Signer::new(Algorithm::Es256), Authority::new("billing"))
}

fn check(expected: Option<BundleError>, change: impl FnOnce(&mut Published)) {
    let (signer, authority) = good();
    let mut published = published(&[("k1", &signer)], &[("billing", &authority)]);
    change(&mut published);
    assert_eq!(Bundle::open(published).err(), expected);
}

#[test]
fn bad_keys_and_limits_are_refused() {
    check(None, |_| {});
    check(Some(BundleError::Twice(name("k1"))), |published| {
        published.tokens.push(Signer::new(Algorithm::EdDsa).published("k1"));
    });
    check(Some(BundleError::Twice(name("billing"))), |published| {
        let again = published.audiences[0].clone();
        published.audiences.push(again);
    });
    let wrong = Some(BundleError::Key(name("k1")));
    check(wrong.clone(), |published| published.tokens[0].algorithm = Algorithm::EdDsa);
    check(wrong.clone(), |published| published.tokens[0].public.truncate(33));
    check(wrong, |published| published.tokens[0].public[0] = 2);
    for (limit, fits) in [(4, false), (5, true), (900, true), (901, false)] {
        let expected = (!fits).then(|| BundleError::Staleness(name("billing")));
        check(expected, |published| published.audiences[0].staleness = Ttl::seconds(limit));
    }
}

fn check_anchor(expected: AnchorError, change: impl FnOnce(&mut CertificateParams)) {
    let authority = Authority::with("billing", change);
    let wrong = BundleError::Anchor { audience: name("billing"), source: expected };
    check(Some(wrong), |published| published.audiences[0].anchors = vec![authority.der]);
}

#[test]
fn a_ca_that_is_none_for_its_audience_is_refused() {
    check_anchor(AnchorError::Name, |ca| ca.distinguished_name.push(DnType::CommonName, "payroll"));
    check_anchor(AnchorError::Name, |ca| ca.distinguished_name.push(DnType::OrganizationName, "Acme"));
    check_anchor(AnchorError::Name, |ca| ca.subject_alt_names = vec![uri("spiffe://other.example")]);
    check_anchor(AnchorError::NotAuthority, |ca| ca.is_ca = IsCa::ExplicitNoCa);
    check_anchor(AnchorError::NotAuthority, |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    check_anchor(AnchorError::NotAuthority, |ca| ca.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    let form = BundleError::Anchor { audience: name("billing"), source: AnchorError::Form };
    check(Some(form.clone()), |published| published.audiences[0].anchors.push(Vec::new()));
    check(Some(form), |published| published.audiences[0].anchors[0].push(0));
    let signature = BundleError::Anchor { audience: name("billing"), source: AnchorError::Signature };
    check(Some(signature), |published| {
        let der = &mut published.audiences[0].anchors[0];
        // The last byte of the signature's second number.
        *der.last_mut().unwrap() ^= 1;
    });
}
