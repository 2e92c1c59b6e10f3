//! The credentials that the horizon has not reached, in the order of their revisions: 32 bytes each.

use std::collections::BTreeMap;

use daypass_credential::{Revision, Timestamp};

use super::LineNo;

/// Where a credential stands in the list; elsewhere after the next compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    pub(super) const NONE: Self = Self(u32::MAX);
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Credential {
    pub(super) rev: Revision,
    pub(super) exp: Timestamp,
    pub(super) line: LineNo,
    /// The one before it in its line.
    pub(super) before: Place,
    /// The certificate that it is bound to, which lives as long at least, so that it is kept as long.
    ///
    /// One certificate soon follows another, and few tokens may share one: as nodes they would take the most memory of all.
    pub(super) bound: Place,
    /// For what is bound, the one bound before it to the same certificate; for anything else, the last bound to it.
    pub(super) kin: Place,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Issued {
    list: Vec<Credential>,
    /// How many expire when, of those that the horizon has not reached. Expiries are whole seconds, so that this is short.
    expiring: BTreeMap<Timestamp, usize>,
    /// How many it has reached.
    expired: usize,
}

impl Issued {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn push(&mut self, credential: Credential) -> Place {
        if self.list.len() == self.list.capacity() {
            // By a quarter: doubling would leave half of the memory empty at the worst.
            self.list.reserve_exact((self.list.len() / 4).max(64));
        }
        *self.expiring.entry(credential.exp).or_default() += 1;
        let place = Place(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(credential);
        place
    }

    pub(super) fn get(&self, place: Place) -> Option<&Credential> {
        self.list.get(place.0 as usize)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Credential> {
        self.list.get_mut(place.0 as usize)
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..u32::try_from(self.list.len()).unwrap_or(u32::MAX)).map(Place)
    }

    pub(super) fn find(&self, rev: Revision) -> Option<&Credential> {
        self.get(self.place(rev)?)
    }

    pub(super) fn place(&self, rev: Revision) -> Option<Place> {
        let found = self.list.binary_search_by_key(&rev, |credential| credential.rev).ok()?;
        u32::try_from(found).ok().map(Place)
    }

    /// Where the credential stands that one expiring then is bound to; none if it expires before, or is bound itself. Then
    /// it is a node like others.
    pub(super) fn binds(&self, rev: Revision, exp: Timestamp) -> Option<Place> {
        let place = self.place(rev)?;
        self.get(place).filter(|bound| bound.exp >= exp && bound.bound == Place::NONE).map(|_| place)
    }

    /// Those after a revision.
    pub(super) fn after(&self, rev: Revision) -> &[Credential] {
        let from = self.list.partition_point(|credential| credential.rev <= rev);
        self.list.get(from..).unwrap_or_default()
    }

    /// The horizon rose. Is so much below it that dropping it pays? A third, so that each credential is moved a few times
    /// at the most, and what is dead takes less than what may be alive.
    pub(super) fn expire(&mut self, horizon: Timestamp) -> bool {
        while let Some(first) = self.expiring.first_entry().filter(|first| *first.key() <= horizon) {
            self.expired += first.remove();
        }
        self.expired * 3 > self.list.len()
    }

    pub(super) fn drop_expired(&mut self, horizon: Timestamp) {
        let mut kept = 0;
        let numbered = self.list.iter().map(|credential| {
            let place = Place(kept);
            kept += u32::from(credential.exp > horizon);
            place
        });
        let places: Vec<Place> = numbered.collect();
        self.list.retain_mut(|credential| {
            let bound = places.get(credential.bound.0 as usize).copied().unwrap_or(Place::NONE);
            (credential.before, credential.kin, credential.bound) = (Place::NONE, Place::NONE, bound);
            credential.exp > horizon
        });
        self.expired = 0;
        self.list.shrink_to(self.list.len() + self.list.len() / 4);
    }
}
