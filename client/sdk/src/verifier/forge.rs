//! For tests: the keys of a broker, what they sign, and a verifier that is told what such a broker would push. Time is
//! tokio's, so that a test can stop it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_credential::{Cut, Digest, Era, Revision, Timestamp, Ttl, stamp};
use daypass_log::Hash;
use daypass_verifier::{
    Algorithm, Bundle, Echo, Event, Feed, Moment, Options, Part, Position, Published, PublishedAudience,
    PublishedKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use super::{Clock, Verifier};
use crate::{PrivateKey, Proof};

/// 15 November 2023, midnight: where the tests begin.
const NOW: Timestamp = Timestamp::from_secs(1_700_006_400);
const ERA: Era = Era::new(7);
/// The staleness limit of each audience.
pub(crate) const LIMIT: Ttl = Ttl::seconds(30);
const DOMAIN: &str = "daypass.example";

/// As many milliseconds after `NOW` as passed since, and those that were skipped.
struct TestClock {
    begun: Instant,
    skipped: AtomicU64,
    looks: AtomicU64,
}

impl Clock for TestClock {
    fn moment(&self) -> Moment {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        let passed = passed + self.skipped.load(Ordering::SeqCst);
        Moment { boot: 5_000_000 + passed, wall: Timestamp::from_millis(NOW.as_millis() + passed) }
    }
}

/// A broker's keys, and a verifier for `billing` that follows them.
pub(crate) struct Forge {
    pub(crate) verifier: Verifier,
    /// The same for `billing` and `payroll`.
    pub(crate) both: Verifier,
    clock: Arc<TestClock>,
    tokens: EcdsaKeyPair,
    pub(crate) billing: Authority,
    pub(crate) payroll: Authority,
    follows: Mutex<Follows>,
}

struct Follows {
    feed: Feed,
    revision: u64,
}

/// The CA of an audience.
pub(crate) struct Authority {
    audience: &'static str,
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

/// What a client certificate says beside what all of them do.
pub(crate) struct Leaf {
    pub(crate) instance: &'static str,
    /// Its number.
    pub(crate) revision: u64,
    /// Seconds that it is good for.
    pub(crate) lasts: u64,
}

impl Default for Leaf {
    fn default() -> Self {
        Self { instance: "i1", revision: 41, lasts: 3_600 }
    }
}

/// What a token says beside what all of them do.
pub(crate) struct Claim<'a> {
    pub(crate) scope: &'a str,
    pub(crate) audience: &'a str,
    /// The certificate that it is bound to.
    pub(crate) bound: Option<&'a Proof>,
    /// Its number.
    pub(crate) revision: u64,
    /// Seconds that it is good for.
    pub(crate) lasts: u64,
}

impl Default for Claim<'_> {
    fn default() -> Self {
        Self { scope: "invoices.read", audience: "billing", bound: None, revision: 42, lasts: 900 }
    }
}

impl Forge {
    /// A verifier that followed to revision 100 and is fresh now.
    pub(crate) fn new() -> Self {
        let forge = Self::silent();
        forge.snapshot();
        forge.refresh();
        forge
    }

    /// A verifier to which nothing came yet.
    pub(crate) fn silent() -> Self {
        let rng = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let tokens = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng);
        let clock = Arc::new(TestClock {
            begun: Instant::now(),
            skipped: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        });
        let audiences = ["billing".parse().unwrap(), "payroll".parse().unwrap()];
        let mut feed = Feed::new(None);
        feed.connected();
        let both = Verifier::new(audiences, &Options::default(), Arc::clone(&clock) as _).unwrap();
        Self {
            verifier: both.only(&"billing".parse().unwrap()).unwrap(),
            both,
            clock,
            tokens: tokens.unwrap(),
            billing: Authority::new("billing"),
            payroll: Authority::new("payroll"),
            follows: Mutex::new(Follows { feed, revision: 100 }),
        }
    }

    /// Keys and no cuts; nothing is proven by that.
    pub(crate) fn snapshot(&self) {
        let bundle = self.bundle(&[&self.billing, &self.payroll]);
        self.take(Event::SnapshotBegin { era: ERA, at: place(100) });
        for part in [Part::Cuts(Vec::new()), Part::Horizon(Timestamp::ZERO), Part::Keys(bundle)] {
            self.take(Event::Part(part));
        }
        self.take(Event::SnapshotEnd { cuts: 0 });
    }

    /// The broker proves that nothing is missing.
    pub(crate) fn refresh(&self) {
        let mut follows = self.follows.lock().unwrap();
        let counter = follows.feed.ask(self.clock.moment()).unwrap();
        let head = place(follows.revision);
        let view = follows.feed.take(Event::Echo(Echo { counter, head })).unwrap().unwrap();
        self.verifier.apply(view, false);
    }

    /// The end of a node comes.
    pub(crate) fn cut(&self, node: &str) {
        let (node, at) = (node.parse().unwrap(), Revision::new(self.next()));
        let cut = Cut { node, at, until: NOW.after(Ttl::days(365)) };
        self.take(Event::Cut { cut, leaf: place(at.get()).leaf });
    }

    /// The CAs of `billing` are these now.
    #[cfg(feature = "listen")]
    pub(crate) fn trust(&self, authorities: &[&Authority]) {
        let at = place(self.next());
        self.take(Event::Keys { bundle: self.bundle(authorities), at });
    }

    /// The clocks jump ahead; what waits for time to pass does not notice.
    pub(crate) fn skip(&self, millis: u64) {
        self.clock.skipped.fetch_add(millis, Ordering::SeqCst);
    }

    /// How often the clocks were read.
    pub(crate) fn looks(&self) -> u64 {
        self.clock.looks.load(Ordering::SeqCst)
    }

    fn next(&self) -> u64 {
        let mut follows = self.follows.lock().unwrap();
        follows.revision += 1;
        follows.revision
    }

    fn take(&self, event: Event) {
        let mut follows = self.follows.lock().unwrap();
        if let Some(view) = follows.feed.take(event).unwrap() {
            self.verifier.apply(view, true);
        }
    }

    fn bundle(&self, authorities: &[&Authority]) -> Bundle {
        let audience = |name: &str| PublishedAudience {
            name: name.parse().unwrap(),
            staleness: LIMIT,
            anchors: authorities.iter().filter(|ca| ca.audience == name).map(|ca| ca.der.clone()).collect(),
        };
        let key = PublishedKey {
            kid: "k1".parse().unwrap(),
            algorithm: Algorithm::Es256,
            public: self.tokens.public_key().as_ref().to_vec(),
            latest: NOW.after(Ttl::days(365)),
        };
        Bundle::open(Published {
            era: ERA,
            issuer: "https://broker.example".to_owned(),
            domain: DOMAIN.parse().unwrap(),
            tokens: vec![key],
            audiences: vec![audience("billing"), audience("payroll")],
            log_keys: Vec::new(),
        })
        .unwrap()
    }

    /// A token of the application `sync`.
    pub(crate) fn token(&self, claim: &Claim<'_>) -> String {
        let Claim { scope, audience, bound, revision, lasts } = claim;
        let now = self.clock.moment().wall.as_secs();
        let thumbprint = |proof: &&Proof| {
            let hash = ring::digest::digest(&ring::digest::SHA256, &proof.chain[0]);
            format!(r#""cnf":{{"x5t#S256":"{}"}},"#, Digest::new(hash.as_ref().try_into().unwrap()))
        };
        let claims = format!(
            r#"{{"iss":"https://broker.example","sub":"sync","aud":"{audience}","exp":{},"iat":{now},"jti":"{ERA}-{revision}","client_id":"sync","scope":"{scope}",{}"dp_era":"{ERA}","dp_rev":{revision},"dp_lin":"vendor:acme application:sync identity:i1 audience:{audience}"}}"#,
            now + lasts,
            bound.as_ref().map(thumbprint).unwrap_or_default(),
        );
        let header = r#"{"typ":"at+jwt","alg":"ES256","kid":"k1"}"#;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.tokens.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Authority {
    pub(crate) fn new(audience: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, format!("Daypass {DOMAIN}"));
        params.distinguished_name.push(DnType::CommonName, audience);
        params.subject_alt_names = vec![uri(&format!("spiffe://{DOMAIN}"))];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2027, 1, 1));
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { audience, params, key, der }
    }

    /// A client certificate of the application `sync` as the broker makes them, and its key.
    pub(crate) fn proof(&self, leaf: &Leaf) -> Proof {
        let Leaf { instance, revision, lasts } = leaf;
        let mut params = CertificateParams::default();
        params.serial_number = Some(stamp::serial([9; 8], Revision::new(*revision)).to_vec().into());
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "sync");
        params.subject_alt_names = vec![uri(&format!("spiffe://{DOMAIN}/application/sync"))];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2023, 11, 15);
        // The last second is inside.
        params.not_after = params.not_before + std::time::Duration::from_secs(lasts - 1);
        let lineage =
            format!("1 {ERA} vendor:acme application:sync identity:{instance} audience:{}", self.audience);
        let content = [&[0x0c, u8::try_from(lineage.len()).unwrap()], lineage.as_bytes()].concat();
        params.custom_extensions.push(CustomExtension::from_oid_content(stamp::LINEAGE_OID, content));
        let key = PrivateKey::generate().unwrap();
        let pair = KeyPair::try_from(&key.der()).unwrap();
        let signed = params.signed_by(&pair, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Proof { chain: vec![signed.der().clone()], key }
    }
}

/// The certificate of a service, which stands for itself, and its key.
#[cfg(feature = "listen")]
pub(crate) fn server() -> (CertificateDer<'static>, PrivateKey) {
    let key = PrivateKey::generate().unwrap();
    let pair = KeyPair::try_from(&key.der()).unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.self_signed(&pair).unwrap().der().clone(), key)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn place(revision: u64) -> Position {
    Position { revision: Revision::new(revision), leaf: Hash::leaf(&revision.to_be_bytes()) }
}
