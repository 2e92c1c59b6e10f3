//! Client certificates by themselves: the yes, each no, and the boundary instants.

use daypass_credential::{Era, Revision, Timestamp};
use daypass_issuer::{KeyRing, Realm};
use daypass_verifier::{Refused, SKEW};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose,
};

use crate::{
    common::{Broker, NOW, REV, csr, realm},
    forge::{Authority, published, stamp, uri},
    rig::{ERA, Rig, at},
};

#[test]
fn what_the_broker_signs_is_accepted_and_says_what_the_broker_reads() {
    let broker = Broker::new();
    let rig = Rig::following(&broker);
    let der = broker.certificate(Some("billing"), &csr());
    let (ours, theirs) =
        (rig.show_certificate(&der, at(1)).unwrap(), broker.ring.read_client_certificate(&der).unwrap());
    assert_eq!((ours.subject(), ours.identity()), (&theirs.subject, &theirs.identity));
    assert_eq!(Some(ours.audience()), theirs.audience.as_ref());
    assert_eq!((ours.not_before(), ours.expires()), (theirs.not_before, theirs.expires));
    assert_eq!(ours.thumbprint(), theirs.thumbprint);
    assert_eq!((ours.rests().era, ours.rests().rev), (ERA, REV));
    assert_eq!(*ours.rests().lineage, theirs.lineage);
}

#[test]
fn only_a_client_certificate_of_this_audience_passes() {
    let broker = Broker::new();
    let rig = Rig::following(&broker);
    let check = |der: &[u8], refused: Refused| {
        assert_eq!(rig.show_certificate(der, at(1)).map(drop), Err(refused));
    };
    let request = csr();
    check(&broker.certificate(None, &request), Refused::UnknownKey);
    check(&broker.certificate(Some("payroll"), &request), Refused::OtherAudience);
    check(&Broker::new().certificate(Some("billing"), &request), Refused::UnknownKey);
    let bundle = broker.ring.trust_bundle(NOW);
    check(&bundle.roots[0], Refused::UnknownKey);
    // A CA signs itself, and is no client all the same.
    check(&bundle.audiences[&crate::common::name("billing")][0], Refused::UnknownKey);
    let good = broker.certificate(Some("billing"), &request);
    check(&[good.as_slice(), &[0]].concat(), Refused::Malformed);
    check(&good[..good.len() - 1], Refused::Malformed);
    check(b"", Refused::Malformed);
    check(&[0x30; 16_385], Refused::TooLong);
}

#[test]
fn a_certificate_of_another_era_is_refused() {
    let broker = Broker::new();
    let later = Realm { era: Era::new(8), ..realm() };
    let ring = KeyRing::open(later, &broker.kek, broker.keys.clone()).unwrap();
    let request = csr();
    let record = broker.certificate_record(Some("billing"), &request);
    let permit = crate::common::certificate_permit(record);
    let der = ring.sign_certificate(&permit, REV, &request).unwrap();
    let shown = Rig::following(&broker).show_certificate(&der, at(1));
    assert_eq!(shown.map(drop), Err(Refused::OtherEra));
}

#[test]
fn a_certificate_is_valid_from_its_first_second_to_its_last() {
    let broker = Broker::new();
    let mut rig = Rig::following(&broker);
    let der = broker.certificate(Some("billing"), &csr());
    let day = 86_400_000;
    rig.refresh(100, at(day - 1_000)).unwrap();
    rig.show_certificate(&der, at(day - 1)).unwrap();
    assert_eq!(rig.show_certificate(&der, at(day)).map(drop), Err(Refused::Expired));

    let rig = Rig::following(&broker);
    let early =
        |secs: u64| daypass_verifier::Moment { wall: Timestamp::from_secs(NOW.as_secs() - secs), ..at(1) };
    let skew = u64::from(SKEW.as_secs());
    rig.show_certificate(&der, early(skew)).unwrap();
    assert_eq!(rig.show_certificate(&der, early(skew + 1)).map(drop), Err(Refused::NotYet));
}

#[test]
fn a_cut_the_horizon_and_silence_end_a_certificate() {
    let broker = Broker::new();
    let der = broker.certificate(Some("billing"), &csr());
    let mut rig = Rig::following(&broker);
    let shown = rig.show_certificate(&der, at(1)).unwrap();
    rig.cut("identity:i1", 101).unwrap();
    let dead = Refused::Cut { node: "identity:i1".parse().unwrap(), cut: Revision::new(101) };
    assert_eq!(rig.show_certificate(&der, at(1)).map(drop), Err(dead.clone()));
    assert_eq!(rig.verifier.check_certificate(&shown, at(1)), Err(dead));

    let mut rig = Rig::following(&broker);
    let exp = NOW.as_secs() + 86_400;
    rig.take(daypass_verifier::Event::Horizon(Timestamp::from_secs(exp - 1))).unwrap();
    rig.show_certificate(&der, at(1)).unwrap();
    rig.take(daypass_verifier::Event::Horizon(Timestamp::from_secs(exp))).unwrap();
    assert_eq!(rig.show_certificate(&der, at(1)).map(drop), Err(Refused::BelowHorizon));

    let rig = Rig::following(&broker);
    rig.show_certificate(&der, at(29_999)).unwrap();
    assert_eq!(rig.show_certificate(&der, at(30_000)).map(drop), Err(Refused::Stale));
}

fn lineage(params: &mut CertificateParams, text: &str) {
    params.custom_extensions = vec![stamp(text)];
}

#[test]
fn what_a_ca_of_ours_would_never_sign_is_refused() {
    let authority = Authority::new("billing");
    let rig = Rig::following_with(published(&[], &[("billing", &authority)]));
    let check = |what: &str, refused: Option<Refused>, change: &dyn Fn(&mut CertificateParams)| {
        let shown = rig.show_certificate(&authority.leaf(change), at(1)).map(drop);
        assert_eq!(shown.err(), refused, "{what}");
    };
    let form = || Some(Refused::Malformed);
    check("as the broker's", None, &|_| {});
    check("a CA", form(), &|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    check("without constraints", form(), &|leaf| leaf.is_ca = IsCa::NoCa);
    check("for servers too", form(), &|leaf| {
        leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    });
    check("for servers", form(), &|leaf| {
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    check("for anything", form(), &|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    check("for nothing", form(), &|leaf| leaf.extended_key_usages = Vec::new());
    check("more key usage", form(), &|leaf| leaf.key_usages.push(KeyUsagePurpose::KeyCertSign));
    check("no key usage", form(), &|leaf| leaf.key_usages = Vec::new());
    check("two names", form(), &|leaf| {
        leaf.subject_alt_names.push(uri("spiffe://daypass.example/application/other"));
    });
    check("two lists of names", form(), &|leaf| {
        let good = b"spiffe://daypass.example/application/sync".as_slice();
        let length = u8::try_from(good.len()).unwrap();
        let names = [&[0x30, length + 2, 0x86, length], good].concat();
        leaf.subject_alt_names = vec![uri("spiffe://daypass.example/application/other")];
        leaf.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], names));
    });
    check("no name", form(), &|leaf| leaf.subject_alt_names = Vec::new());
    check("another domain", form(), &|leaf| {
        leaf.subject_alt_names = vec![uri("spiffe://other.example/application/sync")];
    });
    check("no subject", form(), &|leaf| {
        leaf.subject_alt_names = vec![uri("spiffe://daypass.example/vendor/acme")];
    });
    check("another common name", form(), &|leaf| {
        leaf.distinguished_name.push(DnType::CommonName, "other");
    });
    check("an organisation", form(), &|leaf| {
        leaf.distinguished_name.push(DnType::OrganizationName, "Acme");
    });
    check("another serial", form(), &|leaf| leaf.serial_number = Some(vec![1; 16].into()));
    check("no lineage", form(), &|leaf| leaf.custom_extensions = Vec::new());
    check("two lineages", form(), &|leaf| {
        let again = stamp(&format!("1 {ERA} application:sync identity:i1 audience:billing"));
        leaf.custom_extensions.push(again);
    });
    check("another form of lineage", form(), &|leaf| {
        lineage(leaf, &format!("2 {ERA} application:sync identity:i1 audience:billing"));
    });
    check("a critical lineage", form(), &|leaf| leaf.custom_extensions[0].set_criticality(true));
    check("no key id of its CA", Some(Refused::UnknownKey), &|leaf| {
        leaf.use_authority_key_identifier_extension = false;
    });
    let shorter =
        |text: &'static str| move |leaf: &mut CertificateParams| lineage(leaf, &format!("1 {ERA} {text}"));
    let contradicts = || Some(Refused::Inconsistent);
    check("without audience", contradicts(), &shorter("application:sync identity:i1"));
    check("without identity", contradicts(), &shorter("application:sync audience:billing"));
    check("without application", contradicts(), &shorter("identity:i1 audience:billing"));
    check("of another audience", contradicts(), &shorter("application:sync identity:i1 audience:payroll"));
    check("of another application", contradicts(), &shorter("application:a identity:i1 audience:billing"));
}

#[test]
fn a_ca_vouches_for_its_own_audience_and_up_to_its_end() {
    let (billing, payroll) = (Authority::new("billing"), Authority::new("payroll"));
    let rig = Rig::following_with(published(&[], &[("billing", &billing), ("payroll", &payroll)]));
    let shown = rig.show_certificate(&payroll.leaf(|_| {}), at(1)).map(drop);
    assert_eq!(shown, Err(Refused::Inconsistent), "a CA of payroll signs a lineage of billing");
    let short = Authority::with("billing", |ca| ca.not_after = rcgen::date_time_ymd(2023, 11, 20));
    let rig = Rig::following_with(published(&[], &[("billing", &short)]));
    assert_eq!(rig.show_certificate(&short.leaf(|_| {}), at(1)).map(drop), Err(Refused::OutlivesKey));
    // The same name, another key.
    let twin = Authority::new("billing");
    assert_eq!(rig.show_certificate(&twin.leaf(|_| {}), at(1)).map(drop), Err(Refused::UnknownKey));
}
