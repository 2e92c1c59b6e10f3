//! What is alive under a node, at an instant and as of a revision: counted, or one by one in the order of revisions.
//!
//! As of the revision before an end, this is what the end killed: the list of a receipt.

use std::collections::BTreeMap;

use daypass_credential::{NodeId, Revision, Timestamp};

use super::{
    Kind, Ledger,
    issued::{Credential, Place},
    lines::Line,
    nodes::{Id, NodeNo},
};

/// For when a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// What expires at or before this instant is not alive.
    pub now: Timestamp,
    /// As if nothing after this revision had happened.
    pub revision: Revision,
}

/// Why a question is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// What expired up to the horizon is forgotten, so that the answer would leave things out.
    #[error("the question is about an instant before the horizon")]
    BelowHorizon,
    /// The log was not followed that far.
    #[error("the question is about revision {asked}, and {head} is the last that was followed")]
    Ahead {
        /// What was asked for.
        asked: Revision,
        /// How far the log was followed.
        head: Revision,
    },
}

/// How many are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// For the broker.
    pub identity_certificates: u64,
    /// For relying parties, by mTLS.
    pub client_certificates: u64,
    /// For relying parties, to bear.
    pub tokens: u64,
}

impl Count {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.identity_certificates + self.client_certificates + self.tokens
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            identity_certificates: self.identity_certificates + other.identity_certificates,
            client_certificates: self.client_certificates + other.client_certificates,
            tokens: self.tokens + other.tokens,
        }
    }

    const fn of(kind: Kind, number: u64) -> Self {
        let mut count = Self { identity_certificates: 0, client_certificates: 0, tokens: 0 };
        match kind {
            Kind::IdentityCertificate => count.identity_certificates = number,
            Kind::ClientCertificate => count.client_certificates = number,
            Kind::Token => count.tokens = number,
        }
        count
    }
}

/// One live credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its number.
    pub revision: Revision,
    /// What it is.
    pub kind: Kind,
    /// Whose it is: the application, person or verifier.
    pub subject: NodeId,
    /// For which audience; none for an identity certificate.
    pub audience: Option<NodeId>,
    /// When it expires.
    pub expires: Timestamp,
}

/// A part of what is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of the revisions.
    pub live: Vec<Live>,
    /// After which revision the next page begins; none if this is the last.
    pub next: Option<Revision>,
}

/// How many credentials one page looks at: some milliseconds.
const LOOKED_AT: usize = 1 << 17;

impl Ledger {
    /// How many are alive under a node, by whose they are: subjects of which nothing is alive are not named.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn tally(&self, under: &NodeId, when: When) -> Result<BTreeMap<NodeId, Count>, NotKept> {
        let mut by_line = vec![0u64; self.lines.len()];
        for credential in Scan::of(self, under, when, Revision::ZERO)? {
            if let Some(number) = by_line.get_mut(credential.line.index()) {
                *number += 1;
            }
        }
        let mut tally: BTreeMap<NodeId, Count> = BTreeMap::new();
        for (line, number) in self.lines.iter().zip(by_line).filter(|(_, number)| *number > 0) {
            let Some(subject) = self.nodes.entry(line.face.subject) else { continue };
            let count = tally.entry(subject.id.node()).or_default();
            *count = count.plus(Count::of(line.face.kind, number));
        }
        Ok(tally)
    }

    /// How many are alive under a node.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn count(&self, under: &NodeId, when: When) -> Result<Count, NotKept> {
        Ok(self.tally(under, when)?.into_values().fold(Count::default(), Count::plus))
    }

    /// What is alive under a node, from after a revision on, in the order of the revisions.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn alive(&self, under: &NodeId, when: When, after: Revision) -> Result<Alive<'_>, NotKept> {
        Ok(Alive { scan: Scan::of(self, under, when, after)? })
    }

    /// At most so many of what is alive under a node, from after a revision on. Pages of the same question fit together
    /// whatever is followed between them, until the horizon passes the instant of the question. A page looks at no more
    /// than so many of all credentials, so that whoever waits for the ledger does not wait long: it may be empty, and
    /// not the last.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn page(&self, under: &NodeId, when: When, after: Revision, limit: usize) -> Result<Page, NotKept> {
        let mut alive = self.alive(under, when, after)?;
        alive.scan.left = LOOKED_AT;
        let live: Vec<Live> = alive.by_ref().take(limit).collect();
        let last = live.last().map_or(after, |live| live.revision);
        let next = match alive.scan.next() {
            Some(_) => Some(last),
            None => alive.scan.broken_off(),
        };
        Ok(Page { live, next })
    }

    fn live(&self, credential: &Credential) -> Option<Live> {
        let face = &self.lines.get(credential.line)?.face;
        let name = |no: NodeNo| Some(self.nodes.entry(no)?.id.node());
        Some(Live {
            revision: credential.rev,
            kind: face.kind,
            subject: name(face.subject)?,
            audience: face.audience.and_then(name),
            expires: credential.exp,
        })
    }
}

/// What is alive under a node, in the order of the revisions.
#[derive(Debug)]
pub struct Alive<'a> {
    scan: Scan<'a>,
}

impl Iterator for Alive<'_> {
    type Item = Live;

    fn next(&mut self) -> Option<Live> {
        let credential = self.scan.next()?;
        self.scan.ledger.live(credential)
    }
}

/// What is known of a line so far.
#[derive(Debug, Clone, Copy)]
enum Seen {
    Not,
    /// It rests on something else.
    Apart,
    /// It rests on the node, and what is older than this cut is dead.
    Under(Revision),
}

/// The list from some place on, of which only what is alive under the node is shown. One pass over memory in order is
/// quicker than following chains, and a line is looked at once.
#[derive(Debug)]
struct Scan<'a> {
    ledger: &'a Ledger,
    rest: std::slice::Iter<'a, Credential>,
    node: Option<NodeNo>,
    /// If a single credential is asked for, its number, and where it stands.
    itself: Option<(Revision, Option<Place>)>,
    when: When,
    lines: Vec<Seen>,
    /// How many may still be looked at, and the last that was.
    left: usize,
    looked: Revision,
}

impl<'a> Scan<'a> {
    fn of(ledger: &'a Ledger, under: &NodeId, when: When, after: Revision) -> Result<Self, NotKept> {
        if when.now < ledger.horizon {
            return Err(NotKept::BelowHorizon);
        }
        if when.revision > ledger.head {
            return Err(NotKept::Ahead { asked: when.revision, head: ledger.head });
        }
        let id = Id::of(under);
        let (node, itself) = (ledger.nodes.number(&id), id.credential());
        // Nothing older than a credential rests on it, and nothing rests on a node that was never named.
        let before_it = itself.map_or(Revision::ZERO, |own| Revision::new(own.get().saturating_sub(1)));
        let rest = match (node, itself) {
            (None, None) => &[],
            (Some(_), _) | (None, Some(_)) => ledger.issued.after(after.max(before_it)),
        };
        let itself = itself.map(|rev| (rev, ledger.issued.place(rev)));
        let lines = vec![Seen::Not; ledger.lines.len()];
        Ok(Self { ledger, rest: rest.iter(), node, itself, when, lines, left: usize::MAX, looked: after })
    }

    /// Where it goes on, if it was not through when it had looked at enough.
    fn broken_off(&self) -> Option<Revision> {
        let rest = self.rest.as_slice().first()?;
        (self.left == 0 && rest.rev <= self.when.revision).then_some(self.looked)
    }

    fn shows(&mut self, credential: &Credential) -> bool {
        if credential.exp <= self.when.now {
            return false;
        }
        let cut = match self.seen(credential) {
            Seen::Under(cut) => cut,
            Seen::Not | Seen::Apart if self.is_or_is_bound(credential) => {
                self.ledger.cut_of_line(credential.line, self.when.revision)
            }
            Seen::Not | Seen::Apart => return false,
        };
        cut <= credential.rev && self.ledger.cut_of_one(credential, self.when.revision) <= credential.rev
    }

    fn is_or_is_bound(&self, credential: &Credential) -> bool {
        self.itself.is_some_and(|(rev, place)| credential.rev == rev || place == Some(credential.bound))
    }

    fn seen(&mut self, credential: &Credential) -> Seen {
        let index = credential.line.index();
        match self.lines.get(index).copied() {
            Some(seen @ (Seen::Apart | Seen::Under(_))) => seen,
            Some(Seen::Not) | None => {
                let rests = |line: &Line| self.node.is_some_and(|node| line.face.rests.contains(&node));
                let under = self.ledger.lines.get(credential.line).is_some_and(rests);
                let cut = under.then(|| self.ledger.cut_of_line(credential.line, self.when.revision));
                let seen = cut.map_or(Seen::Apart, Seen::Under);
                if let Some(slot) = self.lines.get_mut(index) {
                    *slot = seen;
                }
                seen
            }
        }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = &'a Credential;

    fn next(&mut self) -> Option<&'a Credential> {
        while self.left > 0
            && let Some(credential) = self.rest.next()
        {
            if credential.rev > self.when.revision {
                return None;
            }
            (self.left, self.looked) = (self.left - 1, credential.rev);
            if self.shows(credential) {
                return Some(credential);
            }
        }
        None
    }
}
