//! What is said before a new era begins, and after.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
};

use daypass_core::event::{Previous, TreeHead};
use daypass_credential::Name;

use super::{
    super::{command::Failure, init::Begun},
    old::Old,
    swap::Places,
};

/// A new era that was begun.
pub(crate) struct Recovered {
    pub(super) made: Begun,
    pub(super) old: Old,
    /// Where the old store is kept.
    pub(super) kept: PathBuf,
}

/// What it would do.
pub(super) fn question(old: &Old, places: &Places, admin: &Name) -> String {
    let (counts, suspended) = old.counts();
    let Previous { era, head, known } = &old.previous;
    let mut text = format!(
        "A new era takes the place of era {era}, whose log ends at revision {}.\n{}\
         - Every identity, certificate, token and enrolment code of era {era} is void: everybody enrols again.\n\
         - The broker gets new keys throughout: relying parties need the new CA of their audience and the new token keys.\n\
         - Carried over: {}.\n\
         - {} suspended until an admin resumes each (`daypass resume vendor:NAME`).\n\
         - `person:{admin}` is admin, with a new code for the key given.\n\
         - The old store is kept as `{}`.\n",
        head.size,
        forgotten(known.as_ref(), head),
        listed(&counts),
        vendors(suspended),
        places.kept(*era).display(),
    );
    old.remarks.iter().for_each(|remark| remarked(&mut text, remark));
    text
}

fn forgotten(known: Option<&TreeHead>, head: &TreeHead) -> String {
    match known {
        None => String::new(),
        Some(known) if known.size > head.size => format!(
            "- A checkpoint of revision {} is known: what was recorded after revision {} is forgotten.\n",
            known.size, head.size
        ),
        Some(known) => {
            format!("- A checkpoint of revision {} is known that is of another log than this.\n", known.size)
        }
    }
}

fn vendors(count: usize) -> String {
    match count {
        1 => "1 vendor is".to_owned(),
        count => format!("{count} vendors are"),
    }
}

fn listed(counts: &[(&'static str, usize)]) -> String {
    let each: Vec<_> =
        counts.iter().map(|(kind, count)| format!("{count} {}", plural(kind, *count))).collect();
    if each.is_empty() { "nothing, the directory is empty".to_owned() } else { each.join(", ") }
}

fn plural(kind: &str, count: usize) -> String {
    match (kind, count) {
        (kind, 1) => kind.to_owned(),
        ("person", _) => "persons".to_owned(),
        (kind, _) => format!("{kind}s"),
    }
}

fn remarked(text: &mut String, remark: &str) {
    let _infallible = writeln!(text, "- Note: {remark}.");
}

/// Refuses to go on where somebody is to be asked, and nobody is there.
pub(super) fn must_ask() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    let text =
        "this asks before it acts, and there is no terminal to ask on: add --yes if that is what you want";
    Err(Failure::Use(text.to_owned(), None))
}

/// Asks a person; anything but `yes` is a no.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    eprint!("{question}Begin the new era? [yes/no] ");
    let _flushed = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::work("no answer", error))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::Work("nothing was changed".to_owned(), None)) }
}

impl Recovered {
    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut json = self.made.json();
        let (counts, suspended) = self.old.counts();
        let head = |head: &TreeHead| serde_json::json!({ "revision": head.size, "root": head.root });
        let counts: serde_json::Map<_, _> =
            counts.into_iter().map(|(kind, count)| (kind.to_owned(), count.into())).collect();
        let Previous { era, head: last, known } = &self.old.previous;
        let mut previous = serde_json::json!({ "era": era, "head": head(last) });
        if let (Some(known), Some(previous)) = (known, previous.as_object_mut()) {
            previous.insert("known".to_owned(), head(known));
        }
        let more = serde_json::json!({
            "previous": previous,
            "carried": counts,
            "suspended_vendors": suspended,
            "kept": self.kept,
            "remarks": self.old.remarks,
        });
        if let (Some(json), serde_json::Value::Object(more)) = (json.as_object_mut(), more) {
            json.extend(more);
        }
        json
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let (counts, suspended) = self.old.counts();
        let mut text = format!(
            "A new era has begun. Carried over: {}; {} suspended.\nThe old store is kept as `{}`.\n",
            listed(&counts),
            vendors(suspended),
            self.kept.display()
        );
        self.old.remarks.iter().for_each(|remark| remarked(&mut text, remark));
        let _infallible = write!(
            text,
            "\n{}Into an empty folder, since whoever was enrolled in the old era has to enrol anew. Then confirm the vendors \
             one by one:\n  daypass list vendor --life suspended\n  daypass resume vendor:NAME\n",
            self.made.text()
        );
        text
    }
}
