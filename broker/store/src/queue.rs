//! The changes that wait for the committer, in four lanes, and which of them make up the next group.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daypass_credential::Revision;
use tokio::sync::oneshot;

use crate::{CommitError, Lane, StoreError, change::Prepared};

/// The most changes in one group. An end waits for no more than the group being written, so this bounds its wait.
pub(crate) const GROUP: usize = 256;

/// A group takes no further change once it has this many bytes. One change cannot pass it by more than itself.
const GROUP_BYTES: usize = 256 * 1024;

/// This part of a group is for the background lane, if anybody waits there: it is last, but it is served.
const BACKGROUND: usize = 16;

/// This part of a group is for whoever comes after the own ends of partners, if anybody waits there: a partner that ends
/// things of its own as fast as it can does not keep the others from minting.
const AFTER_OWN_ENDS: usize = 4;

/// When to try again if a lane is full: some groups later.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How many may wait in a lane. Each lane has its own room, so that ends find some when all others are full.
const fn capacity(lane: Lane) -> usize {
    match lane {
        Lane::End => 16_384,
        Lane::OwnEnd => 4_096,
        Lane::Normal => 4_096,
        Lane::Background => 1_024,
    }
}

/// A change and who waits for it.
pub(crate) struct Job {
    pub(crate) change: Prepared,
    pub(crate) answer: oneshot::Sender<Result<Revision, CommitError>>,
}

/// The four lanes, shared by those who ask and the committer.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

struct Waiting {
    end: VecDeque<Job>,
    own_end: VecDeque<Job>,
    normal: VecDeque<Job>,
    background: VecDeque<Job>,
    door: Door,
    /// The committer sleeps and has to be woken: waking it costs a system call, so it is only done then.
    idle: bool,
}

enum Door {
    Open,
    /// What waits is still recorded, nothing more comes in.
    Closing,
    /// Nothing happens any more.
    Failed(String),
}

impl Queue {
    pub(crate) fn new() -> Self {
        let waiting = Waiting {
            end: VecDeque::new(),
            own_end: VecDeque::new(),
            normal: VecDeque::new(),
            background: VecDeque::new(),
            door: Door::Open,
            idle: false,
        };
        Self { waiting: Mutex::new(waiting), arrived: Condvar::new() }
    }

    /// Puts a change at the end of its lane.
    pub(crate) fn push(
        &self,
        change: Prepared,
        lane: Lane,
    ) -> Result<oneshot::Receiver<Result<Revision, CommitError>>, CommitError> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.admits()?;
        let jobs = waiting.lane(lane);
        if jobs.len() >= capacity(lane) {
            return Err(CommitError::Busy { retry_after: RETRY_AFTER });
        }
        jobs.push_back(Job { change, answer });
        if std::mem::take(&mut waiting.idle) {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Waits for the next group; `None` once there will be none.
    pub(crate) fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        loop {
            let group = waiting.group();
            if !group.is_empty() {
                return Some(group);
            }
            match waiting.door {
                Door::Open => waiting.idle = true,
                Door::Closing | Door::Failed(_) => return None,
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets nothing more in; what waits is still recorded.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        if matches!(waiting.door, Door::Open) {
            waiting.door = Door::Closing;
        }
        self.arrived.notify_one();
    }

    /// Lets nothing more in and sends away what waits: it did not happen.
    pub(crate) fn fail(&self, reason: &str) {
        let mut waiting = self.lock();
        waiting.door = Door::Failed(reason.to_owned());
        let sent_away = Lane::ALL.map(|lane| std::mem::take(waiting.lane(lane)));
        drop(waiting);
        for job in sent_away.into_iter().flatten() {
            let _gone = job.answer.send(Err(StoreError::Failed(reason.to_owned()).into()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    const fn lane(&mut self, lane: Lane) -> &mut VecDeque<Job> {
        match lane {
            Lane::End => &mut self.end,
            Lane::OwnEnd => &mut self.own_end,
            Lane::Normal => &mut self.normal,
            Lane::Background => &mut self.background,
        }
    }

    fn admits(&self) -> Result<(), StoreError> {
        match &self.door {
            Door::Open => Ok(()),
            Door::Closing => Err(StoreError::Failed("the store was closed".to_owned())),
            Door::Failed(reason) => Err(StoreError::Failed(reason.clone())),
        }
    }

    /// All of a lane before any of the next, as far as the group reaches.
    fn group(&mut self) -> Vec<Job> {
        let waiting = self.end.len() + self.own_end.len() + self.normal.len() + self.background.len();
        let mut group = Vec::with_capacity(waiting.min(GROUP));
        let mut bytes = 0;
        for lane in Lane::ALL {
            let (most, most_bytes) = self.reach(lane);
            while group.len() < most && bytes < most_bytes {
                let Some(job) = self.lane(lane).pop_front() else {
                    break;
                };
                bytes += job.change.bytes;
                group.push(job);
            }
        }
        group
    }

    /// How full a lane may make the group, in changes and in bytes.
    fn reach(&self, lane: Lane) -> (usize, usize) {
        let after = match lane {
            Lane::End | Lane::Background => None,
            Lane::OwnEnd => Some((self.normal.len() + self.background.len(), AFTER_OWN_ENDS)),
            Lane::Normal => Some((self.background.len(), BACKGROUND)),
        };
        match after {
            None | Some((0, _)) => (GROUP, GROUP_BYTES),
            Some((waiting, part)) => (GROUP - waiting.min(GROUP / part), GROUP_BYTES - GROUP_BYTES / part),
        }
    }
}

#[cfg(test)]
mod tests {
    use daypass_core::{Action, Actor, ChangeId, Event};
    use daypass_credential::Timestamp;

    use super::*;
    use crate::Change;

    fn change(number: u128) -> Prepared {
        let action = Action::Written { node: "vendor:acme".parse().unwrap() };
        let event = Event::new(Timestamp::ZERO, ChangeId::new(number.to_be_bytes()), Actor::Broker, action);
        Prepared::new(Change { event, expect: Vec::new(), private: Vec::new() }).unwrap()
    }

    fn ids(group: &[Job]) -> Vec<u128> {
        group.iter().map(|job| u128::from_be_bytes(*job.change.id.as_bytes())).collect()
    }

    #[test]
    fn a_group_takes_all_of_a_lane_before_any_of_the_next() {
        let queue = Queue::new();
        for (number, lane) in Lane::ALL.into_iter().rev().enumerate() {
            let _waits = queue.push(change(number as u128), lane).unwrap();
        }
        assert_eq!(ids(&queue.take().unwrap()), [3, 2, 1, 0]);
    }

    #[test]
    fn a_full_lane_refuses_and_leaves_room_to_ends() {
        let queue = Queue::new();
        for number in 0..capacity(Lane::Normal) {
            let _waits = queue.push(change(number as u128), Lane::Normal).unwrap();
        }
        assert!(matches!(queue.push(change(1), Lane::Normal), Err(CommitError::Busy { .. })));
        let _waits = queue.push(change(u128::MAX), Lane::End).unwrap();
        let group = queue.take().unwrap();
        assert_eq!((group.len(), ids(&group).first().copied()), (GROUP, Some(u128::MAX)));
    }

    /// What a group has of each lane where this many changes, each of so many bytes, wait in each.
    fn shares(waiting: [(Lane, usize); 4], bytes: usize) -> [usize; 4] {
        let queue = Queue::new();
        for (number, (lane, many)) in waiting.into_iter().enumerate() {
            for _ in 0..many {
                let change = Prepared { bytes, ..change(number as u128) };
                let _waits = queue.push(change, lane).unwrap();
            }
        }
        let group = ids(&queue.take().unwrap());
        std::array::from_fn(|number| group.iter().filter(|id| **id == number as u128).count())
    }

    #[test]
    fn whoever_comes_after_own_ends_is_served_beside_them() {
        let of = |end, own, normal, background| {
            [(Lane::End, end), (Lane::OwnEnd, own), (Lane::Normal, normal), (Lane::Background, background)]
        };
        assert_eq!(shares(of(0, 1000, 0, 0), 1), [0, 256, 0, 0]);
        assert_eq!(shares(of(0, 1000, 10, 0), 1), [0, 246, 10, 0]);
        assert_eq!(shares(of(0, 1000, 1000, 100), 1), [0, 192, 48, 16]);
        assert_eq!(shares(of(100, 1000, 1000, 100), 1), [100, 92, 48, 16]);
        assert_eq!(shares(of(1000, 1000, 1000, 100), 1), [256, 0, 0, 0], "the company waits for nobody");
        let large = 8 * 1024;
        assert_eq!(shares(of(0, 1000, 1000, 100), large), [0, 24, 6, 2], "nor are bytes all theirs");
        assert_eq!(shares(of(1000, 1000, 1000, 100), large), [32, 0, 0, 0]);
    }

    #[test]
    fn a_group_is_bounded_in_bytes() {
        let queue = Queue::new();
        for number in 0..GROUP {
            let mut change = change(number as u128);
            change.bytes = GROUP_BYTES / 2;
            let _waits = queue.push(change, Lane::Normal).unwrap();
        }
        assert_eq!(queue.take().unwrap().len(), 2);
    }

    #[test]
    fn after_a_failure_nothing_waits_and_nothing_comes_in() {
        let queue = Queue::new();
        let mut waits = queue.push(change(1), Lane::End).unwrap();
        queue.fail("broken");
        assert!(matches!(waits.try_recv(), Ok(Err(CommitError::Store(StoreError::Failed(_))))));
        assert!(matches!(queue.push(change(2), Lane::End), Err(CommitError::Store(_))));
        assert!(queue.take().is_none());
    }

    #[test]
    fn after_closing_what_waits_is_still_taken() {
        let queue = Queue::new();
        let _waits = queue.push(change(1), Lane::Normal).unwrap();
        queue.close();
        assert_eq!(queue.take().unwrap().len(), 1);
        assert!(queue.take().is_none());
    }
}
