//! Reading objects.

use std::sync::Arc;

use daypass_core::{
    Body, Denial, Facts, Life, Stored,
    authority::{effective_life, may_list, may_read},
    node::Person,
};
use daypass_credential::{Name, NodeId, NodeKind};

use crate::{broker::Broker, call::Call, refusal::Refusal, text};

/// An object as it stands.
pub(crate) struct Object {
    pub(crate) stored: Arc<Stored>,
    /// Its own life with everything above it taken into account.
    pub(crate) effective: Life,
    /// Its free text; none if it has none, if that was erased, or if it is missing though it was not.
    pub(crate) text: Option<String>,
}

/// Some objects of a kind, in order.
pub(crate) struct Page {
    pub(crate) objects: Vec<Object>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Name>,
}

impl Broker {
    /// Reads one object of the directory.
    pub(crate) async fn get_object(&self, call: &Call, id: &NodeId) -> Result<Object, Refusal> {
        let mut facts = call.facts.clone();
        self.decide(&mut facts, |facts| may_read(facts, &call.caller, id)).await?;
        self.read(&mut facts, vec![id.clone()]).await?;
        let unknown = || Denial::UnknownNode { node: id.clone() };
        let stored =
            facts.stored(id).ok().flatten().cloned().filter(|_| readable(id.kind)).ok_or_else(unknown)?;
        self.object(&mut facts, stored).await
    }

    /// Lists the objects of a kind by name.
    pub(crate) async fn list_objects(
        &self,
        call: &Call,
        kind: NodeKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let mut facts = call.facts.clone();
        self.decide(&mut facts, |facts| may_list(facts, &call.caller)).await?;
        if !readable(kind) {
            return Err(Refusal::bad("kind", "objects of this kind are not listed"));
        }
        let found = self.store.list(kind, after, limit.saturating_add(1)).await?;
        let next = found.get(limit).and_then(|_| found.get(limit - 1)).map(|last| last.node.id().name);
        let mut objects = Vec::with_capacity(found.len());
        for stored in found.into_iter().take(limit) {
            let mut above = Facts::default();
            above.add(stored.node.id(), Some(stored.clone()));
            objects.push(self.object(&mut above, stored).await?);
        }
        Ok(Page { objects, next })
    }

    pub(super) async fn object(&self, facts: &mut Facts, stored: Arc<Stored>) -> Result<Object, Refusal> {
        let id = stored.node.id();
        let effective = self.decide(facts, |facts| effective_life(facts, &id)).await?;
        let text = match stored.node.body.free_text() {
            Some(reference) => text::read(&*self.store, reference).await?,
            None => None,
        };
        if text.is_none() && lacks_text(&stored.node.body) {
            tracing::error!(object = %id, "its text is missing, and no event says that it was erased");
        }
        Ok(Object { stored, effective, text })
    }
}

/// Ought it to have a text? A forgotten person has none any more.
const fn lacks_text(body: &Body) -> bool {
    match body {
        Body::Person(Person { forgotten, .. }) => !*forgotten,
        other => other.free_text().is_some(),
    }
}

/// Is this kind shown to anybody? The broker's own bookkeeping is not.
const fn readable(kind: NodeKind) -> bool {
    match kind {
        NodeKind::Vendor
        | NodeKind::Contract
        | NodeKind::Application
        | NodeKind::Person
        | NodeKind::Audience
        | NodeKind::Verifier
        | NodeKind::Identity => true,
        NodeKind::Credential | NodeKind::Key | NodeKind::Enrollment | NodeKind::Roster => false,
    }
}
