//! Manifest files: any number of objects of all kinds as `[[vendor]]`, `[[contract]]` and so on; or a single one, with
//! `kind` to say which. What is wrong is told all at once, each with its place.

use std::{collections::HashMap, ops::Range, sync::Arc};

use daypass_credential::{Name, NodeId, NodeKind};
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    check::{Checker, Reference, nearest, shown, whole},
    fields::{REVISION, SHAPES, Shape},
    manifest::Manifest,
    problem::{Place, Problem, Source, report},
};

/// One object of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: NodeId,
    pub(super) manifest: Manifest,
    /// Where its name stands.
    pub(super) place: Place,
    /// The revision at which it was exported, and where that stands.
    pub(super) exported: Option<(u64, Place)>,
    /// What it names.
    pub(super) references: Vec<Reference>,
}

/// What was read from some sources.
#[derive(Debug, Default)]
pub(super) struct Reading {
    sources: usize,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    /// Where each name is taken, also by objects that have other mistakes.
    taken: HashMap<NodeId, Place>,
}

impl Reading {
    /// Reads one more source.
    pub(super) fn add(&mut self, name: String, text: String) {
        let source = Arc::new(Source { number: self.sources, name, text });
        self.sources += 1;
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        if !errors.is_empty() {
            // What the parser made of the rest would be told as mistakes that nobody made.
            self.problems.extend(errors.iter().map(|error| syntax(&source, error)));
            return;
        }
        if document.get_ref().contains_key("kind") {
            self.single(&source, document);
        } else {
            self.many(&source, document.into_inner());
        }
    }

    /// All that was read; or all that is wrong with it.
    pub(super) fn finish(self) -> Result<Vec<Entry>, String> {
        if self.problems.is_empty() { Ok(self.entries) } else { Err(report(self.problems)) }
    }

    fn single(&mut self, source: &Arc<Source>, document: Spanned<DeTable<'_>>) {
        let mut table = document.into_inner();
        let Some((key, kind)) = table.remove_entry("kind") else { return };
        let name = kind.get_ref().as_str().map(str::to_owned);
        match name.as_deref().map(|name| (name, SHAPES.iter().find(|shape| shape.kind.as_str() == name))) {
            Some((_, Some(shape))) => self.object(source, shape, key.span(), table),
            Some((name, None)) => self.problem(source, kind.span(), no_kind(name)),
            None => self.problem(source, kind.span(), "`kind` takes a text in quotes"),
        }
    }

    fn many(&mut self, source: &Arc<Source>, document: DeTable<'_>) {
        for (key, value) in document {
            let Some(shape) = SHAPES.iter().find(|shape| shape.kind.as_str() == key.get_ref()) else {
                self.problem(source, key.span(), no_kind(key.get_ref()));
                continue;
            };
            let span = value.span();
            let DeValue::Array(list) = value.into_inner() else {
                self.problem(source, key.span(), format!("write each {0} under `[[{0}]]`", shape.kind));
                continue;
            };
            if list.is_empty() {
                self.problem(source, span, format!("write each {0} under `[[{0}]]`", shape.kind));
            }
            for item in list {
                let span = item.span();
                match item.into_inner() {
                    DeValue::Table(table) => self.object(source, shape, span, table),
                    _ => self.problem(source, span, format!("write each {0} under `[[{0}]]`", shape.kind)),
                }
            }
        }
    }

    fn object(&mut self, source: &Arc<Source>, shape: &Shape, span: Range<usize>, mut table: DeTable<'_>) {
        let revision = table.remove_entry(REVISION);
        let mut checker = Checker::new(source);
        checker.table(&table, span.clone(), &with_article(shape.kind), shape.fields);
        let exported = revision.and_then(|(_, value)| {
            let number = whole(value.get_ref()).filter(|number| *number > 0);
            if number.is_none() {
                checker.problem(value.span(), "`revision` takes the number at which the object was exported");
            }
            number.map(|number| (number, Place::new(source, value.span())))
        });
        let named = named(source, shape.kind, &table);
        if let Some((id, place)) = named.clone() {
            self.take(id, place);
        }
        let (mut problems, references) = (checker.problems, checker.references);
        if problems.is_empty()
            && let Some((id, place)) = named
        {
            match manifest(shape.kind, Spanned::new(span, DeValue::Table(table))) {
                Ok(manifest) => self.entries.push(Entry { id, manifest, place, exported, references }),
                Err(why) => problems.push(Problem::new(place, why)),
            }
        }
        self.problems.extend(problems);
    }

    fn take(&mut self, id: NodeId, place: Place) {
        if let Some(first) = self.taken.get(&id) {
            let problem = Problem::new(place, format!("`{id}` is there twice"));
            self.problems.push(problem.with("it is here as well", first.clone()));
        } else {
            self.taken.insert(id, place);
        }
    }

    fn problem(&mut self, source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::new(Place::new(source, span), message));
    }
}

fn syntax(source: &Arc<Source>, error: &toml::de::Error) -> Problem {
    let end = source.text.len();
    Problem::new(Place::new(source, error.span().unwrap_or(end..end)), error.message())
}

fn named(source: &Arc<Source>, kind: NodeKind, table: &DeTable<'_>) -> Option<(NodeId, Place)> {
    let value = table.get("name")?;
    let name: Name = value.get_ref().as_str()?.parse().ok()?;
    Some((NodeId::new(kind, name), Place::new(source, value.span())))
}

pub(super) fn no_kind(name: &str) -> String {
    if name == NodeKind::Identity.as_str() {
        return "an identity comes from enrolment: `daypass open-enrollment`".into();
    }
    let known: Vec<&str> = SHAPES.iter().map(|shape| shape.kind.as_str()).collect();
    let advice = match nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    format!("`{}` is no kind of object: {advice}", shown(name))
}

/// The object of a table that was found to be right.
fn manifest(kind: NodeKind, table: Spanned<DeValue<'_>>) -> Result<Manifest, String> {
    let manifest = match kind {
        NodeKind::Person => Manifest::Person(read(table)?),
        NodeKind::Audience => Manifest::Audience(read(table)?),
        NodeKind::Vendor => Manifest::Vendor(read(table)?),
        NodeKind::Contract => Manifest::Contract(read(table)?),
        NodeKind::Application => Manifest::Application(read(table)?),
        NodeKind::Verifier => Manifest::Verifier(read(table)?),
        NodeKind::Identity
        | NodeKind::Credential
        | NodeKind::Key
        | NodeKind::Enrollment
        | NodeKind::Roster => return Err(no_kind(kind.as_str())),
    };
    manifest.unless_erased()
}

fn read<T: DeserializeOwned>(table: Spanned<DeValue<'_>>) -> Result<T, String> {
    T::deserialize(ValueDeserializer::from(table)).map_err(|error| error.message().to_owned())
}

/// As `an application`.
pub(super) fn with_article(kind: NodeKind) -> String {
    let article = if kind.as_str().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(sources: &[(&str, &str)]) -> Result<Vec<Entry>, String> {
        let mut reading = Reading::default();
        for (name, text) in sources {
            reading.add((*name).to_owned(), (*text).to_owned());
        }
        reading.finish()
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        read_all(&[("a.toml", text)]).unwrap_err()
    }

    const MANY: &str = r#"
[[vendor]]
name = "acme"
owner = "dana"
revision = 7

[[person]]
name = "dana"
contact = "dana@company.example"

[[vendor]]
name = "sub"
parent = "acme"
owner = "dana"

[[audience]]
name = "billing"
environment = "production"
scopes = [
  { scope = "invoices.read", classification = "internal", tier = "standing", max_ttl = "15m" },
]
"#;

    #[test]
    fn a_file_holds_objects_of_all_kinds_in_any_order() {
        let entries = read_all(&[("a.toml", MANY)]).unwrap();
        let mut ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
        ids.sort();
        assert_eq!(ids, ["audience:billing", "person:dana", "vendor:acme", "vendor:sub"]);
        let of = |id: &str| entries.iter().find(|entry| entry.id.to_string() == id).unwrap();
        assert_eq!(
            of("vendor:acme").exported.as_ref().map(|(n, at)| (*n, at.to_string())),
            Some((7, "a.toml:5:12".into()))
        );
        assert!(of("vendor:sub").exported.is_none());
        let named: Vec<String> = of("vendor:sub")
            .references
            .iter()
            .map(|reference| format!("{} at {}", reference.id, reference.place))
            .collect();
        assert_eq!(named, ["person:dana at a.toml:14:9", "vendor:acme at a.toml:13:10"]);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_place() {
        let text = refused(
            r#"[[vendor]]
name = "Acme!"
owner = 7

[[contract]]
name = "c"
vendor = "acme"
referense = "C-1"
start = "yesterday"
end = 2027-01-01T00:00:00Z
classifications = ["internal", "sekret"]
revision = "now"

[[vendors]]
name = "x"
"#,
        );
        for expected in [
            "a.toml:2:8: `Acme!` is not a name: use 1 to 63 of",
            "a.toml:3:9: `owner` takes a text in quotes, and this is the number 7",
            "a.toml:5:1: a contract lacks `reference`\n  5 | [[contract]]\n    | ^^^^^^^^^^^^",
            "a.toml:8:1: a contract has no field `referense`: did you mean `reference`?\n  8 | referense = \"C-1\"\n    | ^^^^^^^^^",
            "a.toml:9:9: `yesterday` is no instant",
            "a.toml:11:32: `sekret` is none of public, internal, confidential, restricted",
            "a.toml:12:12: `revision` takes the number",
            "a.toml:14:3: `vendors` is no kind of object: did you mean `vendor`?",
        ] {
            assert!(text.contains(expected), "{expected}\n--- in ---\n{text}");
        }
    }

    #[test]
    fn two_objects_of_one_name_are_told_with_both_places() {
        let vendor = "[[vendor]]\nname = \"acme\"\nowner = \"dana\"\n";
        let text = read_all(&[("a.toml", vendor), ("b.toml", vendor)]).unwrap_err();
        assert!(text.contains("b.toml:2:8: `vendor:acme` is there twice"), "{text}");
        assert!(text.contains("a.toml:2:8: it is here as well"), "{text}");
        let contract = "[[person]]\nname = \"acme\"\ncontact = \"x\"\n";
        assert!(read_all(&[("a.toml", vendor), ("b.toml", contract)]).is_ok(), "kinds have their own names");
    }

    #[test]
    fn what_is_no_toml_is_told_where() {
        let text = refused("[[vendor]]\nname = \"acme\nowner = \"x\"\n");
        assert!(text.starts_with("a.toml:2:"), "{text}");
        let text = refused("[[vendor]]\nname = \"a\"\nname = \"b\"\nowner = \"x\"\n");
        assert!(text.starts_with("a.toml:3:1: duplicate key"), "{text}");
    }

    #[test]
    fn the_form_of_a_file_is_told() {
        for (text, expected) in [
            ("[vendor]\nname = \"a\"\n", "1:2: write each vendor under `[[vendor]]`"),
            ("vendor = [1]\n", "1:11: write each vendor under `[[vendor]]`"),
            ("kind = 1\n", "1:8: `kind` takes a text"),
            ("kind = \"robot\"\n", "1:8: `robot` is no kind of object: there are person,"),
            ("kind = \"identity\"\n", "an identity comes from enrolment"),
            ("name = \"x\"\n", "1:1: `name` is no kind of object"),
            ("kind = \"person\"\nname = \"x\"\n", "1:1: a person lacks `contact`"),
            ("kind = \"person\"\nname = \"x\"\ncontact = \"(erased)\"\n", "2:8: `contact` is gone"),
            (
                "[[application]]\nname = \"x\"\ninstances = 1.5\nowners = { busines = \"x\" }\nentitlements = [1]\n",
                "4:12: `owners` has no field `busines`: did you mean `business`?",
            ),
        ] {
            let text = refused(text);
            assert!(text.contains(expected), "{expected}\n--- in ---\n{text}");
        }
    }

    #[test]
    fn numbers_are_read_in_all_their_spellings() {
        let of = |text: &str| whole(DeValue::parse(text).unwrap().get_ref());
        assert_eq!(of("1_000"), Some(1000));
        assert_eq!(of("0x10"), Some(16));
        assert_eq!(of("-1"), None);
        assert_eq!(of("99999999999999999999999"), None);
        assert_eq!(of("1.0"), None);
    }
}
