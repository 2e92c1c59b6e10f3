//! How keys may change: within an era they come and go, and what went is gone for ever (law 3's exception); a new era
//! has none of the keys of the one before.

use std::{collections::HashSet, sync::Arc};

use daypass_credential::{Digest, Name, Timestamp};

use super::{FeedError, KeyChange, State};
use crate::Bundle;

/// A key of either kind: its name or its audience's, which one it is, and how long it vouches.
struct Known<'a> {
    name: &'a Name,
    id: Digest,
    latest: Timestamp,
}

impl State {
    /// Puts these keys in the place of those before; true if they differ.
    pub(super) fn take_keys(&mut self, bundle: Bundle) -> Result<bool, FeedError> {
        if *self.bundle == bundle {
            return Ok(false);
        }
        self.check(&bundle)?;
        self.note_gone(&bundle);
        self.bundle = Arc::new(bundle);
        Ok(true)
    }

    fn check(&self, new: &Bundle) -> Result<(), KeyChange> {
        let old = &self.bundle;
        if new.era() != old.era() {
            return Err(KeyChange::Era(new.era()));
        }
        if new.issuer() != old.issuer() || new.domain() != old.domain() {
            return Err(KeyChange::Realm);
        }
        for key in new.token_keys() {
            let before = old.token_keys().find(|known| known.kid == key.kid);
            if before.is_some_and(|before| before.id != key.id) {
                return Err(KeyChange::Replaced(key.kid.clone()));
            }
            if self.gone_names.contains(&key.kid) {
                return Err(KeyChange::Returned(key.kid.clone()));
            }
        }
        for key in all(new) {
            if self.gone.contains(&key.id) {
                return Err(KeyChange::Returned(key.name.clone()));
            }
            let before = all(old).find(|known| known.id == key.id);
            if before.is_some_and(|before| before.latest < key.latest) {
                return Err(KeyChange::Extended(key.name.clone()));
            }
        }
        Ok(())
    }

    fn note_gone(&mut self, new: &Bundle) {
        let stays: HashSet<Digest> = all(new).map(|key| key.id).collect();
        let tokens = self.bundle.token_keys().filter(|key| !stays.contains(&key.id));
        // A verifier may stop checking for an audience and begin again; its CAs were not ended by that.
        let anchors = self.bundle.anchors().filter(|anchor| new.staleness(&anchor.audience).is_some());
        let anchors = anchors.map(|anchor| anchor.id).filter(|id| !stays.contains(id));
        let (ids, names): (Vec<_>, Vec<_>) = tokens.map(|key| (key.id, key.kid.clone())).unzip();
        self.gone.extend(anchors.chain(ids));
        self.gone_names.extend(names);
    }
}

/// Checks that a new era brings no key of the one before.
pub(super) fn check_new_era(old: &Bundle, new: &Bundle) -> Result<(), KeyChange> {
    let kept = all(new).find(|key| all(old).any(|known| known.id == key.id));
    kept.map_or(Ok(()), |key| Err(KeyChange::Kept(key.name.clone())))
}

fn all(bundle: &Bundle) -> impl Iterator<Item = Known<'_>> {
    let tokens = bundle.token_keys().map(|key| Known { name: &key.kid, id: key.id, latest: key.latest });
    let anchors = bundle.anchors();
    tokens.chain(anchors.map(|ca| Known { name: &ca.audience, id: ca.id, latest: ca.latest }))
}
