//! `list`: the objects of a kind as a table, all or those that one looks for.

use std::collections::HashSet;

use clap::{Args, ValueEnum};
use daypass_credential::{Name, NodeId, NodeKind};
use daypass_sdk::{Directory, Home};

use super::{difference, manifest::Manifest, relations, stored};
use crate::{
    console::Console,
    diagnostics::connect,
    failure::Failure,
    paint::{Ink, Text},
    shapes::{Listed, Stored},
    table::{Cell, Column, Table},
};

/// List the objects of a kind, by name. For admins and auditors.
///
/// `life` is the life that counts: an application of a vendor that was ended is ended, though nobody ended it itself.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct List {
    /// Which kind: `vendor`, `contract`, `application`, `person`, `audience`, `verifier` or `identity`.
    kind: NodeKind,
    /// Only those of this vendor and of the vendors under it.
    #[arg(long, value_name = "NAME")]
    vendor: Option<Name>,
    /// Only those with this life, what is above them taken into account.
    #[arg(long, value_name = "LIFE", value_enum)]
    life: Option<Life>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Life {
    Open,
    Suspended,
    Ended,
}

impl Life {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  daypass list application
  daypass list application --vendor acme --life open
  daypass list identity -o json";

pub(crate) async fn run(wish: List, home: &Home, console: &Console) -> Result<(), Failure> {
    if wish.vendor.is_some() && !has_vendor(wish.kind) {
        return Err(Failure::bad(format!(
            "--vendor does not go with `{}`: it belongs to no vendor",
            wish.kind
        )));
    }
    let directory = Directory::over(connect(&home.identity()?).await?);
    let mut objects = all(&directory, wish.kind).await?;
    if let Some(life) = wish.life {
        objects.retain(|stored| stored.effective_life == life.as_str());
    }
    if let Some(vendor) = wish.vendor {
        let vendor = NodeId::new(NodeKind::Vendor, vendor);
        // Whoever mistypes a name is to hear of it, rather than to read that there is nothing.
        directory.object(&vendor).await?;
        let under = under(&directory, wish.kind, vendor).await?;
        objects.retain(|stored| {
            let object = stored.object.as_ref();
            object.is_some_and(|object| {
                under.contains(&object.node()) || rests_on(object).any(|above| under.contains(&above))
            })
        });
    }
    let listed = Listed { objects };
    console.show(&listed, || table(wish.kind, &listed.objects).text(console.width()))
}

pub(super) async fn all(directory: &Directory, kind: NodeKind) -> Result<Vec<Stored>, Failure> {
    directory.all(kind).await?.into_iter().map(stored::shape).collect()
}

const fn has_vendor(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Vendor | NodeKind::Contract | NodeKind::Application | NodeKind::Identity)
}

fn rests_on(object: &Manifest) -> impl Iterator<Item = NodeId> {
    relations::of(object).into_iter().filter(|relation| relation.rests).map(|relation| relation.id)
}

/// The vendor, those under it, and for identities also their applications.
async fn under(directory: &Directory, kind: NodeKind, vendor: NodeId) -> Result<HashSet<NodeId>, Failure> {
    let mut objects = all(directory, NodeKind::Vendor).await?;
    if kind == NodeKind::Identity {
        objects.extend(all(directory, NodeKind::Application).await?);
    }
    let objects: Vec<&Manifest> = objects.iter().filter_map(|stored| stored.object.as_ref()).collect();
    let mut under = HashSet::from([vendor]);
    loop {
        let more: Vec<NodeId> = objects
            .iter()
            .filter(|object| {
                !under.contains(&object.node()) && rests_on(object).any(|id| under.contains(&id))
            })
            .map(|object| object.node())
            .collect();
        if more.is_empty() {
            return Ok(under);
        }
        under.extend(more);
    }
}

/// One line each: what it is, how it stands, and what one looks for in such a list.
fn table(kind: NodeKind, objects: &[Stored]) -> Table {
    let own = columns(kind);
    let mut columns = vec![Column::left("id"), Column::left("life")];
    columns.extend(own.iter().map(|(title, _)| Column::left(title).gives_way()));
    columns.extend([Column::right("written"), Column::right("cut")]);
    let mut table = Table::new(columns);
    for stored in objects {
        let value = serde_json::to_value(&stored.object).unwrap_or_default();
        let mut cells: Vec<Cell> = vec![stored.id.as_str().into(), life(stored.effective_life)];
        cells.extend(own.iter().map(|(_, path)| {
            let value = value.pointer(path);
            Cell::from(value.map(difference::words).unwrap_or_default())
        }));
        cells.push(stored.revision.to_string().into());
        cells.push(stored.cut.map_or_else(|| "-".to_owned(), |cut| cut.to_string()).into());
        table.row(cells);
    }
    table
}

/// A life, as it stands out.
pub(super) fn life(life: &'static str) -> Cell {
    Cell::new(ink(life), life)
}

/// The same, within a text.
pub(super) fn life_text(life: &'static str) -> Text {
    Text::new().then(ink(life), life)
}

fn ink(life: &str) -> Ink {
    match life {
        "open" => Ink::Good,
        "suspended" => Ink::Doubtful,
        _ => Ink::Bad,
    }
}

/// The columns of a kind of its own: their titles, and where in an object what stands in them is.
const fn columns(kind: NodeKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        NodeKind::Vendor => &[("parent", "/parent"), ("owner", "/owner")],
        NodeKind::Contract => &[("vendor", "/vendor"), ("end", "/end")],
        NodeKind::Application => {
            &[("vendor", "/vendor"), ("environment", "/environment"), ("purpose", "/purpose")]
        }
        NodeKind::Person => &[("roles", "/roles"), ("contact", "/contact")],
        NodeKind::Audience => &[("environment", "/environment")],
        NodeKind::Verifier => &[("audiences", "/audiences")],
        NodeKind::Identity => &[("subject", "/subject"), ("until", "/until")],
        NodeKind::Credential | NodeKind::Key | NodeKind::Enrollment | NodeKind::Roster => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_what_was_ended_is_listed_as_ended() {
        let object =
            Manifest::parse("kind = 'vendor'\nname = 'acme'\nparent = 'top'\nowner = 'dana'").unwrap();
        let stored = Stored {
            id: object.id(),
            revision: 7,
            cut: None,
            life: "open",
            effective_life: "ended",
            object: Some(object),
        };
        assert_eq!(
            table(NodeKind::Vendor, &[stored]).text(None).to_string(),
            "id           life   parent  owner  written  cut\n\
             vendor:acme  ended  top     dana         7    -"
        );
    }

    #[test]
    fn the_columns_are_fields_of_the_kind() {
        for shape in super::super::fields::SHAPES {
            for (title, path) in columns(shape.kind) {
                assert_eq!(&format!("/{title}"), path);
                assert!(shape.fields.iter().any(|field| field.name == *title), "{} {title}", shape.kind);
            }
        }
    }
}
