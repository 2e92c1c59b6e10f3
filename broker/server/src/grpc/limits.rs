//! How much may be under way at once: of each caller, and of each method by each kind of caller, so that nobody takes
//! the place of others. A partner cannot keep the company from ending things (law 8), nor one partner another, nor a
//! stranger anybody.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use daypass_credential::{Name, NodeKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::table::{Row, TABLE};

/// How many calls of one identity may be under way at once.
const PER_IDENTITY: usize = 512;
/// How many calls without a certificate of ours may be under way at once from one address.
const PER_ADDRESS: usize = 32;

/// Who is counted together, in calls and in connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// One identity, over all its connections.
    Identity(Name, NodeKind),
    /// The same of an application: the identity, and the vendor on whose behalf.
    Partner(Name, Name),
    /// Everybody at one address whom nobody knows.
    Stranger(IpAddr),
}

impl Who {
    /// The kinds of caller that have places of their own.
    pub(crate) const KINDS: usize = 4;

    /// Which kind it is, below [`Self::KINDS`].
    pub(crate) const fn kind(&self) -> usize {
        match self {
            Self::Stranger(_) => 0,
            Self::Identity(_, NodeKind::Person) => 1,
            Self::Identity(_, NodeKind::Verifier) => 2,
            Self::Identity(..) | Self::Partner(..) => 3,
        }
    }

    /// The vendor on whose behalf, of whom there may be many instances.
    pub(crate) const fn vendor(&self) -> Option<&Name> {
        match self {
            Self::Partner(_, vendor) => Some(vendor),
            Self::Identity(..) | Self::Stranger(_) => None,
        }
    }
}

/// This part of the places for applications is the most that one vendor takes, with all instances of all its applications.
pub(crate) const VENDORS_PART: usize = 2;

/// Counts what each has under way.
#[derive(Debug)]
pub(crate) struct Tally<K = Who>(Arc<Mutex<HashMap<K, usize>>>);

impl<K> Clone for Tally<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// One of those that are counted; it counts no more when this is dropped.
#[derive(Debug)]
pub(crate) struct Counted<K: Eq + Hash = Who> {
    who: K,
    tally: Tally<K>,
}

impl<K: Eq + Hash + Clone> Tally<K> {
    /// Counts one more, unless there are `most` already.
    pub(crate) fn count(&self, who: K, most: usize) -> Option<Counted<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = counts.entry(who.clone()).or_default();
        if *under_way >= most {
            return None;
        }
        *under_way += 1;
        drop(counts);
        Some(Counted { who, tally: self.clone() })
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.tally.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = counts.get_mut(&self.who) {
            *under_way -= 1;
            if *under_way == 0 {
                counts.remove(&self.who);
            }
        }
    }
}

/// The limits on calls.
pub(crate) struct Limits {
    methods: Vec<[Arc<Semaphore>; Who::KINDS]>,
    callers: Tally,
    /// By the method's place in the table.
    vendors: Tally<(usize, Name)>,
}

/// What one call holds while it is under way.
pub(crate) struct Place {
    _caller: Counted,
    _vendor: Option<Counted<(usize, Name)>>,
    _method: OwnedSemaphorePermit,
}

impl Limits {
    /// Nothing is under way yet.
    pub(crate) fn new() -> Self {
        let places = |row: &Row| std::array::from_fn(|_| Arc::new(Semaphore::new(row.at_once)));
        Self {
            methods: TABLE.iter().map(places).collect(),
            callers: Tally::default(),
            vendors: Tally::default(),
        }
    }

    /// A place for a call of the method at this index of the table, if there is one.
    pub(crate) fn place(&self, method: usize, who: Who) -> Option<Place> {
        // Without a limit nothing passes.
        let semaphore = self.methods.get(method)?.get(who.kind())?.clone();
        let most = match &who {
            Who::Identity(..) | Who::Partner(..) => PER_IDENTITY,
            Who::Stranger(_) => PER_ADDRESS,
        };
        let part = TABLE.get(method)?.at_once.div_ceil(VENDORS_PART);
        let vendor = match who.vendor() {
            Some(vendor) => Some(self.vendors.count((method, vendor.clone()), part)?),
            None => None,
        };
        let caller = self.callers.count(who, most)?;
        Some(Place { _caller: caller, _vendor: vendor, _method: semaphore.try_acquire_owned().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = "/daypass.v1.OffboardingService/End";

    fn end() -> usize {
        super::super::table::find(END).unwrap().0
    }

    fn application(n: usize) -> Who {
        of_vendor(n, &format!("v{n}"))
    }

    fn of_vendor(n: usize, vendor: &str) -> Who {
        Who::Partner(format!("i{n}").parse().unwrap(), vendor.parse().unwrap())
    }

    #[test]
    fn one_caller_takes_only_its_own_places() {
        let limits = Limits::new();
        let held: Vec<Place> = std::iter::from_fn(|| limits.place(end(), application(1))).collect();
        assert_eq!(held.len(), PER_IDENTITY);
        assert!(limits.place(end(), application(2)).is_some());
        drop(held);
        assert!(limits.place(end(), application(1)).is_some());
        assert!(limits.callers.0.lock().unwrap().is_empty());
    }

    #[test]
    fn one_vendor_with_many_instances_leaves_others_their_places() {
        let limits = Limits::new();
        let all = TABLE[end()].at_once;
        let held: Vec<Place> = (0..all).filter_map(|n| limits.place(end(), of_vendor(n, "acme"))).collect();
        assert_eq!(held.len(), all / VENDORS_PART);
        assert!(limits.place(end(), of_vendor(all, "acme")).is_none());
        let mint = super::super::table::find("/daypass.v1.CredentialService/MintToken").unwrap().0;
        assert!(limits.place(mint, of_vendor(all, "acme")).is_some(), "each method by itself");
        let another = (0..all).filter_map(|n| limits.place(end(), of_vendor(n, "globex")));
        assert_eq!(another.collect::<Vec<_>>().len(), all / VENDORS_PART);
        drop(held);
        assert!(limits.place(end(), of_vendor(all, "acme")).is_some());
        assert!(limits.vendors.0.lock().unwrap().is_empty() && limits.callers.0.lock().unwrap().is_empty());
    }

    #[test]
    fn partners_together_leave_the_company_its_places() {
        let limits = Limits::new();
        let held: Vec<Place> =
            (0..TABLE[end()].at_once + 9).filter_map(|n| limits.place(end(), application(n))).collect();
        assert_eq!(held.len(), TABLE[end()].at_once);
        let person = Who::Identity("dana".parse().unwrap(), NodeKind::Person);
        assert!(limits.place(end(), person).is_some());
    }

    #[test]
    fn strangers_are_counted_by_address() {
        let limits = Limits::new();
        let check = super::super::table::find("/grpc.health.v1.Health/Check").unwrap().0;
        let from = |n: u8| Who::Stranger(IpAddr::from([192, 0, 2, n]));
        let held: Vec<Place> = std::iter::from_fn(|| limits.place(check, from(1))).collect();
        assert_eq!(held.len(), PER_ADDRESS);
        assert!(limits.place(check, from(2)).is_some());
    }
}
