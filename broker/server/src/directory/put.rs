//! Writing one object.

use std::sync::Arc;

use daypass_core::{
    Action, Body, Denial, Node, PrivateId, Put, Stop,
    authority::may_write,
    directory::{Write, decide_write},
    node::{Key, KeyAlgorithm, KeyPurpose},
};
use daypass_credential::{Name, NodeId, Revision, Timestamp, Ttl};
use daypass_issuer::{KeyPlan, generate};
use daypass_store::Lane;
use zeroize::Zeroizing;

use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::{Call, RequestMark},
    refusal::Refusal,
    text,
};

/// An object as somebody wants it.
pub(crate) struct ObjectWish {
    /// The object; where it has a free text, with a reference that is still to be filled in.
    pub(crate) body: Body,
    /// Its free text, if its kind has one: an application's purpose, a person's contact.
    pub(crate) text: Option<String>,
    /// The revision it must have been written at; zero for never.
    pub(crate) expected: Option<Revision>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) revision: Revision,
    pub(crate) written: bool,
    pub(crate) cut: bool,
}

/// A CA that comes with a new audience.
struct NewKey {
    key: Key,
    sealed: Zeroizing<Vec<u8>>,
}

/// How long an audience's CA is good for.
const CA_LIFE: Ttl = Ttl::days(3650);
/// How far before now a new CA begins, for relying parties whose clock is behind.
const CA_HEAD_START: Ttl = Ttl::days(1);

impl Broker {
    /// Writes one object of the directory: makes it, or changes it. Once begun it is finished, whether or not the
    /// caller still listens: a recorded key has to be taken into use.
    pub(crate) async fn put_object(
        self: &Arc<Self>,
        call: &Arc<Call>,
        wish: ObjectWish,
        mark: RequestMark,
    ) -> Result<Written, Refusal> {
        let (broker, call) = (self.clone(), call.clone());
        let task = tokio::spawn(async move {
            let audience = matches!(wish.body, Body::Audience(_));
            let written = broker.write_object(&call, wish, mark).await;
            if audience && written.is_ok() {
                // Also where nothing was written: then an earlier attempt may have been cut short.
                broker.keys.refresh(&*broker.store).await?;
            }
            written
        });
        task.await.map_err(Refusal::internal)?
    }

    async fn write_object(
        &self,
        call: &Call,
        wish: ObjectWish,
        mark: RequestMark,
    ) -> Result<Written, Refusal> {
        let mut facts = call.facts.clone();
        self.decide(&mut facts, |facts| may_write(facts, &call.caller)).await?;
        let id = Node::open(wish.body.clone()).id();
        let (body, private) = self.with_text(wish.body, wish.text.as_deref(), &id).await?;
        let new_key = match &body {
            Body::Audience(audience) => self.audience_key(&audience.name, &id).await?,
            _ => None,
        };
        let recorded = self
            .record_for(call, mark, Lane::Normal, facts, |facts, _| {
                let rule = may_write(facts, &call.caller)?;
                let stored = facts.stored(&id)?;
                let at = stored.map_or(Revision::ZERO, |stored| stored.revision);
                if wish.expected.is_some_and(|expected| expected != at) {
                    return Err(Denial::StaleWrite { node: id.clone() }.into());
                }
                let (node, new, cut) = match decide_write(facts, &body)? {
                    Write::Unchanged => {
                        return Ok(Decision::Settled(Written { revision: at, written: false, cut: false }));
                    }
                    Write::Put { node, new, cut } => (*node, new, cut),
                };
                let mut puts = vec![Put { node, cut }];
                let mut private: Vec<_> = private.clone().into_iter().collect();
                if let Some(made) = new_key.as_ref().filter(|_| new) {
                    puts.push(Put { node: Node::open(Body::Key(made.key.clone())), cut: false });
                    private.push((made.key.sealed, made.sealed.clone()));
                }
                let outcome = Written { revision: Revision::ZERO, written: true, cut };
                let action = Action::Written { node: id.clone() };
                Ok::<_, Stop>(Decision::Write(Box::new(Plan {
                    rule: Some(rule),
                    puts,
                    private,
                    ..Plan::by(call, action, outcome)
                })))
            })
            .await?;
        match recorded {
            Recorded::Now(written, Some(revision)) => Ok(Written { revision, ..written }),
            Recorded::Now(written, None) => Ok(written),
            Recorded::Before(revision, event) => {
                let cut = event.puts.iter().any(|put| put.cut);
                Ok(Written { revision, written: true, cut })
            }
        }
    }

    /// The object with its text's place filled in: the one it has, if the text is the same.
    pub(super) async fn with_text(
        &self,
        body: Body,
        words: Option<&str>,
        id: &NodeId,
    ) -> Result<(Body, Option<(PrivateId, Zeroizing<Vec<u8>>)>), Refusal> {
        let field = match &body {
            Body::Application(_) => "purpose",
            Body::Person(_) => "contact",
            _ => return Ok((body, None)),
        };
        let words = words.unwrap_or_default();
        text::checked(field, words, 1000)?;
        let stored = self.store.nodes(std::slice::from_ref(id)).await?.into_iter().next().flatten();
        let old = stored.and_then(|stored| stored.node.body.free_text());
        let kept = text::keep(&*self.store, &*self.entropy, words, old).await?;
        let body = match body {
            Body::Application(mut application) => {
                application.purpose = kept.reference;
                Body::Application(application)
            }
            Body::Person(mut person) => {
                person.contact = kept.reference;
                Body::Person(person)
            }
            other => other,
        };
        Ok((body, kept.write))
    }

    /// A CA for an audience that does not exist yet.
    async fn audience_key(&self, audience: &Name, id: &NodeId) -> Result<Option<NewKey>, Refusal> {
        let exists = self.store.nodes(std::slice::from_ref(id)).await?.iter().any(Option::is_some);
        if exists {
            return Ok(None);
        }
        let now = self.trusted_now()?.floor_secs();
        let plan = ca_plan(KeyPurpose::Audience { audience: audience.clone() }, now);
        let domain = &self.keys.now().ring().realm().domain.clone();
        let made = generate(plan, domain, self.keys.kek()).map_err(Refusal::internal)?;
        Ok(Some(NewKey { key: made.key, sealed: Zeroizing::new(made.sealed.to_vec()) }))
    }
}

/// The plan of a CA that begins now.
pub(crate) fn ca_plan(purpose: KeyPurpose, now: Timestamp) -> KeyPlan {
    KeyPlan {
        purpose,
        algorithm: KeyAlgorithm::Es256,
        not_before: now.before(CA_HEAD_START),
        not_after: now.after(CA_LIFE),
    }
}
