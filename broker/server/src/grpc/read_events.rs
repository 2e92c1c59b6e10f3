//! Reading the log over the wire: a filter is parsed field by field, and pages go out as they are found.

use std::{pin::Pin, sync::Arc};

use daypass_core::Who;
use daypass_credential::{NodeId, NodeKind, Revision, Timestamp};
use daypass_proto::v1;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{
    convert::{parsed, timestamp},
    limits::Place,
    services::opened,
    status::status,
};
use crate::{
    audit::{Filter, Found, Order, Reader, Wish},
    broker::Broker,
    refusal::Refusal,
};

/// What goes out.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<v1::ReadEventsResponse, Status>> + Send>>;

/// Reads for whoever the gate let in.
pub(super) async fn read_events(
    broker: &Arc<Broker>,
    request: Request<v1::ReadEventsRequest>,
) -> Result<Response<Events>, Status> {
    // INVARIANT (a place while it reads): without its place nothing is read.
    let place = request.extensions().get::<Arc<Place>>().cloned();
    let (call, ask) = opened(request)?;
    let started = wish(ask).and_then(|wish| {
        let place = place.ok_or_else(|| Refusal::internal("a reader without its place"))?;
        Reader::start(broker.clone(), call.clone(), place, wish)
    });
    match started {
        Ok((pages, refused)) => {
            let pages = ReceiverStream::new(pages).map(|found| Ok(page(found)));
            let refused = ReceiverStream::new(refused).map(|(refusal, event)| Err(status(&refusal, event)));
            Ok(Response::new(Box::pin(pages.chain(refused))))
        }
        Err(refusal) => {
            let event = broker.refused(&call, &refusal, None).await;
            Err(status(&refusal, event))
        }
    }
}

fn page(found: Found) -> v1::ReadEventsResponse {
    let event =
        |entry: daypass_store::Entry| v1::LogEvent { revision: entry.revision.get(), event: entry.event };
    v1::ReadEventsResponse {
        events: found.events.into_iter().map(event).collect(),
        reached: found.reached.get(),
        head: found.head.get(),
    }
}

fn wish(ask: v1::ReadEventsRequest) -> Result<Wish, Refusal> {
    let filter = filter(ask.filter.unwrap_or_default())?;
    if ask.follow && ask.newest_first {
        return Err(Refusal::bad("follow", "it does not go with `newest_first`"));
    }
    if ask.follow && filter.until.is_some() {
        return Err(Refusal::bad("follow", "it does not go with `filter.until`"));
    }
    Ok(Wish {
        filter,
        after: Revision::new(ask.after),
        limit: (ask.limit > 0).then_some(ask.limit),
        order: if ask.newest_first { Order::NewestFirst } else { Order::OldestFirst },
        follow: ask.follow,
    })
}

fn filter(ask: v1::EventFilter) -> Result<Filter, Refusal> {
    let concerns = [
        named("filter.vendor", NodeKind::Vendor, &ask.vendor)?,
        named("filter.application", NodeKind::Application, &ask.application)?,
    ];
    let instant = |field, at: Option<_>| -> Result<Option<Timestamp>, Refusal> {
        at.map(|at| timestamp(field, Some(at))).transpose()
    };
    let (since, until) = (instant("filter.since", ask.since)?, instant("filter.until", ask.until)?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Refusal::bad("filter.until", "it is not after `filter.since`"));
    }
    let mut actions = Vec::new();
    for word in &ask.actions {
        let action = parsed("filter.actions", word)?;
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    let outcome = (!ask.outcome.is_empty()).then(|| parsed("filter.outcome", &ask.outcome)).transpose()?;
    Ok(Filter {
        concerns: concerns.into_iter().flatten().collect(),
        actor: actor(&ask.actor)?,
        actions,
        outcome,
        since,
        until,
    })
}

fn named(field: &'static str, kind: NodeKind, name: &str) -> Result<Option<NodeId>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    parsed(field, name).map(|name| Some(NodeId::new(kind, name)))
}

/// Somebody who can act. Whoever looks for another is to hear of it, rather than to read that nothing happened.
fn actor(text: &str) -> Result<Option<Who>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let who: Who = parsed("filter.actor", text)?;
    let acts = match &who {
        Who::Broker | Who::Stranger => true,
        Who::Node(node) => matches!(
            node.kind,
            NodeKind::Application
                | NodeKind::Person
                | NodeKind::Verifier
                | NodeKind::Identity
                | NodeKind::Enrollment
        ),
    };
    if acts {
        return Ok(Some(who));
    }
    Err(Refusal::bad(
        "filter.actor",
        "only `application:`, `person:`, `verifier:`, `identity:` and `enrollment:`, `broker` and `stranger` act",
    ))
}
