//! A broker's keys, and what was recorded of some credentials, for the tests of this crate.

use daypass_core::{
    event::{Action, Actor, Bound, CertificateRecord, ChangeId, Event, Nonce, TokenRecord},
    mint::Permit,
    node::{Key, KeyAlgorithm, KeyPurpose},
};
use daypass_credential::{Digest, Era, Name, Revision, Timestamp};
use daypass_issuer::{Csr, KeyEncryptionKey, KeyPlan, KeyRing, NewKey, Realm, generate};
use rcgen::{CertificateParams, KeyPair};

pub(crate) const BEGIN: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_001_000);
pub(crate) const END: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const REV: Revision = Revision::new(41);

pub(crate) struct Broker {
    pub(crate) kek: KeyEncryptionKey,
    pub(crate) ring: KeyRing,
    pub(crate) keys: Vec<(Key, Vec<u8>)>,
}

pub(crate) fn realm() -> Realm {
    Realm {
        issuer: "https://broker.example".to_owned(),
        domain: "daypass.example".parse().unwrap(),
        era: Era::new(7),
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn plan(purpose: KeyPurpose, algorithm: KeyAlgorithm) -> KeyPlan {
    KeyPlan { purpose, algorithm, not_before: BEGIN, not_after: END }
}

pub(crate) fn audience(text: &str) -> KeyPurpose {
    KeyPurpose::Audience { audience: name(text) }
}

impl Broker {
    /// With a key for every purpose, and two audiences: `billing` and `payroll`.
    pub(crate) fn new() -> Self {
        Self::with(KeyAlgorithm::Es256)
    }

    /// The same with a token key of this algorithm.
    pub(crate) fn with(token: KeyAlgorithm) -> Self {
        let kek = KeyEncryptionKey::generate().unwrap();
        let plans = [
            plan(KeyPurpose::Identity, KeyAlgorithm::Es256),
            plan(audience("billing"), KeyAlgorithm::Es256),
            plan(audience("payroll"), KeyAlgorithm::Es256),
            plan(KeyPurpose::Token, token),
            plan(KeyPurpose::Audit, KeyAlgorithm::EdDsa),
        ];
        let make = |plan| {
            let NewKey { key, sealed } = generate(plan, &realm().domain, &kek).unwrap();
            (key, sealed)
        };
        let keys: Vec<_> = plans.into_iter().map(make).collect();
        let ring = KeyRing::open(realm(), &kek, keys.clone()).unwrap();
        Self { kek, ring, keys }
    }

    pub(crate) fn key(&self, purpose: &KeyPurpose) -> &Key {
        let mut all = self.ring.keys();
        all.find(|key| key.purpose == *purpose).unwrap()
    }

    pub(crate) fn token_record(&self) -> TokenRecord {
        TokenRecord {
            application: name("sync"),
            audience: name("billing"),
            scopes: "invoices.read invoices.write".parse().unwrap(),
            lineage:
                "vendor:acme contract:acme-2026 application:sync identity:i1 credential:40 audience:billing"
                    .parse()
                    .unwrap(),
            thumbprint: Some(Digest::new([9; 32])),
            issued: Timestamp::from_millis(NOW.as_millis() + 321),
            expires: Timestamp::from_secs(NOW.as_secs() + 900),
            bound_by: Bound::Scope,
            key: self.key(&KeyPurpose::Token).name.clone(),
        }
    }

    /// For a client certificate of this audience, or else for an identity certificate.
    pub(crate) fn certificate_record(&self, for_audience: Option<&str>, csr: &Csr) -> CertificateRecord {
        let purpose = for_audience.map_or(KeyPurpose::Identity, audience);
        let above = "vendor:acme contract:acme-2026 application:sync identity:i1";
        let lineage = for_audience.map_or_else(
            || above.to_owned(),
            |audience| format!("{above} credential:40 audience:{audience}"),
        );
        CertificateRecord {
            subject: "application:sync".parse().unwrap(),
            identity: name("i1"),
            audience: for_audience.map(name),
            lineage: lineage.parse().unwrap(),
            key: csr.key(),
            nonce: Nonce([0xab; 8]),
            not_before: NOW,
            expires: Timestamp::from_secs(NOW.as_secs() + 86_400),
            bound_by: Bound::Broker,
            issuer: self.key(&purpose).name.clone(),
        }
    }

    pub(crate) fn certificate(&self, for_audience: Option<&str>, csr: &Csr) -> Vec<u8> {
        let record = self.certificate_record(for_audience, csr);
        self.ring.sign_certificate(&certificate_permit(record), REV, csr).unwrap()
    }

    pub(crate) fn token(&self) -> String {
        self.ring.sign_token(&token_permit(self.token_record()), REV).unwrap()
    }
}

fn event(action: Action) -> Event {
    Event::new(NOW, ChangeId::new([1; 16]), Actor::Broker, action)
}

pub(crate) fn token_permit(record: TokenRecord) -> Permit<TokenRecord> {
    Permit::token_again(&event(Action::TokenMinted(record))).unwrap()
}

pub(crate) fn certificate_permit(record: CertificateRecord) -> Permit<CertificateRecord> {
    Permit::certificate_again(&event(Action::CertificateMinted(record))).unwrap()
}

/// A request as a partner's tool would send it, in DER.
pub(crate) fn request() -> Vec<u8> {
    let params = CertificateParams::default();
    let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    request.der().to_vec()
}

pub(crate) fn csr() -> Csr {
    Csr::parse(&request()).unwrap()
}
