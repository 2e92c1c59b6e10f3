//! Objects field by field: what each field holds, and what a change changes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::manifest::Manifest;
use crate::{failure::Failure, shapes::directory::Changed};

/// The fields of which the values differ, by name. The order within lists means nothing, and is none.
pub(super) fn between(before: &Manifest, after: &Manifest) -> Result<Vec<Changed>, Failure> {
    let (before, mut after) = (fields(before)?, fields(after)?);
    let mut changed = Vec::new();
    for (field, old) in before {
        let new = after.remove(&field);
        if new.as_ref() != Some(&old) {
            changed.push(Changed { field, before: Some(old), after: new });
        }
    }
    let added = after.into_iter().map(|(field, new)| Changed { field, before: None, after: Some(new) });
    changed.extend(added);
    changed.sort_by(|a, b| a.field.cmp(&b.field));
    Ok(changed)
}

/// What each field holds, by its name.
pub(super) fn fields(manifest: &Manifest) -> Result<BTreeMap<String, Value>, Failure> {
    let mut value = serde_json::to_value(manifest).map_err(|error| Failure::Internal(error.to_string()))?;
    if let (Manifest::Audience(_), Some(object)) = (manifest, value.as_object_mut()) {
        // The broker says what holds where nothing was said.
        object.entry("staleness").or_insert_with(|| USUAL_STALENESS.into());
    }
    let mut fields = BTreeMap::new();
    flatten(String::new(), value, &mut fields);
    Ok(fields)
}

const USUAL_STALENESS: &str = "30s";

/// Tables by their keys, lists of tables by what tells their items apart; other lists are one value.
fn flatten(path: String, value: Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(path, value, into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                let (name, rest) = told_apart(item);
                flatten(format!("{path}[{name}]"), rest, into);
            }
        }
        Value::Array(mut items) => {
            items.sort_by_key(words);
            into.insert(path, Value::Array(items));
        }
        other => {
            into.insert(path, other);
        }
    }
}

/// An item of a list without the field that it is known by.
fn told_apart(mut item: Value) -> (String, Value) {
    let known_by = |key: &&str| item.get(key).is_some();
    let key = ["audience", "scope"].into_iter().find(known_by);
    let name = key.and_then(|key| item.as_object_mut()?.remove(key));
    (name.as_ref().map(words).unwrap_or_default(), item)
}

/// A value as people read it.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "nothing".into(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"
kind = "application"
name = "sync"
vendor = "acme"
contract = "acme-2026"
environment = "production"
purpose = "fetches invoices"
classification = "internal"
instances = 2
owners = { business = "dana", technical = "lee", relationship = "rosa" }
entitlements = [
  { audience = "billing", scopes = ["b", "a"] },
  { audience = "shipping", scopes = ["c"] },
]
"#;

    fn changed(before: &str, after: &str) -> Vec<String> {
        let of = |text: &str| Manifest::parse(text).unwrap();
        let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), words);
        let changed = between(&of(before), &of(after)).unwrap();
        changed.iter().map(|c| format!("{}: {} → {}", c.field, show(&c.before), show(&c.after))).collect()
    }

    #[test]
    fn each_field_that_differs_is_told_old_and_new() {
        let after = BEFORE
            .replace("instances = 2", "instances = 3\nmax_ttl = \"10m\"")
            .replace("technical = \"lee\"", "technical = \"bea\"")
            .replace("[\"b\", \"a\"]", "[\"a\"]")
            .replace("shipping", "returns");
        assert_eq!(
            changed(BEFORE, &after),
            [
                "entitlements[billing].scopes: a, b → a",
                "entitlements[returns].scopes: - → c",
                "entitlements[shipping].scopes: c → -",
                "instances: 2 → 3",
                "max_ttl: - → 10m",
                "owners.technical: lee → bea",
            ]
        );
    }

    #[test]
    fn order_and_what_goes_without_saying_are_no_change() {
        assert_eq!(changed(BEFORE, &BEFORE.replace("[\"b\", \"a\"]", "[\"a\", \"b\"]")), [""; 0]);
        let audience = "kind = \"audience\"\nname = \"billing\"\nenvironment = \"x\"\nscopes = []\n";
        assert_eq!(changed(audience, &format!("staleness = \"30s\"\n{audience}")), [""; 0]);
    }
}
