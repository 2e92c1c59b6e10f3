//! `schema`: the file format as a JSON schema, for editors; made from the table of fields by which files are checked.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    fields::{Field, REVISION, SHAPES, Shape, What},
    file::with_article,
};
use crate::{console::Console, failure::Failure};

/// Print the JSON schema of directory files, for editors.
///
/// Put it beside the files, and an editor that knows TOML schemas (taplo, Even Better TOML) completes and checks them:
/// the first line of each says `#:schema daypass-manifest.schema.json`, as an export's does.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Schema {}

const EXAMPLES: &str = "\
Examples:
  daypass schema > daypass-manifest.schema.json";

/// What the file is called where it lies beside manifests.
pub(super) const FILE_NAME: &str = "daypass-manifest.schema.json";

pub(crate) fn run(_: &Schema, console: &Console) -> Result<(), Failure> {
    let schema = schema();
    console.show(&schema, || format!("{schema:#}"))
}

/// The whole schema.
pub(super) fn schema() -> Value {
    let definitions: Map<String, Value> = SHAPES
        .iter()
        .flat_map(|shape| {
            let name = shape.kind.to_string();
            [(name.clone(), object(shape, false)), (format!("single-{name}"), object(shape, true))]
        })
        .collect();
    let lists: Map<String, Value> = SHAPES
        .iter()
        .map(|shape| {
            let name = shape.kind.to_string();
            let items = json!({"$ref": format!("#/$defs/{name}")});
            (name, json!({"type": "array", "minItems": 1, "items": items, "description": shape.about}))
        })
        .collect();
    let many = json!({
        "type": "object",
        "description": "Any number of objects of all kinds.",
        "properties": lists,
        "additionalProperties": false,
    });
    let single = SHAPES.iter().map(|shape| json!({"$ref": format!("#/$defs/single-{}", shape.kind)}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Daypass directory manifest",
        "oneOf": std::iter::once(many).chain(single).collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

fn object(shape: &Shape, single: bool) -> Value {
    let mut object = table(shape.fields);
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        let revision =
            json!({"type": "integer", "minimum": 1, "description": "The state at which it was exported."});
        properties.insert(REVISION.into(), revision);
        if single {
            let about = format!("This file holds {} alone.", with_article(shape.kind));
            properties.insert("kind".into(), json!({"const": shape.kind.as_str(), "description": about}));
        }
    }
    if single && let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
        required.push("kind".into());
    }
    object
}

fn table(fields: &[Field]) -> Value {
    let property = |field: &Field| {
        let mut value = value(&field.what);
        if let Some(value) = value.as_object_mut() {
            value.insert("description".into(), field.about.into());
        }
        (field.name.to_owned(), value)
    };
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "type": "object",
        "properties": fields.iter().map(property).collect::<Map<_, _>>(),
        "required": required,
        "additionalProperties": false,
    })
}

fn value(what: &What) -> Value {
    match what {
        What::Name | What::Label | What::Named(_) | What::RestsOn(_) => text(NAME),
        What::Text => json!({"type": "string"}),
        What::Scope => text(SCOPE),
        What::Duration => text(DURATION),
        What::Instant => json!({"type": "string", "format": "date-time"}),
        What::Word(words) => json!({"enum": words}),
        What::Count => json!({"type": "integer", "minimum": 1}),
        What::Flag => json!({"type": "boolean"}),
        What::List(each) => json!({"type": "array", "items": value(each)}),
        What::Table(fields) => table(fields),
    }
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

const NAME: &str = "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$";
const SCOPE: &str = "^[A-Za-z0-9._:/-]{1,64}$";
const DURATION: &str = "^[0-9]+[smhd]$";

#[cfg(test)]
mod tests {
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
                assert_eq!(
                    Manifest::parse(&without).is_err(),
                    field.required,
                    "{}.{}",
                    shape.kind,
                    field.name
                );
                // Without the check the types say the same.
                let kind = format!("kind = '{}'\n", shape.kind);
                let table: toml::Table = without.replace(&kind, "").parse().unwrap();
                let json = serde_json::to_string(&with_kind(table, shape)).unwrap();
                assert_eq!(
                    Manifest::from_json(&json).is_err(),
                    field.required,
                    "{}.{}",
                    shape.kind,
                    field.name
                );
            }
        }
    }

    fn with_kind(mut table: toml::Table, shape: &Shape) -> Value {
        table.insert("kind".into(), shape.kind.to_string().into());
        for (_, value) in &mut table {
            if let toml::Value::Datetime(instant) = value {
                *value = toml::Value::String(instant.to_string());
            }
        }
        serde_json::to_value(table).unwrap()
    }
}
