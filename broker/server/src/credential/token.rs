//! Minting an access token.

use daypass_core::{
    Denial, Facts, Shown,
    event::TokenRecord,
    mint::{Terms, TokenAsk, decide_token},
};
use daypass_credential::{Name, NodeId, NodeKind, Revision, ScopeSet, Ttl};

use crate::{
    broker::Broker,
    call::{Call, RequestMark},
    refusal::Refusal,
};

/// What an application asks for.
pub(crate) struct TokenWish {
    pub(crate) audience: Name,
    pub(crate) scopes: ScopeSet,
    /// The client certificate to bind it to, in DER; empty for none.
    pub(crate) bound_to: Vec<u8>,
    pub(crate) ttl: Option<Ttl>,
}

/// What it gets.
pub(crate) struct MintedToken {
    pub(crate) token: String,
    pub(crate) revision: Revision,
    pub(crate) record: TokenRecord,
}

impl Broker {
    /// Mints an access token: decide, record, sign.
    pub(crate) async fn mint_token(
        &self,
        call: &Call,
        wish: &TokenWish,
        mark: RequestMark,
    ) -> Result<MintedToken, Refusal> {
        let keys = self.keys.now();
        let now = self.trusted_now()?;
        let bound = match wish.bound_to.as_slice() {
            [] => None,
            der => Some(keys.client_certificate(der).map_err(|_| Denial::WrongCertificate)?),
        };
        let key = keys.ring().token_key(now).ok_or(Denial::NoSigningKey)?;
        let terms = Terms { era: self.era, key: &key.name, max_ttl: self.lifetimes.token_ttl };
        let ask = TokenAsk {
            audience: &wish.audience,
            scopes: &wish.scopes,
            bound_to: bound.as_deref(),
            ttl: wish.ttl,
        };
        let mut facts = call.facts.clone();
        self.read(&mut facts, hints(wish, &key.name, bound.as_deref())).await?;
        let decide = |facts: &Facts, now| decide_token(facts, &call.caller, &ask, &terms, now);
        let (permit, revision) = self.mint(call, mark, facts, decide).await?;
        let token = keys.ring().sign_token(&permit, revision).map_err(Refusal::internal)?;
        Ok(MintedToken { token, revision, record: permit.record().clone() })
    }
}

/// What the decision will need beside the caller's own lineage, so that it is read at once.
fn hints(wish: &TokenWish, key: &Name, bound: Option<&Shown>) -> Vec<NodeId> {
    let mut hints =
        vec![NodeId::new(NodeKind::Audience, wish.audience.clone()), NodeId::new(NodeKind::Key, key.clone())];
    if let Some(bound) = bound {
        hints.push(bound.id());
        hints.extend(bound.lineage.nodes().iter().cloned());
    }
    hints
}
