//! Mistakes in files: where each is, shown with its line and a mark under the place.

use std::{fmt, ops::Range, sync::Arc};

/// A text that was read, and what to call it.
#[derive(Debug)]
pub(super) struct Source {
    /// Which of those that were read.
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) text: String,
}

/// A place in a source; shown as `file:line:column`.
#[derive(Debug, Clone)]
pub(super) struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

/// A mistake, and another place that has to do with it.
#[derive(Debug)]
pub(super) struct Problem {
    place: Place,
    message: String,
    also: Option<(&'static str, Place)>,
}

impl Place {
    pub(super) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self { source: Arc::clone(source), span }
    }

    fn before(&self) -> &str {
        // A span is of this text; if it were not, the place would be its end.
        self.source.text.get(..self.span.start).unwrap_or(&self.source.text)
    }

    fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    fn column(&self) -> usize {
        self.before().rsplit('\n').next().unwrap_or_default().chars().count() + 1
    }

    /// The line with a mark under the place; of a long line the part around it.
    pub(super) fn picture(&self) -> String {
        let (number, column) = (self.line().to_string(), self.column());
        let line = self.source.text.lines().nth(self.line() - 1).unwrap_or_default();
        let skipped = if column > WIDE { column - WIDE / 2 } else { 0 };
        let shown: String = line.chars().skip(skipped).take(WIDE).map(one_wide).collect();
        let marked = self.source.text.get(self.span.clone()).and_then(|text| text.lines().next());
        let room = (shown.chars().count() + skipped + 1).saturating_sub(column).max(1);
        let marks = marked.map_or(1, |text| text.chars().count()).clamp(1, room);
        let (margin, indent) = (" ".repeat(number.len()), " ".repeat(column - 1 - skipped));
        format!("  {number} | {shown}\n  {margin} | {indent}{}", "^".repeat(marks))
    }
}

/// The widest piece of a line that is shown.
const WIDE: usize = 100;

/// Marks stand under characters that take one column each; a tab would not.
fn one_wide(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.name, self.line(), self.column())
    }
}

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), also: None }
    }

    /// With another place, and what is there.
    pub(super) fn with(mut self, words: &'static str, place: Place) -> Self {
        self.also = Some((words, place));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n{}", self.place, self.message, self.place.picture())?;
        if let Some((words, place)) = &self.also {
            write!(f, "\n{place}: {words}\n{}", place.picture())?;
        }
        Ok(())
    }
}

/// All of them, file by file from the top down.
pub(super) fn report(mut problems: Vec<Problem>) -> String {
    problems.sort_by_key(|problem| (problem.place.source.number, problem.place.span.start));
    let shown: Vec<String> = problems.iter().take(MOST).map(ToString::to_string).collect();
    let text = match problems.len() {
        0 | 1 => shown.concat(),
        mistakes => format!("{mistakes} mistakes\n{}", shown.join("\n")),
    };
    match problems.len().saturating_sub(MOST) {
        0 => text,
        more => format!("{text}\nand {more} more"),
    }
}

/// How many are shown at once.
const MOST: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, what: &str) -> Place {
        let source = Arc::new(Source { number: 0, name: "a.toml".into(), text: text.into() });
        let start = text.find(what).unwrap();
        Place::new(&source, start..start + what.len())
    }

    #[test]
    fn a_place_is_shown_with_its_line_and_a_mark() {
        let problem = Problem::new(place("x = 1\n\tönamé = 2\n", "namé"), "no");
        assert_eq!(problem.to_string(), "a.toml:2:3: no\n  2 |  önamé = 2\n    |   ^^^^");
    }

    #[test]
    fn what_goes_over_several_lines_is_marked_on_its_first() {
        let shown = Problem::new(place("a = [\n1,\n]\n", "[\n1,\n]"), "no").to_string();
        assert_eq!(shown, "a.toml:1:5: no\n  1 | a = [\n    |     ^");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{}here{}", "x".repeat(500), "y".repeat(500));
        let shown = Problem::new(place(&text, "here"), "no").to_string();
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        let (line, marks) = (shown.lines().nth(1).unwrap(), shown.lines().nth(2).unwrap());
        let at = marks.find('^').unwrap();
        assert_eq!(line.get(at..at + 4), Some("here"), "{shown}");
        assert!(marks.ends_with("^^^^"));
    }

    #[test]
    fn the_end_of_a_text_is_a_place() {
        let source = Arc::new(Source { number: 0, name: "a.toml".into(), text: "x = ".into() });
        assert_eq!(
            Problem::new(Place::new(&source, 4..4), "no").to_string(),
            "a.toml:1:5: no\n  1 | x = \n    |     ^"
        );
        assert!(Problem::new(Place::new(&source, 99..100), "no").to_string().starts_with("a.toml:1:5"));
    }

    #[test]
    fn many_are_told_from_the_top_and_not_without_end() {
        let text = "x\n".repeat(50);
        let source = Arc::new(Source { number: 0, name: "a.toml".into(), text });
        let of = |line: usize| Problem::new(Place::new(&source, line * 2..line * 2 + 1), "no");
        let report = report((0..50).rev().map(of).collect());
        assert!(report.starts_with("50 mistakes\na.toml:1:1"), "{report}");
        assert!(report.ends_with("and 20 more"), "{report}");
    }
}
