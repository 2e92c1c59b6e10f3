//! A plan, and what came of it: for people and for programs.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    super::difference::words,
    plan::{Change, Plan, STALE, Step},
    write::Outcomes,
};
use crate::{
    paint::{Ink, Text},
    shapes::directory::{Applied, AppliedObject, Changed},
};

/// How many of each.
#[derive(Debug, Default)]
struct Counts {
    new: usize,
    changed: usize,
    unchanged: usize,
    refused: usize,
    cuts: usize,
}

impl Counts {
    fn of(plan: &Plan) -> Self {
        let mut counts = Self::default();
        for step in plan.steps() {
            let count = match &step.change {
                Change::New => &mut counts.new,
                Change::Changed { .. } => &mut counts.changed,
                Change::Unchanged => &mut counts.unchanged,
                Change::Refused { .. } => &mut counts.refused,
            };
            *count += 1;
            counts.cuts += usize::from(step.cuts());
        }
        counts
    }
}

/// The plan for people: all but what stays as it is, and how many of each.
pub(super) fn text(plan: &Plan) -> Text {
    let text = plan.steps().map(step).fold(Text::new(), Text::and);
    let counts = Counts::of(plan);
    let mut line = format!(
        "at revision {}: {} new, {} changed, {} unchanged",
        plan.revision, counts.new, counts.changed, counts.unchanged
    );
    if counts.refused > 0 {
        // Writing to a text does not fail.
        let _ = write!(line, ", {} refused", counts.refused);
    }
    if counts.cuts > 0 {
        let cuts = if counts.cuts == 1 { "cuts" } else { "cut" };
        let _ = write!(line, "; {} {cuts}: what was minted there before would be dead", counts.cuts);
    }
    text.then(Ink::Strong, line)
}

fn step(step: &Step) -> Text {
    let id = step.id.to_string();
    match &step.change {
        Change::Unchanged => Text::new(),
        Change::New => Text::new().then(Ink::Good, "+").then(Ink::Plain, format!(" {id}\n")),
        Change::Changed { cut, applications, fields } => {
            let text = Text::new().then(Ink::Doubtful, "~").then(Ink::Plain, format!(" {id}"));
            let text = if *cut { text.then(Ink::Bad, cuts(*applications)) } else { text };
            fields.iter().fold(text.then(Ink::Plain, "\n"), |text, changed| {
                text.then(Ink::Plain, format!("    {}\n", line(changed)))
            })
        }
        Change::Refused { reason, message, place } => {
            let why = if reason == STALE { String::new() } else { format!(" ({reason})") };
            let text = Text::new().then(Ink::Bad, "✗").then(Ink::Plain, format!(" {id}: {message}{why}\n"));
            text.then(Ink::Faint, format!("    {place}\n{}\n", place.picture()))
        }
    }
}

fn cuts(applications: u32) -> String {
    match applications {
        0 => "  cuts".into(),
        1 => "  cuts, which reaches 1 application".into(),
        many => format!("  cuts, which reaches {many} applications"),
    }
}

fn line(changed: &Changed) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "(not there)".into(), words);
    format!("{}: {} → {}", changed.field, side(&changed.before), side(&changed.after))
}

/// What came of it, for people.
pub(super) fn summary(plan: &Plan, outcomes: &Outcomes) -> Text {
    let written = outcomes.written.len();
    let newest = outcomes.written.values().max();
    let mut text = match newest {
        Some(newest) if written == 1 => Text::from(format!("1 is written, at revision {newest}")),
        Some(newest) => Text::from(format!("{written} are written, up to revision {newest}")),
        None => Text::from("nothing had to be written"),
    };
    if newest.is_none() && plan.steps().any(Step::writes) {
        text = Text::from("nothing was written");
    }
    for (id, error) in &outcomes.failed {
        let why = crate::failure::with_cause(error);
        text = text.then(Ink::Plain, "\n").then(Ink::Bad, "✗").then(Ink::Plain, format!(" {id}: {why}"));
    }
    let untried: Vec<String> = untried(plan, outcomes).map(|step| step.id.to_string()).collect();
    if let Some(first) = untried.first() {
        let more = untried.len() - 1;
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        text = text.then(Ink::Plain, format!("\nnot tried: {first}{others}"));
    }
    text
}

fn untried<'a>(plan: &'a Plan, outcomes: &'a Outcomes) -> impl Iterator<Item = &'a Step> {
    plan.steps().filter(|step| step.writes() && outcome(step, outcomes) == "not-tried")
}

fn outcome(step: &Step, outcomes: &Outcomes) -> &'static str {
    if !step.writes() {
        "unchanged"
    } else if outcomes.written.contains_key(&step.id) {
        "written"
    } else if outcomes.failed.iter().any(|(id, _)| *id == step.id) {
        "failed"
    } else {
        "not-tried"
    }
}

/// All of it, for programs.
pub(super) fn document(plan: &Plan, outcomes: Option<&Outcomes>) -> Applied {
    let counts = Counts::of(plan);
    Applied {
        revision: plan.revision.get(),
        objects: plan.steps().map(|step| object(step, outcomes)).collect(),
        new: counts.new,
        changed: counts.changed,
        unchanged: counts.unchanged,
        refused: counts.refused,
        cuts: counts.cuts,
        written: outcomes.map(|outcomes| outcomes.written.len()),
    }
}

fn object(step: &Step, outcomes: Option<&Outcomes>) -> AppliedObject {
    let failure = outcomes.and_then(|outcomes| outcomes.failed.iter().find(|(id, _)| *id == step.id));
    let written = outcomes.and_then(|outcomes| outcomes.written.get(&step.id)).copied();
    let mut object = AppliedObject {
        id: step.id.to_string(),
        place: step.place.to_string(),
        change: "new",
        cut: step.cuts(),
        applications: 0,
        revision: Some(written.unwrap_or(step.at).get()).filter(|revision| *revision > 0),
        fields: Vec::new(),
        reason: failure.and_then(|(_, error)| error.reason()).map(str::to_owned),
        message: failure.map(|(_, error)| crate::failure::with_cause(error)),
        outcome: outcomes.map(|outcomes| outcome(step, outcomes)),
    };
    match &step.change {
        Change::New => {}
        Change::Changed { applications, fields, .. } => {
            object.change = "changed";
            object.applications = *applications;
            object.fields.clone_from(fields);
        }
        Change::Unchanged => object.change = "unchanged",
        Change::Refused { reason, message, place } => {
            object.change = "refused";
            object.place = place.to_string();
            (object.reason, object.message) = (Some(reason.clone()), Some(message.clone()));
        }
    }
    object
}
