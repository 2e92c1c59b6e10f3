//! What offboarding a vendor would kill: counted, page by page, and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use daypass_core::{
    Denial,
    authority::may_end,
    ledger::{Kind, Live, When},
};
use daypass_credential::{Name, NodeId, Revision, Timestamp, Ttl};
use daypass_log::receipt::Count;

use crate::{
    broker::Broker,
    call::Call,
    receipts::{checkers, staleness},
    refusal::Refusal,
};

/// How many credentials are counted at once: whatever follows the log goes on between two pages.
const PAGE: usize = 4096;

/// What would die.
pub(crate) struct Preview {
    pub(crate) revision: Revision,
    pub(crate) total: Count,
    pub(crate) applications: BTreeMap<Name, Count>,
    pub(crate) audiences: Vec<LiveAudience>,
}

/// What of it is for one audience, and who checks that.
pub(crate) struct LiveAudience {
    pub(crate) audience: Name,
    pub(crate) live: Count,
    pub(crate) last_expiry: Timestamp,
    pub(crate) verifiers: u32,
    pub(crate) following: u32,
    pub(crate) staleness: Ttl,
}

/// What was counted so far.
#[derive(Default)]
struct Counted {
    total: Count,
    applications: BTreeMap<Name, Count>,
    audiences: BTreeMap<Name, (Count, Timestamp)>,
}

impl Broker {
    /// What is alive under a vendor, for whoever may end it.
    pub(crate) async fn preview_offboarding(&self, call: &Call, vendor: &NodeId) -> Result<Preview, Refusal> {
        let mut facts = call.facts.clone();
        self.decide(&mut facts, |facts| may_end(facts, &call.caller, vendor, None)).await?;
        if self.store.nodes(std::slice::from_ref(vendor)).await?.iter().all(Option::is_none) {
            return Err(Denial::UnknownNode { node: vendor.clone() }.into());
        }
        // What was recorded before the question is counted.
        let head = self.store.head().borrow().revision;
        let revision = self.feed.followed(head).await?.revision;
        let now = self.lenient_now();
        let _held = self.feed.hold_horizon(now);
        // What lies at or below the horizon is dead for everybody, whatever a clock says that is set back.
        let now = now.max(self.feed.ledger(|ledger| ledger.horizon()));
        let counted = self.counted(vendor, When { now, revision }).await?;
        let audiences = self.with_verifiers(counted.audiences).await?;
        Ok(Preview { revision, total: counted.total, applications: counted.applications, audiences })
    }

    async fn counted(&self, vendor: &NodeId, when: When) -> Result<Counted, Refusal> {
        let (mut counted, mut after) = (Counted::default(), Revision::ZERO);
        loop {
            let page = self.feed.ledger(|ledger| ledger.page(vendor, when, after, PAGE));
            let page = page.map_err(Refusal::internal)?;
            page.live.iter().for_each(|live| counted.take(live));
            match page.next {
                Some(next) => after = next,
                None => return Ok(counted),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn with_verifiers(
        &self,
        audiences: BTreeMap<Name, (Count, Timestamp)>,
    ) -> Result<Vec<LiveAudience>, Refusal> {
        let names: BTreeSet<Name> = audiences.keys().cloned().collect();
        let mut checkers = checkers(self, &names).await?;
        checkers.retain(|checker| checker.open);
        let follows = |name: &Name| {
            let instance = self.feed.attendance().of(name);
            instance.is_some_and(|instance| instance.streams > 0 && !instance.observing)
        };
        let mut told = Vec::new();
        for (audience, (live, last_expiry)) in audiences {
            let theirs = || checkers.iter().filter(|checker| checker.audiences.contains(&audience));
            let following = theirs().filter(|checker| checker.identities.iter().any(follows)).count();
            told.push(LiveAudience {
                live,
                last_expiry,
                verifiers: u32::try_from(theirs().count()).unwrap_or(u32::MAX),
                following: u32::try_from(following).unwrap_or(u32::MAX),
                staleness: staleness(self, &audience).await?,
                audience,
            });
        }
        Ok(told)
    }
}

impl Counted {
    fn take(&mut self, live: &Live) {
        add(&mut self.total, live.kind);
        add(self.applications.entry(live.subject.name.clone()).or_default(), live.kind);
        if let Some(audience) = &live.audience {
            let entry = self.audiences.entry(audience.name.clone());
            let (count, last) = entry.or_insert((Count::default(), Timestamp::ZERO));
            add(count, live.kind);
            *last = (*last).max(live.expires);
        }
    }
}

const fn add(count: &mut Count, kind: Kind) {
    match kind {
        Kind::IdentityCertificate => count.identity_certificates += 1,
        Kind::ClientCertificate => count.client_certificates += 1,
        Kind::Token => count.tokens += 1,
    }
}
