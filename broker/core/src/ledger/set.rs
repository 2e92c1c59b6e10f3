//! The cut set as verifiers hold it: whole, or what came after a revision.

use daypass_credential::{Cut, Era, Revision, Timestamp};

use super::Ledger;

/// The whole cut set. Applied to an empty one of its era, it judges as one that heard every cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The life of the log.
    pub era: Era,
    /// Up to which revision it speaks.
    pub revision: Revision,
    /// The instant at or before which every expiry means dead.
    pub horizon: Timestamp,
    /// One a node, in the order of the revisions, and then of the nodes.
    pub cuts: Vec<Cut>,
}

/// What came after a revision. Without its horizon it is not whole: cuts may have been forgotten under that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Up to which revision it speaks.
    pub revision: Revision,
    /// The instant at or before which every expiry means dead.
    pub horizon: Timestamp,
    /// One a node, in the order of the revisions, and then of the nodes.
    pub cuts: Vec<Cut>,
}

impl Ledger {
    /// The cut set at the last revision that was followed; none before the first event.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let Changes { revision, horizon, cuts } = self.changes(Revision::ZERO)?;
        Some(Snapshot { era: self.era?, revision, horizon, cuts })
    }

    /// What came after a revision; none if that is not yet, and a snapshot is due.
    ///
    /// Every revision up to the head is remembered: what was forgotten since lies below the horizon that comes along.
    #[must_use]
    pub fn changes(&self, since: Revision) -> Option<Changes> {
        if since > self.head {
            return None;
        }
        let told = self.nodes.iter().filter_map(|entry| Some((&entry.id, entry.told()?)));
        let newer = told.filter(|(_, told)| told.at > since);
        let mut cuts: Vec<Cut> =
            newer.map(|(id, told)| Cut { node: id.node(), at: told.at, until: told.until }).collect();
        cuts.sort_by(|one, other| (one.at, &one.node).cmp(&(other.at, &other.node)));
        Some(Changes { revision: self.head, horizon: self.horizon, cuts })
    }
}
