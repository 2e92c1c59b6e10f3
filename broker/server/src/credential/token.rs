//! Minting an access token.

use daypass_core::{
    Action, Denial, Permit, Shown,
    event::TokenRecord,
    mint::{Terms, TokenAsk, decide_token},
};
use daypass_credential::{
    Lineage, Name, NodeId, NodeKind, Rests, Revision, ScopeSet, Timestamp, Ttl, standing,
};
use daypass_store::Lane;

use crate::{
    broker::{Broker, Decision, Plan, Recorded},
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
        let terms = Terms { era: self.era, key: &key.name, max_ttl: self.limits.token_ttl };
        let ask = TokenAsk {
            audience: &wish.audience,
            scopes: &wish.scopes,
            bound_to: bound.as_deref(),
            ttl: wish.ttl,
        };
        let mut facts = call.facts.clone();
        self.read(&mut facts, hints(wish, &key.name, bound.as_deref())).await?;
        let recorded = self
            .record(mark, Lane::Normal, facts, |facts, now| {
                let permit = decide_token(facts, &call.caller, &ask, &terms, now)?;
                let action = Action::TokenMinted(permit.record().clone());
                let (outcome, actor) = (permit, call.actor());
                Ok(Decision::Write(Box::new(Plan { outcome, actor, action, puts: vec![], private: vec![] })))
            })
            .await?;
        let (permit, revision) = match recorded {
            Recorded::Now(permit, revision) => {
                (permit, revision.ok_or_else(|| Refusal::internal("no revision"))?)
            }
            Recorded::Before(revision, event) => {
                let permit = Permit::token_again(&event).ok_or(Refusal::RequestIdReused)?;
                let record = permit.record();
                self.still_alive(revision, record.expires, &record.lineage, now).await?;
                (permit, revision)
            }
        };
        let token = keys.ring().sign_token(&permit, revision).map_err(Refusal::internal)?;
        Ok(MintedToken { token, revision, record: permit.record().clone() })
    }

    /// Is what was recorded before still alive, so that it may be given out again?
    pub(crate) async fn still_alive(
        &self,
        revision: Revision,
        expires: Timestamp,
        lineage: &Lineage,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let rests = Rests { era: self.era, rev: revision, exp: expires, lineage };
        if self.alive(&rests, now).await? { Ok(()) } else { Err(Refusal::AnswerOver { revision }) }
    }

    /// Is a credential of this broker alive, by its expiry and by the store as it is now?
    pub(crate) async fn alive(&self, rests: &Rests<'_>, now: Timestamp) -> Result<bool, Refusal> {
        if rests.exp <= now {
            return Ok(false);
        }
        let ids: Vec<NodeId> =
            rests.lineage.nodes().iter().cloned().chain([NodeId::credential(rests.rev)]).collect();
        let nodes = self.store.nodes(&ids).await?;
        let cut_of = |id: &NodeId| {
            let at = ids.iter().position(|known| known == id)?;
            nodes.get(at)?.as_ref()?.cut
        };
        Ok(standing(rests, self.era, Timestamp::ZERO, cut_of).is_ok())
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
