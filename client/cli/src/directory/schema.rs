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
mod tests;
