//! A partner's sync job: it is enrolled once by a code, and from then on fetches invoices with credentials that live for
//! minutes, which the SDK gets and replaces.
//!
//! ```sh
//! DAYPASS_BROKER=broker.example:7443 DAYPASS_CODE=dpe1-… cargo run -p daypass-sdk --example sync_job -- \
//!     /var/lib/sync/daypass billing.example:8443 billing-ca.pem
//! ```

use std::{env, error::Error, fs, path::Path, sync::Arc};

use bytes::Bytes;
use daypass_sdk::{Application, Credential, Credentials, Event, Home, Keeper, Observer, Options};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Fault = Box<dyn Error + Send + Sync>;

/// The service that the job fetches from.
pub(crate) struct Service {
    /// As `host:port`.
    pub(crate) address: String,
    /// Whose certificates to take for it.
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let [home, address, roots] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("give the home, the service as host:port, and the file with its CA".into());
    };
    let home = Home::at(home);
    if !home.is_taken()? {
        enroll(&home, &env::var("DAYPASS_BROKER")?, &env::var("DAYPASS_CODE")?).await?;
    }
    let roots = daypass_sdk::certificates_from_pem(&fs::read(Path::new(roots))?)?;
    let invoices = run(home, &Service { address: address.clone(), roots }).await?;
    println!("{invoices}");
    Ok(())
}

/// Once in the job's life. If it breaks off, it can simply be run again.
pub(crate) async fn enroll(home: &Home, broker: &str, code: &str) -> Result<(), Fault> {
    daypass_sdk::enroll_with(home, &broker.parse()?, &code.parse()?, None, &options()).await?;
    Ok(())
}

/// One run of the job.
pub(crate) async fn run(home: Home, service: &Service) -> Result<String, Fault> {
    // Both live for as long as the program does.
    let keeper = Keeper::start(home, &options()).await?;
    let credentials = Credentials::of(Application::over(keeper.connection())?);

    let (audience, scopes) = ("billing".parse()?, "invoices.read".parse()?);
    let credential = credentials.credential(&audience, &scopes).await?;
    let (status, body) = get(service, &credential).await?;
    if status != StatusCode::UNAUTHORIZED || !credentials.turned_down(&credential) {
        return answer(status, body);
    }
    // What it rests on may have changed since it was minted: a new one tells.
    let credential = credentials.credential(&audience, &scopes).await?;
    let (status, body) = get(service, &credential).await?;
    answer(status, body)
}

fn answer(status: StatusCode, body: String) -> Result<String, Fault> {
    if status.is_success() { Ok(body) } else { Err(format!("{status}: {body}").into()) }
}

/// Shows the certificate in the handshake and the token in the request: both of one credential.
async fn get(service: &Service, credential: &Credential) -> Result<(StatusCode, String), Fault> {
    let tls = TlsConnector::from(Arc::new(credential.proof().client_config(&service.roots)?));
    let (host, _) = service.address.rsplit_once(':').ok_or("the service's address has no port")?;
    let stream = TcpStream::connect(&service.address).await?;
    let stream = tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/invoices")
        .header(header::HOST, &service.address)
        .header(header::AUTHORIZATION, format!("Bearer {}", credential.token().reveal()))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Patient, and not silent about what it waits for.
fn options() -> Options {
    let observer = Observer::new(|event| match event {
        Event::Retrying { error, pause } => eprintln!("again in {pause:?}: {error}"),
        Event::RenewalFailed { error, .. } => eprintln!("the identity is not renewed: {error}"),
        Event::LogRefused { error } => eprintln!("not the broker that it was: {error}"),
        Event::LogNotSeen { error } => eprintln!("ended, without a look at the log before: {error}"),
        Event::MintFailed { error } => eprintln!("no new credential: {error}"),
        Event::Renewed { .. } | Event::Minted { .. } => {}
    });
    Options { observer, ..Options::default() }
}
