//! Minting: client certificates into a folder, tokens onto standard output.

use std::path::PathBuf;

use clap::Args;
use daypass_credential::{Name, Scope, ScopeSet, Ttl};
use daypass_proto::v1;
use daypass_sdk::{Application, Directory, Error, Home, TokenRequest};

use super::{application, chain, pair::Pair};
use crate::{console::Console, diagnostics::instant, failure::Failure, shapes};

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
    let application = application(home).await?;
    let pair = Pair::to_be_in(&wish.out)?;
    let _alone = pair.alone()?;
    let minted = application.certificate(&wish.audience, wish.ttl).await;
    let minted = nearer(minted, &wish.audience, &application).await?;
    pair.write(&minted)?;
    let shape = shapes::Certificate {
        certificate: pair.certificate().display().to_string(),
        key: pair.key().display().to_string(),
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
    let certificates = match &wish.cert {
        Some(file) => chain(file)?,
        None => Vec::new(),
    };
    console.must_be_heard()?;
    let application = application(home).await?;
    let request = TokenRequest {
        audience: &wish.audience,
        scopes: &scopes,
        certificate: certificates.first(),
        ttl: wish.ttl,
    };
    let token = nearer(application.token(&request).await, &wish.audience, &application).await?;
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
    console.hand_over(&shape, || shape.token.to_owned())
}

/// Beside a refusal of an audience or a scope: what the application is entitled to, where it is told.
async fn nearer<T>(
    minted: Result<T, Error>,
    audience: &Name,
    application: &Application,
) -> Result<T, Failure> {
    let error = match minted {
        Ok(minted) => return Ok(minted),
        Err(error) => error,
    };
    let about_audience = error.reason() == Some("unknown-audience");
    if !about_audience && error.reason() != Some("scope-not-entitled") {
        return Err(error.into());
    }
    let connection = application.connection();
    let itself = Directory::over(connection.clone()).object(connection.subject()).await;
    let entitled = itself.ok().and_then(|stored| entitlements(stored.object)).unwrap_or_default();
    let next = if about_audience {
        audiences_instead(audience, &entitled)
    } else {
        scopes_instead(audience, &entitled)
    };
    let failure = Failure::from(error);
    Err(match next {
        Some(next) => failure.then(next),
        None => failure,
    })
}

fn entitlements(object: Option<v1::Object>) -> Option<Vec<v1::Entitlement>> {
    match object?.kind? {
        v1::object::Kind::Application(application) => Some(application.entitlements),
        _ => None,
    }
}

fn audiences_instead(audience: &Name, entitled: &[v1::Entitlement]) -> Option<String> {
    let names = || entitled.iter().map(|entitlement| entitlement.audience.as_str());
    let near = names().max_by(|a, b| {
        let like = |name| strsim::jaro_winkler(audience.as_str(), name);
        like(a).total_cmp(&like(b))
    })?;
    let meant = if strsim::jaro_winkler(audience.as_str(), near) > ALIKE {
        format!("did you mean `--audience {near}`? ")
    } else {
        String::new()
    };
    Some(format!(
        "{meant}this application is entitled at {}; an admin can add an audience; more: `daypass explain \
         unknown-audience`",
        names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    ))
}

fn scopes_instead(audience: &Name, entitled: &[v1::Entitlement]) -> Option<String> {
    let there = entitled.iter().find(|entitlement| entitlement.audience == audience.as_str())?;
    Some(format!(
        "ask for a scope that this application is entitled to at {audience} (`{}`), or have an admin add one \
         (`daypass put -f FILE`); more: `daypass explain scope-not-entitled`",
        there.scopes.join("`, `")
    ))
}

/// How like two names have to be for one to be meant by the other.
const ALIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    fn entitled() -> Vec<v1::Entitlement> {
        let at = |audience: &str, scopes: &[&str]| v1::Entitlement {
            audience: audience.into(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
        };
        vec![at("billing", &["invoices.read", "status.read"]), at("shipping", &["parcels.read"])]
    }

    #[test]
    fn the_audience_that_was_probably_meant_is_named() {
        let next = audiences_instead(&"biling".parse().unwrap(), &entitled()).unwrap();
        assert!(next.starts_with("did you mean `--audience billing`? "), "{next}");
        let next = audiences_instead(&"weather".parse().unwrap(), &entitled()).unwrap();
        assert!(next.starts_with("this application is entitled at `billing`, `shipping`"), "{next}");
        assert_eq!(audiences_instead(&"billing".parse().unwrap(), &[]), None);
    }

    #[test]
    fn the_scopes_of_that_audience_are_named() {
        let next = scopes_instead(&"billing".parse().unwrap(), &entitled()).unwrap();
        assert!(next.contains("`invoices.read`, `status.read`") && !next.contains("parcels"), "{next}");
        assert_eq!(scopes_instead(&"weather".parse().unwrap(), &entitled()), None);
    }
}
