//! A relying party with tonic. Its one service is the standard health check, standing for any: each call is judged by the
//! certificate of its connection and the token that it brings, against what the broker pushes. A call that is streaming
//! ends with `UNAUTHENTICATED` as soon as its credential does.
//!
//! ```sh
//! cargo run -p daypass-sdk --features listen,verify --example tonic_service -- \
//!     /var/lib/billing/daypass 0.0.0.0:8443 server.pem server-key.pem
//! ```

use std::{env, error::Error, fs, pin::Pin};

use daypass_credential::{Name, Scope};
use daypass_sdk::{
    Home, Keeper, Options, PrivateKey,
    listen::{self, Listener, Protocols, Without},
    verifier::{self, Gate, Need, Verifier},
};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, transport::Server};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_server::{Health, HealthServer},
    },
};

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

    let (protocols, without) = (Protocols::Http2, Without::Refuse);
    let listener = Listener::verified(listener, chain, key.der(), &verifier, protocols, without)?;
    let gate = Gate::new(&verifier, listen::peer, Need::scopes([scope]));
    let server = Server::builder().layer(gate).add_service(HealthServer::new(Serving));
    server.serve_with_incoming(listener.incoming()).await?;
    Ok(())
}

/// A service that is not asked by anybody whom the gate did not let in.
struct Serving;

#[tonic::async_trait]
impl Health for Serving {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        // It never changes, and so the stream stays open.
        let stream = tokio_stream::iter([Ok(serving())]).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(stream)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving as i32 }
}
