//! Access tokens: JWTs of RFC 9068, signed for a permit and read back.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_core::{
    event::TokenRecord,
    node::{Key, KeyAlgorithm},
};
use daypass_credential::{Claims, Confirmation, Revision, TOKEN_TYPE, Timestamp};
use jsonwebtoken::{DecodingKey, Header, Validation, errors::ErrorKind};

use crate::{
    jwt_provider::{self, Registered},
    key_ring::{KeyRing, Realm, SignError},
    secret::Secret,
};

/// The longest token that is read.
const MAX: usize = 8 * 1024;

/// An opened token key.
pub(crate) struct TokenKey {
    key: Key,
    registered: Registered,
    header: Header,
    /// The header as tokens begin with it, since it is always the same.
    head: String,
    public: Vec<u8>,
    decoding: DecodingKey,
    validation: Validation,
}

/// Why a token is refused. Nothing here judges time or lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any of ours.
    #[error("a token of more than 8 KiB")]
    TooLong,
    /// Not three parts, not JSON, a claim missing, twice or of the wrong type, or `none` for an algorithm.
    #[error("not an access token of ours by its form")]
    Malformed,
    /// No key of this name, or not any more.
    #[error("signed by a key that is not in use here")]
    UnknownKey,
    /// Another `typ`: some other kind of JWT.
    #[error("not an access token: its `typ` is not `at+jwt`")]
    WrongType,
    /// Not the algorithm of the key that it names.
    #[error("signed in another way than its key signs")]
    WrongAlgorithm,
    /// A header that ours do not have.
    #[error("a header field that our tokens do not have")]
    StrangeHeader,
    /// The signature is not by the key.
    #[error("bad signature")]
    BadSignature,
    /// Another `iss`.
    #[error("from another issuer")]
    OtherIssuer,
    /// From another life of the log.
    #[error("from another era of the broker")]
    OtherEra,
    /// Its claims contradict each other, or it outlives its key.
    #[error("claims that contradict each other")]
    Inconsistent,
}

impl TokenKey {
    pub(crate) fn new(key: Key, secret: Secret) -> Option<Self> {
        let algorithm = jwt_provider::algorithm(key.algorithm);
        let mut header = Header::new(algorithm);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(key.name.to_string());
        let mut validation = Validation::new(algorithm);
        // Issuer and consistency are checked here, time and audience by those who judge.
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let public = secret.public().to_vec();
        let decoding = match key.algorithm {
            KeyAlgorithm::Es256 => DecodingKey::from_ec_der(&public),
            KeyAlgorithm::EdDsa => DecodingKey::from_ed_der(&public),
        };
        Some(Self {
            head: URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?),
            key,
            registered: Registered::new(secret),
            header,
            public,
            decoding,
            validation,
        })
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// The bare public key.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(crate) fn sign(
        &self,
        realm: &Realm,
        record: &TokenRecord,
        revision: Revision,
    ) -> Result<String, SignError> {
        if record.expires > self.key.not_after {
            return Err(SignError::OutlivesKey);
        }
        let claims =
            serde_json::to_vec(&claims(realm, record, revision)).map_err(|_| SignError::NotSigned)?;
        let mut token = String::with_capacity(self.head.len() + claims.len() * 4 / 3 + 96);
        token.push_str(&self.head);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let (handle, algorithm) = (self.registered.handle(), self.header.alg);
        let signature = jsonwebtoken::crypto::sign(token.as_bytes(), handle, algorithm);
        token.push('.');
        token.push_str(&signature.map_err(|_| SignError::NotSigned)?);
        Ok(token)
    }

    fn read(&self, token: &str, header: &Header) -> Result<Claims, TokenError> {
        if header.typ != self.header.typ {
            return Err(TokenError::WrongType);
        }
        if header.alg != self.header.alg {
            return Err(TokenError::WrongAlgorithm);
        }
        if *header != self.header {
            return Err(TokenError::StrangeHeader);
        }
        let read = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        read.map(|data| data.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::BadSignature,
            _ => TokenError::Malformed,
        })
    }
}

fn claims(realm: &Realm, record: &TokenRecord, rev: Revision) -> Claims {
    let application = record.application.to_string();
    Claims {
        iss: realm.issuer.clone(),
        sub: application.clone(),
        aud: record.audience.to_string(),
        exp: record.expires.as_secs(),
        iat: record.issued.as_secs(),
        jti: format!("{}-{rev}", realm.era),
        client_id: application,
        scope: record.scopes.clone(),
        cnf: record.thumbprint.map(|thumbprint| Confirmation { thumbprint }),
        era: realm.era,
        rev,
        lineage: record.lineage.clone(),
    }
}

impl KeyRing {
    /// Reads a token: whether its key signed it, for this broker and era, and it says nothing contradictory. Whether
    /// it has expired, for whom it is and whether it is alive is the caller's to judge.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn read_token(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX {
            return Err(TokenError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let kid = header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
        let found = self.tokens().iter().find(|key| key.key.name.as_str() == kid);
        let key = found.ok_or(TokenError::UnknownKey)?;
        let claims = key.read(token, &header)?;
        self.agree(&key.key, &claims)?;
        Ok(claims)
    }

    fn agree(&self, key: &Key, claims: &Claims) -> Result<(), TokenError> {
        let realm = self.realm();
        if claims.iss != realm.issuer {
            return Err(TokenError::OtherIssuer);
        }
        if claims.era != realm.era {
            return Err(TokenError::OtherEra);
        }
        let consistent = claims.sub == claims.client_id
            && claims.jti == format!("{}-{}", claims.era, claims.rev)
            && claims.iat < claims.exp
            && Timestamp::from_secs(claims.exp) <= key.not_after;
        consistent.then_some(()).ok_or(TokenError::Inconsistent)
    }
}

#[cfg(test)]
mod tests;
