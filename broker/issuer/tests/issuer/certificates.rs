//! Certificates from the outside: what is signed reads back as what was recorded, each kind only as its kind, and other
//! code accepts them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use crate::common::{BEGIN, Broker, END, NOW, REV, certificate_permit, csr, name, realm};
use daypass_core::node::KeyPurpose;
use daypass_credential::{Era, Timestamp, Ttl};
use daypass_issuer::{CertificateError, KeyRing, Realm, SignError, digest};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

#[test]
fn a_certificate_says_what_was_recorded() {
    let broker = Broker::new();
    for audience in [None, Some("billing")] {
        let csr = csr();
        let record = broker.certificate_record(audience, &csr);
        let der = broker.ring.sign_certificate(&certificate_permit(record.clone()), REV, &csr).unwrap();
        let shown = match audience {
            None => broker.ring.read_identity_certificate(&der),
            Some(_) => broker.ring.read_client_certificate(&der),
        }
        .unwrap();
        assert_eq!((shown.era, shown.rev), (Era::new(7), REV));
        assert_eq!(shown.lineage, record.lineage);
        assert_eq!((shown.subject, shown.identity), (record.subject, record.identity));
        assert_eq!((shown.audience, shown.key), (record.audience, record.key));
        assert_eq!((shown.not_before, shown.expires), (record.not_before, record.expires));
        assert_eq!(shown.thumbprint, digest(&der));
    }
}

#[test]
fn each_kind_passes_only_as_its_kind() {
    let (broker, csr) = (Broker::new(), csr());
    let identity = broker.certificate(None, &csr);
    let client = broker.certificate(Some("billing"), &csr);
    let names = [ServerName::try_from("localhost").unwrap()];
    let server = broker.ring.server_certificate(&names, NOW, Ttl::days(1)).unwrap();
    let client_shown = CertificateError::ClientCertificate { audience: name("billing") };
    assert_eq!(broker.ring.read_identity_certificate(&client), Err(client_shown));
    assert_eq!(broker.ring.read_client_certificate(&identity), Err(CertificateError::IdentityCertificate));
    for read in [KeyRing::read_identity_certificate, KeyRing::read_client_certificate] {
        assert_eq!(read(&broker.ring, &server.chain[0]), Err(CertificateError::ServerCertificate));
        assert_eq!(read(&broker.ring, &server.chain[1]), Err(CertificateError::NotOurs));
        assert_eq!(read(&broker.ring, b""), Err(CertificateError::NotACertificate));
        assert_eq!(read(&broker.ring, &[0x30; 20_000]), Err(CertificateError::NotACertificate));
        let longer = [identity.as_slice(), &[0]].concat();
        assert_eq!(read(&broker.ring, &longer), Err(CertificateError::NotACertificate));
    }
}

#[test]
fn another_broker_and_an_ended_ca_vouch_for_nothing() {
    let (broker, csr) = (Broker::new(), csr());
    let identity = broker.certificate(None, &csr);
    let other = Broker::new();
    assert_eq!(other.ring.read_identity_certificate(&identity), Err(CertificateError::NotOurs));
    let kept = broker.keys.iter().filter(|(key, _)| key.purpose != KeyPurpose::Identity);
    let ring = KeyRing::open(realm(), &broker.kek, kept.cloned()).unwrap();
    assert_eq!(ring.read_identity_certificate(&identity), Err(CertificateError::NotOurs));
    assert!(ring.identity_ca(NOW).is_none());
}

#[test]
fn the_era_of_a_certificate_is_told_and_not_judged() {
    let (broker, csr) = (Broker::new(), csr());
    let identity = broker.certificate(None, &csr);
    let later = Realm { era: Era::new(8), ..realm() };
    let ring = KeyRing::open(later, &broker.kek, broker.keys.clone()).unwrap();
    assert_eq!(ring.read_identity_certificate(&identity).unwrap().era, Era::new(7));
}

#[test]
fn nothing_of_a_request_but_its_key_is_in_the_certificate() {
    let broker = Broker::new();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "wanted-name");
    params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let key = rcgen::KeyPair::generate().unwrap();
    let request = params.serialize_request(&key).unwrap();
    let csr = daypass_issuer::Csr::parse(request.der()).unwrap();
    let der = broker.certificate(Some("billing"), &csr);
    assert!(!der.windows(11).any(|window| window == b"wanted-name"));
    assert!(broker.ring.read_client_certificate(&der).is_ok());
}

fn at(instant: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(instant.as_secs()))
}

/// What webpki says of a leaf under one anchor.
fn webpki_says(leaf: &[u8], anchor: &[u8], usage: KeyUsage, when: Timestamp) -> Result<(), webpki::Error> {
    let (leaf, anchor) = (CertificateDer::from(leaf), CertificateDer::from(anchor));
    let anchors = [anchor_from_trusted_cert(&anchor).unwrap()];
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let algorithms = &[webpki::ring::ECDSA_P256_SHA256];
    leaf.verify_for_usage(algorithms, &anchors, &[], at(when), usage, None, None).map(|_| ())
}

#[test]
fn webpki_accepts_each_certificate_under_its_own_ca_alone() {
    let (broker, csr) = (Broker::new(), csr());
    let bundle = broker.ring.trust_bundle(NOW);
    let anchors =
        [&bundle.audiences[&name("billing")][0], &bundle.audiences[&name("payroll")][0], &bundle.roots[0]];
    for (audience, own) in [(Some("billing"), 0), (Some("payroll"), 1), (None, 2)] {
        let der = broker.certificate(audience, &csr);
        for (n, anchor) in anchors.iter().enumerate() {
            let said = webpki_says(&der, anchor, KeyUsage::client_auth(), NOW);
            assert_eq!(said.is_ok(), n == own, "{audience:?} under {n}: {said:?}");
        }
        let server = webpki_says(&der, anchors[own], KeyUsage::server_auth(), NOW);
        assert!(server.is_err(), "{audience:?} as a server");
    }
}

#[test]
fn the_last_second_of_a_certificate_is_the_one_before_it_expires() {
    let (broker, csr) = (Broker::new(), csr());
    let der = broker.certificate(Some("billing"), &csr);
    let anchor = &broker.ring.trust_bundle(NOW).audiences[&name("billing")][0];
    let says = |when| webpki_says(&der, anchor, KeyUsage::client_auth(), when).is_ok();
    let expires = broker.ring.read_client_certificate(&der).unwrap().expires;
    assert!(!says(Timestamp::from_secs(NOW.as_secs() - 1)));
    assert!(says(NOW));
    assert!(says(Timestamp::from_secs(expires.as_secs() - 1)));
    assert!(!says(expires));
}

#[test]
fn a_server_certificate_stands_under_the_root_that_it_brings_along() {
    let broker = Broker::new();
    let names =
        ["localhost", "broker.example", "127.0.0.1", "::1"].map(|name| ServerName::try_from(name).unwrap());
    let made = broker.ring.server_certificate(&names, NOW, Ttl::days(30)).unwrap();
    assert_eq!(made.chain[1].as_ref(), broker.ring.trust_bundle(NOW).roots[0]);
    assert_eq!(made.expires, NOW.after(Ttl::days(30)));
    webpki_says(&made.chain[0], &made.chain[1], KeyUsage::server_auth(), NOW).unwrap();
    webpki_says(&made.chain[0], &made.chain[1], KeyUsage::client_auth(), NOW).unwrap_err();
    let leaf = EndEntityCert::try_from(&made.chain[0]).unwrap();
    for name in &names {
        leaf.verify_is_valid_for_subject_name(name).unwrap();
    }
    let other = ServerName::try_from("other.example").unwrap();
    leaf.verify_is_valid_for_subject_name(&other).unwrap_err();
    assert!(format!("{made:?}").contains("[secret key elided]"));
}

#[test]
fn a_server_certificate_stays_within_its_ca() {
    let broker = Broker::new();
    let names = [ServerName::try_from("localhost").unwrap()];
    let late = Timestamp::from_secs(END.as_secs() - 60);
    let made = broker.ring.server_certificate(&names, late, Ttl::days(1)).unwrap();
    assert_eq!(made.expires, END);
    let made = broker.ring.server_certificate(&names, BEGIN, Ttl::days(1)).unwrap();
    assert_eq!(made.not_before, BEGIN);
    let after = broker.ring.server_certificate(&names, END, Ttl::days(1));
    assert_eq!(after.unwrap_err(), SignError::NoKey);
    let nameless = broker.ring.server_certificate(&[], NOW, Ttl::days(1));
    assert!(matches!(nameless, Err(SignError::Unfit(_))));
}
