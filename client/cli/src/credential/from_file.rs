//! What a file says of the credential in it: its number, and enough beside it to notice that it is another broker's.
//! Nothing here is believed; it only says what to ask the broker for.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_credential::{Claims, Lineage, Revision, ScopeSet, stamp::LINEAGE_OID};
use daypass_sdk::Record;
use x509_parser::{
    certificate::X509Certificate,
    der_parser::asn1_rs::{FromDer as _, Utf8String},
};

use super::chain;
use crate::{console, failure::Failure};

/// A credential, as far as is known without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) revision: Revision,
    /// What a token may be used for.
    pub(super) scopes: Option<ScopeSet>,
    /// What it rests on, by its own words.
    lineage: Option<Lineage>,
}

impl Found {
    pub(super) const fn by_number(revision: Revision) -> Self {
        Self { revision, scopes: None, lineage: None }
    }

    /// Refuses the record of another credential: each broker, and each era of one, numbers its own.
    pub(super) fn demand(&self, record: &Record) -> Result<(), Failure> {
        match &self.lineage {
            Some(lineage) if lineage.nodes() != record.lineage => Err(Failure::OtherRoot(format!(
                "the credential in the file is number {} of another broker: this one has another under that number",
                self.revision
            ))
            .then("choose the context, or the home, of the broker that minted it: --context NAME or --home DIR")),
            _ => Ok(()),
        }
    }
}

/// The first certificate of a PEM file.
pub(super) fn certificate(file: &Path) -> Result<Found, Failure> {
    let unfit = |why: &str| {
        Failure::bad(format!("`{}`: {why}", file.display()))
            .then("name a cert.pem as `daypass cert` writes it, or the credential's number")
    };
    let certificates = chain(file)?;
    let der = certificates.first().ok_or_else(|| unfit("there is no certificate in it"))?;
    of_certificate(der).ok_or_else(|| unfit("the certificate is none of a Daypass broker's"))
}

fn of_certificate(der: &[u8]) -> Option<Found> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut stamps = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid.iter().is_some_and(|arcs| arcs.eq(LINEAGE_OID.iter().copied())));
    let (_, text) = Utf8String::from_der(stamps.next()?.value).ok()?;
    // `1 ERA LINEAGE`, where `1` is the form.
    let (_, lineage) = text.as_ref().strip_prefix("1 ")?.split_once(' ')?;
    let number = certificate.raw_serial().last_chunk::<8>()?;
    Some(Found {
        revision: Revision::new(u64::from_be_bytes(*number)),
        scopes: None,
        lineage: Some(lineage.parse().ok()?),
    })
}

/// The token in a file.
pub(super) fn token(file: &Path) -> Result<Found, Failure> {
    let text = console::read(file)?;
    of_token(text.trim()).ok_or_else(|| {
        Failure::bad(format!("`{}`: there is no access token of a Daypass broker in it", file.display()))
            .then("name a file with what `daypass token` printed, or the credential's number")
    })
}

fn of_token(text: &str) -> Option<Found> {
    let mut parts = text.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    parts.next().is_none().then_some(Found {
        revision: claims.rev,
        scopes: Some(claims.scope),
        lineage: Some(claims.lineage),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use daypass_credential::Timestamp;
    use daypass_sdk::RecordKind;
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SerialNumber};

    use super::*;

    const LINEAGE: &str = "vendor:acme application:sync identity:i1 audience:billing";

    fn certificate_with(stamp: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        let serial: Vec<u8> = [1].into_iter().chain([9; 8]).chain(4711_u64.to_be_bytes()).collect();
        params.serial_number = Some(SerialNumber::from(serial));
        if let Some(stamp) = stamp {
            let content = [&[0x0c, u8::try_from(stamp.len()).unwrap()], stamp.as_bytes()].concat();
            params.custom_extensions.push(CustomExtension::from_oid_content(LINEAGE_OID, content));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn token_with(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut claims = serde_json::json!({
            "iss": "https://b", "sub": "sync", "aud": "billing", "exp": 900, "iat": 0, "jti": "1-7", "client_id": "sync",
            "scope": "invoices.read", "dp_era": "0000000000000001", "dp_rev": 17, "dp_lin": LINEAGE,
        });
        change(&mut claims);
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn the_number_of_a_certificate_is_in_its_serial() {
        let found =
            of_certificate(&certificate_with(Some(&format!("1 0000000000000001 {LINEAGE}")))).unwrap();
        assert_eq!(found.revision, Revision::new(4711));
        assert_eq!(found.lineage.unwrap().to_string(), LINEAGE);
    }

    #[test]
    fn a_certificate_that_is_not_ours_has_no_number() {
        assert_eq!(of_certificate(&certificate_with(None)), None);
        assert_eq!(of_certificate(&certificate_with(Some("2 future"))), None);
        assert_eq!(of_certificate(b"x"), None);
    }

    #[test]
    fn the_number_of_a_token_is_in_its_claims() {
        let found = of_token(&token_with(|_| {})).unwrap();
        assert_eq!(found.revision, Revision::new(17));
        assert_eq!(found.scopes.unwrap().to_string(), "invoices.read");
        for bad in ["", "a.b", "a.b.c", "e30.e30.e30", &format!("{}.x", token_with(|_| {}))] {
            assert_eq!(of_token(bad), None, "{bad}");
        }
        let foreign = token_with(|claims| {
            claims.as_object_mut().unwrap().remove("dp_rev");
        });
        assert_eq!(of_token(&foreign), None);
    }

    #[test]
    fn a_file_is_not_repeated_in_what_is_said_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "hunter2").unwrap();
        let failure = token(&path).unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter2"));
        assert!(failure.next().is_some());
    }

    #[test]
    fn the_record_of_another_credential_is_refused() {
        let record = |lineage: &str| Record {
            revision: Revision::new(17),
            kind: RecordKind::Token,
            subject: "application:sync".parse().unwrap(),
            identity: None,
            audience: None,
            scopes: vec![],
            not_before: Timestamp::ZERO,
            expires_at: Timestamp::ZERO,
            bound_by: String::new(),
            lineage: lineage.parse::<Lineage>().unwrap().nodes().to_vec(),
            death: None,
        };
        let found = of_token(&token_with(|_| {})).unwrap();
        assert!(found.demand(&record(LINEAGE)).is_ok());
        assert_eq!(found.demand(&record("vendor:other")).unwrap_err().exit().code(), 6);
        assert!(Found::by_number(Revision::new(17)).demand(&record("vendor:other")).is_ok());
    }
}
