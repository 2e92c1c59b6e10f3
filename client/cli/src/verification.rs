//! Asking the broker whether a credential is good, as a relying party does.

use std::path::PathBuf;

use clap::Args;
use daypass_credential::NodeKind;
use daypass_sdk::{Home, Introspector, Live};

use crate::{
    console::{self, Console},
    credential,
    diagnostics::{connect, instant},
    failure::Failure,
    shapes,
};

/// Ask whether a credential is good, here and now. For verifiers.
///
/// Give the certificate that the bearer showed on its own connection: a token that is bound to another is not good.
/// Exit code 0 means good, 3 means refuse.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
#[group(required = true, multiple = true)]
pub(crate) struct Wish {
    /// A file with the access token, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// The client certificate (PEM) that the bearer showed; by itself, it alone is checked.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  daypass verify --token token.txt --cert shown.pem
  daypass verify --token - --cert shown.pem -o json < token.txt
  daypass verify --cert shown.pem";

pub(crate) async fn run(wish: Wish, home: &Home, console: &Console) -> Result<(), Failure> {
    let token = wish.token.as_deref().map(console::read).transpose()?;
    let token = token.as_ref().map_or("", |text| text.trim());
    if token.is_empty() && wish.token.is_some() {
        return Err(Failure::bad("the token is empty").then("name a file with what `daypass token` printed"));
    }
    let chain = match &wish.cert {
        Some(file) => credential::chain(file)?,
        None => Vec::new(),
    };
    let identity = home.identity()?;
    let subject = identity.subject();
    if subject.kind != NodeKind::Verifier {
        return Err(Failure::bad(format!(
            "`{subject}` is enrolled here, and only verifiers are told what is good"
        ))
        .then("name the identity of a verifier: --home DIR or --context NAME"));
    }
    let verifier = Introspector::over(connect(&identity).await?)?;
    let Some(live) = verifier.introspect(token, chain.first()).await? else {
        console.show(&shapes::Verdict::default(), || "not good")?;
        return Err(Failure::NotGood);
    };
    let text = text(&live);
    console.show(&shapes::Verdict { active: true, says: Some(says(&live)) }, || text)
}

fn says(live: &Live) -> shapes::Says {
    shapes::Says {
        application: live.application.to_string(),
        audience: live.audience.to_string(),
        scopes: live.scopes.iter().map(ToString::to_string).collect(),
        revision: live.revision.get(),
        expires_at: instant(live.expires_at),
        lineage: live.lineage.iter().map(ToString::to_string).collect(),
    }
}

fn text(live: &Live) -> String {
    let scopes = if live.scopes.is_empty() {
        "(of the certificate by itself: none)".into()
    } else {
        live.scopes.to_string()
    };
    let lineage: Vec<_> = live.lineage.iter().map(ToString::to_string).collect();
    format!(
        "good until {}\napplication  {}\naudience     {}\nscopes       {}\ncredential   {}\nrests on     {}",
        instant(live.expires_at),
        live.application,
        live.audience,
        scopes,
        live.revision,
        lineage.join(" › "),
    )
}
