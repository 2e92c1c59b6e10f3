//! Writing what a plan says, rank by rank: one commit for each object, several under way at once.

use std::{collections::HashMap, sync::Arc};

use daypass_credential::{NodeId, Revision};
use daypass_sdk::{Directory, Error, Written};
use tokio::task::JoinSet;

use super::plan::{Plan, Step};
use crate::{console::Console, progress::Progress};

/// How many writes are under way at once.
const AT_ONCE: usize = 16;

/// What came of the writes of a plan.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pub(super) written: HashMap<NodeId, Revision>,
    pub(super) failed: Vec<(NodeId, Error)>,
    /// Somebody stopped it.
    pub(super) interrupted: bool,
}

impl Outcomes {
    /// A refusal is one object's own; anything else would befall the next object just as well.
    fn hopeless(&self) -> bool {
        self.interrupted || self.failed.iter().any(|(_, error)| !matches!(error, Error::Refused(_)))
    }
}

/// Writes all that the plan says. After a failure what is under way is waited for, and no further rank is begun.
pub(super) async fn write(plan: &Plan, directory: &Directory, console: &Console) -> Outcomes {
    let total = plan.steps().filter(|step| step.writes()).count();
    let progress = Progress::start(console, "writing objects", u64::try_from(total).ok());
    let mut outcomes = Outcomes::default();
    for rank in &plan.ranks {
        write_rank(rank, directory, &progress, &mut outcomes).await;
        if outcomes.interrupted || !outcomes.failed.is_empty() {
            break;
        }
    }
    outcomes
}

async fn write_rank(rank: &[Step], directory: &Directory, progress: &Progress, outcomes: &mut Outcomes) {
    let directory = Arc::new(directory.clone());
    let mut waiting = rank.iter().filter(|step| step.writes());
    let mut under_way: JoinSet<(NodeId, Result<Written, Error>)> = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE && !outcomes.hopeless() {
            let Some(step) = waiting.next() else { break };
            let (directory, id, object, at) =
                (Arc::clone(&directory), step.id.clone(), step.object.clone(), step.at);
            under_way.spawn(async move {
                let written = directory.put(object, Some(at)).await;
                (id, written)
            });
        }
        let joined = tokio::select! {
            joined = under_way.join_next() => joined,
            // What is under way is waited for; whoever asks again does not want to wait.
            Ok(()) = tokio::signal::ctrl_c() => {
                if std::mem::replace(&mut outcomes.interrupted, true) {
                    under_way.abort_all();
                }
                continue;
            }
        };
        match joined {
            Some(Ok((id, Ok(written)))) => {
                outcomes.written.insert(id, written.revision);
                progress.advance();
            }
            Some(Ok((id, Err(error)))) => outcomes.failed.push((id, error)),
            // Of a write that was given up nothing is known; it counts among those that were not tried.
            Some(Err(_)) => outcomes.interrupted = true,
            None => return,
        }
    }
}
