//! One table of a file against what its kind has: every mistake with its place, and what the object refers to.

use std::{fmt::Display, ops::Range, str::FromStr, sync::Arc};

use daypass_credential::{Name, NodeId, NodeKind, Scope, Ttl};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fields::{Field, What},
    problem::{Place, Problem, Source},
    words::Instant,
};

/// Another object that an object names, and where.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) id: NodeId,
    pub(super) place: Place,
}

/// What the tables of a source were found to be.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    source: &'a Arc<Source>,
    pub(super) problems: Vec<Problem>,
    pub(super) references: Vec<Reference>,
}

impl<'a> Checker<'a> {
    pub(super) const fn new(source: &'a Arc<Source>) -> Self {
        Self { source, problems: Vec::new(), references: Vec::new() }
    }

    pub(super) fn problem(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::new(Place::new(self.source, span), message));
    }

    /// A table that has these fields and no others.
    pub(super) fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, what: &str, fields: &[Field]) {
        for (key, value) in table {
            match fields.iter().find(|field| field.name == key.get_ref()) {
                Some(field) => self.value(field.name, &field.what, value),
                None => self.unknown(key, what, fields),
            }
        }
        let missing = |field: &&Field| field.required && !table.contains_key(field.name);
        let missing: Vec<String> =
            fields.iter().filter(missing).map(|field| format!("`{}`", field.name)).collect();
        if !missing.is_empty() {
            self.problem(span, format!("{what} lacks {}", missing.join(", ")));
        }
    }

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, what: &str, fields: &[Field]) {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let name = shown(key.get_ref());
        let advice = match nearest(key.get_ref(), &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", known.join(", ")),
        };
        self.problem(key.span(), format!("{what} has no field `{name}`: {advice}"));
    }

    fn value(&mut self, name: &str, what: &What, value: &Spanned<DeValue<'_>>) {
        match what {
            What::Name | What::Label => self.parsed::<Name>(name, value),
            What::Named(kind) | What::RestsOn(kind) => self.reference(name, *kind, value),
            What::Scope => self.parsed::<Scope>(name, value),
            What::Duration => self.parsed::<Ttl>(name, value),
            What::Text => drop(self.text(name, value)),
            What::Instant => self.instant(name, value),
            What::Word(words) => self.word(name, words, value),
            What::Count => self.count(name, value),
            What::Flag => {
                if value.get_ref().as_bool().is_none() {
                    self.wrong(name, "true or false", value);
                }
            }
            What::List(each) => match value.get_ref().as_array() {
                Some(list) => list.iter().for_each(|item| self.value(name, each, item)),
                None => self.wrong(name, "a list", value),
            },
            What::Table(fields) => match value.get_ref().as_table() {
                Some(table) => self.table(table, value.span(), &format!("`{name}`"), fields),
                None => self.wrong(name, "a table", value),
            },
        }
    }

    fn wrong(&mut self, name: &str, takes: &str, value: &Spanned<DeValue<'_>>) {
        let message = format!("`{name}` takes {takes}, and this is {}", described(value.get_ref()));
        self.problem(value.span(), message);
    }

    fn text<'v>(&mut self, name: &str, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(name, "a text in quotes", value);
        }
        text
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str, value: &Spanned<DeValue<'_>>) {
        let _only_checked = self.parse::<T>(name, value);
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let parsed = self.text(name, value)?.parse::<T>();
        parsed.map_err(|error| self.problem(value.span(), error.to_string())).ok()
    }

    fn reference(&mut self, name: &str, kind: NodeKind, value: &Spanned<DeValue<'_>>) {
        if let Some(named) = self.parse::<Name>(name, value) {
            let place = Place::new(self.source, value.span());
            self.references.push(Reference { id: NodeId::new(kind, named), place });
        }
    }

    fn instant(&mut self, name: &str, value: &Spanned<DeValue<'_>>) {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(instant) => instant.to_string(),
            _ => return self.wrong(name, "an instant as `2026-01-31T00:00:00Z`", value),
        };
        if let Err(why) = text.parse::<Instant>() {
            self.problem(value.span(), why);
        }
    }

    fn word(&mut self, name: &str, words: &[&str], value: &Spanned<DeValue<'_>>) {
        let Some(text) = self.text(name, value) else { return };
        if !words.contains(&text) {
            let message = format!("`{}` is none of {}", shown(text), words.join(", "));
            self.problem(value.span(), message);
        }
    }

    fn count(&mut self, name: &str, value: &Spanned<DeValue<'_>>) {
        if whole(value.get_ref()).and_then(|number| u32::try_from(number).ok()).is_none_or(|n| n == 0) {
            self.wrong(name, "a whole number from 1", value);
        }
    }
}

/// A whole number from 0.
pub(super) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The one of these that was probably meant.
pub(super) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let close = |word: &&str| strsim::damerau_levenshtein(text, word);
    words.iter().copied().min_by_key(close).filter(|word| close(word) <= 1.max(word.len() / 3))
}

/// A piece of somebody's text, for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".into(),
        DeValue::Integer(number) => format!("the number {}", shown(number.as_str())),
        DeValue::Float(number) => format!("the number {}", shown(number.as_str())),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "an instant".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
