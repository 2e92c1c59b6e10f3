//! The keys that verifiers check by, read from the store's nodes: once a change for all streams together.

use std::{collections::BTreeMap, sync::Arc};

use daypass_core::{
    Body, Life, Node, Stored,
    node::{Key, KeyAlgorithm, KeyPurpose},
};
use daypass_credential::{Digest, Name, NodeId, NodeKind, Revision, Timestamp, Ttl};
use tokio::sync::Mutex;

use crate::{broker::Broker, notary::log_key, refusal::Refusal};

/// The DER of a SubjectPublicKeyInfo up to the key itself: P-256 (RFC 5480) and Ed25519 (RFC 8410).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// How many nodes are read at once.
const PAGE: usize = 256;

/// All keys that are in force. Those that expired are among them until they are ended: what a key vouches for ends with
/// it, and no clock that is wrong takes a key away for ever.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) tokens: Vec<PublishedKey>,
    /// The open audiences, each with its staleness limit and its CAs in DER.
    pub(crate) audiences: BTreeMap<Name, (Ttl, Vec<Vec<u8>>)>,
    /// As `NAME+ID+KEY`.
    pub(crate) log_keys: Vec<String>,
}

/// A token key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublishedKey {
    pub(crate) kid: Name,
    pub(crate) algorithm: KeyAlgorithm,
    /// The bare public key.
    pub(crate) public: Vec<u8>,
    /// The latest `exp` that it vouches for.
    pub(crate) latest: Timestamp,
}

/// What one verifier gets of them.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) all: Arc<Published>,
    /// The audiences that it is registered for.
    audiences: Vec<Name>,
}

impl Offer {
    /// The audiences that are open, each with its staleness limit and its CAs.
    pub(crate) fn audiences(&self) -> impl Iterator<Item = (&Name, &(Ttl, Vec<Vec<u8>>))> {
        self.audiences.iter().filter_map(|name| self.all.audiences.get_key_value(name))
    }

    /// Is it the same to whoever gets it?
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let (one, another) = (&self.all, &other.all);
        one.tokens == another.tokens
            && one.log_keys == another.log_keys
            && self.audiences().eq(other.audiences())
    }
}

/// The keys as they were read last, and up to which change.
#[derive(Default)]
pub(super) struct Cupboard(Mutex<Option<(Revision, Arc<Published>)>>);

/// What this verifier gets, no older than a change of keys that the log was followed to.
pub(super) async fn offer(broker: &Broker, verifier: &Name, change: Revision) -> Result<Offer, Refusal> {
    let all = published(broker, change).await?;
    let node = NodeId::new(NodeKind::Verifier, verifier.clone());
    let found = broker.store.nodes(&[node]).await?.pop().flatten();
    let audiences = match found.as_deref() {
        Some(Stored { node: Node { life: Life::Open, body: Body::Verifier(found) }, .. }) => {
            found.audiences.iter().cloned().collect()
        }
        _ => Vec::new(),
    };
    Ok(Offer { all, audiences })
}

async fn published(broker: &Broker, change: Revision) -> Result<Arc<Published>, Refusal> {
    let mut cupboard = broker.feed.keys.0.lock().await;
    if let Some((known, all)) = &*cupboard
        && *known >= change
    {
        return Ok(all.clone());
    }
    // Read after the change was followed, so that it is in what is read.
    let all = Arc::new(read(broker).await?);
    *cupboard = Some((change, all.clone()));
    Ok(all)
}

async fn read(broker: &Broker) -> Result<Published, Refusal> {
    let mut all = Published { tokens: Vec::new(), audiences: BTreeMap::new(), log_keys: Vec::new() };
    for node in open(broker, NodeKind::Audience).await? {
        if let Body::Audience(audience) = &node.node.body {
            all.audiences.insert(audience.name.clone(), (audience.staleness, Vec::new()));
        }
    }
    let keys = broker.keys.now();
    let issuer = &keys.ring().realm().issuer;
    for node in open(broker, NodeKind::Key).await? {
        if let Body::Key(key) = &node.node.body {
            all.take(issuer, key)?;
        }
    }
    Ok(all)
}

impl Published {
    fn take(&mut self, issuer: &str, key: &Key) -> Result<(), Refusal> {
        match &key.purpose {
            KeyPurpose::Token => {
                let public =
                    bare(key).ok_or_else(|| Refusal::internal(format!("`{}` is no key", key.name)))?;
                let (kid, algorithm, latest) = (key.name.clone(), key.algorithm, key.not_after);
                self.tokens.push(PublishedKey { kid, algorithm, public: public.to_vec(), latest });
            }
            KeyPurpose::Audience { audience } => {
                if let Some((_, roots)) = self.audiences.get_mut(audience) {
                    roots.push(key.public.0.clone());
                }
            }
            KeyPurpose::Audit => self.log_keys.extend(log_key(issuer, key).map(|key| key.to_string())),
            // For the broker's own callers alone.
            KeyPurpose::Identity => {}
        }
        Ok(())
    }
}

fn bare(key: &Key) -> Option<&[u8]> {
    match key.algorithm {
        KeyAlgorithm::Es256 => key.public.0.strip_prefix(&P256_PREFIX),
        KeyAlgorithm::EdDsa => key.public.0.strip_prefix(&ED25519_PREFIX),
    }
}

/// The digest that stands for a key on P-256, by its uncompressed point.
pub(super) fn digest_of_point(point: &[u8]) -> Digest {
    daypass_issuer::digest(&[&P256_PREFIX, point].concat())
}

/// All open nodes of a kind.
pub(super) async fn open(broker: &Broker, kind: NodeKind) -> Result<Vec<Arc<Stored>>, Refusal> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = broker.store.list(kind, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.node.id().name);
        all.extend(page.into_iter().filter(|stored| stored.node.life == Life::Open));
    }
}
