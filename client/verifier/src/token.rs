//! What an access token says, once its signature is checked: a JWT of RFC 9068 in JWS compact form, with the one header
//! that its key's tokens have. Nothing here judges time, audience or life, and no byte of the claims is looked at
//! before the signature over them is verified.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_credential::{
    Claims, Confirmation, Digest, Era, Lineage, Name, NodeKind, Rests, Revision, ScopeSet, TOKEN_TYPE,
    Timestamp,
};
use serde::Deserialize;

use crate::{Bundle, Refused};

/// The longest token that is read, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Both algorithms have signatures of 64 bytes.
const SIGNATURE: usize = 64;

/// A token that was read. Having one says nothing about whether it is good: [`crate::Verifier::check_token_again`] does.
#[derive(Debug, Clone)]
pub struct Token(Arc<Said>);

#[derive(Debug)]
struct Said {
    claims: Claims,
    audience: Name,
    /// Where the key that verified it is found, and which one it was.
    head: String,
    key: Digest,
}

impl Token {
    /// Reads a token that one of these keys signed.
    pub(crate) fn read(bundle: &Bundle, token: &str) -> Result<Self, Refused> {
        let (message, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (head, payload) = message.split_once('.').ok_or(Refused::Malformed)?;
        let key = bundle.token_key(head).ok_or_else(|| why_not(bundle, head))?;
        if !key.signed(message.as_bytes(), &decode_signature(signature).ok_or(Refused::BadSignature)?) {
            return Err(Refused::BadSignature);
        }
        let claims = claims(payload).ok_or(Refused::Malformed)?;
        let audience = agree(&claims).ok_or(Refused::Inconsistent)?;
        Ok(Self(Arc::new(Said { claims, audience, head: head.to_owned(), key: key.id })))
    }

    /// Everything that it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// For which audience it is.
    #[must_use]
    pub fn audience(&self) -> &Name {
        &self.0.audience
    }

    /// What decides whether it is alive.
    #[must_use]
    pub fn rests(&self) -> Rests<'_> {
        self.0.claims.rests()
    }

    /// The latest `exp` that the key that verified it vouches for; none if that key is not in use any more.
    pub(crate) fn vouched_until(&self, bundle: &Bundle) -> Option<Timestamp> {
        bundle.token_key(&self.0.head).filter(|key| key.id == self.0.key).map(|key| key.latest)
    }
}

/// The signature, if this is the one spelling of as many bytes as it has.
fn decode_signature(text: &str) -> Option<[u8; SIGNATURE]> {
    // Decoding wants a little more room than the bytes take.
    let mut room = [0; SIGNATURE + 2];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
    room.get(..length)?.try_into().ok()
}

/// The claims as they stand in a token, which may have no others: one that is not known could be one that narrows.
/// A broker that adds a claim has verifiers that know it first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: String,
    scope: ScopeSet,
    cnf: Option<Binding>,
    dp_era: Era,
    dp_rev: Revision,
    dp_lin: Lineage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    #[serde(rename = "x5t#S256")]
    thumbprint: Digest,
}

fn claims(payload: &str) -> Option<Claims> {
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let said: Payload = serde_json::from_slice(&json).ok()?;
    Some(Claims {
        iss: said.iss,
        sub: said.sub,
        aud: said.aud,
        exp: said.exp,
        iat: said.iat,
        jti: said.jti,
        client_id: said.client_id,
        scope: said.scope,
        cnf: said.cnf.map(|Binding { thumbprint }| Confirmation { thumbprint }),
        era: said.dp_era,
        rev: said.dp_rev,
        lineage: said.dp_lin,
    })
}

/// The audience of claims that agree with each other; the lineage has to name the application and the audience, or
/// ending those would not end the token.
fn agree(claims: &Claims) -> Option<Name> {
    let audience: Name = claims.aud.parse().ok()?;
    let names = |kind, name: &str| {
        claims.lineage.nodes().iter().any(|node| node.kind == kind && node.name.as_str() == name)
    };
    let agrees = claims.sub == claims.client_id
        && claims.iat < claims.exp
        && claims.jti == format!("{}-{}", claims.era, claims.rev)
        && names(NodeKind::Application, &claims.sub)
        && names(NodeKind::Audience, audience.as_str());
    agrees.then_some(audience)
}

/// A header, as far as it has to be read to say what is wrong with it.
#[derive(Deserialize)]
struct Header {
    typ: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
}

/// Why no key has tokens that begin so.
fn why_not(bundle: &Bundle, head: &str) -> Refused {
    let json = URL_SAFE_NO_PAD.decode(head).ok();
    let header = json.and_then(|json| serde_json::from_slice::<Header>(&json).ok());
    let Some(Header { typ, alg, kid }) = header else {
        return Refused::Malformed;
    };
    let named = bundle.token_keys().find(|key| Some(key.kid.as_str()) == kid.as_deref());
    match named {
        None => Refused::UnknownKey,
        Some(_) if typ.as_deref() != Some(TOKEN_TYPE) => Refused::WrongType,
        Some(key) if alg.as_deref() != Some(key.algorithm.as_str()) => Refused::WrongAlgorithm,
        Some(_) => Refused::StrangeHeader,
    }
}
