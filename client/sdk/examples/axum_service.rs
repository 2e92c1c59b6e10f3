//! A relying party with axum: it lets in who holds a client certificate of its audience, and asks the broker with every
//! request whether certificate and token are good. Without a clear yes it refuses.
//!
//! ```sh
//! cargo run -p daypass-sdk --features listen --example axum_service -- \
//!     /var/lib/billing/daypass 0.0.0.0:8443 server.pem server-key.pem
//! ```

use std::{env, error::Error, fs, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    routing::get,
};
use daypass_credential::{Name, Scope};
use daypass_sdk::{
    Home, Introspector, Keeper, Live, Options, PrivateKey,
    listen::{Caller, Listener, Protocols, Terms, Without},
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
    let verifier = Introspector::over(keeper.connection())?;
    let (audience, scope): (Name, Scope) = ("billing".parse()?, "invoices.read".parse()?);

    // Only the CA of this audience: another audience's certificates open nothing here.
    let bundle = keeper.connection().trust_bundle(Some(&audience)).await?;
    let roots = bundle.audiences.into_iter().flat_map(|audience| audience.roots).collect();
    let (without, protocols) = (Without::Refuse, Protocols::Both);
    let listener = Listener::new(listener, Terms { chain, key: key.der(), roots, without, protocols })?;

    let guard = Guard { verifier, audience, scope: Arc::new(scope) };
    let app = Router::new().route("/invoices", get(invoices)).with_state(guard);
    axum::serve(listener, app.into_make_service_with_connect_info::<Caller>()).await?;
    Ok(())
}

/// That somebody may read invoices stands in the signature: without it there is no calling this.
async fn invoices(Granted(live): Granted, State(_): State<Guard>) -> String {
    format!("invoices for {}\n", live.application)
}

/// What is guarded, and who is asked.
#[derive(Clone)]
struct Guard {
    verifier: Introspector,
    audience: Name,
    scope: Arc<Scope>,
}

/// A request whose credential the broker vouches for, now.
struct Granted(Live);

impl FromRequestParts<Guard> for Granted {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, guard: &Guard) -> Result<Self, Self::Rejection> {
        // INVARIANT (the certificate that was seen): the one of this connection, not one that the request names.
        let Some(ConnectInfo(caller)) = parts.extensions.get::<ConnectInfo<Caller>>() else {
            return Err((StatusCode::INTERNAL_SERVER_ERROR, "no connection\n"));
        };
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err((StatusCode::UNAUTHORIZED, "a token is missing\n"));
        };
        match guard.verifier.introspect(token, caller.certificate.as_ref()).await {
            Ok(Some(live)) if live.audience != guard.audience => {
                Err((StatusCode::UNAUTHORIZED, "not good\n"))
            }
            Ok(Some(live)) if !live.scopes.contains(&guard.scope) => {
                Err((StatusCode::FORBIDDEN, "not for this\n"))
            }
            Ok(Some(live)) => Ok(Self(live)),
            Ok(None) => Err((StatusCode::UNAUTHORIZED, "not good\n")),
            // Whoever has no answer refuses.
            Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "cannot check\n")),
        }
    }
}
