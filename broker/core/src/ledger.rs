//! The ledger: what the log says of credentials that may still be alive, followed event by event. From it come the cuts
//! that verifiers hear of, the horizon below which cuts are forgotten, and what is alive under a node.
//!
//! INVARIANT (nothing is walked): an event costs the same whatever is alive. What is dead by lineage or below the horizon
//! stays so, so that looking for one live credential under a cut node leaves out what was found dead before, for good.
//! Counting is for whoever asks ([`Ledger::tally`]).

mod alive;
mod compact;
mod form;
mod issued;
mod lines;
mod minted;
mod nodes;
mod reach;
mod set;

use std::collections::BTreeSet;

use daypass_credential::{Cut, Era, NodeId, Revision, Timestamp};

pub use self::{
    alive::{Alive, Count, Live, NotKept, Page, When},
    form::FormError,
    minted::Kind,
    reach::Reach,
    set::{Changes, Snapshot},
};
use self::{
    issued::{Credential, Issued, Place},
    lines::{Face, LineNo, Lines},
    minted::Minted,
    nodes::{Fell, Id, NodeNo, Nodes},
};
use crate::event::{Action, Event};

/// What became of a node that an event cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallen {
    /// The cut. Its `until` is zero where nothing that was issued under the node outlives the horizon.
    pub cut: Cut,
    /// What it killed, as far as a verifier could have accepted it, whatever its clock says.
    pub reach: Reach,
}

/// Why an event was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Events are followed without a gap.
    #[error("revision {found} where {due} is due")]
    Revision {
        /// What has to come.
        due: Revision,
        /// What came.
        found: Revision,
    },
    /// A log begins once, with the event that names its era.
    #[error("a log begins with its first event, and there alone")]
    Beginning,
    /// Beyond what can be numbered here.
    #[error("more than four thousand million credentials")]
    Full,
}

/// How much is kept: what memory goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Credentials, with those that expired and were not dropped yet: a third of all at the most, after forgetting.
    pub credentials: usize,
    /// Sets of credentials that differ in number, expiry and the certificate that they are bound to alone.
    pub lines: usize,
    /// Nodes that something kept rests on, or that were cut.
    pub nodes: usize,
    /// Cuts that killed something, those that verifiers do not hear of included.
    pub cuts: usize,
}

/// What the log says of credentials that may still be alive.
#[derive(Debug, Clone)]
pub struct Ledger {
    era: Option<Era>,
    head: Revision,
    horizon: Timestamp,
    nodes: Nodes,
    lines: Lines,
    issued: Issued,
    /// The cuts that are kept, by when they may be forgotten.
    ends: BTreeSet<(Timestamp, Revision, NodeNo)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            era: None,
            head: Revision::ZERO,
            horizon: Timestamp::ZERO,
            nodes: Nodes::default(),
            lines: Lines::default(),
            issued: Issued::default(),
            ends: BTreeSet::new(),
        }
    }
}

impl Ledger {
    /// Follows the next event, and says what became of each node that it cut, in the order of its puts.
    ///
    /// # Errors
    /// [`Misplaced`], and nothing was followed.
    pub fn take(&mut self, revision: Revision, event: &Event) -> Result<Vec<Fallen>, Misplaced> {
        self.in_place(revision, event)?;
        if let Action::Initialized { era, .. } = &event.action {
            self.era = Some(*era);
        }
        // Cuts first: what this very event mints is not under them.
        let cuts = event.puts.iter().filter(|put| put.cut);
        let fallen = cuts.map(|put| self.cut(put.node.id(), revision)).collect();
        if let Some(minted) = Minted::of(event) {
            self.mint(revision, &minted);
        }
        self.head = revision;
        Ok(fallen)
    }

    /// Raises the horizon to this instant, which has to be one that the broker believes: from now on everything that
    /// expires at or before it is dead for every verifier. The horizon never falls; an earlier instant changes nothing.
    ///
    /// Returns what leaves the cut set, in the order of the revisions.
    pub fn forget(&mut self, now: Timestamp) -> Vec<Cut> {
        self.horizon = self.horizon.max(now);
        let mut left = Vec::new();
        while let Some((until, at, no)) = self.ends.first().copied().filter(|end| end.0 <= self.horizon) {
            self.ends.pop_first();
            let Some(entry) = self.nodes.entry_mut(no) else { continue };
            if entry.told().is_some_and(|told| told.at == at) {
                left.push(Cut { node: entry.id.node(), at, until });
            }
            entry.cuts.retain(|fell| fell.at != at);
        }
        left.sort_by(|one, other| (one.at, &one.node).cmp(&(other.at, &other.node)));
        if self.issued.expire(self.horizon) {
            self.compact();
        }
        left
    }

    /// The life of the log; none before its first event.
    #[must_use]
    pub const fn era(&self) -> Option<Era> {
        self.era
    }

    /// The last revision that was followed.
    #[must_use]
    pub const fn head(&self) -> Revision {
        self.head
    }

    /// The instant at or before which every expiry means dead.
    #[must_use]
    pub const fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// How much is kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            credentials: self.issued.len(),
            lines: self.lines.len(),
            nodes: self.nodes.len(),
            cuts: self.ends.len(),
        }
    }

    fn in_place(&self, revision: Revision, event: &Event) -> Result<(), Misplaced> {
        let due = self.head.next();
        if revision != due {
            return Err(Misplaced::Revision { due, found: revision });
        }
        if matches!(event.action, Action::Initialized { .. }) != (self.head == Revision::ZERO) {
            return Err(Misplaced::Beginning);
        }
        // An event adds few nodes, one line and one credential.
        let most = self.issued.len().max(self.lines.len()).max(self.nodes.len());
        if most < (u32::MAX - 1024) as usize { Ok(()) } else { Err(Misplaced::Full) }
    }

    fn mint(&mut self, revision: Revision, minted: &Minted<'_>) {
        // What is dead already, because the clock was set back behind the horizon, needs no memory.
        if minted.expires <= self.horizon {
            return;
        }
        let (rests, bound) = self.bound(minted);
        let rests = rests.iter().chain([&minted.signer]).map(Id::of);
        let face = Face {
            kind: minted.kind,
            rests: rests.map(|id| self.nodes.intern(id)).collect(),
            subject: self.nodes.intern(Id::of(&minted.subject)),
            audience: minted.audience.as_ref().map(|audience| self.nodes.intern(Id::of(audience))),
        };
        let line = self.lines.intern(face);
        self.enter(revision, minted.expires, line, bound);
    }

    /// What it rests on, without the certificate that it is bound to if that can stand for it ([`Issued::binds`]).
    fn bound<'a>(&self, minted: &Minted<'a>) -> (&'a [NodeId], Place) {
        let nodes = minted.lineage.nodes();
        // Whatever is alive among what is bound to a certificate has to be of one reach, since only the newest is looked at.
        let relied = (minted.kind.reach() == Reach::Relied).then_some(nodes);
        let last = relied
            .and_then(<[NodeId]>::split_last)
            .and_then(|(last, rest)| Some((rest, Id::of(last).credential()?)));
        let place = last.and_then(|(rest, rev)| Some((rest, self.issued.binds(rev, minted.expires)?)));
        place.unwrap_or((nodes, Place::NONE))
    }

    fn enter(&mut self, rev: Revision, exp: Timestamp, line: LineNo, bound: Place) {
        let place =
            self.issued.push(Credential { rev, exp, line, before: Place::NONE, bound, kin: Place::NONE });
        self.link(place);
    }

    /// Puts a credential at the end of its line and of what is bound to its certificate, and the line under all that it
    /// rests on where it is not.
    fn link(&mut self, place: Place) {
        let bound = self.issued.get(place).map_or(Place::NONE, |credential| credential.bound);
        let kin = self.issued.get_mut(bound).map(|bound| std::mem::replace(&mut bound.kin, place));
        let Some(credential) = self.issued.get_mut(place) else { return };
        let Some(line) = self.lines.get_mut(credential.line) else { return };
        credential.before = std::mem::replace(&mut line.newest, place);
        credential.kin = kin.unwrap_or(credential.kin);
        for no in &line.face.rests {
            let Some(entry) = self.nodes.entry_mut(*no) else { continue };
            entry.latest = entry.latest.max(credential.exp);
            *entry.newest_mut(line.face.kind) = credential.rev;
            // A line that was found dead may still stand with some of its nodes; twice there does no harm.
            if credential.before == Place::NONE {
                entry.under_mut(line.face.kind).push(credential.line);
            }
        }
    }

    fn cut(&mut self, node: NodeId, at: Revision) -> Fallen {
        let id = Id::of(&node);
        let (until, reach) = (self.latest_under(&id), self.reach(&id));
        if reach != Reach::Nothing {
            let no = self.nodes.intern(id);
            if let Some(entry) = self.nodes.entry_mut(no) {
                entry.cuts.push(Fell { at, until, told: reach == Reach::Relied });
                self.ends.insert((until, at, no));
            }
        }
        Fallen { cut: Cut { node, at, until }, reach }
    }

    /// The latest expiry ever issued under a node, if it lies beyond the horizon; zero otherwise.
    fn latest_under(&self, id: &Id) -> Timestamp {
        let own = id.credential().and_then(|rev| self.issued.find(rev)).map(|itself| itself.exp);
        let rested = self.nodes.find(id).map(|entry| entry.latest);
        own.max(rested).filter(|latest| *latest > self.horizon).unwrap_or(Timestamp::ZERO)
    }
}
