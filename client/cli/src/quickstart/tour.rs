//! The tour itself: begin, enrol, mint, use, ask too much, offboard, be refused, stop.

use std::{fmt::Display, path::Path, str::FromStr};

use daypass_credential::{EnrollmentCode, ScopeSet};
use daypass_sdk::{
    Address, Application, ClientCertificate, Connection, Directory, Error, Token, TokenRequest,
    verifier::{self, Verifier},
};
use http::StatusCode;

use super::{
    caller::{self, Answer},
    receipt,
    service::Service,
    steps::{Outcome, Steps},
};
use crate::{
    broker_process::{Begun, BrokerProcess, Site},
    diagnostics::instant,
    example::{self, KeyFiles},
    failure::Failure,
};

/// A walk through everything, in a folder with a broker's site in it.
#[derive(Debug)]
pub(super) struct Tour<'a> {
    folder: &'a Path,
    site: &'a Site,
    broker: Option<BrokerProcess>,
    address: Option<Address>,
}

/// Who takes part.
struct Parties {
    admin: Directory,
    application: Application,
    verifier: Connection,
}

/// What the application holds.
struct Passes {
    certificate: ClientCertificate,
    token: Token,
}

impl<'a> Tour<'a> {
    pub(super) const fn new(folder: &'a Path, site: &'a Site) -> Self {
        Self { folder, site, broker: None, address: None }
    }

    /// All of it, step by step; the first that does not go as expected ends it.
    pub(super) async fn walk(&mut self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let parties = self.begin(steps).await?;
        let application = &parties.application;
        let certificate = steps.take("mint-certificate", mint_certificate(application)).await?;
        let token = steps.take("mint-token", mint_token(application, &certificate)).await?;
        let passes = Passes { certificate, token };
        let service = steps.take("start-service", start_service(&parties.verifier)).await?;
        steps.take("use-service", use_service(&service, &passes)).await?;
        steps.take("ask-too-much", ask_too_much(application, &passes)).await?;
        steps.take("offboard-vendor", offboard_vendor(&parties.admin)).await?;
        steps.take("get-receipt", get_receipt(&parties.admin)).await?;
        steps.take("service-refuses", service_refuses(&service, &passes)).await?;
        steps.take("broker-refuses", broker_refuses(application, &passes)).await?;
        match self.broker.take() {
            Some(broker) => steps.take("stop-broker", stop(broker)).await,
            None => Err(Failure::Internal("the broker is gone".into())),
        }
    }

    /// A broker that runs, a directory with something in it, and somebody to play each part.
    async fn begin(&mut self, steps: &mut Steps<'_>) -> Result<Parties, Failure> {
        let key = steps.take("admin-key", admin_key(self.folder)).await?;
        let code = steps.take("init-broker", init(self.site, &key)).await?;
        let broker = steps.take("start-broker", start(self.site)).await?;
        let address = broker.address().clone();
        self.broker = Some(broker);
        self.address = Some(address.clone());
        let admin = enroll_admin(self.folder, &address, &code, key);
        let admin = steps.take("enroll-admin", admin).await?;
        steps.take("load-example", load(&admin)).await?;
        let enroll = |subject| enroll(self.folder, &address, &admin, subject);
        let application = steps.take("enroll-application", enroll("application:invoice-sync")).await?;
        let verifier = steps.take("enroll-verifier", enroll("verifier:billing-api")).await?;
        Ok(Parties { admin, application: Application::over(application)?, verifier })
    }

    /// Sees to it that no broker is left behind, and says where it was.
    pub(super) async fn leave(self) -> (Option<Address>, Result<(), Failure>) {
        let stopped = match self.broker {
            Some(broker) => broker.stop().await,
            None => Ok(()),
        };
        (self.address, stopped)
    }
}

type Stepped<T> = Result<Outcome<T>, Failure>;

async fn admin_key(folder: &Path) -> Stepped<KeyFiles> {
    let key = example::admin_key(folder)?;
    Ok(Outcome::done(key, "P-256; only its public half goes near the broker"))
}

async fn init(site: &Site, key: &KeyFiles) -> Stepped<EnrollmentCode> {
    let begun = site.init(example::ADMIN, &key.public).await?;
    let code = begun.code()?;
    let Begun { era, root_sha256, .. } = begun;
    let root: String = root_sha256.chars().take(16).collect();
    Ok(Outcome::done(code, format!("era {era}, root sha256 {root}…")))
}

async fn start(site: &Site) -> Stepped<BrokerProcess> {
    let broker = site.serve().await?;
    let process = broker.id().unwrap_or_default();
    let note = format!("process {process} listens on {}", broker.address());
    Ok(Outcome::done(broker, note))
}

async fn enroll_admin(
    folder: &Path,
    broker: &Address,
    code: &EnrollmentCode,
    key: KeyFiles,
) -> Stepped<Directory> {
    let identity = example::enroll_admin(folder, broker, code, key.key).await?;
    let connection = Connection::open(&identity).await?;
    let note = format!("{} until {}", identity.subject(), instant(identity.expires_at()));
    Ok(Outcome::done(Directory::over(connection), note))
}

async fn load(admin: &Directory) -> Stepped<()> {
    let count = example::load(admin).await?;
    Ok(Outcome::done((), format!("{count} objects; vendor:skiff sits under vendor:harbor")))
}

async fn enroll(folder: &Path, broker: &Address, admin: &Directory, subject: &str) -> Stepped<Connection> {
    let connection = example::enroll(folder, broker, admin, &known(subject)?).await?;
    let pong = connection.ping().await?;
    Ok(Outcome::done(connection, format!("{} by one-time code, as instance {}", pong.subject, pong.identity)))
}

async fn mint_certificate(application: &Application) -> Stepped<ClientCertificate> {
    let certificate = application.certificate(&known(AUDIENCE)?, None).await?;
    let note = minted(certificate.revision, certificate.expires_at, &certificate.bound_by);
    Ok(Outcome::done(certificate, note))
}

async fn mint_token(application: &Application, certificate: &ClientCertificate) -> Stepped<Token> {
    let token = ask(application, certificate, ENTITLED).await?;
    let note = minted(token.revision, token.expires_at, &token.bound_by);
    Ok(Outcome::done(token, format!("{note}; bound to the certificate")))
}

async fn start_service(connection: &Connection) -> Stepped<Service> {
    let audience = known(AUDIENCE)?;
    let bundle = connection.trust_bundle(Some(&audience)).await?;
    let roots: Vec<_> = bundle.audiences.into_iter().flat_map(|audience| audience.roots).collect();
    let verifier = Verifier::start(connection, &verifier::Options::of([audience]))?;
    verifier.ready().await?;
    let service = Service::start(known(ENTITLED)?, &roots, verifier).await?;
    let note =
        format!("mTLS on {}; trusts the CA of {AUDIENCE} alone, and follows the feed", service.address);
    Ok(Outcome::done(service, note))
}

async fn use_service(service: &Service, passes: &Passes) -> Stepped<()> {
    let answer = caller::call(service, &passes.certificate, &passes.token).await?;
    match answer {
        Answer { status: StatusCode::OK, .. } => {
            Ok(Outcome::done((), "200: certificate and token are good, and nobody had to be asked"))
        }
        other => Err(unexpected("200", &other)),
    }
}

async fn ask_too_much(application: &Application, passes: &Passes) -> Stepped<()> {
    refused("scope-not-entitled", ask(application, &passes.certificate, NOT_ENTITLED).await)
}

async fn offboard_vendor(admin: &Directory) -> Stepped<()> {
    let ended = admin.connection().offboard(&known(VENDOR)?, "the quickstart is over").await?;
    let note =
        format!("vendor:{VENDOR} ended at revision {}: one commit, whatever lives under it", ended.revision);
    Ok(Outcome::done((), note))
}

async fn get_receipt(admin: &Directory) -> Stepped<()> {
    let receipt = receipt::get(admin.connection(), &known(VENDOR)?).await?;
    Ok(Outcome::done((), receipt))
}

async fn service_refuses(service: &Service, passes: &Passes) -> Stepped<()> {
    let answer = caller::call(service, &passes.certificate, &passes.token).await?;
    match answer {
        Answer { status: StatusCode::UNAUTHORIZED, error: Some(error) } => Ok(Outcome::refused(
            (),
            error,
            "401 for the same certificate and token, and nobody had to be asked",
        )),
        other => Err(unexpected("401", &other)),
    }
}

async fn broker_refuses(application: &Application, passes: &Passes) -> Stepped<()> {
    refused("caller-dead", ask(application, &passes.certificate, ENTITLED).await)
}

async fn stop(broker: BrokerProcess) -> Stepped<()> {
    broker.stop().await?;
    Ok(Outcome::done((), "told to, it drained and ended well"))
}

async fn ask(
    application: &Application,
    certificate: &ClientCertificate,
    scope: &str,
) -> Result<Token, Failure> {
    let (audience, scopes): (_, ScopeSet) = (known(AUDIENCE)?, known(scope)?);
    let request = TokenRequest {
        audience: &audience,
        scopes: &scopes,
        certificate: Some(certificate.leaf()),
        ttl: None,
    };
    Ok(application.token(&request).await?)
}

/// It has to have been refused, for this reason.
fn refused(reason: &str, asked: Result<Token, Failure>) -> Stepped<()> {
    match asked {
        Err(Failure::Sdk(Error::Refused(refusal))) if refusal.reason == reason => {
            Ok(Outcome::refused((), refusal.reason, refusal.message))
        }
        Err(other) => Err(other),
        Ok(_) => Err(Failure::Internal(format!("a token was given out, where `{reason}` was expected"))),
    }
}

fn unexpected(wanted: &str, answer: &Answer) -> Failure {
    let error = answer.error.as_deref().unwrap_or("no reason");
    Failure::Internal(format!(
        "the service answered {} ({error}), where {wanted} was expected",
        answer.status.as_u16()
    ))
}

fn minted(revision: impl Display, expires_at: daypass_credential::Timestamp, bound_by: &str) -> String {
    format!("credential:{revision} until {}, bound by: {bound_by}", instant(expires_at))
}

/// A name of the example's, which is right.
fn known<T: FromStr<Err: Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::Internal(format!("the example is broken: {error}")))
}

const VENDOR: &str = "harbor";
const AUDIENCE: &str = "billing";
const ENTITLED: &str = "invoices.read";
const NOT_ENTITLED: &str = "invoices.write";
