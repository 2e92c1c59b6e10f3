//! Texts for people, with what is to stand out in them. The colours are put in at the very end, once it is known that
//! a terminal will read them: everything before counts and compares plain letters.

use std::{fmt, io};

use clap::ValueEnum;

use crate::console::plain;

/// Whether there is colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or the terminal is a dumb one.
    #[default]
    Auto,
    /// Wherever it goes.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// Is there colour on this stream?
    pub(crate) fn on(self, stream: &impl io::IsTerminal) -> bool {
        self.decide(stream.is_terminal(), |name| {
            std::env::var_os(name).and_then(|value| value.into_string().ok())
        })
    }

    fn decide(self, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let unwanted = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
                terminal && !unwanted && variable("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// How something stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Not at all.
    Plain,
    /// A heading, or what matters most.
    Strong,
    /// What may be passed over.
    Faint,
    /// As it should be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Not as it should be.
    Bad,
}

impl Ink {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Doubtful => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// A text in pieces, each with its ink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pieces: Vec<(Ink, String)>,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The same, and a piece more.
    #[must_use]
    pub(crate) fn then(mut self, ink: Ink, words: impl Into<String>) -> Self {
        self.pieces.push((ink, words.into()));
        self
    }

    /// The same, and another text.
    #[must_use]
    pub(crate) fn and(mut self, more: Self) -> Self {
        self.pieces.extend(more.pieces);
        self
    }

    /// As it is printed: nothing in it steers a terminal but our own colours.
    pub(crate) fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for (ink, words) in &self.pieces {
            match ink.code().filter(|_| colour && !words.is_empty()) {
                Some(code) => text.push_str(&format!("\u{1b}[{code}m{}\u{1b}[0m", plain(words))),
                None => text.push_str(&plain(words)),
            }
        }
        text
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl From<String> for Text {
    fn from(words: String) -> Self {
        Self::new().then(Ink::Plain, words)
    }
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_for_those_who_want_it() {
        let none = |_: &str| None;
        let no_color = |name: &str| (name == "NO_COLOR").then(|| "1".to_owned());
        let empty = |name: &str| (name == "NO_COLOR").then(String::new);
        let dumb = |name: &str| (name == "TERM").then(|| "dumb".to_owned());
        assert!(Color::Auto.decide(true, none));
        assert!(!Color::Auto.decide(false, none), "a file or a pipe");
        assert!(!Color::Auto.decide(true, no_color));
        assert!(Color::Auto.decide(true, empty), "an empty NO_COLOR is not set");
        assert!(!Color::Auto.decide(true, dumb));
        assert!(Color::Always.decide(false, no_color), "what is said here and now counts more");
        assert!(!Color::Never.decide(true, none));
    }

    #[test]
    fn only_our_own_colours_reach_a_terminal() {
        let text = Text::new().then(Ink::Bad, "no\u{1b}[7m").then(Ink::Plain, " and so on");
        assert_eq!(text.render(true), "\u{1b}[31mno\\u{1b}[7m\u{1b}[0m and so on");
        assert_eq!(text.to_string(), "no\\u{1b}[7m and so on");
    }
}
