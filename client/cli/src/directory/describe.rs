//! `describe`: one object among the others: what it is, what is above it, and what rests on it.

use clap::Args;
use daypass_credential::NodeId;
use daypass_sdk::{Directory, Home};

use super::{
    difference, list,
    manifest::Manifest,
    stored,
    surroundings::{Above, above, below},
};
use crate::{
    console::Console,
    diagnostics::connect,
    failure::Failure,
    paint::{Ink, Text},
    shapes::{
        Stored,
        directory::{Described, Related},
    },
    table::{Cell, Column, Table},
};

/// Show one object with what is above it and what rests on it.
///
/// What an object rests on comes with its life: if any of it is ended, so is the object. Whoever may not list the
/// directory sees the object and what is above it, as far as that is theirs to see.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Describe {
    /// Which, as `vendor:acme`.
    id: NodeId,
}

const EXAMPLES: &str = "\
Examples:
  daypass describe vendor:acme
  daypass describe application:sync -o json";

pub(crate) async fn run(wish: Describe, home: &Home, console: &Console) -> Result<(), Failure> {
    let directory = Directory::over(connect(&home.identity()?).await?);
    let object = stored::shape(directory.object(&wish.id).await?)?;
    let above = match &object.object {
        Some(manifest) => above(&directory, manifest).await?,
        None => Above { rests_on: Vec::new(), names: Vec::new() },
    };
    let below = below(&directory, &wish.id).await?;
    let (resting, named_by) = below.map_or((None, None), |b| (Some(b.resting), Some(b.named_by)));
    let described = Described { object, rests_on: above.rests_on, names: above.names, resting, named_by };
    console.show(&described, || text(&described, console.width()))
}

fn text(described: &Described, width: Option<usize>) -> Text {
    let stored = &described.object;
    let mut text = Text::new()
        .then(Ink::Strong, stored.id.as_str())
        .then(Ink::Plain, ": ")
        .and(life(stored))
        .then(Ink::Plain, format!(", written at revision {}{}", stored.revision, stored::cut(stored)));
    for (field, value) in stored.object.iter().flat_map(fields) {
        text = text.then(Ink::Plain, format!("\n  {field:<24} {value}"));
    }
    text = section(text, "rests on", &described.rests_on, width);
    text = section(text, "names", &described.names, width);
    let (Some(resting), Some(named_by)) = (&described.resting, &described.named_by) else {
        return text.then(Ink::Faint, "\n\nwhat rests on it is for admins and auditors to see");
    };
    text = section(text, "what rests on it", resting, width);
    section(text, "what names it", named_by, width)
}

fn life(stored: &Stored) -> Text {
    let own = list::life_text(stored.life);
    if stored.life == stored.effective_life {
        return own;
    }
    let above = own.then(Ink::Plain, ", but ").and(list::life_text(stored.effective_life));
    above.then(Ink::Plain, " by what is above it")
}

/// The fields of an object, but for what its id says.
fn fields(manifest: &Manifest) -> Vec<(String, String)> {
    let fields = difference::fields(manifest).unwrap_or_default();
    let shown = fields.into_iter().filter(|(field, _)| field != "kind" && field != "name");
    shown.map(|(field, value)| (field, difference::words(&value))).collect()
}

fn section(text: Text, title: &str, related: &[Related], width: Option<usize>) -> Text {
    if related.is_empty() {
        return text;
    }
    let mut table = Table::new([Column::left("id"), Column::left("life"), Column::left("as").gives_way()]);
    for one in related {
        let life = one.life.map_or_else(|| Cell::from("unknown"), list::life);
        table.row([one.id.as_str().into(), life, one.relation.as_str().into()]);
    }
    text.then(Ink::Strong, format!("\n\n{title}")).then(Ink::Plain, "\n").and(table.text(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(resting: Option<Vec<Related>>) -> Described {
        let object =
            Manifest::parse("kind = 'vendor'\nname = 'acme'\nparent = 'top'\nowner = 'dana'").unwrap();
        let related =
            |id: &str, relation: &str, life| Related { id: id.into(), relation: relation.into(), life };
        Described {
            object: Stored {
                id: object.id(),
                revision: 7,
                cut: Some(9),
                life: "open",
                effective_life: "ended",
                object: Some(object),
            },
            rests_on: vec![related("vendor:top", "parent", Some("ended"))],
            names: vec![related("person:dana", "owner", None)],
            named_by: resting.as_ref().map(|_| Vec::new()),
            resting,
        }
    }

    #[test]
    fn an_object_is_shown_among_the_others() {
        let related = Related { id: "contract:c".into(), relation: "vendor".into(), life: Some("ended") };
        assert_eq!(
            text(&described(Some(vec![related])), None).to_string(),
            "vendor:acme: open, but ended by what is above it, written at revision 7, cut at revision 9\n  \
             owner                    dana\n  parent                   top\n\n\
             rests on\nid          life   as\nvendor:top  ended  parent\n\n\
             names\nid           life     as\nperson:dana  unknown  owner\n\n\
             what rests on it\nid          life   as\ncontract:c  ended  vendor"
        );
    }

    #[test]
    fn who_may_not_list_is_told_so() {
        let text = text(&described(None), None).to_string();
        assert!(text.ends_with("what rests on it is for admins and auditors to see"), "{text}");
    }
}
