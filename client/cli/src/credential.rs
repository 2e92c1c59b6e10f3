//! Minting: client certificates into a folder, tokens onto standard output.

use std::path::PathBuf;

use clap::Args;
use daypass_credential::{Name, Scope, ScopeSet, Ttl};
use daypass_sdk::{
    Application, Connection, Home, TokenRequest, certificates_from_pem, certificates_to_pem,
    make_private_folder, write_private, write_public,
};

use crate::{
    console::{self, Console},
    diagnostics::instant,
    failure::Failure,
    shapes,
};

/// Get a client certificate for an audience, with a new key. For applications.
///
/// DIR then holds key.pem (for its owner alone) and cert.pem (the certificate, then its CA), as TLS libraries want
/// them. The key is made here, is never sent, and is never printed.
#[derive(Debug, Args)]
#[command(after_long_help = CERTIFICATE_EXAMPLES)]
pub(crate) struct Certificate {
    /// For which audience.
    #[arg(long)]
    audience: Name,
    /// Where the two files go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long it lives, as `15m`: as long as the rules allow if not said.
    #[arg(long)]
    ttl: Option<Ttl>,
}

const CERTIFICATE_EXAMPLES: &str = "\
Examples:
  daypass cert --audience billing --out ./billing --ttl 15m
  curl --cert billing/cert.pem --key billing/key.pem https://billing.example/invoices";

/// Get an access token for an audience. For applications.
///
/// The token is bound to a client certificate of the same application and audience: whoever shows the token has to
/// prove to hold that certificate's key. The token alone goes to standard output.
#[derive(Debug, Args)]
#[command(after_long_help = TOKEN_EXAMPLES)]
pub(crate) struct Token {
    /// For which audience.
    #[arg(long)]
    audience: Name,
    /// With which scope; more than one with more than one `--scope`, or with commas between.
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// The client certificate (PEM) to bind it to; may be left out where every scope allows that.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// How long it lives, as `5m`: as long as the rules allow if not said.
    #[arg(long)]
    ttl: Option<Ttl>,
}

const TOKEN_EXAMPLES: &str = "\
Examples:
  daypass cert --audience billing --out ./billing
  daypass token --audience billing --scope invoices.read --cert billing/cert.pem > token
  curl --cert billing/cert.pem --key billing/key.pem -H \"Authorization: Bearer $(cat token)\" https://billing.example/";

pub(crate) async fn certificate(wish: Certificate, home: &Home, console: &Console) -> Result<(), Failure> {
    let application = Application::over(Connection::open(&home.identity()?).await?)?;
    if !wish.out.is_dir() {
        make_private_folder(&wish.out)?;
    }
    let minted = application.certificate(&wish.audience, wish.ttl).await?;
    let (key, certificate) = (wish.out.join("key.pem"), wish.out.join("cert.pem"));
    write_private(&key, minted.key().to_pem().as_bytes())?;
    write_public(&certificate, certificates_to_pem(&minted.chain()).as_bytes())?;
    let shape = shapes::Certificate {
        certificate: certificate.display().to_string(),
        key: key.display().to_string(),
        revision: minted.revision.get(),
        expires_at: instant(minted.expires_at),
        bound_by: minted.bound_by,
    };
    if !console.is_json() {
        console.say(format_args!(
            "credential:{} until {} (bound by: {})",
            shape.revision, shape.expires_at, shape.bound_by
        ));
    }
    console.show(&shape, || format!("{}\n{}", shape.certificate, shape.key))
}

pub(crate) async fn token(wish: Token, home: &Home, console: &Console) -> Result<(), Failure> {
    let scopes = ScopeSet::new(wish.scopes).map_err(|error| Failure::bad(error.to_string()))?;
    let chain = match &wish.cert {
        Some(file) => certificates_from_pem(console::read(file)?.as_bytes())?,
        None => Vec::new(),
    };
    let application = Application::over(Connection::open(&home.identity()?).await?)?;
    let request =
        TokenRequest { audience: &wish.audience, scopes: &scopes, certificate: chain.first(), ttl: wish.ttl };
    let token = application.token(&request).await?;
    let shape = shapes::Token {
        token: token.reveal(),
        revision: token.revision.get(),
        expires_at: instant(token.expires_at),
        bound_by: token.bound_by.clone(),
    };
    if !console.is_json() {
        console.say(format_args!(
            "credential:{} until {} (bound by: {})",
            shape.revision, shape.expires_at, shape.bound_by
        ));
    }
    console.show(&shape, || shape.token.to_owned())
}
