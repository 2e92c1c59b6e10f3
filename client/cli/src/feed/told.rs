//! What is shown of what a verifier tells: a line for each.

use std::{error::Error as _, time::SystemTime};

use daypass_credential::Timestamp;
use daypass_sdk::{
    Error,
    verifier::{Lost, News, View},
};

use crate::{diagnostics::instant, failure::with_cause, paint::Ink, shapes::FeedLine, table::Cell};

/// A line, and why it is the last, if it is.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) line: FeedLine,
    pub(super) refused: Option<Error>,
}

impl Told {
    /// None of what is nothing to look at.
    pub(super) fn of(news: &News<'_>) -> Option<Self> {
        let line = |what| FeedLine { at: now(), what, ..FeedLine::default() };
        let line = match news {
            News::Connected => line("connected"),
            News::Lost { why, .. } => {
                let refused = why.refusal();
                return Some(Self { line: lost(line("lost"), why), refused });
            }
            News::Snapshot { view } => with_view(line("snapshot"), view),
            News::Keys { view } => with_view(line("keys"), view),
            News::Resumed { at } => FeedLine { revision: Some(at.revision.get()), ..line("resumed") },
            News::Proven { at, .. } => FeedLine { revision: Some(at.revision.get()), ..line("fresh") },
            News::Cut { cut } => FeedLine {
                revision: Some(cut.at.get()),
                node: Some(cut.node.to_string()),
                until: Some(instant(cut.until)),
                ..line("cut")
            },
            News::Horizon { at } => FeedLine { until: Some(instant(*at)), ..line("horizon") },
            News::Checkpoint { revision } => {
                FeedLine { revision: Some(revision.get()), ..line("checkpoint") }
            }
            // Credentials are not checked here, nothing is acknowledged, and what is not kept is said elsewhere.
            _ => return None,
        };
        Some(Self { line, refused: None })
    }
}

fn with_view(line: FeedLine, view: &View) -> FeedLine {
    FeedLine {
        revision: Some(view.position().revision.get()),
        era: Some(view.era().to_string()),
        cuts: Some(view.cuts()),
        audiences: Some(view.bundle().audiences().map(|(name, _)| name.to_string()).collect()),
        ..line
    }
}

fn lost(line: FeedLine, why: &Lost) -> FeedLine {
    let words = match why.source() {
        Some(_) => with_cause(why),
        None => why.to_string(),
    };
    FeedLine { why: Some(words), alarming: Some(why.is_alarming()), ..line }
}

/// A line in the columns of a table: when, what, at which revision, about what.
pub(super) fn cells(line: &FeedLine) -> Vec<Cell> {
    let ink = match line.what {
        "fresh" => Ink::Good,
        "lost" if line.alarming == Some(true) => Ink::Bad,
        "lost" => Ink::Doubtful,
        "cut" => Ink::Strong,
        _ => Ink::Plain,
    };
    let about = match (line.what, &line.node, &line.why) {
        (_, Some(node), _) => node.clone(),
        (_, _, Some(why)) => why.clone(),
        ("horizon", ..) => format!("dead if expired by {}", line.until.as_deref().unwrap_or_default()),
        _ => kept(line),
    };
    vec![
        line.at.as_str().into(),
        Cell::new(ink, line.what),
        line.revision.map(|revision| revision.to_string()).unwrap_or_default().into(),
        about.into(),
    ]
}

fn kept(line: &FeedLine) -> String {
    let (Some(cuts), Some(audiences)) = (line.cuts, &line.audiences) else { return String::new() };
    let cuts = if cuts == 1 { "1 cut".to_owned() } else { format!("{cuts} cuts") };
    format!(
        "{cuts}; keys for {}",
        if audiences.is_empty() { "nothing".to_owned() } else { audiences.join(", ") }
    )
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    instant(Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_came_and_about_what() {
        let cut = daypass_credential::Cut {
            node: "vendor:acme".parse().unwrap(),
            at: daypass_credential::Revision::new(41),
            until: Timestamp::from_secs(1_767_225_600),
        };
        let told = Told::of(&News::Cut { cut: &cut }).unwrap();
        let json = serde_json::to_value(&told.line).unwrap();
        assert_eq!((&json["what"], &json["revision"]), (&"cut".into(), &41.into()));
        assert_eq!((&json["node"], &json["until"]), (&"vendor:acme".into(), &"2026-01-01T00:00:00Z".into()));
        assert!(json.get("why").is_none());
        let mut table = crate::table::Table::new(["1", "2", "3", "4"].map(crate::table::Column::left));
        table.row(cells(&told.line));
        assert!(table.rows_text(None).to_string().ends_with("  cut  41  vendor:acme"));
    }

    #[test]
    fn a_no_is_the_last_line_and_a_break_is_not() {
        let pause = std::time::Duration::ZERO;
        let broken = Told::of(&News::Lost { why: &Lost::Ended, pause }).unwrap();
        assert!(broken.refused.is_none());
        assert_eq!(broken.line.why.as_deref(), Some("the broker ended the stream"));
        assert_eq!(broken.line.alarming, Some(false));
        let no = Lost::Broker(Error::BadInput("no".to_owned()));
        let refused = Told::of(&News::Lost { why: &no, pause }).unwrap();
        assert!(refused.refused.is_some() && refused.line.why.is_some());
    }
}
