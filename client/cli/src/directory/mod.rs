//! The directory, one object at a time: writing one from a file, reading one, listing a kind.

mod check;
mod fields;
mod file;
mod manifest;
mod order;
mod problem;
mod sources;
mod stored;
mod wire;
mod words;

use std::path::PathBuf;

use clap::Args;
use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_sdk::{Connection, Directory, Home};

pub(crate) use manifest::Manifest;

use crate::{
    console::{self, Console},
    failure::Failure,
    shapes,
};

/// Write one object: make it, or change it. For admins.
///
/// FILE holds one object, in TOML or JSON. Writing it again unchanged does nothing. A change that takes something
/// away kills what was minted under the object before; the answer says so.
#[derive(Debug, Args)]
#[command(after_long_help = PUT_EXAMPLES)]
pub(crate) struct Put {
    /// The object, or `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only if it was last written at this revision; 0 demands that it is new.
    #[arg(long, value_name = "REVISION")]
    expect: Option<u64>,
}

const PUT_EXAMPLES: &str = r#"Examples of objects:
  kind = "person"                          kind = "vendor"
  name = "dana"                            name = "acme"
  roles = ["auditor"]                      owner = "dana"
  contact = "dana@company.example"         parent = "reseller"      # may be left out

  kind = "contract"                        kind = "audience"
  name = "acme-2026"                       name = "billing"
  vendor = "acme"                          environment = "production"
  reference = "C-2026/17"                  [[scopes]]
  start = "2026-01-01T00:00:00Z"           scope = "invoices.read"
  end = "2027-01-01T00:00:00Z"             classification = "internal"
  classifications = ["internal"]           tier = "standing"        # or jit, break-glass
                                           max_ttl = "15m"
  kind = "application"
  name = "sync"                            kind = "verifier"
  vendor = "acme"                          name = "billing-api"
  contract = "acme-2026"                   audiences = ["billing"]
  environment = "production"
  purpose = "fetches invoices each night"
  classification = "internal"
  instances = 2
  owners = { business = "dana", technical = "lee", relationship = "rosa" }
  entitlements = [{ audience = "billing", scopes = ["invoices.read"] }]

What `daypass get ID` prints is such an object: change it, and write it back. Where it says `(erased)`, a text was
erased: `put` takes only a new one there.

Examples:
  daypass put -f vendor.toml
  daypass get application:sync > sync.toml && $EDITOR sync.toml && daypass put -f sync.toml"#;

/// Read one object, as `put` would write it.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Which, as `vendor:acme`.
    id: NodeId,
}

/// List the objects of a kind, by name. For admins and auditors.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which kind: `vendor`, `contract`, `application`, `person`, `audience`, `verifier` or `identity`.
    kind: NodeKind,
}

pub(crate) async fn put(wish: Put, home: &Home, console: &Console) -> Result<(), Failure> {
    let manifest = Manifest::parse(&console::read(&wish.file)?)
        .map_err(|why| Failure::bad(format!("`{}`: {why}", wish.file.display())))?;
    let id = manifest.id();
    let object =
        manifest.to_wire().map_err(|why| Failure::bad(format!("`{}`: {why}", wish.file.display())))?;
    let directory = Directory::over(Connection::open(&home.identity()?).await?);
    let written = directory.put(object, wish.expect.map(Revision::new)).await?;
    let shape =
        shapes::Written { id, revision: written.revision.get(), written: written.written, cut: written.cut };
    console.show(&shape, || match (shape.written, shape.cut) {
        (false, _) => format!("{} is as asked already, since revision {}", shape.id, shape.revision),
        (true, false) => format!("{} is written, at revision {}", shape.id, shape.revision),
        (true, true) => format!(
            "{} is written, at revision {}; it takes something away, so what was minted under it before is dead",
            shape.id, shape.revision
        ),
    })
}

pub(crate) async fn get(wish: Get, home: &Home, console: &Console) -> Result<(), Failure> {
    let directory = Directory::over(Connection::open(&home.identity()?).await?);
    let stored = stored::shape(directory.object(&wish.id).await?)?;
    let text = stored::text(&stored)?;
    console.show(&stored, || text)
}

pub(crate) async fn list(wish: List, home: &Home, console: &Console) -> Result<(), Failure> {
    let directory = Directory::over(Connection::open(&home.identity()?).await?);
    let objects = directory.all(wish.kind).await?;
    let listed =
        shapes::Listed { objects: objects.into_iter().map(stored::shape).collect::<Result<_, _>>()? };
    console.show(&listed, || stored::table(&listed.objects))
}
