//! Opening vendors again that a new era suspended: shows who would get access back, and asks first.

use clap::Args;
use daypass_credential::{NodeId, NodeKind};
use daypass_proto::v1::{self, object::Kind};
use daypass_sdk::{Connection, Directory, Home};

use crate::{
    console::Console,
    diagnostics::connect,
    failure::Failure,
    paint::{Ink, Text},
    progress::Progress,
    shapes,
};

/// Open vendors again that the recovery of the broker suspended, one by one. For admins.
///
/// A recovered broker has forgotten what came after its backup, ends included, so that it lets no vendor in before
/// somebody confirmed that it still belongs. Before it asks, this shows each vendor's applications with their owners.
/// Vendors under it stay as they are. Instances have to enrol anew: the identities of before are void.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Resume {
    /// Which, as `vendor:acme`.
    #[arg(required = true, value_name = "VENDOR")]
    ids: Vec<NodeId>,
    /// Do not ask first.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass list vendor --life suspended
  daypass resume vendor:acme
  daypass resume vendor:acme vendor:globex --yes -o json";

pub(crate) async fn resume(wish: Resume, home: &Home, console: &Console) -> Result<(), Failure> {
    if let Some(other) = wish.ids.iter().find(|id| id.kind != NodeKind::Vendor) {
        return Err(Failure::bad(format!("`{other}` is no vendor, and nothing else is resumed")));
    }
    let identity = home.identity()?;
    if !wish.yes {
        console.must_ask()?;
    }
    let connection = connect(&identity).await?;
    if !wish.yes {
        console.tell(preview(&wish.ids, &connection, console).await?);
        console.confirm("let them in again?")?;
    }
    let mut done = shapes::ResumedAll { resumed: Vec::new() };
    let mut failed = None;
    for id in &wish.ids {
        match connection.resume(id).await {
            Ok(at) => done.resumed.push(shapes::Resumed { id: id.to_string(), revision: at.get() }),
            Err(error) => {
                failed = Some((id, Failure::from(error)));
                break;
            }
        }
    }
    match failed {
        Some((_, failure)) if done.resumed.is_empty() => Err(failure),
        Some((id, failure)) => {
            console.show(&done, || said(&done))?;
            let words = format!("`{id}`, and what was named after it, is not resumed: {}", failure.message());
            Err(Failure::Partial(words).then("run it again: what is open already is left alone"))
        }
        None => console.show(&done, || said(&done)),
    }
}

fn said(done: &shapes::ResumedAll) -> String {
    let each = done.resumed.iter().map(|one| format!("{} is open since revision {}", one.id, one.revision));
    each.collect::<Vec<_>>().join("\n")
}

/// What would be let in again.
async fn preview(ids: &[NodeId], connection: &Connection, console: &Console) -> Result<Text, Failure> {
    let _progress = Progress::start(console, "looking at what is under it", None);
    let directory = Directory::over(connection.clone());
    let mut vendors = Vec::new();
    for id in ids {
        vendors.push(directory.object(id).await?);
    }
    let others = directory.all(NodeKind::Vendor).await?;
    let applications = directory.all(NodeKind::Application).await?;
    let mut text = Text::new();
    for (n, vendor) in vendors.iter().enumerate() {
        text = text.then(Ink::Plain, if n == 0 { "" } else { "\n" }).and(of_vendor(vendor));
        for line in under(vendor, &others, &applications) {
            text = text.then(Ink::Plain, format!("\n  {line}"));
        }
    }
    Ok(text)
}

fn of_vendor(vendor: &v1::StoredObject) -> Text {
    let owner = match vendor.object.as_ref().and_then(|object| object.kind.as_ref()) {
        Some(Kind::Vendor(vendor)) => vendor.owner.as_str(),
        _ => "nobody",
    };
    let life = word(vendor.life());
    Text::new()
        .then(Ink::Strong, vendor.id.as_str())
        .then(Ink::Plain, format!(": {life}; {owner} answers for it"))
}

/// The applications of a vendor with their owners, and the vendors below it.
fn under(
    vendor: &v1::StoredObject,
    others: &[v1::StoredObject],
    applications: &[v1::StoredObject],
) -> Vec<String> {
    let name = vendor.id.strip_prefix("vendor:").unwrap_or_default();
    let of = |stored: &v1::StoredObject| match stored.object.as_ref().and_then(|o| o.kind.as_ref()) {
        Some(Kind::Application(one)) if one.vendor == name && stored.life() != v1::Life::Ended => {
            let owners = one.owners.clone().unwrap_or_default();
            let v1::Owners { business, technical, relationship } = owners;
            Some(format!("{} ({}), of {business}, {technical} and {relationship}", stored.id, one.purpose))
        }
        Some(Kind::Vendor(one)) if one.parent == name => {
            Some(format!("{} sits under it, and stays as it is: {}", stored.id, word(stored.life())))
        }
        _ => None,
    };
    let lines: Vec<_> = applications.iter().chain(others).filter_map(of).collect();
    if lines.is_empty() { vec!["nothing is under it".to_owned()] } else { lines }
}

const fn word(life: v1::Life) -> &'static str {
    match life {
        v1::Life::Open => "open",
        v1::Life::Suspended => "suspended",
        v1::Life::Ended => "ended",
        v1::Life::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: &str, life: v1::Life, kind: Kind) -> v1::StoredObject {
        let object = Some(v1::Object { kind: Some(kind) });
        v1::StoredObject { id: id.into(), life: life.into(), object, ..Default::default() }
    }

    fn vendor(name: &str, parent: &str) -> v1::StoredObject {
        let vendor = v1::Vendor { name: name.into(), parent: parent.into(), owner: "rita".into() };
        stored(&format!("vendor:{name}"), v1::Life::Suspended, Kind::Vendor(vendor))
    }

    fn application(name: &str, vendor: &str, life: v1::Life) -> v1::StoredObject {
        let owners = v1::Owners { business: "b".into(), technical: "t".into(), relationship: "r".into() };
        let application = v1::Application {
            vendor: vendor.into(),
            purpose: "syncs".into(),
            owners: Some(owners),
            ..Default::default()
        };
        stored(&format!("application:{name}"), life, Kind::Application(application))
    }

    #[test]
    fn shown_is_who_gets_access_back_and_who_does_not() {
        let vendors = [vendor("acme", ""), vendor("skiff", "acme"), vendor("globex", "")];
        let applications = [
            application("sync", "acme", v1::Life::Open),
            application("old", "acme", v1::Life::Ended),
            application("courier", "globex", v1::Life::Open),
        ];
        assert_eq!(
            under(&vendors[0], &vendors, &applications),
            [
                "application:sync (syncs), of b, t and r",
                "vendor:skiff sits under it, and stays as it is: suspended"
            ]
        );
        assert_eq!(under(&vendors[1], &vendors, &applications), ["nothing is under it"]);
        assert_eq!(of_vendor(&vendors[0]).to_string(), "vendor:acme: suspended; rita answers for it");
    }
}
