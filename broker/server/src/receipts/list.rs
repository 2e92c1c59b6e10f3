//! The list: what was alive under a vendor just before its end. From the ledger that the feed keeps, page by page; where
//! that has forgotten some of it, from the log, which is slower and gives the same bytes.

use std::sync::Arc;

use daypass_core::{
    Event,
    ledger::{self, Ledger, Live, NotKept, When},
};
use daypass_credential::{NodeId, Revision, Timestamp};
use daypass_log::receipt::{Kind, Line, Tally, Totals};

use super::Hindrance;
use crate::{broker::Broker, refusal::Refusal};

/// How many credentials are taken at once.
const PAGE: usize = 4096;
/// How many events are read at once.
const EVENTS: usize = 1024;

/// The end whose list it is.
#[derive(Debug, Clone)]
pub(super) struct Of {
    pub(super) vendor: NodeId,
    pub(super) revision: Revision,
    pub(super) at: Timestamp,
}

impl Of {
    fn when(&self) -> When {
        When { now: self.at, revision: Revision::new(self.revision.get().saturating_sub(1)) }
    }
}

/// Where it is read from.
enum Source {
    Feed(Arc<Broker>),
    Log(Box<Ledger>),
}

impl Source {
    fn page(&self, of: &Of, after: Revision) -> Result<ledger::Page, NotKept> {
        let page = |ledger: &Ledger| ledger.page(&of.vendor, of.when(), after, PAGE);
        match self {
            Self::Feed(broker) => broker.feed.ledger(page),
            Self::Log(ledger) => page(ledger),
        }
    }
}

/// Makes the list, and keeps it.
pub(super) async fn make(broker: &Arc<Broker>, of: &Of) -> Result<Totals, Hindrance> {
    loop {
        match broker.feed.followed(of.when().revision).await {
            Ok(_) => break,
            Err(Refusal::Busy { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    match write(broker, of, &Source::Feed(broker.clone())).await {
        Err(Hindrance::NotKept(NotKept::BelowHorizon)) => from_log(broker, of).await,
        other => other,
    }
}

/// The same from the log alone.
pub(super) async fn from_log(broker: &Arc<Broker>, of: &Of) -> Result<Totals, Hindrance> {
    let ledger = read(broker, of).await?;
    write(broker, of, &Source::Log(Box::new(ledger))).await
}

async fn write(broker: &Broker, of: &Of, source: &Source) -> Result<Totals, Hindrance> {
    let mut tally = Tally::new(of.revision, of.at);
    let mut draft = broker.receipts.files.draft(of.revision).await?;
    let mut after = Revision::ZERO;
    loop {
        let page = source.page(of, after)?;
        let mut text = String::new();
        for live in page.live {
            text.push_str(&tally.take(&line(live))?);
        }
        draft = draft.append(text).await?;
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    draft.keep().await?;
    Ok(tally.finish())
}

/// A ledger of what is in the log up to just before the end, without whatever had expired by then.
async fn read(broker: &Broker, of: &Of) -> Result<Ledger, Hindrance> {
    let mut ledger = Ledger::default();
    // Nothing that expired by then is asked about, and the ledger need not take it in.
    ledger.forget(of.at);
    let upto = of.when().revision;
    while ledger.head() < upto {
        let left = usize::try_from(upto.get() - ledger.head().get()).unwrap_or(EVENTS);
        let entries = broker.store.log(ledger.head(), EVENTS.min(left)).await?;
        if entries.is_empty() {
            return Err(NotKept::Ahead { asked: upto, head: ledger.head() }.into());
        }
        for entry in entries {
            let event =
                Event::from_bytes(&entry.event).map_err(|error| Hindrance::Event(entry.revision, error))?;
            ledger.take(entry.revision, &event)?;
        }
        tokio::task::yield_now().await;
    }
    Ok(ledger)
}

fn line(live: Live) -> Line {
    let kind = match live.kind {
        ledger::Kind::IdentityCertificate => Kind::IdentityCertificate,
        ledger::Kind::ClientCertificate => Kind::ClientCertificate,
        ledger::Kind::Token => Kind::Token,
    };
    Line {
        revision: live.revision,
        kind,
        subject: live.subject,
        audience: live.audience.map(|audience| audience.name),
        expires: live.expires,
    }
}
