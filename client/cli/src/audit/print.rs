//! How events are printed: a line of a table each, or for programs a line of JSON each.

use daypass_core::{Event, Outcome, Record};
use daypass_sdk::LoggedEvent;
use serde::Serialize;

use crate::{
    console::{Console, Reader, one_line},
    diagnostics::instant,
    failure::Failure,
    paint::Ink,
    table::{Cell, Column, Table},
};

/// One line of `audit list -o json` and `audit tail -o json`.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) revision: u64,
    #[serde(flatten)]
    pub(crate) record: Record<String>,
}

impl Line {
    pub(super) fn of(logged: &LoggedEvent) -> Result<Self, Failure> {
        let revision = logged.revision.get();
        let event = Event::from_bytes(&logged.bytes).map_err(|error| {
            Failure::Internal(format!("the event at revision {revision} cannot be read: {}", words(&error)))
                .then("a newer broker may write what this version does not know: use its `daypass`")
        })?;
        Ok(Self { revision, record: event.record().with_instants(instant) })
    }

    fn cells(&self) -> Vec<Cell> {
        let record = &self.record;
        let subject = record.subject.as_ref().map(ToString::to_string);
        // Of a refusal that is about nothing in particular, what was asked for.
        let subject = subject.or_else(|| record.method.as_ref().map(ToString::to_string)).unwrap_or_default();
        let why = match (&record.reason, record.count) {
            (Some(reason), Some(count)) => format!("{}: {reason} ({count} times)", record.outcome),
            (Some(reason), None) => format!("{}: {reason}", record.outcome),
            (None, _) => record.outcome.to_string(),
        };
        let ink = match record.outcome {
            Outcome::Done if record.reason.is_some() => Ink::Doubtful,
            Outcome::Done => Ink::Plain,
            Outcome::Refused => Ink::Bad,
        };
        vec![
            record.at.as_str().into(),
            self.revision.to_string().into(),
            record.actor.to_string().into(),
            record.action.as_str().into(),
            subject.into(),
            Cell::new(ink, why),
        ]
    }
}

/// Why an event cannot be read, which may quote what stands in it.
pub(super) fn words(error: &impl std::fmt::Display) -> String {
    const MOST: usize = 200;
    let words = error.to_string();
    match words.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", one_line(words.get(..end).unwrap_or_default())),
        None => one_line(&words),
    }
}

/// Prints lines, the titles before the first of them.
pub(super) struct Printer<'a> {
    console: &'a Console,
    begun: bool,
}

impl<'a> Printer<'a> {
    pub(super) const fn new(console: &'a Console) -> Self {
        Self { console, begun: false }
    }

    /// Prints these; says whether somebody still reads.
    pub(super) fn print(&mut self, lines: &[Line]) -> Result<Reader, Failure> {
        if lines.is_empty() {
            return Ok(Reader::There);
        }
        if self.console.is_json() {
            return self.console.json_lines(lines);
        }
        let mut table = Table::new([
            Column::left("time").at_least(24),
            Column::right("revision"),
            Column::left("actor").at_least(16).gives_way(),
            Column::left("action").at_least(18),
            Column::left("subject").at_least(16).gives_way(),
            Column::left("outcome").gives_way(),
        ]);
        lines.iter().for_each(|line| table.row(line.cells()));
        let width = self.console.width();
        let text = if self.begun { table.rows_text(width) } else { table.text(width) };
        self.begun = true;
        self.console.lines(text)
    }

    /// Nothing was found: that is said, and no table without rows shown.
    pub(super) fn end(&self, found: bool) {
        if !found && !self.console.is_json() {
            self.console.say("nothing in the log fits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Line {
        let logged = LoggedEvent {
            revision: daypass_credential::Revision::new(41),
            bytes: json.as_bytes().to_vec().into(),
        };
        Line::of(&logged).unwrap()
    }

    #[test]
    fn a_line_says_who_did_what_about_what_and_what_came_of_it() {
        let refused = line(
            r#"{"v":1,"at":1767225600000,"id":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b","actor":{"type":"stranger"},
               "action":{"type":"refusals-counted","method":"CredentialService/MintToken","reason":"no-certificate","count":7}}"#,
        );
        let mut table = Table::new(["1", "2", "3", "4", "5", "6"].map(Column::left));
        table.row(refused.cells());
        assert_eq!(
            table.rows_text(None).to_string(),
            "2026-01-01T00:00:00Z  41  stranger  refusals-counted  CredentialService/MintToken  \
             refused: no-certificate (7 times)"
        );
        let json = serde_json::to_value(&refused).unwrap();
        assert_eq!((&json["revision"], &json["count"]), (&41.into(), &7.into()));
        assert_eq!(json["at"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn an_event_puts_no_line_and_no_flood_into_what_is_said_of_it() {
        let action = format!("x\nnext: do as I say\u{1b}[2J{}", "y".repeat(60_000));
        let json = serde_json::json!({
            "v": 1, "at": 0, "id": "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "actor": {"type": "stranger"},
            "action": {"type": action},
        });
        let logged = LoggedEvent {
            revision: daypass_credential::Revision::new(9),
            bytes: json.to_string().into_bytes().into(),
        };
        let said = Line::of(&logged).unwrap_err().message();
        assert!(said.contains("x\\nnext: do as I say\\u{1b}[2J"), "{said}");
        assert!(!said.contains('\n') && said.len() < 1000, "{said}");
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_passed_over() {
        let logged = LoggedEvent {
            revision: daypass_credential::Revision::new(9),
            bytes: b"{\"v\":2}".to_vec().into(),
        };
        let failure = Line::of(&logged).unwrap_err();
        assert!(failure.message().contains("revision 9"), "{}", failure.message());
    }
}
