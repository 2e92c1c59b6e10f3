//! The nodes that an event writes: they fit what it says happened, and nothing that ended begins again.

use std::collections::BTreeSet;

use daypass_credential::{NodeId, NodeKind, Ttl};

use super::{Replay, Verdict, holds};
use crate::{
    directory::{Write, decide_write},
    ending::{End, decide_end},
    enroll::MAX_CODE_TTL,
    event::{Action, Actor, CertificateRecord, Event, Put, Suspicion},
    forgetting::{Forget, MAX_ERASED, decide_forget},
    node::{Body, Enrollment, Identity, KeyPurpose, Life, Node, Spent},
    resuming::{Resume, decide_resume},
};

impl Replay {
    /// INVARIANT (spent for ever): what ended stays ended, and is written again only to be forgotten.
    pub(super) fn judge_puts(&self, event: &Event) -> Verdict {
        let mut ids = BTreeSet::new();
        for Put { node, .. } in &event.puts {
            let id = node.id();
            if let Some(before) = self.nodes.get(&id).filter(|before| before.node.life == Life::Ended) {
                let forgets =
                    matches!(event.action, Action::Forgotten { .. }) && node.life == before.node.life;
                holds(forgets, || format!("`{id}` was ended, and is written again"))?;
            }
            holds(ids.insert(id.clone()), || format!("it writes `{id}` twice"))?;
        }
        Ok(())
    }

    pub(super) fn carried_over(&self, event: &Event) -> Verdict {
        for Put { node, .. } in &event.puts {
            let id = node.id();
            holds(!self.nodes.contains_key(&id), || format!("`{id}` is there already"))?;
            let carried = match &node.body {
                Body::Vendor(_) => node.life != Life::Open,
                Body::Key(key) => matches!(key.purpose, KeyPurpose::Audience { .. }),
                Body::Contract(_)
                | Body::Application(_)
                | Body::Person(_)
                | Body::Audience(_)
                | Body::Verifier(_) => true,
                Body::Identity(_) | Body::Credential(_) | Body::Enrollment(_) | Body::Roster(_) => false,
            };
            holds(carried, || format!("`{id}` is not carried over like this"))?;
        }
        Ok(())
    }

    pub(super) fn written(&self, event: &Event, id: &NodeId) -> Verdict {
        self.may_write(event)?;
        let (put, rest) = event.puts.split_first().ok_or("it writes nothing")?;
        holds(put.node.id() == *id, || format!("it writes `{}` instead of `{id}`", put.node.id()))?;
        let new = match self.decide(|facts| decide_write(facts, &put.node.body)) {
            Ok(Write::Put { node, new, cut }) => {
                holds(*node == put.node && cut == put.cut, || {
                    format!("it does not write `{id}` as that has to be")
                })?;
                new
            }
            Ok(Write::Unchanged) => return Err(format!("it writes `{id}` as it was")),
            Err(denial) => return Err(format!("`{id}` cannot be written like this: {denial}")),
        };
        match (&put.node.body, rest) {
            (Body::Audience(audience), [key]) if new => {
                let purpose = KeyPurpose::Audience { audience: audience.name.clone() };
                let its = matches!(&key.node.body, Body::Key(key) if key.purpose == purpose);
                let fresh = its && key.node.life == Life::Open && !self.nodes.contains_key(&key.node.id());
                holds(fresh, || format!("`{}` is no new CA of `{id}`", key.node.id()))
            }
            (Body::Audience(_), []) if new => Err(format!("`{id}` begins without a CA")),
            (_, []) => Ok(()),
            (_, [more, ..]) => Err(format!("it writes `{}` as well", more.node.id())),
        }
    }

    pub(super) fn opened(&self, event: &Event, subject: &NodeId) -> Verdict {
        self.may_open(event, subject)?;
        self.open(subject)?;
        let put = one(event)?;
        let Body::Enrollment(code) = &put.node.body else {
            return Err(format!("`{}` is no code", put.node.id()));
        };
        let new = !self.nodes.contains_key(&put.node.id()) && put.node.life == Life::Open && !put.cut;
        holds(new && code.spent.is_none() && code.key.is_none(), || "it is no new code".to_owned())?;
        holds(code.subject == *subject, || format!("the code is for `{}`", code.subject))?;
        let latest = event.at.after(MAX_CODE_TTL).after(Ttl::seconds(1));
        holds(code.expires <= latest, || "the code lives too long".to_owned())
    }

    pub(super) fn enrolled(&self, event: &Event, record: &CertificateRecord) -> Verdict {
        let Actor::Code { enrollment } = &event.actor else {
            return Err("only a code leads to an identity".to_owned());
        };
        let id = NodeId::new(NodeKind::Enrollment, enrollment.clone());
        let stored = self.open(&id)?;
        let Body::Enrollment(code) = &stored.node.body else {
            return Err(format!("`{id}` is no code"));
        };
        holds(code.subject == record.subject, || format!("the code is for `{}`", code.subject))?;
        holds(code.key.is_none_or(|key| key == record.key), || "the code is for another key".to_owned())?;
        holds(record.not_before < code.expires, || "the code had expired".to_owned())?;
        match &code.spent {
            None => self.first_of_identity(event, code, record)?,
            Some(spent) => {
                let same = spent.identity == record.identity && spent.key == record.key;
                holds(same, || "the code was spent before".to_owned())?;
                let put = one(event)?;
                self.next_of_identity(put, record, |identity| identity.key == record.key, |_| {})?;
            }
        }
        self.identity_certificate(record)
    }

    /// The code is spent, the identity begins, and the roster names it.
    fn first_of_identity(&self, event: &Event, code: &Enrollment, record: &CertificateRecord) -> Verdict {
        let [spent, identity, roster] = event.puts.as_slice() else {
            return Err("it does not write code, identity and roster".to_owned());
        };
        let now_spent = Some(Spent { identity: record.identity.clone(), key: record.key });
        let code = Node::open(Body::Enrollment(Enrollment { spent: now_spent, ..code.clone() }));
        let begins = Node::open(Body::Identity(Identity {
            name: record.identity.clone(),
            subject: record.subject.clone(),
            key: record.key,
            previous: None,
            asked_by: None,
            until: record.expires,
        }));
        let id = begins.id();
        holds(spent.node == code, || "it does not spend the code on the identity".to_owned())?;
        holds(!self.nodes.contains_key(&id), || format!("`{id}` is there already"))?;
        holds(identity.node == begins, || format!("`{id}` does not begin as its certificate says"))?;
        let listed = match &roster.node.body {
            Body::Roster(list) => list.subject == record.subject && list.identities.contains(&id.name),
            _ => false,
        };
        holds(listed, || format!("the roster of `{}` does not name `{id}`", record.subject))?;
        holds(event.puts.iter().all(|put| !put.cut), || "an enrolment cuts nothing".to_owned())
    }

    pub(super) fn renewed(&self, event: &Event, record: &CertificateRecord) -> Verdict {
        let (subject, identity, credential) = super::caller(event)?;
        let own = record.subject == *subject && record.identity == *identity;
        holds(own, || "it renews another's identity".to_owned())?;
        let asked_with = match self.certificates.get(credential) {
            super::certificates::Known::Issued(shown) => Some(shown.key),
            _ => None,
        };
        let put = one(event)?;
        let in_turn = |before: &Identity| {
            let first = asked_with.is_none_or(|key| before.key == key);
            let again = before.key == record.key && asked_with.is_none_or(|key| before.previous == Some(key));
            (first || again) && before.asked_by.is_none_or(|newest| newest <= credential)
        };
        let renew = |next: &mut Identity| {
            next.previous = asked_with.or(match &put.node.body {
                Body::Identity(said) => said.previous,
                _ => None,
            });
            (next.key, next.asked_by) = (record.key, Some(credential));
        };
        self.next_of_identity(put, record, in_turn, renew)?;
        self.identity_certificate(record)
    }

    /// The identity goes on, changed as its next certificate has it.
    fn next_of_identity(
        &self,
        put: &Put,
        record: &CertificateRecord,
        in_turn: impl Fn(&Identity) -> bool,
        change: impl Fn(&mut Identity),
    ) -> Verdict {
        let id = NodeId::new(NodeKind::Identity, record.identity.clone());
        let Body::Identity(before) = &self.open(&id)?.node.body else {
            return Err(format!("`{id}` is no identity"));
        };
        holds(before.subject == record.subject, || format!("`{id}` is an instance of `{}`", before.subject))?;
        holds(in_turn(before), || format!("another certificate of `{id}` asked before"))?;
        let mut next = before.clone();
        change(&mut next);
        next.until = next.until.max(record.expires);
        let expected = Node::open(Body::Identity(next));
        holds(put.node == expected && !put.cut, || format!("`{id}` does not go on as its certificate says"))
    }

    pub(super) fn ended(
        &self,
        revision: daypass_credential::Revision,
        event: &Event,
        id: &NodeId,
    ) -> Verdict {
        self.may_end(event, id)?;
        let put = one(event)?;
        if id.kind == NodeKind::Credential {
            let number = id.name.as_str().parse().map_or(revision, daypass_credential::Revision::new);
            holds(number < revision, || format!("there is no `{id}` yet"))?;
        }
        match self.decide(|facts| decide_end(facts, id)) {
            Ok(End::Cut(node)) => {
                holds(put.node == *node && put.cut, || format!("it does not end `{id}` as that has to be"))
            }
            Ok(End::Already(_)) => Err(format!("`{id}` was ended before")),
            Err(denial) => Err(denial.to_string()),
        }
    }

    pub(super) fn resumed(&self, event: &Event, id: &NodeId) -> Verdict {
        self.may_write(event)?;
        let put = one(event)?;
        match self.decide(|facts| decide_resume(facts, id)) {
            Ok(Resume::Open(node)) => {
                holds(put.node == *node && !put.cut, || format!("it does not resume `{id}` as it was"))
            }
            Ok(Resume::Already(_)) => Err(format!("`{id}` was not suspended")),
            Err(denial) => Err(denial.to_string()),
        }
    }

    pub(super) fn suspended(&self, event: &Event, id: &NodeId, because: Suspicion) -> Verdict {
        let (put, before) = (one(event)?, self.open(id)?);
        let Body::Identity(identity) = &before.node.body else {
            return Err(format!("`{id}` is no identity"));
        };
        let suspended = put.node == before.node.with_life(Life::Suspended) && put.cut;
        holds(suspended, || format!("it does not suspend `{id}` as it was"))?;
        let noticed = match (&event.actor, because) {
            (Actor::Code { enrollment }, Suspicion::CodeReused) => {
                let code = self.body(&NodeId::new(NodeKind::Enrollment, enrollment.clone()));
                matches!(code, Some(Body::Enrollment(Enrollment { spent: Some(spent), .. }))
                    if spent.identity == identity.name)
            }
            (Actor::Caller { identity: acting, .. }, Suspicion::RenewedTwice) => *acting == identity.name,
            _ => false,
        };
        holds(noticed, || format!("nothing that its caller did speaks against `{id}`"))
    }

    pub(super) fn forgotten(&self, event: &Event, id: &NodeId) -> Verdict {
        self.may_write(event)?;
        let put = one(event)?;
        let erased = event.action.erases();
        holds(erased.len() <= MAX_ERASED, || "it erases more than one event does".to_owned())?;
        holds(id.kind == NodeKind::Person, || format!("`{id}` is no person"))?;
        match self.decide(|facts| decide_forget(facts, &id.name, erased)) {
            Ok(Forget::Erase { node, .. }) => {
                holds(put.node == *node && !put.cut, || format!("it does not leave `{id}` as it was"))
            }
            Ok(Forget::Already(_)) => Err(format!("`{id}` was forgotten before")),
            Err(denial) => Err(denial.to_string()),
        }
    }
}

/// The one node that the event writes.
fn one(event: &Event) -> Verdict<&Put> {
    match event.puts.as_slice() {
        [put] => Ok(put),
        puts => Err(format!("it writes {} nodes, and has to write one", puts.len())),
    }
}
