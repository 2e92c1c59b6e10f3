//! The certificates that the log issued and that have not expired: what callers show, and what tokens are bound to.

use std::collections::{BTreeMap, BTreeSet};

use daypass_credential::{Digest, Name, NodeId, Revision, Timestamp, Ttl};

use crate::event::{Action, Actor, CertificateRecord, Event};

/// How long after its end a certificate is kept: who was judged just before it may be recorded just after.
const GRACE: Ttl = Ttl::minutes(10);

#[derive(Debug, Default)]
pub(super) struct Certificates {
    kept: BTreeMap<Revision, Certificate>,
    by_end: BTreeSet<(Timestamp, Revision)>,
    /// Those before this revision may have been dropped although they are in force again: the clock was set back.
    forgotten_before: Revision,
}

/// As much of a certificate as decides what it is good for.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) subject: NodeId,
    pub(super) identity: Name,
    /// None for an identity certificate.
    pub(super) audience: Option<Name>,
    /// The certificate that asked for it, where one did.
    pub(super) asked_by: Option<Revision>,
    pub(super) key: Digest,
    pub(super) expires: Timestamp,
}

/// What is known of a certificate that somebody shows.
pub(super) enum Known<'a> {
    Issued(&'a Certificate),
    /// It was dropped, and may be in force.
    Dropped,
    /// It never was, or it is over.
    No,
}

impl Certificates {
    pub(super) fn get(&self, revision: Revision) -> Known<'_> {
        match self.kept.get(&revision) {
            Some(certificate) => Known::Issued(certificate),
            None if revision < self.forgotten_before => Known::Dropped,
            None => Known::No,
        }
    }

    pub(super) fn follow(&mut self, revision: Revision, event: &Event) {
        let record = match &event.action {
            Action::Enrolled(record) | Action::Renewed(record) | Action::CertificateMinted(record) => record,
            _ => return,
        };
        let asked_by = match &event.actor {
            Actor::Caller { credential, .. } => Some(*credential),
            Actor::Broker | Actor::Code { .. } | Actor::Stranger => None,
        };
        self.by_end.insert((record.expires, revision));
        self.kept.insert(revision, Certificate::of(record, asked_by));
    }

    /// Drops what is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((end, revision)) = self.by_end.first().copied() {
            if end.after(GRACE) > now {
                return;
            }
            self.by_end.pop_first();
            self.kept.remove(&revision);
        }
    }

    /// Somebody vouched for an earlier time: what was dropped under the later one may be in force again.
    pub(super) const fn forget_what_expired(&mut self, before: Revision) {
        self.forgotten_before = before;
    }
}

impl Certificate {
    fn of(record: &CertificateRecord, asked_by: Option<Revision>) -> Self {
        Self {
            subject: record.subject.clone(),
            identity: record.identity.clone(),
            audience: record.audience.clone(),
            asked_by,
            key: record.key,
            expires: record.expires,
        }
    }
}
