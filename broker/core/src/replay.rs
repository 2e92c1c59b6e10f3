//! Does a log mean something? Its events are followed one by one, and each is held against the state that those before
//! it left: what it puts fits what it says happened, and what it minted was alive. This is found from the log alone,
//! beside the rules that made it, so that a mistake or a lie in either shows.
//!
//! Kept are the nodes, the newest ids, and the certificates that have not expired; nothing else of the log.

mod actor;
mod certificates;
mod mint;
mod puts;
mod recent;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use daypass_credential::{NodeId, NodeKind, Revision, Timestamp};

pub use self::recent::WINDOW;
use self::{certificates::Certificates, recent::Recent};
use crate::{
    denial::{Denial, Stop},
    event::{Action, Actor, Event, Put, SCHEMA},
    facts::{Facts, Stored},
    node::{Body, Life},
};

/// How far an event may lie before the latest one, in milliseconds: clocks are set by that much.
const BACK_MILLIS: u64 = 1000;

/// The first event that means nothing valid, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revision {revision}: {what}")]
pub struct Discrepancy {
    /// Which.
    pub revision: Revision,
    /// What is wrong, in words.
    pub what: String,
}

/// What is wrong with an event.
type Verdict<T = ()> = Result<T, String>;

/// The state that the events so far leave.
#[derive(Debug)]
pub struct Replay {
    head: Revision,
    /// The latest instant so far, from the last on that vouched for the clock.
    at: Timestamp,
    /// May nodes of an era before still come?
    carrying: bool,
    nodes: BTreeMap<NodeId, Arc<Stored>>,
    recent: Recent,
    certificates: Certificates,
    /// The vendors with a receipt. A name is ended once, so that one is all there is.
    receipts: BTreeSet<NodeId>,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            head: Revision::ZERO,
            at: Timestamp::ZERO,
            carrying: false,
            nodes: BTreeMap::new(),
            recent: Recent::default(),
            certificates: Certificates::default(),
            receipts: BTreeSet::new(),
        }
    }
}

impl Replay {
    /// Follows the next event.
    ///
    /// # Errors
    /// [`Discrepancy`]; what comes after it would be held against a state that is not the log's, so end there.
    pub fn take(&mut self, revision: Revision, event: &Event) -> Result<(), Discrepancy> {
        self.judge(revision, event).map_err(|what| Discrepancy { revision, what })?;
        self.follow(revision, event);
        Ok(())
    }

    /// The last revision that was followed.
    #[must_use]
    pub const fn head(&self) -> Revision {
        self.head
    }

    fn judge(&self, revision: Revision, event: &Event) -> Verdict {
        holds(revision == self.head.next(), || format!("it stands where {} has to", self.head.next()))?;
        holds(event.v == SCHEMA, || format!("schema version {} is not known", event.v))?;
        self.in_place(event)?;
        self.in_time(event)?;
        holds(!self.recent.holds(event.id), || format!("change {} was recorded before", event.id))?;
        self.judge_actor(revision, event)?;
        self.judge_puts(event)?;
        self.judge_action(revision, event)
    }

    /// The log begins once, and what was carried over comes right after that.
    fn in_place(&self, event: &Event) -> Verdict {
        let begins = matches!(event.action, Action::Initialized { .. });
        holds(begins == (self.head == Revision::ZERO), || {
            let says = if begins { "it begins a log" } else { "it does not begin the log" };
            format!("{says}, and is {}the first event", if begins { "not " } else { "" })
        })?;
        let carries = matches!(event.action, Action::CarriedOver);
        holds(!carries || self.carrying, || {
            "nodes are carried over, and not at the beginning of an era that follows another".to_owned()
        })
    }

    fn in_time(&self, event: &Event) -> Verdict {
        if let Action::ClockAccepted { previous } = event.action {
            return holds(previous <= self.at, || {
                "it vouches for a clock after a time that never was".to_owned()
            });
        }
        let ahead = event.at.as_millis().saturating_add(BACK_MILLIS);
        holds(ahead >= self.at.as_millis(), || {
            format!("its time {} is before that of the log, {}", event.at.as_millis(), self.at.as_millis())
        })
    }

    fn judge_action(&self, revision: Revision, event: &Event) -> Verdict {
        match &event.action {
            Action::Initialized { .. } => begun(event),
            Action::CarriedOver => self.carried_over(event),
            Action::Written { node } => self.written(event, node),
            Action::EnrollmentOpened { subject } => self.opened(event, subject),
            Action::Enrolled(record) => self.enrolled(event, record),
            Action::Renewed(record) => self.renewed(event, record),
            Action::CertificateMinted(record) => {
                only_puts_nothing(event)?;
                self.certificate_minted(event, record)
            }
            Action::TokenMinted(record) => {
                only_puts_nothing(event)?;
                self.token_minted(event, record)
            }
            Action::Ended { node, .. } => self.ended(revision, event, node),
            Action::Resumed { node } => self.resumed(event, node),
            Action::Forgotten { node, .. } => self.forgotten(event, node),
            Action::Suspended { node, because } => self.suspended(event, node, *because),
            Action::Refused { about, .. } => {
                only_puts_nothing(event)?;
                about.iter().try_for_each(|node| self.known(node).map(drop))
            }
            Action::RefusalsCounted { count, .. } => {
                only_puts_nothing(event)?;
                holds(*count > 0, || "it counts no refusals".to_owned())
            }
            Action::ClockAccepted { .. } => only_puts_nothing(event),
            Action::ReceiptClosed { node, ended, .. } => {
                only_puts_nothing(event)?;
                self.receipt_closed(node, *ended)
            }
        }
    }

    /// Takes in an event that was found to be right.
    fn follow(&mut self, revision: Revision, event: &Event) {
        for Put { node, cut } in &event.puts {
            let id = node.id();
            let before = self.nodes.get(&id).and_then(|stored| stored.cut);
            let cut = if *cut { Some(revision) } else { before };
            self.nodes.insert(id, Arc::new(Stored { revision, cut, node: node.clone() }));
        }
        self.carrying = match &event.action {
            Action::Initialized { previous, .. } => previous.is_some(),
            Action::CarriedOver => self.carrying,
            _ => false,
        };
        if let Action::ReceiptClosed { node, .. } = &event.action {
            self.receipts.insert(node.clone());
        }
        self.recent.remember(event.id);
        self.certificates.follow(revision, event);
        if matches!(event.action, Action::ClockAccepted { .. }) {
            if event.at < self.at {
                self.certificates.forget_what_expired(revision);
            }
            self.at = event.at;
        } else {
            self.at = self.at.max(event.at);
        }
        self.certificates.expire(self.at);
        self.head = revision;
    }

    /// A receipt is of a vendor that was ended at that revision, and of none twice.
    fn receipt_closed(&self, id: &NodeId, ended: Revision) -> Verdict {
        let stored = self.known(id)?;
        let so = id.kind == NodeKind::Vendor
            && stored.node.life == Life::Ended
            && stored.cut == Some(ended)
            && stored.revision == ended;
        holds(so, || format!("`{id}` was not ended at revision {ended}"))?;
        holds(!self.receipts.contains(id), || format!("the receipt of `{id}` was closed before"))
    }

    /// A node that there is.
    fn known(&self, id: &NodeId) -> Verdict<&Arc<Stored>> {
        self.nodes.get(id).ok_or_else(|| format!("there is no `{id}`"))
    }

    /// A node that is open.
    fn open(&self, id: &NodeId) -> Verdict<&Arc<Stored>> {
        let stored = self.known(id)?;
        match stored.node.life {
            Life::Open => Ok(stored),
            life @ (Life::Suspended | Life::Ended) => Err(format!("`{id}` is {life}")),
        }
    }

    fn body(&self, id: &NodeId) -> Option<&Body> {
        self.nodes.get(id).map(|stored| &stored.node.body)
    }

    /// What a rule of the directory says of the state so far.
    fn decide<T>(&self, rule: impl Fn(&Facts) -> Result<T, Stop>) -> Result<T, Denial> {
        let mut facts = Facts::default();
        loop {
            match rule(&facts) {
                Ok(yes) => return Ok(yes),
                Err(Stop::Denied(no)) => return Err(no),
                Err(Stop::Need(id)) => {
                    let stored = self.nodes.get(&id).cloned();
                    facts.add(id, stored);
                }
            }
        }
    }
}

/// A log begins with keys, the first admin, and a code for them; all of it open.
fn begun(event: &Event) -> Verdict {
    for Put { node, cut } in &event.puts {
        let first = matches!(node.body, Body::Key(_) | Body::Person(_) | Body::Enrollment(_));
        holds(first && node.life == Life::Open && !cut, || {
            format!("a log does not begin with `{}`", node.id())
        })?;
    }
    Ok(())
}

fn only_puts_nothing(event: &Event) -> Verdict {
    match event.puts.first() {
        None => Ok(()),
        Some(put) => Err(format!("it writes `{}`, and such an event writes nothing", put.node.id())),
    }
}

fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// The event's own subject, where a caller caused it.
fn caller(event: &Event) -> Verdict<(&NodeId, &daypass_credential::Name, Revision)> {
    match &event.actor {
        Actor::Caller { subject, identity, credential } => Ok((subject, identity, *credential)),
        Actor::Broker | Actor::Code { .. } | Actor::Stranger => {
            Err("only a caller with a certificate does this".to_owned())
        }
    }
}
