//! Forgetting a person: finds every text about them that is still there, and has all of them erased.

use std::collections::HashSet;

use daypass_core::{
    Action, Body, Event, PrivateId, Put,
    authority::may_write,
    forgetting::{Forget, MAX_ERASED, decide_forget},
    node::{Enrollment, Identity},
};
use daypass_credential::{Name, NodeId, NodeKind, Revision};
use daypass_store::{Lane, StoreError};

use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::{Call, RequestMark},
    refusal::Refusal,
};

/// How many entries of the log are looked at in one go.
const PAGE: usize = 1000;

impl Broker {
    /// Erases the texts about a person who was ended; the answer is the revision that says so. Again is no error, and
    /// no event, unless something was written about them since.
    pub(crate) async fn forget_person(
        &self,
        call: &Call,
        name: &Name,
        mut mark: RequestMark,
    ) -> Result<Revision, Refusal> {
        let mut facts = call.facts.clone();
        self.decide(&mut facts, |facts| {
            may_write(facts, &call.caller)?;
            decide_forget(facts, name, &[])
        })
        .await?;
        let texts = self.texts_about(name).await?;
        let mut rest = texts.as_slice();
        loop {
            let revision = match self.forget_some(call, name, rest, mark).await? {
                Recorded::Now(already, None) => return Ok(already),
                Recorded::Now(_, Some(revision)) => {
                    rest = rest.get(MAX_ERASED..).unwrap_or_default();
                    revision
                }
                // An earlier attempt got this far; what it left is still there.
                Recorded::Before(revision, _) => revision,
            };
            if rest.is_empty() {
                return Ok(revision);
            }
            mark = RequestMark::single(&*self.entropy)?;
        }
    }

    /// Erases as many of these as one event holds.
    async fn forget_some(
        &self,
        call: &Call,
        name: &Name,
        texts: &[PrivateId],
        mark: RequestMark,
    ) -> Result<Recorded<Revision>, Refusal> {
        let id = NodeId::new(NodeKind::Person, name.clone());
        self.record_for(call, mark, Lane::Normal, call.facts.clone(), |facts, _| {
            let rule = may_write(facts, &call.caller)?;
            let (node, erased) = match decide_forget(facts, name, texts)? {
                Forget::Already(revision) => return Ok(Decision::Settled(revision)),
                Forget::Erase { node, texts } => (*node, texts),
            };
            let action = Action::Forgotten { node: id.clone(), erased };
            Ok(Decision::Write(Box::new(Plan {
                rule: Some(rule),
                puts: vec![Put { node, cut: false }],
                ..Plan::by(call, action, Revision::ZERO)
            })))
        })
        .await
    }

    /// The texts about a person that are still there: each contact that they ever had, and why they, or something of
    /// theirs, were ended. Nobody but this asks for them, so that the log is walked instead of an index kept.
    async fn texts_about(&self, name: &Name) -> Result<Vec<PrivateId>, Refusal> {
        let mut about = About::new(name);
        let mut after = Revision::ZERO;
        loop {
            let page = self.store.log(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.revision;
            for entry in page {
                if about.may_concern(&entry.event) {
                    let event = Event::from_bytes(&entry.event);
                    let event = event.map_err(|e| Refusal::internal(format!("{}: {e}", entry.revision)))?;
                    about.take_in(entry.revision, &event);
                }
            }
        }
        let mut there = Vec::new();
        for id in about.texts {
            if !there.contains(&id) && self.is_there(id).await? {
                there.push(id);
            }
        }
        Ok(there)
    }

    /// Is anything there of this text? What is damaged is to be erased like any other.
    async fn is_there(&self, id: PrivateId) -> Result<bool, Refusal> {
        match self.store.private(id).await {
            Ok(value) => Ok(value.is_some()),
            Err(StoreError::Damaged(_)) => Ok(true),
            Err(other) => Err(other.into()),
        }
    }
}

/// What was found about a person so far.
struct About {
    person: NodeId,
    /// The person, and what of theirs has been seen: codes, instances, certificates.
    theirs: HashSet<NodeId>,
    texts: Vec<PrivateId>,
}

impl About {
    fn new(name: &Name) -> Self {
        let person = NodeId::new(NodeKind::Person, name.clone());
        Self { theirs: [person.clone()].into(), person, texts: Vec::new() }
    }

    /// Could this event be about the person? Most are not, and need not be read for that.
    fn may_concern(&self, event: &[u8]) -> bool {
        let holds = |word: &[u8]| event.windows(word.len()).any(|at| at == word);
        holds(self.person.name.as_str().as_bytes()) || holds(ENDED)
    }

    fn take_in(&mut self, revision: Revision, event: &Event) {
        for put in &event.puts {
            match &put.node.body {
                Body::Person(_) if put.node.id() == self.person => {
                    self.texts.extend(put.node.body.free_text().map(|text| text.id));
                }
                Body::Identity(Identity { subject, .. }) | Body::Enrollment(Enrollment { subject, .. })
                    if *subject == self.person =>
                {
                    self.theirs.insert(put.node.id());
                }
                _ => {}
            }
        }
        match &event.action {
            Action::Enrolled(record) | Action::Renewed(record) if record.subject == self.person => {
                self.theirs.insert(NodeId::credential(revision));
            }
            Action::Ended { node, reason: Some(reason) } if self.theirs.contains(node) => {
                self.texts.push(reason.id);
            }
            _ => {}
        }
    }
}

/// How every event that ends something says so.
const ENDED: &[u8] = b"\"type\":\"ended\"";
