//! `export`: the directory as the files that `apply` takes, in an order that does not change by itself.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use daypass_credential::NodeKind;
use daypass_proto::v1;
use daypass_sdk::{Directory, Home, write_public};

use super::{
    fields::{Field, REVISION, SHAPES, Shape, What, shape},
    manifest::Manifest,
    schema,
};
use crate::{
    console::Console,
    diagnostics::connect,
    failure::Failure,
    shapes::directory::{Exported, ExportedObject},
};

/// Write the directory as files that `apply` takes. For admins and auditors.
///
/// Each object says at which revision it was last written, so that applying an old export over a newer state is
/// refused. Where the files themselves are the truth, as under version control, leave that out with --no-revisions.
/// What was ended is not exported, nor what rests on it. Applying an export as it is changes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Export {
    /// Which kinds: `person`, `audience`, `vendor`, `contract`, `application`, `verifier`; all if none is named.
    #[arg(value_name = "KIND", value_parser = kind)]
    kinds: Vec<NodeKind>,
    /// Into this file, instead of to standard output. One that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Without saying at which revision each was written.
    #[arg(long)]
    no_revisions: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass export > company.toml
  daypass export vendor contract --out partners.toml
  daypass export --no-revisions --out directory.toml     to be kept under version control
  daypass export -o json";

fn kind(text: &str) -> Result<NodeKind, String> {
    let known = SHAPES.iter().map(|shape| shape.kind);
    let found = known.clone().find(|kind| kind.as_str() == text);
    let names = || known.map(NodeKind::as_str).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there are {}", names()))
}

pub(crate) async fn run(wish: Export, home: &Home, console: &Console) -> Result<(), Failure> {
    let directory = Directory::over(connect(&home.identity()?).await?);
    let wanted = |shape: &&Shape| wish.kinds.is_empty() || wish.kinds.contains(&shape.kind);
    let (mut objects, mut ended) = (Vec::new(), 0);
    for shape in SHAPES.iter().filter(wanted) {
        for stored in directory.all(shape.kind).await? {
            match live(stored)? {
                Some(object) => objects.push(object),
                None => ended += 1,
            }
        }
    }
    if ended > 0 {
        console.say(format_args!("left out, because ended: {ended}"));
    }
    if wish.no_revisions {
        objects.iter_mut().for_each(|object| object.revision = None);
    }
    let text = file(&objects)?;
    if let Some(path) = &wish.out {
        write_public(path, text.as_bytes())?;
        console.say(format_args!("{} objects are in {}", objects.len(), path.display()));
        if !console.is_json() {
            return Ok(());
        }
    }
    console.show(&Exported { objects }, || text)
}

/// The object, unless it was ended, by itself or by what is above it.
fn live(stored: v1::StoredObject) -> Result<Option<ExportedObject>, Failure> {
    if stored.effective_life() == v1::Life::Ended {
        return Ok(None);
    }
    let unknown = |why: String| Failure::Internal(format!("`{}` cannot be exported: {why}", stored.id));
    let object = stored.object.ok_or("it is empty".to_owned()).and_then(Manifest::from_wire);
    let object = object.map_err(unknown)?;
    Ok(Some(ExportedObject { id: stored.id, revision: Some(stored.revision), object }))
}

fn file(objects: &[ExportedObject]) -> Result<String, Failure> {
    let mut text = format!(
        "#:schema {name}\n\
         # `daypass apply -f FILE` writes it back; `daypass schema > {name}` is for editors.\n",
        name = schema::FILE_NAME
    );
    for object in objects {
        block(object, &mut text).map_err(|why| Failure::Internal(format!("`{}`: {why}", object.id)))?;
    }
    Ok(text)
}

/// One object under its heading, field by field in the order of its kind.
fn block(exported: &ExportedObject, text: &mut String) -> Result<(), String> {
    let kind = exported.object.node().kind;
    let shape = shape(kind).ok_or("no file holds such an object")?;
    let table = toml::Table::try_from(&exported.object).map_err(|error| error.to_string())?;
    let mut line =
        |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").map_err(|error| error.to_string());
    line(format_args!("\n[[{kind}]]"))?;
    for field in shape.fields {
        let Some(value) = table.get(field.name) else { continue };
        match (&field.what, value) {
            (What::List(What::Table(fields)), toml::Value::Array(items)) if !items.is_empty() => {
                line(format_args!("{} = [", field.name))?;
                items.iter().try_for_each(|item| line(format_args!("  {},", inline(item, fields))))?;
                line(format_args!("]"))?;
            }
            (What::Table(fields), value) => line(format_args!("{} = {}", field.name, inline(value, fields)))?,
            _ => line(format_args!("{} = {value}", field.name))?,
        }
    }
    match exported.revision {
        Some(revision) => line(format_args!("{REVISION} = {revision}")),
        None => Ok(()),
    }
}

/// A table on one line, its fields in the order of the shape.
fn inline(value: &toml::Value, fields: &[Field]) -> String {
    let field = |field: &Field| Some(format!("{} = {}", field.name, value.get(field.name)?));
    let fields: Vec<String> = fields.iter().filter_map(field).collect();
    format!("{{ {} }}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{super::file::Reading, *};

    #[test]
    fn every_example_is_the_same_after_its_export() {
        let objects: Vec<ExportedObject> = crate::example::OBJECTS
            .iter()
            .enumerate()
            .map(|(n, (_, text))| {
                let object = Manifest::parse(text).unwrap();
                ExportedObject { id: object.id(), revision: Some(u64::try_from(n + 1).unwrap()), object }
            })
            .collect();
        let text = file(&objects).unwrap();
        let mut reading = Reading::default();
        reading.add("export".into(), text.clone());
        let mut read = reading.finish().unwrap_or_else(|why| panic!("{why}"));
        read.sort_by_key(|entry| entry.exported.as_ref().map(|(revision, _)| *revision));
        let read: Vec<(String, Manifest)> =
            read.into_iter().map(|entry| (entry.id.to_string(), entry.manifest)).collect();
        let had: Vec<(String, Manifest)> = objects.into_iter().map(|had| (had.id, had.object)).collect();
        assert_eq!(read, had, "{text}");
        assert!(text.lines().all(|line| line.len() < 140), "{text}");
    }

    #[test]
    fn texts_that_need_care_come_back() {
        for contact in ["\"quoted\" 'twice'", "two\nlines", "C:\\x", "tab\there", "\u{1b}[31m", "'''\"\"\""] {
            let object = Manifest::from_wire(v1::Object {
                kind: Some(v1::object::Kind::Person(v1::Person {
                    name: "lee".into(),
                    roles: Vec::new(),
                    contact: contact.into(),
                })),
            })
            .unwrap();
            let text =
                file(&[ExportedObject { id: object.id(), revision: None, object: object.clone() }]).unwrap();
            let mut reading = Reading::default();
            reading.add("export".into(), text.clone());
            let read = reading.finish().unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(read.len(), 1);
            assert!(read.iter().all(|entry| entry.manifest == object), "{text}");
        }
    }
}
