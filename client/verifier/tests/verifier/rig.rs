//! What these tests share: a broker's keys as it would publish them, moments, and a feed that can be told things.

use daypass_core::node::{KeyAlgorithm, KeyPurpose};
use daypass_credential::{Cut, Era, Name, Revision, Timestamp, Ttl};
use daypass_log::{Hash, VerifierKey};
use daypass_verifier::{
    Algorithm, Bundle, Certificate, Echo, Event, Feed, FeedError, Moment, Options, Part, Position, Published,
    PublishedAudience, PublishedKey, Refused, Token, Verifier,
};

use crate::common::{Broker, NOW, name, realm};

pub(crate) const ERA: Era = Era::new(7);
pub(crate) const LIMIT: Ttl = Ttl::seconds(30);

/// So many milliseconds after the beginning of the test, by both clocks.
pub(crate) const fn at(millis: u64) -> Moment {
    Moment { boot: 5_000_000 + millis, wall: Timestamp::from_millis(NOW.as_millis() + millis) }
}

/// A place in the one true log.
pub(crate) fn place(revision: u64) -> Position {
    Position { revision: Revision::new(revision), leaf: Hash::leaf(&revision.to_be_bytes()) }
}

/// What a broker with these keys publishes.
pub(crate) fn published(broker: &Broker) -> Published {
    let tokens = broker.ring.keys().filter(|key| key.purpose == KeyPurpose::Token).map(|key| {
        let (algorithm, length) = match key.algorithm {
            KeyAlgorithm::Es256 => (Algorithm::Es256, 65),
            KeyAlgorithm::EdDsa => (Algorithm::EdDsa, 32),
        };
        let spki = &key.public.0;
        let public = spki[spki.len() - length..].to_vec();
        PublishedKey { kid: key.name.clone(), algorithm, public, latest: key.not_after }
    });
    let audiences = broker.ring.trust_bundle(NOW).audiences.into_iter();
    let audience = |(name, anchors)| PublishedAudience { name, staleness: LIMIT, anchors };
    Published {
        era: ERA,
        issuer: realm().issuer,
        domain: realm().domain,
        tokens: tokens.collect(),
        audiences: audiences.map(audience).collect(),
        log_keys: vec![VerifierKey::new("broker.example/log", [3; 32]).unwrap()],
    }
}

pub(crate) fn cut(node: &str, at: u64, until: u64) -> Cut {
    Cut { node: node.parse().unwrap(), at: Revision::new(at), until: Timestamp::from_secs(until) }
}

/// A verifier with its feed.
pub(crate) struct Rig {
    pub(crate) verifier: Verifier,
    pub(crate) feed: Feed,
}

impl Rig {
    /// For these audiences; nothing has come yet.
    pub(crate) fn new(audiences: &[&str]) -> Self {
        let names: Vec<Name> = audiences.iter().map(|audience| name(audience)).collect();
        Self { verifier: Verifier::new(names, &Options::default()).unwrap(), feed: Feed::new(None) }
    }

    /// For `billing`, with the keys of this broker and no cuts as of revision 100, fresh at the beginning.
    pub(crate) fn following(broker: &Broker) -> Self {
        Self::following_with(published(broker))
    }

    pub(crate) fn following_with(published: Published) -> Self {
        let mut rig = Self::new(&["billing"]);
        rig.feed.connected();
        rig.snapshot(published, 100, Vec::new(), 0).unwrap();
        rig.refresh(100, at(0)).unwrap();
        rig
    }

    /// Takes in an event, and puts the view in force if there is one.
    pub(crate) fn take(&mut self, event: Event) -> Result<bool, FeedError> {
        let view = self.feed.take(event)?;
        Ok(view.map(|view| self.verifier.apply(view)).is_some())
    }

    pub(crate) fn snapshot(
        &mut self,
        published: Published,
        revision: u64,
        cuts: Vec<Cut>,
        horizon: u64,
    ) -> Result<bool, FeedError> {
        self.take(Event::SnapshotBegin { era: published.era, at: place(revision) })?;
        let bundle = Bundle::open(published).unwrap();
        let count = cuts.len() as u64;
        for part in [Part::Cuts(cuts), Part::Horizon(Timestamp::from_secs(horizon)), Part::Keys(bundle)] {
            assert!(!self.take(Event::Part(part))?, "a part alone changes nothing");
        }
        self.take(Event::SnapshotEnd { cuts: count })
    }

    pub(crate) fn cut(&mut self, node: &str, revision: u64) -> Result<bool, FeedError> {
        let until = NOW.as_secs() + 1_000_000;
        self.take(Event::Cut { cut: cut(node, revision, until), leaf: place(revision).leaf })
    }

    pub(crate) fn keys(&mut self, published: Published, revision: u64) -> Result<bool, FeedError> {
        self.take(Event::Keys { bundle: Bundle::open(published).unwrap(), at: place(revision) })
    }

    /// A counter sent and echoed at one moment.
    pub(crate) fn refresh(&mut self, head: u64, now: Moment) -> Result<bool, FeedError> {
        let counter = self.feed.ask(now).expect("a stream");
        self.take(Event::Echo(Echo { counter, head: place(head) }))
    }

    /// Shows a token and a certificate.
    pub(crate) fn show(&self, token: &str, der: Option<&[u8]>, now: Moment) -> Result<Token, Refused> {
        let certificate = der.map(|der| self.verifier.read_certificate(der)).transpose()?;
        self.verifier.check_token(token, certificate.as_ref(), &[], now)
    }

    /// Shows a certificate by itself.
    pub(crate) fn show_certificate(&self, der: &[u8], now: Moment) -> Result<Certificate, Refused> {
        let certificate = self.verifier.read_certificate(der)?;
        self.verifier.check_certificate(&certificate, now)?;
        Ok(certificate)
    }
}
