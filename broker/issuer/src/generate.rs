//! Makes new keys: private half sealed, public half ready for the key's node.

use daypass_core::{
    node::{Base64, Key, KeyAlgorithm, KeyPurpose},
    text::PrivateId,
};
use daypass_credential::{Name, Timestamp, TrustDomain};
use ring::error::Unspecified;

use crate::{
    authority::Authority,
    certificate::{BuildError, LAST_SECOND},
    seal::{KeyEncryptionKey, SealError, random},
    secret::{Secret, Writing},
};

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlan {
    /// What it signs.
    pub purpose: KeyPurpose,
    /// How it signs: CAs ES256, the audit key EdDSA, a token key either.
    pub algorithm: KeyAlgorithm,
    /// It signs from this instant on; rounded down to a second.
    pub not_before: Timestamp,
    /// The latest `exp` that it vouches for; rounded down to a second.
    pub not_after: Timestamp,
}

/// A new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its node. Name and the place of the private half were drawn at random.
    pub key: Key,
    /// Its private half, sealed: to be stored under [`Key::sealed`].
    pub sealed: Vec<u8>,
}

/// Why no key was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The purpose takes another algorithm.
    #[error("a key for this purpose has to be of another algorithm")]
    Algorithm,
    /// It would end before it begins, or after the year 9999.
    #[error("a key has to end after it begins, before the year 10000")]
    Lifetime,
    /// The certificate of a CA could not be made.
    #[error("the certificate of the key could not be made")]
    Certificate,
    /// It could not be sealed.
    #[error("the key could not be sealed")]
    Seal(#[from] SealError),
    /// The system gave no randomness.
    #[error("the system gave no random bytes")]
    Random,
}

impl From<Unspecified> for GenerateError {
    fn from(_: Unspecified) -> Self {
        Self::Random
    }
}

impl From<BuildError> for GenerateError {
    fn from(_: BuildError) -> Self {
        Self::Certificate
    }
}

/// Makes a key. A CA gets a certificate signed by itself; relying parties whose clocks run behind refuse it until its
/// `not_before`, so that a first CA should begin a little in the past.
///
/// # Errors
/// See [`GenerateError`].
pub fn generate(
    plan: KeyPlan,
    domain: &TrustDomain,
    kek: &KeyEncryptionKey,
) -> Result<NewKey, GenerateError> {
    if !allowed(&plan.purpose).contains(&plan.algorithm) {
        return Err(GenerateError::Algorithm);
    }
    let (not_before, not_after) = (plan.not_before.floor_secs(), plan.not_after.floor_secs());
    if not_before >= not_after || not_after.as_secs() > LAST_SECOND {
        return Err(GenerateError::Lifetime);
    }
    let pkcs8 = Secret::generate(plan.algorithm)?;
    let secret = Secret::open(&pkcs8, plan.algorithm, Writing::X509).ok_or(Unspecified)?;
    let certify = |audience| {
        let validity = (not_before, not_after);
        Ok::<_, GenerateError>(Authority::certify(domain, audience, serial()?, validity, &secret)?)
    };
    let public = match &plan.purpose {
        KeyPurpose::Identity => certify(None)?,
        KeyPurpose::Audience { audience } => certify(Some(audience))?,
        KeyPurpose::Token | KeyPurpose::Audit => secret.spki(),
    };
    let key = Key {
        name: name(&plan.purpose)?,
        purpose: plan.purpose,
        algorithm: plan.algorithm,
        public: Base64(public),
        not_before,
        not_after,
        sealed: PrivateId::new(random()?),
    };
    let sealed = kek.seal(&key, &pkcs8)?;
    Ok(NewKey { key, sealed })
}

/// The algorithms that a key of this purpose may have.
pub(crate) const fn allowed(purpose: &KeyPurpose) -> &'static [KeyAlgorithm] {
    match purpose {
        KeyPurpose::Identity | KeyPurpose::Audience { .. } => &[KeyAlgorithm::Es256],
        KeyPurpose::Token => &[KeyAlgorithm::Es256, KeyAlgorithm::EdDsa],
        KeyPurpose::Audit => &[KeyAlgorithm::EdDsa],
    }
}

/// The serial number of a CA or server certificate: as long as a client's, all random but the first byte.
pub(crate) fn serial() -> Result<Vec<u8>, Unspecified> {
    Ok([&[1][..], &random::<16>()?].concat())
}

fn name(purpose: &KeyPurpose) -> Result<Name, GenerateError> {
    let kind = match purpose {
        KeyPurpose::Identity => "idca",
        KeyPurpose::Audience { .. } => "audca",
        KeyPurpose::Token => "tok",
        KeyPurpose::Audit => "audit",
    };
    let number = u64::from_be_bytes(random()?);
    let name = format!("{kind}-{number:016x}").parse();
    name.map_err(|_| GenerateError::Random)
}
