//! The keys that the broker signs with at the moment, and what was read with them and need not be read again.
//!
//! INVARIANT (a cache holds bytes, never verdicts): what is remembered of a token or certificate is what it says and
//! that its signature is right. Whether it is alive is asked each time. New keys begin with an empty memory.

use std::sync::{Arc, PoisonError, RwLock};

use daypass_core::{Body, Life, Shown, node::Key};
use daypass_credential::{Claims, Digest, NodeKind};
use daypass_issuer::{CertificateError, KeyEncryptionKey, KeyRing, Realm, TokenError};
use daypass_store::Store;
use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use crate::refusal::Refusal;

/// How many tokens, and how many certificates, are remembered.
const REMEMBERED: usize = 16 * 1024;

/// The keys in force at one time.
pub(crate) struct Keys {
    ring: KeyRing,
    tokens: Cache<Digest, Arc<Claims>>,
    certificates: Cache<Digest, Arc<Shown>>,
}

impl Keys {
    fn new(ring: KeyRing) -> Self {
        Self { ring, tokens: Cache::new(REMEMBERED), certificates: Cache::new(REMEMBERED) }
    }

    /// The keys themselves.
    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// What a token says, if its signature is right.
    pub(crate) fn token(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        let digest = daypass_issuer::digest(token.as_bytes());
        if let Some(claims) = self.tokens.get(&digest) {
            return Ok(claims);
        }
        let claims = Arc::new(self.ring.read_token(token)?);
        self.tokens.insert(digest, claims.clone());
        Ok(claims)
    }

    /// What a client certificate says, if its signature is right.
    pub(crate) fn client_certificate(&self, der: &[u8]) -> Result<Arc<Shown>, CertificateError> {
        let digest = daypass_issuer::digest(der);
        if let Some(shown) = self.certificates.get(&digest) {
            return Ok(shown);
        }
        let shown = Arc::new(self.ring.read_client_certificate(der)?);
        self.certificates.insert(digest, shown.clone());
        Ok(shown)
    }
}

/// Where the keys in force are kept, and replaced when there are new ones.
pub(crate) struct Cabinet {
    kek: KeyEncryptionKey,
    keys: RwLock<Arc<Keys>>,
    /// One at a time reads the store anew, so that an older reading never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
}

impl Cabinet {
    /// Opens all keys that the store holds.
    pub(crate) async fn open(
        store: &dyn Store,
        kek: KeyEncryptionKey,
        realm: Realm,
    ) -> Result<Self, Refusal> {
        let keys = Keys::new(ring(store, &kek, realm).await?);
        Ok(Self { kek, keys: RwLock::new(Arc::new(keys)), reading: tokio::sync::Mutex::default() })
    }

    /// The keys in force now.
    pub(crate) fn now(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What new keys are sealed with.
    pub(crate) const fn kek(&self) -> &KeyEncryptionKey {
        &self.kek
    }

    /// Takes in what the store holds by now.
    pub(crate) async fn refresh(&self, store: &dyn Store) -> Result<(), Refusal> {
        let _alone = self.reading.lock().await;
        let realm = self.now().ring.realm().clone();
        let keys = Keys::new(ring(store, &self.kek, realm).await?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }
}

/// The ring of every open key that the store holds.
async fn ring(store: &dyn Store, kek: &KeyEncryptionKey, realm: Realm) -> Result<KeyRing, Refusal> {
    let sealed = sealed_keys(store).await?;
    KeyRing::open(realm, kek, sealed).map_err(Refusal::internal)
}

/// Every open key of the store, with its sealed secret half.
async fn sealed_keys(store: &dyn Store) -> Result<Vec<(Key, Zeroizing<Vec<u8>>)>, Refusal> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(NodeKind::Key, after.as_ref(), 256).await?;
        for stored in &page {
            after = Some(stored.node.id().name);
            let Body::Key(key) = &stored.node.body else {
                continue;
            };
            if stored.node.life == Life::Open {
                let secret = store.private(key.sealed).await?;
                let missing = || Refusal::internal(format!("the secret half of key `{}` is gone", key.name));
                keys.push((key.clone(), secret.ok_or_else(missing)?));
            }
        }
        if page.is_empty() {
            return Ok(keys);
        }
    }
}
