//! The opened keys of a broker: an immutable value, opened anew whenever a key is added or ended. A key that is not in
//! the ring neither signs nor vouches for anything.

use daypass_core::{
    event::{CertificateRecord, TokenRecord},
    mint::Permit,
    node::{Key, KeyPurpose},
};
use daypass_credential::{Era, Name, Revision, Timestamp, TrustDomain};

use crate::{
    authority::Authority,
    certificate::BuildError,
    check::Mismatch,
    csr::Csr,
    generate::allowed,
    jwt_provider,
    seal::{KeyEncryptionKey, SealError},
    secret::{Secret, Writing},
    token::TokenKey,
};

/// What the broker says of itself in all it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// The `iss` of its tokens: its URL.
    pub issuer: String,
    /// The trust domain of its certificates.
    pub domain: TrustDomain,
    /// The life of the log.
    pub era: Era,
}

/// The opened keys of a broker.
pub struct KeyRing {
    realm: Realm,
    tokens: Vec<TokenKey>,
    authorities: Vec<Authority>,
    audits: Vec<(Key, Secret)>,
}

/// Why the keys could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The private half could not be unsealed.
    #[error("key `{key}` cannot be opened")]
    Sealed {
        /// Which.
        key: Name,
        /// Why.
        source: SealError,
    },
    /// What was sealed is no private key of the algorithm, or not the one to the public half.
    #[error("the two halves of key `{0}` do not fit each other")]
    Halves(Name),
    /// The certificate of a CA is not what it has to be, for example of another trust domain.
    #[error("the certificate of key `{key}` is not the one of this CA")]
    Certificate {
        /// Which.
        key: Name,
        /// In what.
        source: Mismatch,
    },
    /// Two keys of one name.
    #[error("there are two keys called `{0}`")]
    Twice(Name),
    /// Other code made itself the token cryptography of this process.
    #[error("another token signing library was set up in this process before")]
    OtherProvider,
}

/// Why something was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key is not here, or not for this.
    #[error("there is no key `{0}` for this")]
    UnknownKey(Name),
    /// No key of the purpose is in force.
    #[error("there is no key in force for this")]
    NoKey,
    /// It would live longer than the key that signs it.
    #[error("it would outlive the key that signs it")]
    OutlivesKey,
    /// The request is for another public key than was recorded.
    #[error("the request is for another key than the one recorded")]
    OtherKey,
    /// What was recorded cannot be said in a certificate, or contradicts itself.
    #[error("what was recorded cannot be certified: {0}")]
    Unfit(&'static str),
    /// What was built is not what was decided; nothing was signed.
    #[error("the certificate that was built is not the one decided on")]
    Refused(#[source] Mismatch),
    /// The key did not sign.
    #[error("the key did not sign")]
    NotSigned,
}

impl From<BuildError> for SignError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Unwritable => Self::Unfit("an instant or name that X.509 cannot hold"),
            BuildError::Refused(mismatch) => Self::Refused(mismatch),
            BuildError::NotSigned => Self::NotSigned,
        }
    }
}

/// A signature by the audit key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSignature {
    /// The key that signed.
    pub key: Name,
    /// The Ed25519 signature (RFC 8032).
    pub signature: [u8; 64],
}

impl KeyRing {
    /// Opens keys, each with its sealed private half.
    ///
    /// # Errors
    /// See [`OpenError`]; one bad key opens none.
    pub fn open<S: AsRef<[u8]>>(
        realm: Realm,
        kek: &KeyEncryptionKey,
        keys: impl IntoIterator<Item = (Key, S)>,
    ) -> Result<Self, OpenError> {
        if !jwt_provider::install() {
            return Err(OpenError::OtherProvider);
        }
        let mut ring = Self { realm, tokens: Vec::new(), authorities: Vec::new(), audits: Vec::new() };
        for (key, sealed) in keys {
            ring.take(kek, key, sealed.as_ref())?;
        }
        Ok(ring)
    }

    fn take(&mut self, kek: &KeyEncryptionKey, key: Key, sealed: &[u8]) -> Result<(), OpenError> {
        if self.keys().any(|known| known.name == key.name) {
            return Err(OpenError::Twice(key.name));
        }
        let pkcs8 =
            kek.open(&key, sealed).map_err(|source| OpenError::Sealed { key: key.name.clone(), source })?;
        let writing = match key.purpose {
            KeyPurpose::Identity | KeyPurpose::Audience { .. } => Writing::X509,
            KeyPurpose::Token | KeyPurpose::Audit => Writing::Jws,
        };
        let secret = Secret::open(&pkcs8, key.algorithm, writing);
        let Some(secret) = secret.filter(|_| allowed(&key.purpose).contains(&key.algorithm)) else {
            return Err(OpenError::Halves(key.name));
        };
        match key.purpose.clone() {
            KeyPurpose::Identity => return self.take_authority(key, None, secret),
            KeyPurpose::Audience { audience } => return self.take_authority(key, Some(audience), secret),
            KeyPurpose::Token | KeyPurpose::Audit if secret.spki() != key.public.0 => {
                return Err(OpenError::Halves(key.name));
            }
            KeyPurpose::Token => {
                let name = key.name.clone();
                let opened = TokenKey::new(key, secret);
                self.tokens.push(opened.ok_or(OpenError::Halves(name))?);
            }
            KeyPurpose::Audit => self.audits.push((key, secret)),
        }
        Ok(())
    }

    fn take_authority(&mut self, key: Key, audience: Option<Name>, secret: Secret) -> Result<(), OpenError> {
        let name = key.name.clone();
        let opened = Authority::open(key, audience, secret, &self.realm.domain);
        let opened = opened.map_err(|source| OpenError::Certificate { key: name, source })?;
        self.authorities.push(opened);
        Ok(())
    }

    /// What the broker says of itself.
    #[must_use]
    pub const fn realm(&self) -> &Realm {
        &self.realm
    }

    /// All keys in it.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let tokens = self.tokens.iter().map(TokenKey::key);
        let authorities = self.authorities.iter().map(Authority::key);
        tokens.chain(authorities).chain(self.audits.iter().map(|(key, _)| key))
    }

    /// The key that signs tokens now: of those in force, the one that began last.
    #[must_use]
    pub fn token_key(&self, now: Timestamp) -> Option<&Key> {
        newest(self.tokens.iter().map(TokenKey::key), now)
    }

    /// The CA that signs identity certificates now.
    #[must_use]
    pub fn identity_ca(&self, now: Timestamp) -> Option<&Key> {
        self.newest_authority(None, now).map(Authority::key)
    }

    /// The CA that signs client certificates for an audience now.
    #[must_use]
    pub fn audience_ca(&self, audience: &Name, now: Timestamp) -> Option<&Key> {
        self.newest_authority(Some(audience), now).map(Authority::key)
    }

    /// The key that signs audit statements now.
    #[must_use]
    pub fn audit_key(&self, now: Timestamp) -> Option<&Key> {
        newest(self.audits.iter().map(|(key, _)| key), now)
    }

    /// Signs the token that was permitted, and recorded at this revision.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign_token(&self, permit: &Permit<TokenRecord>, revision: Revision) -> Result<String, SignError> {
        let record = permit.record();
        let found = self.tokens.iter().find(|key| key.key().name == record.key);
        let key = found.ok_or_else(|| SignError::UnknownKey(record.key.clone()))?;
        key.sign(&self.realm, record, revision)
    }

    /// Signs the certificate that was permitted, and recorded at this revision, for the key of the request; in DER.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign_certificate(
        &self,
        permit: &Permit<CertificateRecord>,
        revision: Revision,
        csr: &Csr,
    ) -> Result<Vec<u8>, SignError> {
        let record = permit.record();
        let found = self
            .authorities
            .iter()
            .find(|ca| ca.key().name == record.issuer && ca.audience() == record.audience.as_ref());
        let authority = found.ok_or_else(|| SignError::UnknownKey(record.issuer.clone()))?;
        let leaf = self.leaf(authority, record, revision, csr)?;
        Ok(authority.sign(leaf, csr.public_key().built())?)
    }

    /// Signs these bytes, as they are, with the audit key that is in force. What they mean is the caller's: a signed
    /// statement has to say by itself what kind of statement it is.
    ///
    /// # Errors
    /// [`SignError::NoKey`] and [`SignError::NotSigned`].
    pub fn sign_audit(&self, message: &[u8], now: Timestamp) -> Result<AuditSignature, SignError> {
        let key = self.audit_key(now).ok_or(SignError::NoKey)?;
        let found = self.audits.iter().find(|(known, _)| known.name == key.name);
        let (_, secret) = found.ok_or(SignError::NoKey)?;
        let signature = secret.sign(message).map_err(|_| SignError::NotSigned)?;
        Ok(AuditSignature {
            key: key.name.clone(),
            signature: signature.try_into().map_err(|_| SignError::NotSigned)?,
        })
    }

    pub(crate) fn tokens(&self) -> &[TokenKey] {
        &self.tokens
    }

    pub(crate) fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    pub(crate) fn newest_authority(&self, audience: Option<&Name>, now: Timestamp) -> Option<&Authority> {
        let ours = self.authorities.iter().filter(|ca| ca.audience() == audience);
        let name = &newest(ours.map(Authority::key), now)?.name;
        self.authorities.iter().find(|ca| ca.key().name == *name)
    }
}

/// Of the keys in force the one that began last; of two that began at once, always the same.
fn newest<'a>(keys: impl Iterator<Item = &'a Key>, now: Timestamp) -> Option<&'a Key> {
    keys.filter(|key| key.not_before <= now && now < key.not_after)
        .max_by_key(|key| (key.not_before, &key.name))
}
