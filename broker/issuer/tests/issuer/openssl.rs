//! What OpenSSL says of our certificates, and which of its requests we take. Left out, and said so, where there is no
//! `openssl`; with `DAYPASS_REQUIRE_ALL=1` that is a failure.

use std::{
    path::Path,
    process::{Command, Output},
};

use daypass_issuer::{Csr, CsrError, PublicKey, public_key_digest};
use tempfile::TempDir;

use crate::common::{Broker, NOW, csr, name};

fn there() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    let required = std::env::var_os("DAYPASS_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(there || !required, "openssl is not on the path");
    if !there {
        eprintln!("left out: openssl is not on the path");
    }
    there
}

fn openssl(dir: &Path, arguments: &str) -> Output {
    let arguments = arguments.split(' ').filter(|word| !word.is_empty());
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(arguments).output().unwrap()
}

fn run(dir: &Path, arguments: &str) -> String {
    let output = openssl(dir, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes a certificate for OpenSSL, in PEM.
fn put(dir: &Path, file: &str, der: &[u8]) {
    std::fs::write(dir.join("der"), der).unwrap();
    run(dir, &format!("x509 -inform DER -in der -out {file}"));
}

#[test]
fn openssl_accepts_a_certificate_under_its_own_ca_alone() {
    if !there() {
        return;
    }
    let (dir, broker, csr) = (TempDir::new().unwrap(), Broker::new(), csr());
    let dir = dir.path();
    let bundle = broker.ring.trust_bundle(NOW);
    put(dir, "billing", &bundle.audiences[&name("billing")][0]);
    put(dir, "payroll", &bundle.audiences[&name("payroll")][0]);
    put(dir, "root", &bundle.roots[0]);
    for (audience, own) in [(Some("billing"), "billing"), (Some("payroll"), "payroll"), (None, "root")] {
        put(dir, "leaf", &broker.certificate(audience, &csr));
        for anchor in ["billing", "payroll", "root"] {
            let verify = format!(
                "verify -x509_strict -purpose sslclient -attime {} -CAfile {anchor} leaf",
                NOW.as_secs()
            );
            let output = openssl(dir, &verify);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), anchor == own, "{audience:?} under {anchor}: {said}");
        }
        let server = format!("verify -purpose sslserver -attime {} -CAfile {own} leaf", NOW.as_secs());
        assert!(!openssl(dir, &server).status.success());
    }
}

#[test]
fn openssl_reads_in_a_certificate_what_we_wrote() {
    if !there() {
        return;
    }
    let (dir, broker) = (TempDir::new().unwrap(), Broker::new());
    put(dir.path(), "leaf", &broker.certificate(Some("billing"), &csr()));
    let text = run(dir.path(), "x509 -in leaf -noout -text -serial -nameopt RFC2253");
    let lineage = "1 0000000000000007 vendor:acme contract:acme-2026 application:sync identity:i1 credential:40 audience:billing";
    for expected in [
        "Version: 3 (0x2)",
        "serial=01ABABABABABABABAB0000000000000029",
        "Issuer: CN=billing,O=Daypass daypass.example",
        "Subject: CN=sync\n",
        "Not Before: Nov 14 22:30:00 2023 GMT",
        "Not After : Nov 15 22:29:59 2023 GMT",
        "URI:spiffe://daypass.example/application/sync\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Client Authentication\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "2.25.8897038663214691331: \n",
        lineage,
    ] {
        assert!(text.contains(expected), "`{expected}` is not in {text}");
    }
    let extensions = text.matches("X509v3 ").count();
    assert_eq!(extensions, 7, "one heading and six extensions: {text}");
}

#[test]
fn openssl_reads_in_a_root_what_we_wrote() {
    if !there() {
        return;
    }
    let (dir, broker) = (TempDir::new().unwrap(), Broker::new());
    put(dir.path(), "root", &broker.ring.trust_bundle(NOW).roots[0]);
    let text = run(dir.path(), "x509 -in root -noout -text -nameopt RFC2253");
    for expected in [
        "Subject: CN=Daypass daypass.example,O=Daypass daypass.example",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n",
        "URI:spiffe://daypass.example\n",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in {text}");
    }
}

/// What becomes of a request that OpenSSL made with these options.
fn check_request(options: &str, expected: Result<(), CsrError>) {
    let dir = TempDir::new().unwrap();
    let make = format!("req -new -subj /CN=anything -nodes -keyout key -outform DER -out request {options}");
    run(dir.path(), &make);
    let request = std::fs::read(dir.path().join("request")).unwrap();
    let read = Csr::parse(&request);
    assert_eq!(read.clone().map(|_| ()), expected, "{options}");
    let Ok(csr) = read else {
        return;
    };
    // The same key as a file is the same key; and it gets a certificate that reads back.
    let pem = run(dir.path(), "pkey -in key -pubout");
    assert_eq!(public_key_digest(&pem).unwrap(), csr.key(), "{options}");
    let broker = Broker::new();
    let der = broker.certificate(Some("billing"), &csr);
    assert_eq!(broker.ring.read_client_certificate(&der).unwrap().key, csr.key());
    // Any change in what was signed, or in the signature, is seen.
    for at in [request.len() - 1, request.len() / 2] {
        let mut bad = request.clone();
        bad[at] ^= 1;
        assert!(Csr::parse(&bad).is_err(), "{options}");
    }
}

#[test]
fn requests_with_every_kind_of_key_are_read() {
    if !there() {
        return;
    }
    const P256: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
    check_request(P256, Ok(()));
    check_request(&format!("{P256} -sha384"), Ok(()));
    check_request("-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384", Ok(()));
    check_request("-newkey ec -pkeyopt ec_paramgen_curve:P-384", Ok(()));
    check_request("-newkey ed25519", Ok(()));
    check_request("-newkey rsa:2048", Ok(()));
    check_request("-newkey rsa:3072 -sha512", Ok(()));
    check_request("-newkey rsa:1024", Err(CsrError::WeakKey));
    check_request("-newkey rsa:2047", Err(CsrError::WeakKey));
    check_request("-newkey rsa:2048 -sha1", Err(CsrError::WeakKey));
    check_request(&format!("{P256} -sha1"), Err(CsrError::WeakKey));
    let unsupported = Err(CsrError::UnsupportedAlgorithm);
    check_request("-newkey ec -pkeyopt ec_paramgen_curve:P-521 -sha512", unsupported);
    check_request("-newkey ec -pkeyopt ec_paramgen_curve:secp256k1", unsupported);
    check_request("-newkey ed448", unsupported);
    check_request("-newkey rsa:2048 -sigopt rsa_padding_mode:pss", unsupported);
}

#[test]
fn requests_that_ask_for_more_than_a_key_are_refused() {
    if !there() {
        return;
    }
    let ask = |extension: &str, expected| {
        let options = format!("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext {extension}");
        check_request(&options, expected);
    };
    ask("subjectAltName=DNS:evil.example", Err(CsrError::AsksForNames));
    ask("subjectAltName=URI:spiffe://daypass.example/application/other", Err(CsrError::AsksForNames));
    ask("basicConstraints=CA:TRUE", Err(CsrError::AsksForAuthority));
    ask("keyUsage=keyCertSign", Err(CsrError::AsksForAuthority));
    ask("keyUsage=digitalSignature,cRLSign", Err(CsrError::AsksForAuthority));
    // Wishes that do no harm are not granted, and not refused: some tools always write them.
    ask("basicConstraints=CA:FALSE", Ok(()));
    ask("keyUsage=digitalSignature", Ok(()));
    ask("extendedKeyUsage=serverAuth", Ok(()));
    ask("1.2.3.4=ASN1:UTF8String:hello", Ok(()));
}

#[test]
fn an_ed25519_key_is_the_same_in_openssl_and_openssh_form() {
    if !there() {
        return;
    }
    let dir = TempDir::new().unwrap();
    run(dir.path(), "genpkey -algorithm ed25519 -out key");
    let key: PublicKey = run(dir.path(), "pkey -in key -pubout").parse().unwrap();
    let line = format!("{} ada@laptop", key.openssh().unwrap());
    assert_eq!(public_key_digest(&line).unwrap(), key.digest());
}
