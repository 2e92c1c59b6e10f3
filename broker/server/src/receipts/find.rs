//! The ends that the log has, and the receipts that were closed: what the worker begins with at a start.

use std::sync::Arc;

use daypass_core::{Action, ActionKind, Event, Life};
use daypass_credential::{NodeId, NodeKind, Revision};

use super::{Closed, Digests, Ended, Hindrance, Seen, State};
use crate::{
    audit::{Filter, search},
    broker::Broker,
};

/// Every end of a vendor without a receipt; those with one are known from now on.
pub(super) async fn unclosed(broker: &Arc<Broker>) -> Result<Vec<Ended>, Hindrance> {
    let mut open = Vec::new();
    for ended in ends(broker).await? {
        match written_down(broker, &ended).await? {
            Some(closed) => broker.receipts.set(ended.revision, State::Closed(closed)),
            None => open.push(ended),
        }
    }
    // Most often nothing is left, and no log is read.
    let Some(earliest) = open.iter().map(|ended| ended.revision).min() else { return Ok(open) };
    let filter = Filter { actions: vec![ActionKind::ReceiptClosed], ..Filter::default() };
    for entry in search(broker, filter, earliest).await? {
        let event =
            Event::from_bytes(&entry.event).map_err(|error| Hindrance::Event(entry.revision, error))?;
        for ended in &open {
            if let Some(closed) = closes(&event, entry.revision, ended) {
                broker.receipts.set(ended.revision, State::Closed(closed));
                note(broker, ended.revision, closed.event).await;
            }
        }
    }
    open.retain(|ended| !matches!(broker.receipts.known().get(&ended.revision), Some(State::Closed(_))));
    Ok(open)
}

/// Every vendor that was ended in this era. One that came over as ended has no end in this log.
async fn ends(broker: &Broker) -> Result<Vec<Ended>, Hindrance> {
    let (mut ends, mut after) = (Vec::new(), None);
    loop {
        let page = broker.store.list(NodeKind::Vendor, after.as_ref(), 256).await?;
        for stored in page.iter().filter(|stored| stored.node.life == Life::Ended) {
            let (vendor, revision) = (stored.node.id(), stored.cut.unwrap_or(stored.revision));
            ends.extend(end_at(broker, &vendor, revision).await?);
        }
        match page.last() {
            Some(last) => after = Some(last.node.id().name),
            None => return Ok(ends),
        }
    }
}

/// The end of this vendor, if it is what the log has at this revision.
async fn end_at(broker: &Broker, vendor: &NodeId, revision: Revision) -> Result<Option<Ended>, Hindrance> {
    let event = broker.event(revision).await?;
    let is = |event: &Event| matches!(&event.action, Action::Ended { node, .. } if node == vendor);
    Ok(event.filter(is).map(|event| Ended {
        vendor: vendor.clone(),
        revision,
        at: event.at,
        // It may have come after this process began: by now it is there.
        seen: Seen::now(broker),
        held: None,
    }))
}

/// What the file says that stands beside it, if the log says so as well.
async fn written_down(broker: &Broker, ended: &Ended) -> Result<Option<Closed>, Hindrance> {
    let Some(at) = broker.receipts.files.closed_at(ended.revision).await.unwrap_or_default() else {
        return Ok(None);
    };
    let event = broker.event(at).await?;
    Ok(event.and_then(|event| closes(&event, at, ended)))
}

fn closes(event: &Event, at: Revision, of: &Ended) -> Option<Closed> {
    match &event.action {
        Action::ReceiptClosed { node, ended, statement, list, .. }
            if *node == of.vendor && *ended == of.revision =>
        {
            let digests = Digests { statement: *statement, list: *list };
            Some(Closed { event: at, digests })
        }
        _ => None,
    }
}

/// Writes down which event closed a receipt. Without that a start searches the log for it.
pub(super) async fn note(broker: &Broker, ended: Revision, at: Revision) {
    if let Err(error) = broker.receipts.files.write_closed_at(ended, at).await {
        tracing::warn!(%error, "the next start searches the log for the receipt of the end at revision {ended}");
    }
}
