//! From the wire into what the feed takes, and back. What does not fit is refused whole: a verifier that skipped what it
//! cannot read could miss a cut.

use bytes::Bytes;
use daypass_credential::{Cut, Name, NodeId, Revision, Timestamp, Ttl};
use daypass_log::Hash;
use daypass_proto::v1::{self, follow_revocations_response::Message};
use daypass_verifier::{
    Algorithm, Bundle, BundleError, Counter, Echo, Event, Hello, Part, Position, Published,
    PublishedAudience, PublishedKey,
};

use crate::{log::hashes, wire::instant};

/// What is wrong with something that the broker sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing, or something that this version does not know.
    #[error("it is empty, or of a version that is not known here")]
    Empty,
    /// A field that has to be there is not.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A field that belongs elsewhere.
    #[error("it has a {0} where none belongs")]
    Needless(&'static str),
    /// A field that cannot be read.
    #[error("its {0} cannot be read")]
    Unreadable(&'static str),
    /// Keys that are none.
    #[error("its keys cannot be used")]
    Keys(#[from] BundleError),
}

/// Reads what one stream brings. Some of it means something else within a snapshot.
#[derive(Debug, Default)]
pub(super) struct Reader {
    within: bool,
}

impl Reader {
    pub(super) fn read(&mut self, response: v1::FollowRevocationsResponse) -> Result<Event, Malformed> {
        Ok(match response.message.ok_or(Malformed::Empty)? {
            Message::SnapshotBegin(begin) => {
                self.within = true;
                Event::SnapshotBegin { era: parse(&begin.era, "era")?, at: place(begin.position)? }
            }
            Message::SnapshotCuts(cuts) => {
                let cuts = cuts.cuts.into_iter().map(cut).collect::<Result<_, _>>()?;
                Event::Part(Part::Cuts(cuts))
            }
            Message::SnapshotEnd(end) => {
                self.within = false;
                Event::SnapshotEnd { cuts: end.cuts }
            }
            Message::Resumed(resumed) => {
                Event::Resumed { era: parse(&resumed.era, "era")?, at: place(resumed.position)? }
            }
            Message::Cut(message) => {
                let cut = cut(message.cut.ok_or(Malformed::Missing("cut"))?)?;
                Event::Cut { cut, leaf: leaf(&message.leaf)? }
            }
            Message::Horizon(horizon) => {
                let at = at(horizon.horizon, "horizon")?;
                if self.within { Event::Part(Part::Horizon(at)) } else { Event::Horizon(at) }
            }
            Message::Keys(keys) => self.keys(keys)?,
            Message::Checkpoint(checkpoint) => Event::Checkpoint {
                note: checkpoint.checkpoint.into_bytes(),
                proof: hashes(&checkpoint.consistency).map_err(|_| Malformed::Unreadable("proof"))?,
            },
            Message::Echo(echo) => {
                Event::Echo(Echo { counter: Counter(echo.counter), head: place(echo.head)? })
            }
        })
    }

    fn keys(&self, mut keys: v1::FeedKeys) -> Result<Event, Malformed> {
        let position = keys.position.take();
        let bundle = Bundle::open(published(keys)?)?;
        match (self.within, position) {
            (true, None) => Ok(Event::Part(Part::Keys(bundle))),
            (true, Some(_)) => Err(Malformed::Needless("position")),
            (false, position) => Ok(Event::Keys { bundle, at: place(position)? }),
        }
    }
}

/// What to say first over a stream, with the public key of its identity and what the process is known by.
pub(super) fn hello(hello: &Hello, public_key: &[u8], process: [u8; 16], observing: bool) -> v1::FollowHello {
    v1::FollowHello {
        known: hello.known.map(|(_, at)| position(at)),
        era: hello.known.map(|(era, _)| era.to_string()).unwrap_or_default(),
        snapshot: hello.snapshot,
        checkpoint: hello.checkpoint.as_ref().map(|known| known.note().to_owned()).unwrap_or_default(),
        public_key: Bytes::copy_from_slice(public_key),
        observing,
        process: Bytes::copy_from_slice(&process),
    }
}

/// A place in the log.
pub(super) fn position(at: Position) -> v1::FeedPosition {
    v1::FeedPosition { revision: at.revision.get(), leaf: Bytes::copy_from_slice(at.leaf.as_bytes()) }
}

fn place(position: Option<v1::FeedPosition>) -> Result<Position, Malformed> {
    let position = position.ok_or(Malformed::Missing("position"))?;
    Ok(Position { revision: Revision::new(position.revision), leaf: leaf(&position.leaf)? })
}

fn leaf(bytes: &Bytes) -> Result<Hash, Malformed> {
    bytes.as_ref().try_into().map(Hash::new).map_err(|_| Malformed::Unreadable("leaf hash"))
}

fn cut(cut: v1::FeedCutNode) -> Result<Cut, Malformed> {
    let node: NodeId = parse(&cut.node, "node")?;
    Ok(Cut { node, at: Revision::new(cut.revision), until: at(cut.until, "last expiry")? })
}

fn at(timestamp: Option<prost_types::Timestamp>, what: &'static str) -> Result<Timestamp, Malformed> {
    instant(timestamp).map_err(|_| Malformed::Unreadable(what))
}

fn parse<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed::Unreadable(what))
}

fn published(keys: v1::FeedKeys) -> Result<Published, Malformed> {
    if keys.issuer.is_empty() {
        return Err(Malformed::Missing("issuer"));
    }
    Ok(Published {
        era: parse(&keys.era, "era")?,
        issuer: keys.issuer,
        domain: parse(&keys.trust_domain, "trust domain")?,
        tokens: keys.token_keys.into_iter().map(token_key).collect::<Result<_, _>>()?,
        audiences: keys.audiences.into_iter().map(audience).collect::<Result<_, _>>()?,
        log_keys: keys.log_keys.iter().map(|key| parse(key, "log key")).collect::<Result<_, _>>()?,
    })
}

fn token_key(key: v1::FeedTokenKey) -> Result<PublishedKey, Malformed> {
    let algorithm = [Algorithm::Es256, Algorithm::EdDsa]
        .into_iter()
        .find(|algorithm| algorithm.as_str() == key.algorithm)
        .ok_or(Malformed::Unreadable("algorithm"))?;
    Ok(PublishedKey {
        kid: parse(&key.kid, "name of a key")?,
        algorithm,
        public: key.public_key.to_vec(),
        latest: at(key.latest, "last expiry")?,
    })
}

fn audience(audience: v1::FeedAudience) -> Result<PublishedAudience, Malformed> {
    let name: Name = parse(&audience.audience, "audience")?;
    let staleness =
        Ttl::from_secs(audience.staleness_seconds).map_err(|_| Malformed::Unreadable("staleness limit"))?;
    let anchors = audience.roots.iter().map(|root| root.to_vec()).collect();
    Ok(PublishedAudience { name, staleness, anchors })
}
