//! The one thread that commits: it takes what waits as a group, judges each change against all before it, has the
//! medium write the group, and only then lets anybody see it.
//!
//! INVARIANT (one at a time): nothing but this thread changes the image, so what it reads there does not move.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use daypass_core::{ChangeId, Stored};
use daypass_credential::{NodeId, Revision, Timestamp};
use tokio::sync::{oneshot, watch};

use crate::{
    CommitError, Head, StoreError,
    change::{Draft, Prepared, Private},
    engine::{Medium, Shared},
    image::Image,
    queue::{Job, Queue},
    recent::Recent,
};

/// Changes that are written together, all or none.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) entries: Vec<Numbered>,
    /// The nodes as the whole group leaves them.
    pub(crate) nodes: HashMap<NodeId, Written>,
    /// In order: the last word on a value stands.
    pub(crate) private: Vec<Private>,
}

/// A node that a group writes.
pub(crate) struct Written {
    pub(crate) stored: Arc<Stored>,
    /// The node as JSON.
    pub(crate) json: Vec<u8>,
}

/// A change that has its revision.
pub(crate) struct Numbered {
    pub(crate) revision: Revision,
    pub(crate) id: ChangeId,
    pub(crate) at: Timestamp,
    /// May the log's time go back to `at`?
    pub(crate) resets_time: bool,
    pub(crate) event: Bytes,
}

impl Group {
    /// Takes a change in as this revision, unless the state left by all before it forbids that.
    pub(crate) fn admit(
        &mut self,
        change: Prepared,
        revision: Revision,
        image: &Image,
    ) -> Result<(), CommitError> {
        for expect in &change.expect {
            if self.node(&expect.node, image).map(|stored| stored.revision) != expect.revision {
                return Err(CommitError::Conflict { node: expect.node.clone() });
            }
        }
        for draft in change.puts {
            self.put(draft, revision, image);
        }
        self.private.extend(change.private);
        self.entries.push(Numbered {
            revision,
            id: change.id,
            at: change.at,
            resets_time: change.resets_time,
            event: change.event,
        });
        Ok(())
    }

    fn node<'a>(&'a self, id: &NodeId, image: &'a Image) -> Option<&'a Arc<Stored>> {
        self.nodes.get(id).map(|written| &written.stored).or_else(|| image.node(id))
    }

    fn put(&mut self, draft: Draft, revision: Revision, image: &Image) {
        let Draft { id, node, cut, json } = draft;
        let cut = if cut { Some(revision) } else { self.node(&id, image).and_then(|before| before.cut) };
        let stored = Arc::new(Stored { revision, cut, node });
        self.nodes.insert(id, Written { stored, json });
    }
}

/// The committer's own state; it lives on its thread.
pub(crate) struct Committer<M: Medium> {
    pub(crate) shared: Arc<Shared<M>>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) head: watch::Sender<Head>,
    /// The revision given out last. Those of a failed group are never given again: the engine ends with it.
    pub(crate) last: Revision,
}

/// Who waits for a change of the group, and what to tell once the group is durable. A refusal waits as well: it may
/// rest on a member of the same group, and nobody may learn of that one before it is durable.
struct Waiting {
    sender: oneshot::Sender<Result<Revision, CommitError>>,
    verdict: Result<Revision, CommitError>,
}

impl<M: Medium> Committer<M> {
    /// Commits until the queue is closed or the medium fails.
    pub(crate) fn run(mut self) {
        while let Some(jobs) = self.queue.take() {
            let (group, waiting) = self.judge(jobs);
            match self.write(&group) {
                Ok(()) => self.publish(group, waiting),
                Err(reason) => return self.fail(&reason, waiting),
            }
        }
    }

    /// Numbers those that may be recorded, in order. A refused one takes no revision: there are no gaps.
    fn judge(&mut self, jobs: Vec<Job>) -> (Group, Vec<Waiting>) {
        let shared = Arc::clone(&self.shared);
        let (image, mut recent) = (shared.image(), shared.recent());
        let mut group = Group { entries: Vec::with_capacity(jobs.len()), ..Group::default() };
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs {
            let verdict = self.decide(job.change, &mut group, &image, &mut recent);
            waiting.push(Waiting { sender: job.answer, verdict });
        }
        (group, waiting)
    }

    fn decide(
        &mut self,
        change: Prepared,
        group: &mut Group,
        image: &Image,
        recent: &mut Recent,
    ) -> Result<Revision, CommitError> {
        let id = change.id;
        if let Some(revision) = recent.find(&id) {
            return Err(CommitError::Repeated { revision });
        }
        let revision = self.last.next();
        group.admit(change, revision, image)?;
        recent.remember(id, revision);
        self.last = revision;
        Ok(revision)
    }

    /// Makes the group durable. A panic of the medium is a failure like any other.
    fn write(&self, group: &Group) -> Result<(), String> {
        if group.entries.is_empty() {
            return Ok(());
        }
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.shared.hide(group)?;
            self.shared.medium.write(group)
        }));
        written.unwrap_or_else(|_| Err("the engine broke off while writing".to_owned()))
    }

    /// INVARIANT (durable before seen) is kept here: first the medium, then the image, then the head, then answers.
    fn publish(&self, group: Group, waiting: Vec<Waiting>) {
        if !group.entries.is_empty() {
            let head = self.shared.publish(group);
            self.head.send_replace(head);
        }
        for Waiting { sender, verdict } in waiting {
            let _gone = sender.send(verdict);
        }
    }

    /// A failed write is final: whether the group is on disk is not known, and asking the disk again could not tell.
    fn fail(&self, reason: &str, waiting: Vec<Waiting>) {
        tracing::error!(reason, "the store has failed, nothing more is recorded");
        self.shared.fail(reason);
        self.queue.fail(reason);
        for Waiting { sender, verdict } in waiting {
            let _gone = sender.send(Err(after_failure(&verdict, reason)));
        }
    }
}

/// What is told of a change whose group failed. A refused one did not happen, whatever became of the others.
fn after_failure(verdict: &Result<Revision, CommitError>, reason: &str) -> CommitError {
    match verdict {
        Ok(_) | Err(CommitError::Repeated { .. }) => CommitError::Unknown(reason.to_owned()),
        Err(_) => StoreError::Failed(reason.to_owned()).into(),
    }
}

impl<M: Medium> Drop for Committer<M> {
    /// However the thread ends, a panic of its own included, nobody goes on waiting or reading.
    fn drop(&mut self) {
        const ENDED: &str = "the store was closed";
        self.shared.fail(ENDED);
        self.queue.fail(ENDED);
    }
}
