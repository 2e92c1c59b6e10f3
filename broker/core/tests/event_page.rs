//! `broker/docs/events.md` says what each field of an event and of a record means. Here the page is held against the
//! types, both ways, and every leaf of the golden log against the type that the page gives it: no free text, no personal
//! data.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use daypass_core::{ActionKind, Body, Event, Node, Outcome, Who};
use daypass_credential::{Digest, Lineage, Name, NodeKind, Revision, ScopeSet, Ttl};
use serde_json::Value;
use support::{application, id};

/// The fields of a section of the page, with their types; a section under another is called `Above/own`.
fn page() -> BTreeMap<String, BTreeMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let text = fs::read_to_string(path).unwrap();
    let (mut sections, mut above, mut own) =
        (BTreeMap::<String, BTreeMap<String, String>>::new(), String::new(), String::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            above = title.to_owned();
            own = above.clone();
        } else if let Some(title) = line.strip_prefix("### ") {
            own = format!("{above}/{}", title.trim_matches('`'));
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let field = cells[0].trim_end_matches('`').to_owned();
            let before = sections.entry(own.clone()).or_default().insert(field, cells[1].to_owned());
            assert_eq!(before, None, "{row} stands twice in {own}");
        }
        sections.entry(own.clone()).or_default();
    }
    sections
}

fn golden() -> Vec<Event> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let mut events: Vec<Event> =
        text.lines().map(|line| Event::from_bytes(line.as_bytes()).unwrap()).collect();
    // What may be missing, and is in none of those.
    let mut rare = application("sync");
    rare.max_ttl = Some(Ttl::minutes(5));
    events[1] = events[1].clone().put([Node::open(Body::Application(rare))]);
    events
}

/// The leaves below a value: its path, and what stands there. A reference to text is one leaf.
fn leaves(at: &str, value: &Value, into: &mut Vec<(String, Value)>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("hash") => {
            into.push((at.to_owned(), value.clone()));
        }
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(&below(key), value, into)),
        Value::Array(all) if all.iter().any(Value::is_object) => {
            all.iter().for_each(|value| leaves(&format!("{at}[]"), value, into));
        }
        other => into.push((at.to_owned(), other.clone())),
    }
}

/// Every leaf of the golden log, by its section of the page.
fn found() -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    let mut add = |section: &str, value: &Value| {
        let mut below = Vec::new();
        leaves("", value, &mut below);
        found.extend(below.into_iter().map(|(path, value)| (section.to_owned(), path, value)));
    };
    for event in golden() {
        let mut json = serde_json::to_value(&event).unwrap();
        let (actor, action) = (json["actor"].take(), json["action"].take());
        add(&format!("Actors/{}", actor["type"].as_str().unwrap()), &actor);
        add(&format!("Actions/{}", action["type"].as_str().unwrap()), &action);
        for put in json.get_mut("puts").and_then(Value::as_array_mut).into_iter().flatten() {
            let mut node = put["node"].take();
            let kind = node["kind"].as_str().unwrap().to_owned();
            let common = ["life", "kind", "name"].map(|field| (field, node[field].take()));
            for (field, value) in common {
                add("Nodes", &serde_json::json!({ field: value }));
                node.as_object_mut().unwrap().remove(field);
            }
            add(&format!("Nodes/{kind}"), &node);
        }
        add("Event", &json);
        add("Record", &serde_json::to_value(event.record()).unwrap());
    }
    found
}

#[test]
fn the_page_names_every_field_and_no_other() {
    let page = page();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (section, path, _) in found() {
        let fields = page.get(&section).unwrap_or_else(|| panic!("events.md has no section for {section}"));
        assert!(fields.contains_key(&path), "`{path}` is not in the section {section} of events.md");
        used.entry(section).or_default().insert(path);
    }
    for (section, fields) in &page {
        let used = used.get(section).cloned().unwrap_or_default();
        let unknown: Vec<_> = fields.keys().filter(|field| !used.contains(*field)).collect();
        assert!(unknown.is_empty(), "no event has these fields of {section} in events.md: {unknown:?}");
    }
    let sections = |above: &str| -> BTreeSet<String> {
        page.keys().filter_map(|title| title.strip_prefix(&format!("{above}/"))).map(str::to_owned).collect()
    };
    assert_eq!(sections("Actions"), ActionKind::ALL.iter().map(ToString::to_string).collect());
    assert_eq!(sections("Nodes"), NodeKind::ALL.iter().map(ToString::to_string).collect());
}

/// Does a leaf look as the page says of its type?
fn fits(kind: &str, value: &Value) -> bool {
    let text = || value.as_str().unwrap_or("");
    let all = |each: fn(&str) -> bool| {
        value.as_array().is_some_and(|list| list.iter().all(|entry| entry.as_str().is_some_and(each)))
    };
    let digits =
        |text: &str| matches!(text.len(), 16 | 32) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match kind {
        "id" => text().parse::<Who>().is_ok(),
        "name" => text().parse::<Name>().is_ok(),
        "names" => all(|text| text.parse::<Name>().is_ok()),
        "word" => is_word(text()),
        "words" => all(is_word),
        "places" => all(|text| text.parse::<daypass_core::PrivateId>().is_ok()),
        "number" | "instant" | "seconds" => value.is_u64(),
        "flag" => *value == Value::Bool(true),
        "hash" => serde_json::from_value::<Digest>(value.clone()).is_ok(),
        "digits" => digits(text()),
        "lineage" => text().parse::<Lineage>().is_ok(),
        "scopes" => text().parse::<ScopeSet>().is_ok(),
        "text" => {
            digits(value["id"].as_str().unwrap_or(""))
                && serde_json::from_value::<Digest>(value["hash"].clone()).is_ok()
        }
        "key" => text().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)),
        "reference" => text().parse::<daypass_core::node::Reference>().is_ok(),
        "address" => !text().contains(char::is_whitespace) && !text().contains('@'),
        // A list of nothing has no leaves.
        "" => value.is_null() || value.as_array().is_some_and(Vec::is_empty),
        other => panic!("`{other}` is no type of events.md"),
    }
}

fn is_word(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('/').all(plain) && text.split('/').count() <= 2
}

#[test]
fn every_leaf_is_of_the_type_that_the_page_gives_it() {
    let page = page();
    for (section, path, value) in found() {
        let kind = &page[&section][&path];
        assert!(fits(kind, &value), "`{path}` of {section} is no {kind}: {value}");
    }
    // The test itself can fail.
    for (kind, bad) in [("word", "two words"), ("id", "Lee"), ("hash", "x"), ("digits", "0g"), ("name", "A")]
    {
        assert!(!fits(kind, &Value::from(bad)), "{kind}");
    }
}

#[test]
fn a_record_reads_back_as_written() {
    for event in golden() {
        let json = serde_json::to_string(&event.record()).unwrap();
        assert_eq!(serde_json::from_str::<daypass_core::Record>(&json).unwrap(), event.record());
    }
}

fn record(action: ActionKind) -> daypass_core::Record {
    let of = |event: &Event| event.action.kind() == action;
    golden().iter().rfind(|event| of(event)).map(Event::record).unwrap()
}

#[test]
fn a_record_says_who_did_what_about_what() {
    let token = record(ActionKind::TokenMinted);
    assert_eq!(token.actor, Who::Node(id("application:sync")));
    assert_eq!((token.behalf, token.subject), (Some(id("vendor:acme")), Some(id("audience:billing"))));
    assert_eq!(token.rule.unwrap().as_str(), "entitlement");
    assert_eq!((token.outcome, token.credential), (Outcome::Done, Some(Revision::new(9))));
    let refused = record(ActionKind::Refused);
    assert_eq!((refused.outcome, refused.subject), (Outcome::Refused, Some(id("audience:billing"))));
    assert_eq!(refused.reason.unwrap().as_str(), "scope-not-entitled");
    assert_eq!(record(ActionKind::RefusalsCounted).actor, Who::Stranger);
    assert_eq!(record(ActionKind::RefusalsCounted).count, Some(u64::MAX));
    assert_eq!(record(ActionKind::Enrolled).actor, Who::Node(id("enrollment:c0de")));
    assert_eq!(record(ActionKind::Suspended).reason.unwrap().as_str(), "renewed-twice");
    assert!(record(ActionKind::EnrollmentOpened).expires_at.is_some());
}

/// Mints from before the vendor and the rule were written on events.
#[test]
fn an_older_mint_is_shown_with_the_vendor_that_it_rests_on() {
    let old = golden().into_iter().find(|event| event.action.kind() == ActionKind::TokenMinted).unwrap();
    assert_eq!((&old.behalf, &old.rule), (&None, &None));
    assert_eq!(old.record().behalf, Some(id("vendor:acme")), "the nearest, not the one above it");
    assert_eq!(old.record().rule.unwrap().as_str(), "entitlement");
}

#[test]
fn an_event_concerns_what_it_names_and_whom_that_belongs_to() {
    let concerns =
        |n: usize| -> BTreeSet<String> { golden()[n].concerns().iter().map(ToString::to_string).collect() };
    let among = |n: usize, ids: &[&str]| {
        let found = concerns(n);
        ids.iter().for_each(|id| assert!(found.contains(*id), "{id} is not among {found:?}"));
    };
    among(1, &["person:ada", "identity:ada-1", "vendor:acme", "vendor:reseller", "contract:reseller-2026"]);
    among(2, &["application:sync", "vendor:acme", "contract:acme-2026"]);
    among(3, &["application:sync", "enrollment:c0de"]);
    among(7, &["vendor:acme", "vendor:reseller", "audience:billing", "credential:500", "application:sync"]);
    among(8, &["credential:8"]);
    among(9, &["identity:sync-1", "application:sync"]);
    among(0, &["audience:billing"]);
    assert!(concerns(11).is_empty(), "a stranger's refusal names nobody");
    for event in golden() {
        let all = event.concerns();
        assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len(), "each once");
    }
}
