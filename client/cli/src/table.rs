//! Tables for people: columns that fit the terminal. What goes into a file or a pipe is never cut short, so that
//! whoever searches it finds what is there.
//!
//! A table is filled row by row and handed to [`Console::show`] as a text:
//!
//! ```text
//! let mut table = Table::new([Column::left("id"), Column::right("written"), Column::left("purpose").gives_way()]);
//! table.row(["application:sync", "17", "fetches invoices each night"]);
//! console.show(&shape, || table.text(console.width()))
//! ```
//!
//! [`Console::show`]: crate::console::Console::show

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{
    console::plain,
    paint::{Ink, Text},
};

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A column: what it is called, and how it takes its place.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    title: &'static str,
    side: Side,
    gives_way: bool,
    least: usize,
}

impl Column {
    /// A column of words.
    pub(crate) const fn left(title: &'static str) -> Self {
        Self { title, side: Side::Left, gives_way: false, least: 0 }
    }

    /// A column of numbers.
    pub(crate) const fn right(title: &'static str) -> Self {
        Self { title, side: Side::Right, gives_way: false, least: 0 }
    }

    /// As wide as this where there is room, so that parts of one table stand under one another.
    #[must_use]
    pub(crate) const fn at_least(mut self, width: usize) -> Self {
        self.least = width;
        self
    }

    /// Where there is not room for all, this column is cut short before those that do not give way.
    #[must_use]
    pub(crate) const fn gives_way(mut self) -> Self {
        self.gives_way = true;
        self
    }
}

/// One cell of a row: words, and how they stand out.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    ink: Ink,
    words: String,
}

impl Cell {
    pub(crate) fn new(ink: Ink, words: impl Into<String>) -> Self {
        // A cell is one line, whatever stands in it.
        let words = plain(&words.into()).replace('\n', " ");
        Self { ink, words }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(words: T) -> Self {
        Self::new(Ink::Plain, words)
    }
}

/// Rows under a line of titles.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The whole table: within so many columns of a terminal, or as wide as it is.
    pub(crate) fn text(&self, width: Option<usize>) -> Text {
        let widths = self.widths(width);
        let titles: Vec<_> = self.columns.iter().map(|column| Cell::new(Ink::Strong, column.title)).collect();
        self.lines(std::iter::once(&titles).chain(&self.rows), &widths)
    }

    /// The rows alone, where the titles were shown before.
    pub(crate) fn rows_text(&self, width: Option<usize>) -> Text {
        self.lines(self.rows.iter(), &self.widths(width))
    }

    fn lines<'a>(&self, rows: impl Iterator<Item = &'a Vec<Cell>>, widths: &[usize]) -> Text {
        let mut text = Text::new();
        for (n, row) in rows.enumerate() {
            if n > 0 {
                text = text.then(Ink::Plain, "\n");
            }
            text = text.and(self.line(row, widths));
        }
        text
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> Text {
        let mut line = Text::new();
        // Blanks are put down before the next words only, so that no line ends with them.
        let mut blanks = 0;
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let words = shortened(&cell.words, *width);
            let rest = width.saturating_sub(words.width());
            let (before, after) = match column.side {
                Side::Left => (0, rest),
                Side::Right => (rest, 0),
            };
            if words.is_empty() {
                blanks += rest + GAP;
                continue;
            }
            line = line.then(Ink::Plain, " ".repeat(blanks + before)).then(cell.ink, words);
            blanks = after + GAP;
        }
        line
    }

    /// How wide each column is: as wide as it would be, unless all of them have to fit.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|column| column.title.width().max(column.least)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.words.width());
            }
        }
        let Some(limit) = limit else { return widths };
        // First those that give way, then any of words: always the widest. A number cut short would be another one.
        for only_willing in [true, false] {
            while over(&widths, limit) {
                let columns = self.columns.iter().zip(widths.iter_mut());
                let widest = columns
                    .filter(|(column, width)| {
                        let may = if only_willing { column.gives_way } else { column.side == Side::Left };
                        may && **width > LEAST
                    })
                    .max_by_key(|(_, width)| **width);
                match widest {
                    Some((_, width)) => *width -= 1,
                    None => break,
                }
            }
        }
        widths
    }
}

fn over(widths: &[usize], limit: usize) -> bool {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > limit
}

/// The words, or their beginning and `…`, within so many columns of a terminal.
fn shortened(words: &str, width: usize) -> String {
    if words.width() <= width {
        return words.to_owned();
    }
    let mut short = String::new();
    let mut taken = 1;
    for letter in words.chars() {
        taken += letter.width().unwrap_or_default();
        if taken > width {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

/// Blanks between two columns.
const GAP: usize = 2;
/// No column is cut shorter than this: what is left would say nothing.
const LEAST: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::left("id"),
            Column::right("written"),
            Column::left("purpose").gives_way(),
            Column::left("life"),
        ]);
        table.row(["application:sync", "17", "fetches invoices each night", "open"]);
        table.row(["vendor:acme", "5", "", "ended"]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        assert_eq!(
            table().text(None).to_string(),
            "id                written  purpose                      life\n\
             application:sync       17  fetches invoices each night  open\n\
             vendor:acme             5                               ended"
        );
    }

    #[test]
    fn on_a_narrow_terminal_what_gives_way_is_cut_first() {
        assert_eq!(
            table().text(Some(50)).to_string(),
            "id                written  purpose           life\n\
             application:sync       17  fetches invoice…  open\n\
             vendor:acme             5                    ended"
        );
        let narrow = table().text(Some(30)).to_string();
        assert!(narrow.lines().all(|line| line.chars().count() <= 30), "{narrow}");
        assert!(narrow.contains("appli…       17"), "{narrow}");
    }

    #[test]
    fn nothing_is_cut_below_what_can_be_read_and_no_number_at_all() {
        let mut table = table();
        table.row(["vendor:globex", "123456789", "", "open"]);
        let text = table.text(Some(1)).to_string();
        assert!(text.contains("123456789"), "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("appli…")), "{text}");
    }

    #[test]
    fn wide_letters_take_two_places() {
        let mut table = Table::new([Column::left("a"), Column::left("b")]);
        table.row(["日本語", "x"]);
        table.row(["ab", "y"]);
        assert_eq!(table.text(None).to_string(), "a       b\n日本語  x\nab      y");
        assert_eq!(shortened("日本語テスト", 6), "日本…");
    }

    #[test]
    fn a_cell_stays_one_line_and_steers_nothing() {
        let mut table = Table::new([Column::left("a")]);
        table.row(["one\ntwo\u{1b}[2J"]);
        assert_eq!(table.text(None).to_string(), "a\none two\\u{1b}[2J");
    }

    #[test]
    fn a_table_without_rows_has_its_titles() {
        assert_eq!(Table::new([Column::left("id"), Column::right("n")]).text(None).to_string(), "id  n");
    }
}
