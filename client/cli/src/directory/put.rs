//! `put`: one object from a file.

use std::path::{Path, PathBuf};

use clap::Args;
use daypass_credential::Revision;
use daypass_sdk::{Directory, Home};

use super::{
    apply::{Change, Plan, STALE},
    file::{Entry, Reading},
    manifest::{Manifest, is_json},
};
use crate::{
    console::{self, Console},
    diagnostics::connect,
    failure::{Exit, Failure},
    shapes::Written,
};

/// Write one object: make it, or change it. For admins.
///
/// FILE holds one object, in TOML or JSON; `daypass apply` takes files of many. Writing it again unchanged does
/// nothing. A change that takes something away kills what was minted under the object before; the answer says so.
///
/// Where the file says `revision = …`, as an export's does, and the object was written since, it is refused.
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

pub(crate) async fn run(wish: Put, home: &Home, console: &Console) -> Result<(), Failure> {
    let found = read(&wish.file)?;
    let object = found.manifest().to_wire();
    let object = object.map_err(|why| Failure::bad(format!("`{}`: {why}", wish.file.display())))?;
    let id = found.manifest().id();
    let directory = Directory::over(connect(&home.identity()?).await?);
    let mut expected = wish.expect.map(Revision::new);
    if let (Found::Toml(entry), None) = (found, expected)
        && entry.exported.is_some()
    {
        expected = match as_exported(*entry, &directory).await? {
            Exported::AsItIs(revision) => {
                return show(&Written { id, revision: revision.get(), written: false, cut: false }, console);
            }
            Exported::Expects(revision) => Some(revision),
        };
    }
    let written = directory.put(object, expected).await?;
    let (revision, cut) = (written.revision.get(), written.cut);
    show(&Written { id, revision, written: written.written, cut }, console)
}

fn show(shape: &Written, console: &Console) -> Result<(), Failure> {
    console.show(shape, || match (shape.written, shape.cut) {
        (false, _) => format!("{} is as asked already, since revision {}", shape.id, shape.revision),
        (true, false) => format!("{} is written, at revision {}", shape.id, shape.revision),
        (true, true) => format!(
            "{} is written, at revision {}; it takes something away, so what was minted under it before is dead",
            shape.id, shape.revision
        ),
    })
}

enum Found {
    Json(Manifest),
    Toml(Box<Entry>),
}

impl Found {
    fn manifest(&self) -> &Manifest {
        match self {
            Self::Json(manifest) => manifest,
            Self::Toml(entry) => &entry.manifest,
        }
    }
}

fn read(path: &Path) -> Result<Found, Failure> {
    let (text, name) = (console::read(path)?, path.display().to_string());
    if is_json(&text) {
        let manifest = Manifest::from_json(&text);
        return manifest.map(Found::Json).map_err(|why| Failure::bad(format!("`{name}`: {why}")));
    }
    let mut reading = Reading::default();
    reading.add(name.clone(), text.to_string());
    let mut entries = reading.finish().map_err(Failure::BadInput)?.into_iter();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(Found::Toml(Box::new(entry))),
        (None, _) => Err(Failure::bad(format!("there is no object in `{name}`"))),
        (Some(_), Some(_)) => Err(Failure::bad(format!(
            "`{name}` holds several objects, and this takes one: `daypass apply -f {name}`"
        ))),
    }
}

/// How an object that says when it was exported stands to the broker's.
enum Exported {
    /// It is as asked already, since this revision.
    AsItIs(Revision),
    /// It may be written, if it is still at this revision.
    Expects(Revision),
}

async fn as_exported(entry: Entry, directory: &Directory) -> Result<Exported, Failure> {
    let plan = Plan::make(vec![entry], false, directory).await?;
    let step = plan.ranks.into_iter().flatten().next();
    let step = step.ok_or_else(|| Failure::Internal("the plan is empty".into()))?;
    match step.change {
        Change::Unchanged => Ok(Exported::AsItIs(step.at)),
        Change::Refused { reason, message, place } if reason == STALE => {
            Err(Failure::Unwell(Exit::Refused, format!("{place}: {message}")))
        }
        // What the broker refuses it refuses at the write as well, and records it.
        Change::New | Change::Changed { .. } | Change::Refused { .. } => Ok(Exported::Expects(step.at)),
    }
}
