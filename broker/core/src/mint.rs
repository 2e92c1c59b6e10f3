//! May this application have this credential, and how long does it live? Tokens and client certificates.
//!
//! INVARIANT (only a permit mints): [`Permit`] is made by the decisions of this crate alone, and by reading back an
//! event that recorded one; the issuer signs nothing else.

use daypass_credential::{
    Digest, Era, Lineage, Name, NodeId, NodeKind, Rests, Revision, ScopeSet, Timestamp, Ttl, standing,
};

use crate::{
    chain::{Chain, push, rooted},
    denial::{Denial, Stop},
    event::{Action, Bound, CertificateRecord, Event, Nonce, TokenRecord},
    facts::{Facts, Found},
    lifetime::Lifetime,
    node::{Application, Audience, Contract, Entitlement, KeyPurpose, Life, ScopeRule, Tier},
};

/// What was decided and may be signed, once it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit<R> {
    record: R,
}

impl<R> Permit<R> {
    pub(crate) const fn new(record: R) -> Self {
        Self { record }
    }

    /// Everything that the credential will say, but its revision.
    #[must_use]
    pub const fn record(&self) -> &R {
        &self.record
    }
}

impl Permit<TokenRecord> {
    /// The permit that a recorded event proves, to give the same answer again.
    #[must_use]
    pub fn token_again(event: &Event) -> Option<Self> {
        match &event.action {
            Action::TokenMinted(record) => Some(Self::new(record.clone())),
            _ => None,
        }
    }
}

impl Permit<CertificateRecord> {
    /// The permit that a recorded event proves, to give the same answer again.
    #[must_use]
    pub fn certificate_again(event: &Event) -> Option<Self> {
        match &event.action {
            Action::CertificateMinted(record) | Action::Enrolled(record) | Action::Renewed(record) => {
                Some(Self::new(record.clone()))
            }
            _ => None,
        }
    }
}

/// What a certificate of ours says, once its signature was checked. Whether it is alive is not said by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The life of the log that recorded it.
    pub era: Era,
    /// Its number.
    pub rev: Revision,
    /// What it rests on.
    pub lineage: Lineage,
    /// The application, person or verifier.
    pub subject: NodeId,
    /// Which of its instances.
    pub identity: Name,
    /// For which audience; none for an identity certificate.
    pub audience: Option<Name>,
    /// SHA-256 of its public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// SHA-256 of its DER bytes.
    pub thumbprint: Digest,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid up to, and not including.
    pub expires: Timestamp,
}

impl Shown {
    /// What decides whether it is alive.
    #[must_use]
    pub const fn rests(&self) -> Rests<'_> {
        Rests { era: self.era, rev: self.rev, exp: self.expires, lineage: &self.lineage }
    }

    /// Its own node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId::credential(self.rev)
    }

    /// The vendor whose application it is of: of those in the lineage the one nearest to it.
    #[must_use]
    pub fn behalf(&self) -> Option<&NodeId> {
        self.lineage.nodes().iter().rev().find(|node| node.kind == NodeKind::Vendor)
    }
}

/// What the broker itself fixes for every mint.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The life of the log.
    pub era: Era,
    /// The key that will sign.
    pub key: &'a Name,
    /// The longest that this kind of credential lives.
    pub max_ttl: Ttl,
}

/// A wish for a token.
#[derive(Debug, Clone, Copy)]
pub struct TokenAsk<'a> {
    /// For which audience.
    pub audience: &'a Name,
    /// With which scopes.
    pub scopes: &'a ScopeSet,
    /// Bound to which client certificate.
    pub bound_to: Option<&'a Shown>,
    /// Living how long; the rules' maximum if not said.
    pub ttl: Option<Ttl>,
}

/// A wish for a client certificate.
#[derive(Debug, Clone, Copy)]
pub struct CertificateAsk<'a> {
    /// For which audience.
    pub audience: &'a Name,
    /// SHA-256 of the public key (SubjectPublicKeyInfo) that it is for.
    pub key: Digest,
    /// The random half of its serial number.
    pub nonce: Nonce,
    /// Living how long; the rules' maximum if not said.
    pub ttl: Option<Ttl>,
}

/// May the caller have this token?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_token(
    facts: &Facts,
    caller: &Shown,
    ask: &TokenAsk<'_>,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Permit<TokenRecord>, Stop> {
    let asker = asker(facts, caller, terms.era, now)?;
    let place = place(facts, &asker, ask.audience)?;
    if ask.scopes.is_empty() {
        return Err(Denial::NoScope.into());
    }
    let mut life = asker.lifetime(now, ask.ttl, terms.max_ttl);
    let mut lineage = asker.lineage;
    push(&mut lineage, caller.id());
    push(&mut lineage, NodeId::new(NodeKind::Audience, ask.audience.clone()));
    for scope in ask.scopes.iter() {
        if !place.entitlement.scopes.contains(scope) {
            return Err(Denial::ScopeNotEntitled { scope: scope.clone() }.into());
        }
        let rule = place.audience.rule(scope).ok_or_else(|| Denial::UnknownScope { scope: scope.clone() })?;
        standing_scope(rule, asker.application, &asker.contracts)?;
        if ask.bound_to.is_none() && !rule.unbound {
            return Err(Denial::BindingRequired { scope: scope.clone() }.into());
        }
        life.cap(now.after(rule.max_ttl), Bound::Scope);
    }
    if let Some(bound) = ask.bound_to {
        bindable(facts, bound, caller, ask.audience, terms.era, now)?;
        bound.lineage.nodes().iter().for_each(|node| push(&mut lineage, node.clone()));
        push(&mut lineage, bound.id());
        life.cap(bound.expires, Bound::Parent);
    }
    life.cap(signing_key(facts, terms.key, &KeyPurpose::Token, now)?, Bound::SigningKey);
    let (expires, bound_by) = life.settle(now)?;
    Ok(Permit::new(TokenRecord {
        application: asker.application.name.clone(),
        audience: ask.audience.clone(),
        scopes: ask.scopes.clone(),
        lineage: rooted(lineage)?,
        thumbprint: ask.bound_to.map(|bound| bound.thumbprint),
        issued: now,
        expires,
        bound_by,
        key: terms.key.clone(),
    }))
}

/// May the caller have this client certificate? It has to be entitled to a standing scope at the audience, and the
/// certificate lives no longer than the shortest of those.
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_certificate(
    facts: &Facts,
    caller: &Shown,
    ask: &CertificateAsk<'_>,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Permit<CertificateRecord>, Stop> {
    let asker = asker(facts, caller, terms.era, now)?;
    let place = place(facts, &asker, ask.audience)?;
    if ask.key == caller.key {
        return Err(Denial::KeyReused.into());
    }
    let mut life = asker.lifetime(now, ask.ttl, terms.max_ttl);
    let (mut first_no, mut any) = (None, false);
    for scope in place.entitlement.scopes.iter() {
        let Some(rule) = place.audience.rule(scope) else {
            continue;
        };
        match standing_scope(rule, asker.application, &asker.contracts) {
            Ok(()) => {
                any = true;
                life.cap(now.after(rule.max_ttl), Bound::Scope);
            }
            Err(denial) => first_no = first_no.or(Some(denial)),
        }
    }
    if !any {
        return Err(first_no.unwrap_or(Denial::NoScope).into());
    }
    let purpose = KeyPurpose::Audience { audience: ask.audience.clone() };
    life.cap(signing_key(facts, terms.key, &purpose, now)?, Bound::SigningKey);
    let (expires, bound_by) = life.settle(now)?;
    let mut lineage = asker.lineage;
    push(&mut lineage, caller.id());
    push(&mut lineage, NodeId::new(NodeKind::Audience, ask.audience.clone()));
    Ok(Permit::new(CertificateRecord {
        subject: caller.subject.clone(),
        identity: caller.identity.clone(),
        audience: Some(ask.audience.clone()),
        lineage: rooted(lineage)?,
        key: ask.key,
        nonce: ask.nonce,
        not_before: now.floor_secs(),
        expires,
        bound_by,
        issuer: terms.key.clone(),
    }))
}

/// Is the certificate that calls in force, as the nodes stand now? Every caller is judged by this first.
///
/// A node that was cut but is open (narrowed, or suspended and resumed) lets the identity renew, and nothing else:
/// see [`renewed_since`].
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn judge_caller(facts: &Facts, caller: &Shown, era: Era, now: Timestamp) -> Result<(), Stop> {
    if caller.audience.is_some() {
        return Err(Denial::NotAnIdentity.into());
    }
    if caller.era != era {
        return Err(Denial::CallerOfOtherEra.into());
    }
    if caller.expires <= now {
        return Err(Denial::CallerExpired { expired: caller.expires }.into());
    }
    for id in caller.lineage.nodes() {
        match life(facts, id)? {
            Life::Open => {}
            life @ (Life::Ended | Life::Suspended) => return Err(dead(id, life)),
        }
    }
    match facts.stored(&caller.id())? {
        None => Ok(()),
        Some(_) => Err(Denial::CallerEnded.into()),
    }
}

/// The life of a node of a lineage. A credential is a node only once it was ended; every other one exists.
fn life(facts: &Facts, id: &NodeId) -> Result<Life, Stop> {
    Ok(match facts.stored(id)? {
        Some(stored) => stored.node.life,
        None if id.kind == NodeKind::Credential => Life::Open,
        None => Life::Ended,
    })
}

fn dead(id: &NodeId, life: Life) -> Stop {
    Denial::CallerDead { node: id.clone(), life }.into()
}

/// Was nothing that the certificate rests on cut since it was issued?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with [`Denial::RenewFirst`].
pub fn renewed_since(facts: &Facts, caller: &Shown) -> Result<(), Stop> {
    for id in caller.lineage.nodes() {
        if facts.stored(id)?.and_then(|stored| stored.cut).is_some_and(|cut| cut > caller.rev) {
            return Err(Denial::RenewFirst { node: id.clone() }.into());
        }
    }
    Ok(())
}

/// The application that asks, with all that stands above it.
struct Asker<'a> {
    application: &'a Application,
    contracts: Vec<&'a Contract>,
    lineage: Vec<NodeId>,
    identity_expires: Timestamp,
}

impl Asker<'_> {
    /// The limits that hold whatever is asked for.
    fn lifetime(&self, now: Timestamp, asked: Option<Ttl>, max: Ttl) -> Lifetime {
        let mut life = Lifetime::new(now.after(max), Bound::Broker);
        if let Some(ttl) = asked {
            life.cap(now.after(ttl), Bound::Asked);
        }
        if let Some(ttl) = self.application.max_ttl {
            life.cap(now.after(ttl), Bound::Application);
        }
        for contract in &self.contracts {
            life.cap(contract.end, Bound::Contract);
        }
        life.cap(self.identity_expires, Bound::Parent);
        life
    }
}

fn asker<'a>(facts: &'a Facts, caller: &Shown, era: Era, now: Timestamp) -> Result<Asker<'a>, Stop> {
    judge_caller(facts, caller, era, now)?;
    renewed_since(facts, caller)?;
    if caller.subject.kind != NodeKind::Application {
        return Err(Denial::NotAnApplication.into());
    }
    let chain = Chain::of_application(facts, &caller.subject.name)?;
    chain.in_force(now)?;
    let mut lineage = chain.lineage;
    caller.lineage.nodes().iter().for_each(|node| push(&mut lineage, node.clone()));
    Ok(Asker {
        application: chain.application,
        contracts: chain.contracts,
        lineage,
        identity_expires: caller.expires,
    })
}

/// The audience, and what the application is entitled to there.
struct Place<'a> {
    audience: &'a Audience,
    entitlement: &'a Entitlement,
}

fn place<'a>(facts: &'a Facts, asker: &Asker<'a>, name: &Name) -> Result<Place<'a>, Stop> {
    let unknown = || Denial::UnknownAudience { audience: name.clone() };
    let entitlement =
        asker.application.entitlements.iter().find(|e| e.audience == *name).ok_or_else(unknown)?;
    let found = facts.audience(name)?.ok_or_else(unknown)?;
    if found.life != Life::Open {
        return Err(Denial::AudienceClosed { audience: name.clone(), life: found.life }.into());
    }
    if found.body.environment != asker.application.environment {
        let environment = asker.application.environment.clone();
        return Err(Denial::OtherEnvironment { audience: name.clone(), environment }.into());
    }
    Ok(Place { audience: found.body, entitlement })
}

/// Does the entitlement alone suffice for this scope, under these contracts?
fn standing_scope(
    rule: &ScopeRule,
    application: &Application,
    contracts: &[&Contract],
) -> Result<(), Denial> {
    let (scope, classification) = (rule.scope.clone(), rule.classification);
    if classification > application.classification {
        return Err(Denial::AboveClassification { scope, classification });
    }
    if let Some(contract) = contracts.iter().find(|c| !c.classifications.contains(&classification)) {
        return Err(Denial::OutsideContract { scope, classification, contract: contract.name.clone() });
    }
    match rule.tier {
        Tier::Standing => Ok(()),
        tier @ (Tier::Jit | Tier::BreakGlass) => Err(Denial::GrantRequired { scope, tier }),
    }
}

/// Is this a live client certificate of the caller's application, for this audience?
fn bindable(
    facts: &Facts,
    bound: &Shown,
    caller: &Shown,
    audience: &Name,
    era: Era,
    now: Timestamp,
) -> Result<(), Stop> {
    if bound.audience.as_ref() != Some(audience) || bound.subject != caller.subject {
        return Err(Denial::WrongCertificate.into());
    }
    let mut closed = facts.stored(&bound.id())?.is_some();
    for id in bound.lineage.nodes() {
        closed |= life(facts, id)? != Life::Open;
    }
    let alive = standing(&bound.rests(), era, Timestamp::ZERO, |id| facts.cut(id)).is_ok();
    if closed || !alive || bound.expires <= now {
        return Err(Denial::CertificateDead.into());
    }
    Ok(())
}

/// Until when does the key that will sign vouch for what it signs?
pub(crate) fn signing_key(
    facts: &Facts,
    name: &Name,
    purpose: &KeyPurpose,
    now: Timestamp,
) -> Result<Timestamp, Stop> {
    match facts.key(name)? {
        Some(Found { life: Life::Open, body })
            if body.purpose == *purpose && body.not_before <= now && now < body.not_after =>
        {
            Ok(body.not_after)
        }
        _ => Err(Denial::NoSigningKey.into()),
    }
}
