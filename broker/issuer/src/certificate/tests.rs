//! A builder that is broken on purpose, in every way that matters, gets no signature.

use super::*;
use crate::secret::Writing;
use daypass_core::node::KeyAlgorithm::Es256;
use rcgen::KeyPair;

fn statement(spki: Vec<u8>) -> Statement {
    Statement {
        serial: vec![1; 17],
        issuer: Distinguished {
            organization: Some("Daypass daypass.example".to_owned()),
            common_name: "billing".to_owned(),
        },
        subject: Distinguished::leaf("sync"),
        not_before: 1_700_000_000,
        expires: 1_700_000_900,
        spki,
        role: Role::Client,
        names: vec![AltName::Uri("spiffe://daypass.example/application/sync".to_owned())],
        issuer_key_id: Some(vec![5; 20]),
        stamp: Some("1 0000000000000007 vendor:acme".to_owned()),
    }
}

fn authority() -> Secret {
    let pkcs8 = Secret::generate(Es256).unwrap();
    Secret::open(&pkcs8, Es256, Writing::X509).unwrap()
}

/// Builds something else than was decided, and tells whether it was signed.
fn check_broken(what: &str, expected: Mismatch, break_it: impl FnOnce(&mut CertificateParams)) {
    let key = KeyPair::generate().unwrap();
    let statement = statement(key.subject_public_key_info());
    let mut broken = params(&statement).unwrap();
    break_it(&mut broken);
    let signed = sign_built(&broken, &statement, &key, &authority());
    assert_eq!(signed, Err(BuildError::Refused(expected)), "{what}");
}

#[test]
fn what_was_decided_is_signed() {
    let key = KeyPair::generate().unwrap();
    assert!(sign(&statement(key.subject_public_key_info()), &key, &authority()).is_ok());
}

#[test]
fn a_broken_builder_gets_no_signature() {
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    check_broken("another serial", Mismatch::Serial, |p| {
        p.serial_number = Some(vec![2; 17].into());
    });
    check_broken("another subject", Mismatch::Subject, |p| {
        p.distinguished_name.push(DnType::CommonName, "admin");
    });
    check_broken("one attribute more", Mismatch::Subject, |p| {
        p.distinguished_name.push(DnType::CountryName, "NL");
    });
    check_broken("later", Mismatch::Validity, |p| {
        p.not_after += Duration::from_secs(1);
    });
    check_broken("earlier", Mismatch::Validity, |p| {
        p.not_before -= Duration::from_secs(1);
    });
    check_broken("no name", Mismatch::Names, |p| p.subject_alt_names.clear());
    check_broken("a name more", Mismatch::Names, |p| {
        p.subject_alt_names.push(uri("spiffe://daypass.example/person/ada"));
    });
    check_broken("another name", Mismatch::Names, |p| {
        p.subject_alt_names = vec![uri("spiffe://daypass.example/person/ada")];
    });
    check_broken("a mail address", Mismatch::Names, |p| {
        p.subject_alt_names = vec![SanType::Rfc822Name("a@b.example".try_into().unwrap())];
    });
}

#[test]
fn a_builder_that_gives_more_power_gets_no_signature() {
    check_broken("a CA", Mismatch::Constraints, |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    check_broken("nothing about CAs", Mismatch::Constraints, |p| {
        p.is_ca = IsCa::NoCa;
    });
    check_broken("signs certificates", Mismatch::Usage, |p| {
        p.key_usages.push(KeyUsagePurpose::KeyCertSign);
    });
    check_broken("no usage", Mismatch::Usage, |p| p.key_usages.clear());
    check_broken("a server", Mismatch::Usage, |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    check_broken("also a server", Mismatch::Usage, |p| {
        p.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    });
    check_broken("anything", Mismatch::Usage, |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    });
    check_broken("something of its own", Mismatch::Usage, |p| {
        p.extended_key_usages.push(ExtendedKeyUsagePurpose::Other(vec![1, 2, 3]));
    });
    check_broken("for no purpose", Mismatch::Usage, |p| {
        p.extended_key_usages.clear();
    });
}

#[test]
fn a_builder_that_strays_in_the_extensions_gets_no_signature() {
    let extension = |text: &str| CustomExtension::from_oid_content(LINEAGE_OID, der::utf8_string(text));
    check_broken("no lineage", Mismatch::Stamp, |p| p.custom_extensions.clear());
    check_broken("another lineage", Mismatch::Stamp, |p| {
        p.custom_extensions = vec![extension("1 0000000000000007 vendor:other")];
    });
    check_broken("two lineages", Mismatch::Extension, |p| {
        p.custom_extensions.push(extension("1 0000000000000007 vendor:acme"));
    });
    check_broken("bytes after the lineage", Mismatch::Stamp, |p| {
        let content = [der::utf8_string("1 0000000000000007 vendor:acme").as_slice(), &[5, 0]].concat();
        p.custom_extensions = vec![CustomExtension::from_oid_content(LINEAGE_OID, content)];
    });
    check_broken("a critical lineage", Mismatch::Extension, |p| {
        p.custom_extensions.iter_mut().for_each(|e| e.set_criticality(true));
    });
    check_broken("an extension more", Mismatch::Extension, |p| {
        p.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]));
    });
    check_broken("no key id of the CA", Mismatch::KeyIds, |p| {
        p.use_authority_key_identifier_extension = false;
    });
    check_broken("another key id", Mismatch::KeyIds, |p| {
        p.key_identifier_method = KeyIdMethod::PreSpecified(vec![9; 20]);
    });
}

#[test]
fn another_key_or_issuer_gets_no_signature() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let decided = statement(key.subject_public_key_info());
    let signed = |decided: &Statement, built: &Statement, key| {
        let guarded = Guarded { statement: decided, secret: &authority(), refused: OnceCell::new() };
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = distinguished(&built.issuer);
        issuer.key_identifier_method = KeyIdMethod::PreSpecified(built.issuer_key_id.clone().unwrap());
        let signed = params(built).unwrap().signed_by(key, &Issuer::from_params(&issuer, &guarded));
        (signed.is_ok(), guarded.refused.get().copied())
    };
    assert_eq!(signed(&decided, &decided, &key), (true, None));
    assert_eq!(signed(&decided, &decided, &other), (false, Some(Mismatch::Key)));
    let mut built = decided.clone();
    built.issuer = Distinguished::leaf("billing");
    assert_eq!(signed(&decided, &built, &key), (false, Some(Mismatch::Issuer)));
    let mut built = decided.clone();
    built.issuer_key_id = Some(vec![6; 20]);
    assert_eq!(signed(&decided, &built, &key), (false, Some(Mismatch::KeyIds)));
}

#[test]
fn what_x509_cannot_hold_is_not_built() {
    let key = KeyPair::generate().unwrap();
    for (not_before, expires, fits) in [
        (0, 1, true),
        (0, 0, false),
        (0, LAST_SECOND + 1, true),
        (0, LAST_SECOND + 2, false),
        (0, u64::MAX, false),
        (u64::MAX, 1, false),
        // From 2050 on a certificate writes its instants in another way.
        (2_524_607_999, 2_524_608_001, true),
    ] {
        let statement = Statement { not_before, expires, ..statement(key.subject_public_key_info()) };
        let signed = sign(&statement, &key, &authority());
        assert_eq!(signed.is_ok(), fits, "{not_before} to {expires}: {signed:?}");
    }
}
