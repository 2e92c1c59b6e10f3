//! Enrolment and renewal: how an instance comes by its identity certificate, and how something used twice is noticed.
//!
//! INVARIANT (once, ever): a code leads to one key, and a certificate is followed by one key. The same key may ask
//! again, because an answer can be lost; another key means that two hold what one should, and suspends the identity.

use daypass_credential::{Digest, Name, NodeId, NodeKind, Timestamp, Ttl};

use crate::{
    chain::{Chain, open, push, rooted},
    denial::{Denial, Stop},
    event::{Bound, CertificateRecord, Nonce, Suspicion},
    facts::Facts,
    lifetime::Lifetime,
    mint::{Permit, Shown, Terms, judge_caller, signing_key},
    node::{Body, Enrollment, Identity, KeyPurpose, Life, Node, Roster, Spent},
};

/// How many instances a person or a verifier may have; an application says its own number.
pub const OTHER_CAP: usize = 8;

/// What comes of showing a code, or of asking for renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A certificate, and the nodes that change with it.
    Issue {
        /// What may be signed.
        permit: Permit<CertificateRecord>,
        /// What is written in the same commit.
        puts: Vec<Node>,
    },
    /// Two hold what one should: the identity is suspended, and the caller refused.
    Alarm {
        /// The identity, suspended.
        suspended: Node,
        /// What was noticed.
        because: Suspicion,
        /// What the caller is told.
        denial: Denial,
    },
}

/// A wish to enrol.
#[derive(Debug, Clone, Copy)]
pub struct EnrollAsk<'a> {
    /// The node of the code that was shown.
    pub enrollment: &'a Name,
    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub key: Digest,
    /// The name that a new identity gets.
    pub identity: &'a Name,
    /// The random half of the serial number.
    pub nonce: Nonce,
}

/// What comes of showing this code with this key?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_enrollment(
    facts: &Facts,
    ask: &EnrollAsk<'_>,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Outcome, Stop> {
    let found = facts.enrollment(ask.enrollment)?.ok_or(Denial::CodeUnknown)?;
    let code = found.body;
    // Before anything else: a code for one key leads nowhere in other hands, so that another key is no alarm either.
    if code.key.is_some_and(|key| key != ask.key) {
        return Err(Denial::OtherKeyExpected.into());
    }
    // Past its time a code leads nowhere, in whoever's hands: then it is not worth an identity either.
    if now >= code.expires {
        return Err(Denial::CodeExpired.into());
    }
    if let Some(spent) = &code.spent {
        return spent_before(facts, code, spent, ask, terms, now);
    }
    if found.life != Life::Open {
        return Err(Denial::CodeWithdrawn.into());
    }
    let id = NodeId::new(NodeKind::Identity, ask.identity.clone());
    if facts.stored(&id)?.is_some() {
        return Err(Denial::NameSpent { node: id }.into());
    }
    let (record, roster) =
        (first_record(facts, &code.subject, ask, terms, now)?, roster(facts, code, ask, now)?);
    let spent = Spent { identity: ask.identity.clone(), key: ask.key };
    let identity = Identity {
        name: ask.identity.clone(),
        subject: code.subject.clone(),
        key: ask.key,
        previous: None,
        asked_by: None,
        until: record.expires,
    };
    let puts = vec![
        Node::open(Body::Enrollment(Enrollment { spent: Some(spent), ..code.clone() })),
        Node::open(Body::Identity(identity)),
        Node::open(Body::Roster(roster)),
    ];
    Ok(Outcome::Issue { permit: Permit::new(record), puts })
}

/// A spent code: the same key lost its answer, any other means that the code is in two hands.
fn spent_before(
    facts: &Facts,
    code: &Enrollment,
    spent: &Spent,
    ask: &EnrollAsk<'_>,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Outcome, Stop> {
    let id = NodeId::new(NodeKind::Identity, spent.identity.clone());
    let identity = facts.identity(&spent.identity)?.ok_or(Denial::CodeSpent)?;
    if spent.key != ask.key {
        return match identity.life {
            Life::Open => Ok(alarm(identity.body, Suspicion::CodeReused, Denial::CodeSpent)),
            Life::Suspended | Life::Ended => Err(Denial::CodeSpent.into()),
        };
    }
    let identity = open(Some(identity), id)?;
    if now >= identity.until {
        // Its place may be somebody else's by now.
        return Err(Denial::CodeExpired.into());
    }
    if identity.key != ask.key {
        // It has renewed since: whoever holds the first key has the newer one as well, or should not have the first.
        return Err(Denial::CodeSpent.into());
    }
    let again = EnrollAsk { identity: &spent.identity, ..*ask };
    let record = first_record(facts, &code.subject, &again, terms, now)?;
    let longer = Identity { until: identity.until.max(record.expires), ..identity.clone() };
    Ok(Outcome::Issue { permit: Permit::new(record), puts: vec![Node::open(Body::Identity(longer))] })
}

/// What comes of asking for the next certificate, for this key?
///
/// # Errors
/// [`Stop::Need`] until all facts are there; [`Stop::Denied`] with the reason.
pub fn decide_renewal(
    facts: &Facts,
    caller: &Shown,
    key: Digest,
    nonce: Nonce,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Outcome, Stop> {
    judge_caller(facts, caller, terms.era, now)?;
    let id = NodeId::new(NodeKind::Identity, caller.identity.clone());
    let identity = open(facts.identity(&caller.identity)?, id)?;
    let (first, again) =
        (identity.key == caller.key, identity.key == key && identity.previous == Some(caller.key));
    if key == caller.key || (first && identity.previous == Some(key)) {
        return Err(Denial::KeyReused.into());
    }
    let outdated = identity.asked_by.is_some_and(|newest| caller.rev < newest);
    if outdated || !first && !again {
        return Ok(alarm(identity, Suspicion::RenewedTwice, Denial::RenewedTwice));
    }
    let ask = EnrollAsk { enrollment: &identity.name, key, identity: &identity.name, nonce };
    let record = first_record(facts, &identity.subject, &ask, terms, now)?;
    let next = Identity {
        key,
        previous: Some(caller.key),
        asked_by: Some(caller.rev),
        until: identity.until.max(record.expires),
        ..identity.clone()
    };
    Ok(Outcome::Issue { permit: Permit::new(record), puts: vec![Node::open(Body::Identity(next))] })
}

fn alarm(identity: &Identity, because: Suspicion, denial: Denial) -> Outcome {
    let suspended = Node { life: Life::Suspended, body: Body::Identity(identity.clone()) };
    Outcome::Alarm { suspended, because, denial }
}

/// What an identity certificate for this subject says.
fn first_record(
    facts: &Facts,
    subject: &NodeId,
    ask: &EnrollAsk<'_>,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<CertificateRecord, Stop> {
    let mut life = Lifetime::new(now.after(terms.max_ttl), Bound::Broker);
    let mut lineage = subject_lineage(facts, subject, &mut life, now)?;
    push(&mut lineage, NodeId::new(NodeKind::Identity, ask.identity.clone()));
    life.cap(signing_key(facts, terms.key, &KeyPurpose::Identity, now)?, Bound::SigningKey);
    let (expires, bound_by) = life.settle(now)?;
    Ok(CertificateRecord {
        subject: subject.clone(),
        identity: ask.identity.clone(),
        audience: None,
        lineage: rooted(lineage)?,
        key: ask.key,
        nonce: ask.nonce,
        not_before: now.floor_secs(),
        expires,
        bound_by,
        issuer: terms.key.clone(),
    })
}

/// What a subject rests on, itself included; all of it is open, and its contracts cap the lifetime. A contract that
/// has not begun does not stand in the way: who is to work on the first day enrols before it.
fn subject_lineage(
    facts: &Facts,
    subject: &NodeId,
    life: &mut Lifetime,
    now: Timestamp,
) -> Result<Vec<NodeId>, Stop> {
    match subject.kind {
        NodeKind::Application => {
            let chain = Chain::of_application(facts, &subject.name)?;
            for contract in &chain.contracts {
                if now >= contract.end {
                    let (contract, end) = (contract.name.clone(), contract.end);
                    return Err(Denial::ContractOver { contract, end }.into());
                }
                life.cap(contract.end, Bound::Contract);
            }
            Ok(chain.lineage)
        }
        NodeKind::Person => {
            open(facts.person(&subject.name)?, subject.clone())?;
            Ok(vec![subject.clone()])
        }
        NodeKind::Verifier => {
            open(facts.verifier(&subject.name)?, subject.clone())?;
            Ok(vec![subject.clone()])
        }
        NodeKind::Vendor
        | NodeKind::Contract
        | NodeKind::Audience
        | NodeKind::Identity
        | NodeKind::Credential
        | NodeKind::Key
        | NodeKind::Enrollment
        | NodeKind::Roster => Err(Denial::UnknownNode { node: subject.clone() }.into()),
    }
}

/// The subject's roster with the new identity on it, and those that are over taken off.
fn roster(facts: &Facts, code: &Enrollment, ask: &EnrollAsk<'_>, now: Timestamp) -> Result<Roster, Stop> {
    let name = roster_name(&code.subject)?;
    let cap = match code.subject.kind {
        NodeKind::Application => {
            facts.application(&code.subject.name)?.map_or(0, |found| usize::from(found.body.instances))
        }
        _ => OTHER_CAP,
    };
    let mut identities = Vec::new();
    if let Some(roster) = facts.roster(&name)? {
        for identity in &roster.body.identities {
            let found = facts.identity(identity)?;
            if let Some(alive) = found.filter(|i| i.life != Life::Ended && i.body.until > now) {
                if alive.body.key == ask.key {
                    return Err(Denial::KeyReused.into());
                }
                identities.push(identity.clone());
            }
        }
    }
    if identities.len() >= cap {
        return Err(Denial::InstanceCap { subject: code.subject.clone(), cap }.into());
    }
    identities.push(ask.identity.clone());
    Ok(Roster { name, subject: code.subject.clone(), identities })
}

/// The name of a subject's roster: a letter for its kind, then its own name.
///
/// # Errors
/// [`Denial::UnknownNode`] for what has no instances.
pub fn roster_name(subject: &NodeId) -> Result<Name, Denial> {
    let letter = match subject.kind {
        NodeKind::Application => 'a',
        NodeKind::Person => 'p',
        NodeKind::Verifier => 'v',
        NodeKind::Vendor
        | NodeKind::Contract
        | NodeKind::Audience
        | NodeKind::Identity
        | NodeKind::Credential
        | NodeKind::Key
        | NodeKind::Enrollment
        | NodeKind::Roster => {
            return Err(Denial::UnknownNode { node: subject.clone() });
        }
    };
    format!("{letter}.{}", subject.name).parse().map_err(|_| Denial::UnknownNode { node: subject.clone() })
}

/// The longest that a code may wait to be used.
pub const MAX_CODE_TTL: Ttl = Ttl::days(7);
