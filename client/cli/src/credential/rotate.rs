//! Replacing a client certificate: a new key and certificate for the same audience, and then the end of the old one.

use std::path::PathBuf;

use clap::Args;
use daypass_credential::{Name, Scope, ScopeSet, Timestamp, Ttl};
use daypass_sdk::{Application, Error, Home, Record, RecordKind, TokenRequest};

use super::{
    application, from_file, look_up,
    pair::{Pair, Rotation},
    show,
};
use crate::{
    console::Console,
    diagnostics::instant,
    failure::Failure,
    paint::{Ink, Text},
    shapes,
};

/// Replace a client certificate and its key, and end the old one. For applications.
///
/// Gets a new key and certificate for the same audience, replaces key.pem and cert.pem in DIR, and then ends the old
/// certificate: it and every token bound to it are dead at the broker. What is to be done is written down first: if it
/// breaks off anywhere, run it again, and it goes on from there. With --token a token bound to the new certificate is
/// put into FILE in the same step.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// The folder with key.pem and cert.pem, as `daypass cert --out` wrote it.
    #[arg(long = "cert", value_name = "DIR")]
    folder: PathBuf,
    /// Where to put a token that is bound to the new certificate.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// With which scope; those of the token in FILE if not said.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', requires = "token")]
    scopes: Vec<Scope>,
    /// How long the new certificate lives, as `15m`: as long as the rules allow if not said.
    #[arg(long)]
    ttl: Option<Ttl>,
    /// Do not ask first.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass credential rotate --cert ./billing
  daypass credential rotate --cert ./billing --token token.txt --yes
  daypass credential rotate --cert ./billing --token token.txt --scope invoices.read";

pub(super) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let pair = Pair::in_folder(&wish.folder)?;
    let _alone = pair.alone()?;
    let application = application(home).await?;
    let owner = home.identity()?;
    if let Some(rotation) = pair.rotation()? {
        rotation.demand(&owner)?;
        console.say(format_args!("a rotation was broken off in {}: going on with it", wish.folder.display()));
        let ended = carry_out(&pair, &rotation, &application, &wish).await?;
        if !is_over(rotation.expires_at) {
            return show_done(&pair, &rotation, ended, console);
        }
        // It took so long to go on that what was written down is over by now.
    }
    let scopes = scopes(&wish)?;
    let old = from_file::certificate(&pair.certificate())?;
    let record = look_up(&old, application.connection()).await?;
    let audience = audience(&record)?;
    if !wish.yes {
        console.must_ask()?;
        console.tell(preview(&record));
        console.confirm("replace it, and end the old one?")?;
    }
    let new = application.certificate(&audience, wish.ttl).await?;
    let mut rotation = Rotation::new(&owner, record.revision, audience.to_string(), &new);
    if let (Some(file), Some(scopes)) = (&wish.token, &scopes) {
        let request = TokenRequest { audience: &audience, scopes, certificate: Some(new.leaf()), ttl: None };
        rotation = rotation.with_token(file, &application.token(&request).await?)?;
    }
    pair.begin(&rotation)?;
    let ended = carry_out(&pair, &rotation, &application, &wish).await?;
    show_done(&pair, &rotation, ended, console)
}

/// Does what was written down; any part of it may have been done before.
async fn carry_out(
    pair: &Pair,
    rotation: &Rotation,
    application: &Application,
    wish: &Wish,
) -> Result<shapes::Ended, Failure> {
    pair.replace(rotation)?;
    let old = rotation.old();
    let ended = application.connection().end(&old, "replaced by a rotation").await;
    let revision = ended.map_err(|error| not_ended(&old.to_string(), error, wish))?;
    pair.finish()?;
    Ok(shapes::Ended { id: old.to_string(), revision: revision.get() })
}

fn not_ended(old: &str, error: Error, wish: &Wish) -> Failure {
    let why = Failure::from(error).message();
    let folder = wish.folder.display();
    Failure::Partial(format!(
        "the new certificate is in place in `{folder}`, but {old} could not be ended and may be alive until it expires: \
         {why}"
    ))
    .then(format!(
        "run `daypass credential rotate --cert {folder}` again, which only ends it; or an owner or admin runs \
         `daypass end {old}`"
    ))
}

fn scopes(wish: &Wish) -> Result<Option<ScopeSet>, Failure> {
    let Some(file) = &wish.token else { return Ok(None) };
    if !wish.scopes.is_empty() {
        let scopes = ScopeSet::new(wish.scopes.clone());
        return scopes.map(Some).map_err(|error| Failure::bad(error.to_string()));
    }
    let held = if file.exists() { from_file::token(file)?.scopes } else { None };
    held.map(Some).ok_or_else(|| {
        Failure::bad(format!("there is no token in `{}` to take the scopes from", file.display()))
            .then("name them: --scope SCOPE")
    })
}

fn audience(record: &Record) -> Result<Name, Failure> {
    match (record.kind, &record.audience) {
        (RecordKind::Certificate, Some(audience)) => Ok(audience.clone()),
        _ => Err(Failure::bad("the certificate is no client certificate for an audience")
            .then("an identity certificate is renewed instead: `daypass renew`")),
    }
}

fn preview(record: &Record) -> Text {
    let old = show::shape(record, Vec::new());
    Text::new().then(Ink::Strong, show::title(&old)).then(Ink::Plain, "\n").and(show::life_text(&old)).then(
        Ink::Plain,
        format!(", until {} at the latest\nevery token bound to it ends with it", old.expires_at),
    )
}

fn is_over(at: Timestamp) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    at.as_secs() <= now.as_secs()
}

fn show_done(
    pair: &Pair,
    rotation: &Rotation,
    ended: shapes::Ended,
    console: &Console,
) -> Result<(), Failure> {
    let shape = shapes::Rotated {
        certificate: pair.certificate().display().to_string(),
        key: pair.key().display().to_string(),
        audience: rotation.audience.clone(),
        revision: rotation.revision,
        expires_at: instant(rotation.expires_at),
        bound_by: rotation.bound_by.clone(),
        token: rotation.token.as_ref().map(|token| shapes::RotatedToken {
            file: token.file.display().to_string(),
            revision: token.revision,
            expires_at: instant(token.expires_at),
        }),
        ended,
    };
    if !console.is_json() {
        console.say(format_args!(
            "credential:{} until {} (bound by: {}); {} is ended at revision {}, and every token bound to it with it",
            shape.revision, shape.expires_at, shape.bound_by, shape.ended.id, shape.ended.revision
        ));
    }
    console.show(&shape, || {
        let token = shape.token.as_ref().map(|token| format!("\n{}", token.file)).unwrap_or_default();
        format!("{}\n{}{token}", shape.certificate, shape.key)
    })
}
