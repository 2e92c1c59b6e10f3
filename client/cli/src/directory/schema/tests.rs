//! The schema against the types, against files, and against what is committed for editors.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use super::{super::manifest::Manifest, *};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/schema").join(FILE_NAME)
}

#[test]
fn the_file_for_editors_is_what_is_made_here() {
    let made = format!("{:#}\n", schema());
    if env::var_os("DAYPASS_BLESS").is_some() {
        fs::create_dir_all(path().parent().unwrap()).unwrap();
        fs::write(path(), &made).unwrap();
    }
    let there = fs::read_to_string(path()).unwrap();
    assert_eq!(there, made, "run this test with DAYPASS_BLESS=1 to renew {}", path().display());
}

/// The fields that an object with everything in it is written with, those of its tables included.
fn written(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let path = format!("{path}.{key}");
                written(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| written(item, path, into)),
        _ => {}
    }
}

fn listed(fields: &[Field], path: &str, into: &mut BTreeSet<String>) {
    for field in fields {
        let path = format!("{path}.{}", field.name);
        match &field.what {
            What::Table(fields) | What::List(What::Table(fields)) => listed(fields, &path, into),
            _ => {}
        }
        into.insert(path);
    }
}

const EVERYTHING: &[&str] = &[
    "kind = 'person'\nname = 'a'\nroles = ['admin']\ncontact = 'x'",
    "kind = 'audience'\nname = 'a'\nenvironment = 'p'\nstaleness = '30s'\nscopes = [{ scope = 's', \
     classification = 'public', tier = 'standing', max_ttl = '5m', unbound = true }]",
    "kind = 'vendor'\nname = 'a'\nparent = 'b'\nowner = 'c'",
    "kind = 'contract'\nname = 'a'\nvendor = 'b'\nparent = 'c'\nreference = 'x'\nstart = 2026-01-01T00:00:00Z\n\
     end = 2027-01-01T00:00:00Z\nclassifications = ['public']",
    "kind = 'application'\nname = 'a'\nvendor = 'b'\ncontract = 'c'\nenvironment = 'p'\npurpose = 'x'\n\
     classification = 'public'\ninstances = 1\nmax_ttl = '5m'\n\
     owners = { business = 'a', technical = 'b', relationship = 'c' }\n\
     entitlements = [{ audience = 'a', scopes = ['s'] }]",
    "kind = 'verifier'\nname = 'a'\naudiences = ['b']",
];

#[test]
fn the_table_has_the_fields_that_objects_have_and_no_others() {
    assert_eq!(EVERYTHING.len(), SHAPES.len());
    for (text, shape) in EVERYTHING.iter().zip(SHAPES) {
        let manifest = Manifest::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let mut value = serde_json::to_value(&manifest).unwrap();
        assert_eq!(value.as_object_mut().unwrap().remove("kind").unwrap(), shape.kind.as_str());
        let (mut has, mut lists) = (BTreeSet::new(), BTreeSet::new());
        written(&value, "", &mut has);
        listed(shape.fields, "", &mut lists);
        assert_eq!(has, lists, "{}", shape.kind);
    }
}

#[test]
fn what_the_table_calls_required_is() {
    for (text, shape) in EVERYTHING.iter().zip(SHAPES) {
        for field in shape.fields {
            let own = |line: &&str| !line.starts_with(&format!("{} =", field.name));
            let without = text.lines().filter(own).collect::<Vec<_>>().join("\n");
            assert_eq!(Manifest::parse(&without).is_err(), field.required, "{}.{}", shape.kind, field.name);
            // Without the check the types say the same.
            let json = json_of(&without).to_string();
            assert_eq!(Manifest::from_json(&json).is_err(), field.required, "{}.{}", shape.kind, field.name);
        }
    }
}

/// Does a value fit a schema? As much of the language as ours uses, patterns aside.
fn fits(value: &Value, schema: &Value, root: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(word, rule)| match word.as_str() {
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "const" => rule == value,
        "minimum" => value.as_i64() >= rule.as_i64(),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
        "items" => value.as_array().into_iter().flatten().all(|item| fits(item, rule, root)),
        "required" => rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "properties" => {
            let known =
                |(key, value): (&String, &Value)| rule.get(key).is_none_or(|rule| fits(value, rule, root));
            value.as_object().into_iter().flatten().all(known)
        }
        "additionalProperties" => {
            let known = schema["properties"].as_object().unwrap();
            value.as_object().into_iter().flatten().all(|(key, _)| known.contains_key(key))
        }
        "oneOf" => rule.as_array().unwrap().iter().filter(|rule| fits(value, rule, root)).count() == 1,
        "$ref" => fits(value, root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), root),
        "pattern" | "format" | "description" | "title" | "$schema" | "$defs" => true,
        other => panic!("{other} is not known here"),
    })
}

fn json_of(text: &str) -> Value {
    fn plain(value: toml::Value) -> Value {
        match value {
            toml::Value::Datetime(instant) => instant.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(plain).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, plain(value))).collect(),
            other => serde_json::to_value(other).unwrap(),
        }
    }
    plain(toml::Value::Table(text.parse().unwrap()))
}

#[test]
fn the_schema_takes_what_files_hold() {
    let schema = schema();
    for (name, text) in crate::example::OBJECTS {
        assert!(fits(&json_of(text), &schema, &schema), "{name}");
    }
    for text in EVERYTHING {
        assert!(fits(&json_of(text), &schema, &schema), "{text}");
        let (first, rest) = text.split_once('\n').unwrap();
        let kind = first.trim_start_matches("kind = '").trim_end_matches('\'');
        let many = format!("[[{kind}]]\n{rest}\nrevision = 7");
        assert!(fits(&json_of(&many), &schema, &schema), "{many}");
    }
}

#[test]
fn the_schema_takes_nothing_that_files_may_not_hold() {
    let schema = schema();
    for text in [
        "[[vendor]]\nname = 'a'",
        "[[vendors]]\nname = 'a'\nowner = 'b'",
        "[vendor]\nname = 'a'\nowner = 'b'",
        "kind = 'vendor'\nname = 'a'\nowner = 'b'\nextra = 1",
        "kind = 'robot'\nname = 'a'",
        "[[person]]\nname = 'a'\ncontact = 'x'\nroles = ['king']",
        "[[person]]\nname = 'a'\ncontact = 7",
        "[[person]]\nname = 'a'\ncontact = 'x'\nrevision = 0",
        "vendor = []",
    ] {
        assert!(!fits(&json_of(text), &schema, &schema), "{text}");
        let mut reading = super::super::file::Reading::default();
        reading.add("x".into(), text.into());
        assert!(reading.finish().is_err(), "{text}");
    }
}
