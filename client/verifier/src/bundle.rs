//! The keys of one era, as the broker publishes them: token keys by their headers, CAs by audience. A bundle never
//! changes; another one takes its place, and a key that is not in it vouches for nothing, whatever was checked with it.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_credential::{Digest, Era, Name, TOKEN_TYPE, Timestamp, TrustDomain, Ttl};
use daypass_log::VerifierKey;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};

use crate::{
    anchor::{Anchor, AnchorError},
    digest,
};

/// The least staleness limit that an audience can have.
pub const MIN_STALENESS: Ttl = Ttl::seconds(5);
/// The greatest.
pub const MAX_STALENESS: Ttl = Ttl::minutes(15);

/// How a token key signs (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The `alg` of a token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn fits(self, public: &[u8]) -> bool {
        match self {
            // An uncompressed point: `04`, then both coordinates.
            Self::Es256 => public.len() == 65 && public.first() == Some(&4),
            Self::EdDsa => public.len() == 32,
        }
    }

    fn ring(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::EdDsa => &ED25519,
        }
    }
}

/// What a broker publishes of its keys in one era, before it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The life of the log. It belongs to the keys: another era has other ones.
    pub era: Era,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The trust domain of its certificates.
    pub domain: TrustDomain,
    /// The keys of its tokens.
    pub tokens: Vec<PublishedKey>,
    /// The audiences whose credentials can be checked by it.
    pub audiences: Vec<PublishedAudience>,
    /// The keys that sign the checkpoints of its log.
    pub log_keys: Vec<VerifierKey>,
}

/// A token key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// Its name, the `kid` of its tokens.
    pub kid: Name,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The bare public key: an uncompressed point, or the 32 bytes of Ed25519.
    pub public: Vec<u8>,
    /// The latest `exp` that it vouches for.
    pub latest: Timestamp,
}

/// What credentials for an audience are checked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedAudience {
    /// Which.
    pub name: Name,
    /// How old what is known of the broker may be.
    pub staleness: Ttl,
    /// Its CAs, each certificate in DER.
    pub anchors: Vec<Vec<u8>>,
}

/// Why what was published is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Two keys or audiences of one name.
    #[error("`{0}` is published twice")]
    Twice(Name),
    /// No public key of its algorithm.
    #[error("token key `{0}` is no key of its algorithm")]
    Key(Name),
    /// Outside what an audience can have.
    #[error("the staleness limit of audience `{0}` is not between 5 seconds and 15 minutes")]
    Staleness(Name),
    /// A CA that is none for its audience.
    #[error("a CA of audience `{audience}` cannot be used")]
    Anchor {
        /// Of which audience.
        audience: Name,
        /// Why.
        source: AnchorError,
    },
}

/// The keys of one era.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    era: Era,
    issuer: String,
    domain: TrustDomain,
    /// By the one header that their tokens begin with.
    tokens: HashMap<String, TokenKey>,
    audiences: BTreeMap<Name, Trust>,
    log_keys: Vec<VerifierKey>,
}

/// A token key in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenKey {
    pub(crate) kid: Name,
    pub(crate) algorithm: Algorithm,
    /// SHA-256 of algorithm and public key: which key vouched for what.
    pub(crate) id: Digest,
    /// The header of its tokens as they spell it.
    pub(crate) head: String,
    pub(crate) latest: Timestamp,
    public: Vec<u8>,
}

/// What an audience's credentials are checked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    pub(crate) staleness: Ttl,
    pub(crate) anchors: Vec<Anchor>,
}

impl TokenKey {
    fn open(published: PublishedKey) -> Result<Self, BundleError> {
        let PublishedKey { kid, algorithm, public, latest } = published;
        if !algorithm.fits(&public) {
            return Err(BundleError::Key(kid));
        }
        // Neither word needs escapes: names are plain.
        let header = format!(r#"{{"typ":"{TOKEN_TYPE}","alg":"{}","kid":"{kid}"}}"#, algorithm.as_str());
        let id = digest(&[algorithm.as_str().as_bytes(), &public].concat());
        Ok(Self { head: URL_SAFE_NO_PAD.encode(header), id, kid, algorithm, latest, public })
    }

    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm.ring(), &self.public).verify(message, signature).is_ok()
    }
}

impl Bundle {
    /// Takes what was published into use.
    ///
    /// # Errors
    /// See [`BundleError`]; one bad key spoils the whole.
    pub fn open(published: Published) -> Result<Self, BundleError> {
        let Published { era, issuer, domain, tokens: keys, audiences: trusts, log_keys } = published;
        let mut tokens: HashMap<String, TokenKey> = HashMap::with_capacity(keys.len());
        for key in keys {
            let key = TokenKey::open(key)?;
            if tokens.values().any(|known| known.kid == key.kid) {
                return Err(BundleError::Twice(key.kid));
            }
            tokens.insert(key.head.clone(), key);
        }
        let mut audiences = BTreeMap::new();
        for PublishedAudience { name, staleness, anchors } in trusts {
            if !(MIN_STALENESS..=MAX_STALENESS).contains(&staleness) {
                return Err(BundleError::Staleness(name));
            }
            let open = |der: Vec<u8>| {
                let wrong = |source| BundleError::Anchor { audience: name.clone(), source };
                Anchor::open(&der, &name, &domain).map_err(wrong)
            };
            let anchors = anchors.into_iter().map(open).collect::<Result<_, _>>()?;
            if audiences.insert(name.clone(), Trust { staleness, anchors }).is_some() {
                return Err(BundleError::Twice(name));
            }
        }
        Ok(Self { era, issuer, domain, tokens, audiences, log_keys })
    }

    /// The life of the log that these keys belong to.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The trust domain of its certificates.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The keys that sign the checkpoints of its log.
    #[must_use]
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.log_keys
    }

    /// The staleness limit of an audience, if the broker has that audience.
    #[must_use]
    pub fn staleness(&self, audience: &Name) -> Option<Ttl> {
        self.audiences.get(audience).map(|trust| trust.staleness)
    }

    /// The audiences whose credentials can be checked by it, each with its staleness limit.
    pub fn audiences(&self) -> impl Iterator<Item = (&Name, Ttl)> {
        self.audiences.iter().map(|(name, trust)| (name, trust.staleness))
    }

    /// The key whose tokens begin so.
    pub(crate) fn token_key(&self, head: &str) -> Option<&TokenKey> {
        self.tokens.get(head)
    }

    pub(crate) fn token_keys(&self) -> impl Iterator<Item = &TokenKey> {
        self.tokens.values()
    }

    pub(crate) fn anchors(&self) -> impl Iterator<Item = &Anchor> {
        self.audiences.values().flat_map(|trust| &trust.anchors)
    }

    /// The CA with this id, if it is one of this audience.
    pub(crate) fn anchor(&self, audience: &Name, id: &Digest) -> Option<&Anchor> {
        self.audiences.get(audience)?.anchors.iter().find(|anchor| anchor.id == *id)
    }
}
