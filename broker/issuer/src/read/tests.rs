//! What is signed by a CA of ours is still read only if it is what we issue.

use super::*;
use crate::common::{Broker, END, NOW, REV, certificate_permit, csr, name};

/// A leaf of this audience's CA that reads back, to be broken.
fn leaf(csr: &Csr) -> Leaf {
    Leaf {
        serial: stamp::serial([1; 8], REV).to_vec(),
        common_name: "sync".to_owned(),
        not_before: NOW.as_secs(),
        expires: NOW.as_secs() + 60,
        spki: csr.public_key().spki().to_vec(),
        role: Role::Client,
        names: vec![AltName::Uri("spiffe://daypass.example/application/sync".to_owned())],
        stamp: Some("1 0000000000000007 application:sync identity:i1 audience:billing".to_owned()),
    }
}

/// Signs something that the broker would never sign, with the CA of an audience, and reads it.
fn read(change: impl FnOnce(&mut Leaf)) -> Result<Shown, CertificateError> {
    let (broker, csr) = (Broker::new(), csr());
    let mut leaf = leaf(&csr);
    change(&mut leaf);
    let ca = broker.ring.newest_authority(Some(&name("billing")), NOW).unwrap();
    let der = ca.sign(leaf, csr.public_key().built()).unwrap();
    broker.ring.read_client_certificate(&der)
}

#[test]
fn only_what_we_would_sign_is_read() {
    assert!(read(|_| ()).is_ok());
    let stamp = |text: &str| read(|leaf| leaf.stamp = Some(text.to_owned()));
    let malformed = |mismatch| Err(CertificateError::Malformed(mismatch));
    assert_eq!(stamp("1 0000000000000007 application:sync identity:i1"), Err(CertificateError::Lineage));
    assert_eq!(
        stamp("1 0000000000000007 application:sync identity:i1 audience:payroll"),
        Err(CertificateError::Lineage)
    );
    assert_eq!(
        stamp("1 0000000000000007 application:sync identity:i1 audience:billing audience:payroll"),
        Err(CertificateError::Lineage)
    );
    assert_eq!(stamp("1 0000000000000007 application:sync audience:billing"), Err(CertificateError::Lineage));
    assert_eq!(stamp("1 0000000000000007 identity:i1 audience:billing"), Err(CertificateError::Lineage));
    assert_eq!(
        stamp("1 0000000000000007 application:sync identity:i1 identity:i2 audience:billing"),
        Err(CertificateError::Lineage)
    );
    assert_eq!(stamp("2 0000000000000007 application:sync"), malformed(Mismatch::Stamp));
    assert_eq!(stamp(""), malformed(Mismatch::Stamp));
    assert_eq!(read(|leaf| leaf.stamp = None), malformed(Mismatch::Stamp));
    assert_eq!(read(|leaf| leaf.serial = vec![2; 17]), malformed(Mismatch::Serial));
    assert_eq!(read(|leaf| leaf.serial = vec![1; 16]), malformed(Mismatch::Serial));
    assert_eq!(read(|leaf| leaf.common_name = "other".to_owned()), malformed(Mismatch::Subject));
    assert_eq!(read(|leaf| leaf.expires = END.as_secs() + 1), malformed(Mismatch::Validity));
    assert_eq!(read(|leaf| leaf.role = Role::Authority), malformed(Mismatch::Usage));
    assert_eq!(read(|leaf| leaf.role = Role::Server), Err(CertificateError::ServerCertificate));
}

#[test]
fn only_one_name_of_our_own_domain_is_read() {
    let names = |texts: &[&str]| {
        let uris = texts.iter().map(|text| AltName::Uri((*text).to_owned()));
        let names: Vec<AltName> = uris.collect();
        read(|leaf| leaf.names = names)
    };
    let ours = "spiffe://daypass.example/application/sync";
    assert!(names(&[ours]).is_ok());
    for bad in [
        &[][..],
        &[ours, ours],
        &["spiffe://other.example/application/sync"],
        &["spiffe://daypass.example/vendor/sync"],
    ] {
        assert_eq!(names(bad), Err(CertificateError::Malformed(Mismatch::Names)), "{bad:?}");
    }
    let dns = read(|leaf| leaf.names = vec![AltName::Dns("sync".to_owned())]);
    assert_eq!(dns, Err(CertificateError::Malformed(Mismatch::Names)));
}

/// Changes what was recorded, and tells why it is not signed.
fn refused(change: impl FnOnce(&mut CertificateRecord)) -> SignError {
    let (broker, csr) = (Broker::new(), csr());
    let mut record = broker.certificate_record(Some("billing"), &csr);
    change(&mut record);
    let permit = certificate_permit(record);
    broker.ring.sign_certificate(&permit, REV, &csr).unwrap_err()
}

#[test]
fn a_record_that_contradicts_itself_is_not_signed() {
    let unfit = |error: SignError| assert!(matches!(error, SignError::Unfit(_)), "{error:?}");
    unfit(refused(|record| record.identity = name("i2")));
    unfit(refused(|record| {
        record.subject = "application:other".parse().unwrap();
    }));
    unfit(refused(|record| record.subject = "vendor:acme".parse().unwrap()));
    unfit(refused(|record| {
        record.lineage = "application:sync identity:i1".parse().unwrap();
    }));
    unfit(refused(|record| {
        record.lineage = "application:sync audience:billing".parse().unwrap();
    }));
    unfit(refused(|record| record.expires = record.not_before));
    unfit(refused(|record| {
        record.expires = Timestamp::from_millis(record.expires.as_millis() + 1);
    }));
    unfit(refused(|record| {
        record.not_before = Timestamp::from_millis(NOW.as_millis() + 1);
    }));
}

#[test]
fn another_key_or_ca_than_recorded_is_not_signed() {
    assert_eq!(refused(|record| record.key = Digest::new([0; 32])), SignError::OtherKey);
    let later = Timestamp::from_secs(END.as_secs() + 1);
    assert_eq!(refused(|record| record.expires = later), SignError::OutlivesKey);
    assert_eq!(refused(|record| record.issuer = name("x")), SignError::UnknownKey(name("x")));
    for audience in [None, Some(name("payroll"))] {
        let error = refused(|record| record.audience = audience);
        assert!(matches!(error, SignError::UnknownKey(_)), "{error:?}");
    }
}

#[test]
fn a_certificate_may_live_as_long_as_its_ca() {
    let (broker, csr) = (Broker::new(), csr());
    let mut record = broker.certificate_record(None, &csr);
    record.expires = END;
    let der = broker.ring.sign_certificate(&certificate_permit(record), REV, &csr).unwrap();
    assert_eq!(broker.ring.read_identity_certificate(&der).unwrap().expires, END);
}
