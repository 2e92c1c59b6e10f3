//! A relying party with tonic. Its one service is the standard health check, standing for any: each call is let in only
//! if the broker vouches for the certificate of the connection and the token of the call.
//!
//! ```sh
//! cargo run -p daypass-sdk --features listen --example tonic_service -- \
//!     /var/lib/billing/daypass 0.0.0.0:8443 server.pem server-key.pem
//! ```

use std::{env, error::Error, fs};

use daypass_credential::{Name, Scope};
use daypass_sdk::{
    Home, Introspector, Keeper, Live, Options, PrivateKey,
    listen::{Caller, Listener, Protocols, Terms, Without},
};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_stream::Empty;
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
    let verifier = Introspector::over(keeper.connection())?;
    let (audience, scope): (Name, Scope) = ("billing".parse()?, "invoices.read".parse()?);
    let bundle = keeper.connection().trust_bundle(Some(&audience)).await?;
    let roots = bundle.audiences.into_iter().flat_map(|audience| audience.roots).collect();
    let (without, protocols) = (Without::Refuse, Protocols::Http2);
    let listener = Listener::new(listener, Terms { chain, key: key.der(), roots, without, protocols })?;
    let service = HealthServer::new(Guarded { verifier, audience, scope });
    Server::builder().add_service(service).serve_with_incoming(listener.incoming()).await?;
    Ok(())
}

/// A service that lets nobody in unasked.
struct Guarded {
    verifier: Introspector,
    audience: Name,
    scope: Scope,
}

impl Guarded {
    /// What the broker says of whoever makes this call, now.
    async fn admit<T>(&self, request: &Request<T>) -> Result<Live, Status> {
        let caller = request.extensions().get::<Caller>().ok_or_else(|| Status::internal("no connection"))?;
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Status::unauthenticated("a token is missing"))?;
        // Whoever has no answer refuses.
        let live = self.verifier.introspect(token, caller.certificate.as_ref()).await;
        let live = live.map_err(|_| Status::unavailable("cannot check"))?;
        match live.filter(|live| live.audience == self.audience) {
            None => Err(Status::unauthenticated("not good")),
            Some(live) if !live.scopes.contains(&self.scope) => {
                Err(Status::permission_denied("not for this"))
            }
            Some(live) => Ok(live),
        }
    }
}

#[tonic::async_trait]
impl Health for Guarded {
    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.admit(&request).await?;
        let status = ServingStatus::Serving as i32;
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.admit(&request).await?;
        Ok(Response::new(tokio_stream::empty()))
    }
}
