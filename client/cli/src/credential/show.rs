//! One credential: what it is, for whom, how long, what it rests on, and whether it is alive.

use clap::Args;
use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_proto::v1;
use daypass_sdk::{Connection, Death, Directory, Error, Home, Record, RecordKind};

use super::{Which, look_up};
use crate::{
    console::Console,
    diagnostics::{connect, instant},
    failure::Failure,
    paint::{Ink, Text},
    shapes,
    table::{Cell, Column, Table},
};

/// Show what a credential is, and whether it is alive.
///
/// The broker tells whom it was minted for, the owners of that, admins and auditors. What it rests on is listed with
/// the life of each, as far as this identity may know it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    #[command(flatten)]
    which: Which,
}

const EXAMPLES: &str = "\
Examples:
  daypass credential show 4711
  daypass credential show --cert billing/cert.pem
  daypass credential show --token - < token.txt";

pub(super) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let found = wish.which.find()?;
    let connection = connect(&home.identity()?).await?;
    let record = look_up(&found, &connection).await?;
    let shape = shape(&record, lives(&record, &connection).await?);
    console.show(&shape, || text(&shape, console))
}

/// What it rests on, each with its life where that is told.
async fn lives(record: &Record, connection: &Connection) -> Result<Vec<shapes::Rests>, Failure> {
    let mut lives = Vec::with_capacity(record.lineage.len());
    for node in &record.lineage {
        let life = match life(node, connection).await {
            Ok(life) => Some(life),
            Err(Error::Refused(_)) => None,
            Err(error) => return Err(error.into()),
        };
        lives.push(shapes::Rests { id: node.to_string(), life });
    }
    Ok(lives)
}

async fn life(node: &NodeId, connection: &Connection) -> Result<&'static str, Error> {
    if node.kind == NodeKind::Credential {
        let number =
            node.name.as_str().parse().map_err(|_| Error::BadAnswer("a credential has no number"))?;
        let record = connection.credential(Revision::new(number)).await?;
        return Ok(match record.death {
            None => "alive",
            Some(Death::Expiry) => "expired",
            Some(Death::Cut { .. }) => "dead",
        });
    }
    let stored = Directory::over(connection.clone()).object(node).await?;
    Ok(match stored.effective_life() {
        v1::Life::Open => "open",
        v1::Life::Suspended => "suspended",
        v1::Life::Ended => "ended",
        v1::Life::Unspecified => "unknown",
    })
}

pub(super) fn shape(record: &Record, lineage: Vec<shapes::Rests>) -> shapes::Credential {
    let (dead_by, dead_since) = match &record.death {
        None => (None, None),
        Some(Death::Expiry) => (Some("expiry".to_owned()), None),
        Some(Death::Cut { node, at }) => (Some(node.to_string()), Some(at.get())),
    };
    shapes::Credential {
        revision: record.revision.get(),
        kind: word(record.kind),
        subject: record.subject.to_string(),
        identity: record.identity.as_ref().map(ToString::to_string),
        audience: record.audience.as_ref().map(ToString::to_string),
        scopes: record.scopes.clone(),
        not_before: instant(record.not_before),
        expires_at: instant(record.expires_at),
        bound_by: record.bound_by.clone(),
        alive: record.death.is_none(),
        dead_by,
        dead_since,
        lineage,
    }
}

const fn word(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Identity => "identity",
        RecordKind::Certificate => "certificate",
        RecordKind::Token => "token",
    }
}

/// What it is, in a line.
pub(super) fn title(credential: &shapes::Credential) -> String {
    let kind = match credential.kind {
        "identity" => "identity certificate",
        "certificate" => "client certificate",
        _ => "access token",
    };
    let audience = credential.audience.as_ref().map(|name| format!(" at {name}")).unwrap_or_default();
    format!("credential:{}, {kind} of {}{audience}", credential.revision, credential.subject)
}

/// Whether it is alive, in a line.
pub(super) fn life_text(credential: &shapes::Credential) -> Text {
    match (&credential.dead_by, credential.dead_since) {
        (None, _) => Text::new().then(Ink::Good, "alive"),
        (Some(_), None) => Text::new().then(Ink::Bad, "dead: its time is over"),
        (Some(node), Some(at)) => Text::new()
            .then(Ink::Bad, format!("dead: {node} was ended, suspended or narrowed at revision {at}")),
    }
}

fn text(credential: &shapes::Credential, console: &Console) -> Text {
    let mut facts = String::new();
    if let Some(identity) = &credential.identity {
        facts.push_str(&format!("\ninstance  {identity}"));
    }
    if !credential.scopes.is_empty() {
        facts.push_str(&format!("\nscopes    {}", credential.scopes.join(" ")));
    }
    facts.push_str(&format!(
        "\nfrom      {}\nuntil     {} (bound by: {})\n\n",
        credential.not_before, credential.expires_at, credential.bound_by
    ));
    let mut table = Table::new([Column::left("rests on"), Column::left("life")]);
    for node in &credential.lineage {
        let life = node.life.unwrap_or("(not told)");
        table.row([node.id.as_str().into(), Cell::new(ink(life), life)]);
    }
    Text::new()
        .then(Ink::Strong, title(credential))
        .then(Ink::Plain, "\n")
        .and(life_text(credential))
        .then(Ink::Plain, facts)
        .and(table.text(console.width()))
}

fn ink(life: &str) -> Ink {
    match life {
        "open" | "alive" => Ink::Plain,
        "suspended" => Ink::Doubtful,
        "ended" | "dead" | "expired" => Ink::Bad,
        _ => Ink::Faint,
    }
}
