//! What is read and checked when a store is opened. sled's checksums find what rots inside a record; here is found
//! what it would pass over: a log that does not begin at one, has a gap, or ends before what the nodes rest on.

use daypass_core::{Event, Stored};
use daypass_credential::{Revision, Timestamp};
use sled::Db;

use super::{
    Check,
    disk::Walk,
    layout::{NODES, RUNS, Unreadable, node_key, read_node, run_first},
};
use crate::{
    Entry, Fold, Head, OpenError,
    engine::Found,
    image::Image,
    recent::{REMEMBERED, Recent},
};

/// Reads and checks a store whose log has been durable up to `mark`.
pub(super) fn load(db: &Db, mark: Option<Revision>, check: Check) -> Result<Found, OpenError> {
    let head = head(db)?;
    let nodes = nodes(db, head.revision)?;
    let mark = mark.ok_or_else(|| damaged("its mark cannot be read"))?;
    if head.revision < mark {
        return Err(damaged(&format!("the log ends at revision {}, it once reached {mark}", head.revision)));
    }
    let recent = match check {
        Check::Newest => newest(db, head.revision)?,
        Check::Whole => whole(db, &nodes)?,
    };
    Ok(Found { image: Image::of(head, nodes), recent })
}

/// The newest entry, which its revision and its event tell.
fn head(db: &Db) -> Result<Head, OpenError> {
    let mut runs = db.scan_prefix(RUNS);
    let Some(oldest) = runs.next().transpose().map_err(unreadable)? else {
        return Ok(Head { revision: Revision::ZERO, at: Timestamp::ZERO });
    };
    if run_first(&oldest.0) != Some(Revision::new(1)) {
        return Err(damaged("the log does not begin at revision 1"));
    }
    let newest = db.scan_prefix(RUNS).next_back().transpose().map_err(unreadable)?.unwrap_or(oldest);
    let first = run_first(&newest.0).ok_or_else(|| damaged("a run of events has no revision"))?;
    let before = Revision::new(first.get().saturating_sub(1));
    let mut last = None;
    for read in Walk::after(db, before).map_err(OpenError::Damaged)? {
        last = Some(read.map_err(OpenError::Damaged)?);
    }
    let (revision, record) = last.ok_or_else(|| damaged("the newest run of events is empty"))?;
    let event =
        Event::from_bytes(&record.event).map_err(|e| damaged(&format!("revision {revision}: {e}")))?;
    Ok(Head { revision, at: event.at })
}

/// All nodes. INVARIANT (nothing ahead of the log): a node is written with its event, so none is newer than the head.
fn nodes(db: &Db, head: Revision) -> Result<Vec<Stored>, OpenError> {
    let mut nodes = Vec::new();
    for pair in db.scan_prefix(NODES) {
        let (key, value) = pair.map_err(unreadable)?;
        let called = String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned();
        let stored = read_node(&value).map_err(|why| node_damaged(&called, &why))?;
        if node_key(&stored.node.id()) != *key {
            return Err(damaged(&format!("`{}` stands where `{called}` has to", stored.node.id())));
        }
        if stored.revision > head || stored.cut > Some(stored.revision) {
            return Err(damaged(&format!("`{called}` is newer than the log, which ends at revision {head}")));
        }
        nodes.push(stored);
    }
    Ok(nodes)
}

/// The newest ids; finds a gap among their entries.
fn newest(db: &Db, head: Revision) -> Result<Recent, OpenError> {
    let mut recent = Recent::new();
    let window = u64::try_from(REMEMBERED).unwrap_or(u64::MAX);
    let after = Revision::new(head.get().saturating_sub(window));
    if head > Revision::ZERO {
        for read in Walk::after(db, after).map_err(OpenError::Damaged)? {
            let (revision, record) = read.map_err(OpenError::Damaged)?;
            recent.remember(record.id, revision);
        }
    }
    Ok(recent)
}

/// The whole log: every entry an event, and the nodes what they leave.
fn whole(db: &Db, nodes: &[Stored]) -> Result<Recent, OpenError> {
    let (mut recent, mut fold) = (Recent::new(), Fold::default());
    if db.scan_prefix(RUNS).next().is_some() {
        for read in Walk::after(db, Revision::ZERO).map_err(OpenError::Damaged)? {
            let (revision, record) = read.map_err(OpenError::Damaged)?;
            recent.remember(record.id, revision);
            let entry = Entry { revision, event: record.event };
            fold.apply(&entry).map_err(|e| OpenError::Damaged(e.to_string()))?;
        }
    }
    if fold.nodes().count() != nodes.len() {
        return Err(damaged("the log leaves other nodes than those stored"));
    }
    match nodes.iter().find(|stored| fold.node(&stored.node.id()) != Some(stored)) {
        Some(stored) => Err(damaged(&format!("`{}` is not what the log leaves", stored.node.id()))),
        None => Ok(recent),
    }
}

fn node_damaged(called: &str, why: &Unreadable) -> OpenError {
    damaged(&format!("`{called}` cannot be read: {why}"))
}

fn damaged(what: &str) -> OpenError {
    OpenError::Damaged(what.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unreadable(error: sled::Error) -> OpenError {
    OpenError::Damaged(error.to_string())
}
