//! What writing objects would do: each is decided as a write is, on the state that those before it would leave.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use daypass_core::{
    Body, Facts, Life, Node, Stop, Stored,
    authority::{effective_life, may_write},
    directory::{Write, decide_write},
};
use daypass_credential::{Name, NodeId, NodeKind, Revision};

use super::{get::Object, put::ObjectWish};
use crate::{broker::Broker, call::Call, refusal::Refusal};

/// How many objects one plan takes.
pub(crate) const MOST_OBJECTS: usize = 2000;
/// How many objects are read from the store at once, to see what a cut reaches.
const PAGE: usize = 1000;

/// What writing one object would do.
pub(crate) struct Planned {
    pub(crate) id: NodeId,
    pub(crate) change: Change,
    /// As it stands, if it does.
    pub(crate) before: Option<Object>,
}

/// See [`Planned`].
pub(crate) enum Change {
    New,
    Changed {
        cut: bool,
        /// How many open applications the cut reaches.
        applications: usize,
    },
    Unchanged,
    Refused(Refusal),
}

/// What those planned so far would leave.
type Overlay = HashMap<NodeId, Arc<Stored>>;

impl Broker {
    /// Says what writing these objects would do. An object that does not parse is refused like one that the rules
    /// refuse; the others are judged all the same.
    pub(crate) async fn plan_objects(
        &self,
        call: &Call,
        wishes: Vec<Result<ObjectWish, Refusal>>,
    ) -> Result<Vec<Result<Planned, Refusal>>, Refusal> {
        if wishes.len() > MOST_OBJECTS {
            return Err(Refusal::bad("objects", format!("at most {MOST_OBJECTS} in one plan")));
        }
        let mut overlay = Overlay::new();
        let mut named = HashSet::with_capacity(wishes.len());
        let mut planned = Vec::with_capacity(wishes.len());
        for wish in wishes {
            if let Ok(wish) = &wish
                && let id = Node::open(wish.body.clone()).id()
                && !named.insert(id.clone())
            {
                return Err(Refusal::bad("objects", format!("`{id}` is named twice")));
            }
            planned.push(match wish {
                Ok(wish) => Ok(self.plan_object(call, wish, &mut overlay).await?),
                Err(refusal) => Err(refusal),
            });
        }
        self.count_reach(&mut planned).await?;
        Ok(planned)
    }

    async fn plan_object(
        &self,
        call: &Call,
        wish: ObjectWish,
        overlay: &mut Overlay,
    ) -> Result<Planned, Refusal> {
        let id = Node::open(wish.body.clone()).id();
        let stored = self.store.nodes(std::slice::from_ref(&id)).await?.into_iter().next().flatten();
        let at = stored.as_ref().map_or(Revision::ZERO, |stored| stored.revision);
        let before = match stored {
            Some(stored) => Some(self.stands(stored).await?),
            None => None,
        };
        let decided = match self.with_text(wish.body, wish.text.as_deref(), &id).await {
            Ok((body, _)) => self.decide_over(call, overlay, &body).await,
            Err(refusal) => Err(refusal),
        };
        let change = match decided {
            Ok(Write::Unchanged) => Change::Unchanged,
            Ok(Write::Put { node, new, cut }) => {
                overlay.insert(id.clone(), Arc::new(Stored { revision: at, cut: None, node: *node }));
                if new { Change::New } else { Change::Changed { cut, applications: 0 } }
            }
            Err(refusal @ (Refusal::Denied(_) | Refusal::BadRequest { .. } | Refusal::TooLarge { .. })) => {
                Change::Refused(refusal)
            }
            Err(fault) => return Err(fault),
        };
        Ok(Planned { id, change, before })
    }

    async fn stands(&self, stored: Arc<Stored>) -> Result<Object, Refusal> {
        let mut facts = Facts::default();
        facts.add(stored.node.id(), Some(stored.clone()));
        self.object(&mut facts, stored).await
    }

    /// Decides a write on the store with the overlay before it: also whether the caller may still write.
    async fn decide_over(&self, call: &Call, overlay: &Overlay, body: &Body) -> Result<Write, Refusal> {
        let mut facts = Facts::default();
        loop {
            match may_write(&facts, &call.caller).and_then(|_| decide_write(&facts, body)) {
                Ok(write) => return Ok(write),
                Err(Stop::Denied(denial)) => return Err(denial.into()),
                Err(Stop::Need(id)) => match overlay.get(&id) {
                    Some(planned) => facts.add(id, Some(planned.clone())),
                    None => self.read(&mut facts, vec![id]).await?,
                },
            }
        }
    }

    /// Counts the open applications that the cuts of a plan reach.
    async fn count_reach(&self, planned: &mut [Result<Planned, Refusal>]) -> Result<(), Refusal> {
        let cuts = |planned: &Planned| matches!(planned.change, Change::Changed { cut: true, .. });
        if !planned.iter().flatten().any(cuts) {
            return Ok(());
        }
        let reach = Reach::read(self).await?;
        for planned in planned.iter_mut().flatten() {
            if let Change::Changed { cut: true, applications } = &mut planned.change {
                *applications = reach.of(&planned.id);
            }
        }
        Ok(())
    }
}

/// How many open applications rest on each contract and each audience, and which are open themselves.
struct Reach(HashMap<NodeId, usize>);

impl Reach {
    async fn read(broker: &Broker) -> Result<Self, Refusal> {
        let mut contracts: HashMap<Name, Option<Name>> = HashMap::new();
        for stored in all(broker, NodeKind::Contract).await? {
            if let Body::Contract(contract) = &stored.node.body {
                contracts.insert(contract.name.clone(), contract.parent.clone());
            }
        }
        let mut reach = HashMap::new();
        for stored in all(broker, NodeKind::Application).await? {
            let Body::Application(application) = &stored.node.body else { continue };
            let id = stored.node.id();
            let mut facts = Facts::default();
            if broker.decide(&mut facts, |facts| effective_life(facts, &id)).await? != Life::Open {
                continue;
            }
            let mut on = vec![id];
            let audiences = application.entitlements.iter().map(|entitlement| &entitlement.audience);
            on.extend(audiences.map(|name| NodeId::new(NodeKind::Audience, name.clone())));
            let mut next = Some(&application.contract);
            // Chains are bounded by the rules; what is stored is followed no further.
            while let Some(name) = next.filter(|_| on.len() < 64) {
                on.push(NodeId::new(NodeKind::Contract, name.clone()));
                next = contracts.get(name).and_then(Option::as_ref);
            }
            on.into_iter().for_each(|node| *reach.entry(node).or_default() += 1);
        }
        Ok(Self(reach))
    }

    fn of(&self, id: &NodeId) -> usize {
        self.0.get(id).copied().unwrap_or_default()
    }
}

async fn all(broker: &Broker, kind: NodeKind) -> Result<Vec<Arc<Stored>>, Refusal> {
    let mut all: Vec<Arc<Stored>> = Vec::new();
    loop {
        let after = all.last().map(|stored| stored.node.id().name);
        let page = broker.store.list(kind, after.as_ref(), PAGE).await?;
        let full = page.len() == PAGE;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}
