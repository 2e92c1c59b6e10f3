//! What applying would do to each object: the broker's judgement, and whether the file is as new as the broker's state.

use daypass_credential::{NodeId, Revision};
use daypass_proto::v1::{self, PlannedChange};
use daypass_sdk::Directory;
use prost::Message as _;

use super::super::{difference, file::Entry, manifest::Manifest, order::ranked, problem::Place};
use crate::{failure::Failure, shapes::directory::Changed};

/// Objects by rank, with what is to become of each.
#[derive(Debug)]
pub(in super::super) struct Plan {
    /// The newest revision when it was judged.
    pub(super) revision: Revision,
    pub(in super::super) ranks: Vec<Vec<Step>>,
}

/// One object.
#[derive(Debug)]
pub(in super::super) struct Step {
    pub(in super::super) id: NodeId,
    pub(in super::super) place: Place,
    pub(in super::super) change: Change,
    /// When it was last written; zero if there is none.
    pub(in super::super) at: Revision,
    pub(in super::super) object: v1::Object,
}

/// What is to become of an object.
#[derive(Debug)]
pub(in super::super) enum Change {
    New,
    Changed { cut: bool, applications: u32, fields: Vec<Changed> },
    Unchanged,
    Refused { reason: String, message: String, place: Place },
}

/// The most objects of one plan: the broker judges no more at once, and those of two plans cannot name each other.
const MOST_OBJECTS: usize = 2000;
/// The largest plan, in bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The reason of a refusal of our own.
pub(in super::super) const STALE: &str = "stale-export";

impl Plan {
    /// Has the broker judge these. `overwrite` lets objects through that changed since they were exported.
    pub(in super::super) async fn make(
        entries: Vec<Entry>,
        overwrite: bool,
        directory: &Directory,
    ) -> Result<Self, Failure> {
        if entries.len() > MOST_OBJECTS {
            return Err(too_many(entries.len()));
        }
        let ranks = ranked(entries, directory.connection().subject()).map_err(Failure::BadInput)?;
        let objects = ranks.iter().flatten().map(wire).collect::<Result<Vec<_>, _>>()?;
        let request = v1::PlanObjectsRequest { objects };
        if request.encoded_len() > MOST_BYTES {
            return Err(Failure::bad(
                "the objects are larger than 4 MiB together: apply them in several turns",
            ));
        }
        let answer = directory.plan(request.objects.clone()).await?;
        let mut judged = request.objects.into_iter().zip(answer.objects);
        let mut step = |entry: Entry| {
            let (object, planned) =
                judged.next().ok_or_else(|| Failure::Internal("the plan is too short".into()))?;
            judge(entry, object, planned, overwrite)
        };
        let mut made = Vec::new();
        for rank in ranks {
            made.push(rank.into_iter().map(&mut step).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self { revision: Revision::new(answer.revision), ranks: made })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.ranks.iter().flatten()
    }
}

impl Step {
    /// Does it have to be written?
    pub(in super::super) fn writes(&self) -> bool {
        matches!(self.change, Change::New | Change::Changed { .. })
    }

    pub(super) fn cuts(&self) -> bool {
        matches!(self.change, Change::Changed { cut: true, .. })
    }
}

fn too_many(count: usize) -> Failure {
    Failure::bad(format!(
        "{count} objects are more than the {MOST_OBJECTS} that can be judged together: apply them in several turns, \
         what others name first"
    ))
}

fn wire(entry: &Entry) -> Result<v1::Object, Failure> {
    entry.manifest.to_wire().map_err(|why| Failure::bad(format!("{}: {why}", entry.place)))
}

fn judge(
    entry: Entry,
    object: v1::Object,
    planned: v1::PlannedObject,
    overwrite: bool,
) -> Result<Step, Failure> {
    let at = Revision::new(planned.revision);
    let change = match planned.change() {
        PlannedChange::New => Change::New,
        PlannedChange::Unchanged => Change::Unchanged,
        PlannedChange::Refused if is_there(&entry, &planned)? => Change::Unchanged,
        PlannedChange::Refused => refused(&entry, planned),
        PlannedChange::Changed => match stale(&entry, at).filter(|_| !overwrite) {
            Some(stale) => stale,
            None => changed(&entry, planned)?,
        },
        PlannedChange::Unspecified => {
            return Err(Failure::Internal(format!("the broker does not say what becomes of `{}`", entry.id)));
        }
    };
    Ok(Step { id: entry.id, place: entry.place, change, at, object })
}

/// Is what is refused what stands there already? Something beside it was ended since, perhaps; but nothing has to be
/// written, and whoever applies an export as it is asks for nothing. What was ended itself does not stand.
fn is_there(entry: &Entry, planned: &v1::PlannedObject) -> Result<bool, Failure> {
    match &planned.before {
        Some(before) if planned.reason != "name-spent" => {
            let before = Manifest::from_wire(before.clone()).map_err(Failure::Internal)?;
            Ok(difference::between(&before, &entry.manifest)?.is_empty())
        }
        _ => Ok(false),
    }
}

/// The refusal is shown where the object names what the refusal names, or at the object's own name.
fn refused(entry: &Entry, planned: v1::PlannedObject) -> Change {
    let named = entry.references.iter().find(|named| planned.message.contains(&format!("`{}`", named.id)));
    let place = named.map_or(&entry.place, |named| &named.place).clone();
    Change::Refused { reason: planned.reason, message: planned.message, place }
}

/// An old export over a newer state would take back what somebody did since, unseen.
fn stale(entry: &Entry, at: Revision) -> Option<Change> {
    let (exported, place) = entry.exported.as_ref().filter(|(exported, _)| *exported != at.get())?;
    let message = if *exported < at.get() {
        format!(
            "it changed since this was exported, at revision {at}: export it again, or `apply --overwrite`"
        )
    } else {
        format!(
            "it was last written at revision {at}, before this was exported at {exported}: is this another broker's? \
             `apply --overwrite` writes it all the same"
        )
    };
    Some(Change::Refused { reason: STALE.into(), message, place: place.clone() })
}

fn changed(entry: &Entry, planned: v1::PlannedObject) -> Result<Change, Failure> {
    let (cut, applications) = (planned.cut, planned.applications);
    let before =
        planned.before.ok_or_else(|| Failure::Internal(format!("`{}` changes nothing", entry.id)))?;
    let before = Manifest::from_wire(before).map_err(Failure::Internal)?;
    let fields = difference::between(&before, &entry.manifest)?;
    Ok(Change::Changed { cut, applications, fields })
}
