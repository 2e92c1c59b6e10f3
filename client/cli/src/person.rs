//! Persons as such: so far, forgetting one. It cannot be taken back, so it shows what would be erased, and asks first.

use clap::{Args, Subcommand};
use daypass_credential::{Name, NodeId, NodeKind};
use daypass_proto::v1::{self, object::Kind};
use daypass_sdk::{Directory, Home};

use crate::{
    console::Console,
    diagnostics::connect,
    failure::Failure,
    paint::{Ink, Text},
    shapes,
};

/// Have somebody forgotten.
#[derive(Debug, Subcommand)]
#[command(after_long_help = "Examples:\n  daypass person forget dana")]
pub(crate) enum Wish {
    Forget(Forget),
}

/// Erase what is kept about a person who was ended. For admins.
///
/// Erased are how to reach them, each contact that they had before, and the reasons that were given when they, or
/// something of theirs, were ended. The log keeps their name here and what they did; it proves as before, because it
/// never held the texts, only salted hashes of them. Backups made before still hold the texts.
///
/// Before it asks, it shows what would be erased. Again is no error: it erases what was written about them since.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Forget {
    /// Who, as `dana`.
    name: Name,
    /// Do not look and do not ask first.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
The person has to be ended first: `daypass end person:NAME`.

Examples:
  daypass person forget dana
  daypass person forget dana --yes -o json";

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    match wish {
        Wish::Forget(wish) => forget(wish, home, console).await,
    }
}

async fn forget(wish: Forget, home: &Home, console: &Console) -> Result<(), Failure> {
    let identity = home.identity()?;
    if !wish.yes {
        console.must_ask()?;
    }
    let directory = Directory::over(connect(&identity).await?);
    if !wish.yes {
        let person = NodeId::new(NodeKind::Person, wish.name.clone());
        console.tell(preview(&directory.object(&person).await?));
        console.confirm("erase it for ever?")?;
    }
    let revision = directory.forget_person(&wish.name).await?;
    let shape = shapes::Forgotten { id: format!("person:{}", wish.name), revision: revision.get() };
    console.show(&shape, || {
        format!("{} is forgotten at revision {}: the texts about them are erased", shape.id, shape.revision)
    })
}

/// What would be erased, as far as it is to be seen: of earlier contacts and of reasons only that they are.
fn preview(stored: &v1::StoredObject) -> Text {
    let contact = match stored.object.as_ref().and_then(|object| object.kind.as_ref()) {
        Some(Kind::Person(person)) => person.contact.as_str(),
        _ => "",
    };
    Text::new()
        .then(Ink::Strong, stored.id.as_str())
        .then(Ink::Plain, format!("\n  contact                  {contact}\n"))
        .then(
            Ink::Bad,
            "erased are this, each contact before it, and the reasons given when they or something of theirs were ended",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_erased_is_shown() {
        let person = v1::Person { name: "dana".into(), roles: Vec::new(), contact: "dana@x.example".into() };
        let stored = v1::StoredObject {
            id: "person:dana".into(),
            object: Some(v1::Object { kind: Some(Kind::Person(person)) }),
            ..v1::StoredObject::default()
        };
        let text = preview(&stored).to_string();
        assert!(text.starts_with("person:dana\n  contact                  dana@x.example\n"), "{text}");
    }
}
