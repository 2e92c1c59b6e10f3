//! What somebody looks for in the log: all that is given has to fit.

use daypass_core::{ActionKind, Event, Outcome, Who};
use daypass_credential::{NodeId, Timestamp};

/// See the file's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Nodes that it concerns: each of these.
    pub(crate) concerns: Vec<NodeId>,
    /// Who caused it; an instance of somebody counts as well.
    pub(crate) actor: Option<Who>,
    /// What happened: any of these, and anything if there are none.
    pub(crate) actions: Vec<ActionKind>,
    /// What came of it.
    pub(crate) outcome: Option<Outcome>,
    /// From this instant on.
    pub(crate) since: Option<Timestamp>,
    /// Up to, and not including.
    pub(crate) until: Option<Timestamp>,
}

impl Filter {
    /// Does everything fit?
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Does this event fit?
    pub(crate) fn matches(&self, event: &Event) -> bool {
        let action = &event.action;
        self.since.is_none_or(|since| since <= event.at)
            && self.until.is_none_or(|until| event.at < until)
            && (self.actions.is_empty() || self.actions.contains(&action.kind()))
            && self.outcome.is_none_or(|outcome| outcome == action.outcome())
            && self.actor.as_ref().is_none_or(|who| caused(event, who))
            && (self.concerns.is_empty() || {
                let concerned = event.concerns();
                self.concerns.iter().all(|node| concerned.contains(node))
            })
    }
}

fn caused(event: &Event, who: &Who) -> bool {
    let instance = || event.actor.identity().map(Who::Node);
    event.actor.who() == *who || instance().is_some_and(|instance| instance == *who)
}
