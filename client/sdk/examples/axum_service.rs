//! A relying party with axum. It follows the broker's feed and judges each request by itself: by the client certificate of
//! the connection and the token of the request, as of now. What is ended is refused, and what it has open is closed.
//!
//! A service that cannot follow asks instead: `listen::Listener::new` with the CAs of its audience, and an
//! `Introspector` for each request. It stops with the broker.
//!
//! ```sh
//! cargo run -p daypass-sdk --features listen,verify --example axum_service -- \
//!     /var/lib/billing/daypass 0.0.0.0:8443 server.pem server-key.pem
//! ```

use std::{env, error::Error, fs};

use axum::{Extension, Router, routing::get};
use daypass_credential::{Name, Scope};
use daypass_sdk::{
    Home, Keeper, Options, PrivateKey,
    listen::{self, Caller, Listener, Protocols, Without},
    verifier::{self, Gate, Granted, Need, Verifier},
};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;

type Fault = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let [home, address, chain, key] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("give the home, the address to listen on, and the server's certificate and key".into());
    };
    let chain = daypass_sdk::certificates_from_pem(&fs::read(chain)?)?;
    let key = PrivateKey::from_pem(&fs::read(key)?)?;
    serve(Home::at(home), TcpListener::bind(address).await?, chain, key).await
}

/// Serves until the program ends.
pub(crate) async fn serve(
    home: Home,
    listener: TcpListener,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKey,
) -> Result<(), Fault> {
    let keeper = Keeper::start(home, &Options::default()).await?;
    let (audience, scope): (Name, Scope) = ("billing".parse()?, "invoices.read".parse()?);
    let verifier = Verifier::start(&keeper.connection(), &verifier::Options::of([audience]))?;
    verifier.ready().await?;

    // Only certificates of this audience, good ones, and for no longer than they are good.
    let (protocols, without) = (Protocols::Both, Without::Refuse);
    let listener = Listener::verified(listener, chain, key.der(), &verifier, protocols, without)?;
    let gate = Gate::new(&verifier, listen::peer, Need::scopes([scope]))
        .on_denied(|denied| eprintln!("{}: {denied}: {:?}", denied.word(), denied.refused()));
    let app = Router::new().route("/invoices", get(invoices)).layer(gate);
    axum::serve(listener, app.into_make_service_with_connect_info::<Caller>()).await?;
    Ok(())
}

/// That somebody may read invoices stands in the signature: without it there is no calling this.
async fn invoices(Extension(granted): Extension<Granted>) -> String {
    let application = granted.token().map_or("nobody", |token| &token.claims().sub);
    format!("invoices for {application}\n")
}
