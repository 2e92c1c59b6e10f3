//! Certificate requests that need no other program to make.

use daypass_issuer::{Csr, CsrError};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType};

use crate::common::request;

#[test]
fn a_request_proves_its_own_key() {
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let made = CertificateParams::default().serialize_request(&key).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(Csr::parse(made.der()).unwrap().key(), daypass_issuer::digest(&spki));
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let (one, two) = (request(), request());
    let spki_at = |der: &[u8]| der.windows(2).position(|window| window == [0x03, 0x42]).unwrap() + 4;
    let mut mixed = one.clone();
    let (from, to) = (spki_at(&two), spki_at(&one));
    mixed[to..to + 64].copy_from_slice(&two[from..from + 64]);
    assert_eq!(Csr::parse(&mixed), Err(CsrError::BadSignature));
}

#[test]
fn a_request_for_names_is_refused() {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("evil.example".try_into().unwrap())];
    let made = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(Csr::parse(made.der()), Err(CsrError::AsksForNames));
}

#[test]
fn what_is_no_request_is_refused() {
    let good = request();
    assert!(Csr::parse(&good).is_ok());
    let longer = [good.as_slice(), &[0]].concat();
    for bad in [&[][..], b"hello", &good[..good.len() - 1], &longer, &[0x30, 0x80]] {
        assert_eq!(Csr::parse(bad), Err(CsrError::NotARequest));
    }
    assert_eq!(Csr::parse(&[0x30; Csr::MAX]), Err(CsrError::NotARequest));
    assert_eq!(Csr::parse(&[0x30; Csr::MAX + 1]), Err(CsrError::TooLong));
}
