//! A `tower` layer for services of axum, tonic and whatever else takes requests of the `http` crate. Each request is judged
//! by the certificate of its connection and the token that it brings; what was let in is watched, and ends at once when
//! what it rests on is cut or expires, or when the verifier is cut off for too long.
//!
//! `admit.rs` decides on a request, `denied.rs` says why not, `answer.rs` what the caller hears of it, `answering.rs` and
//! `body.rs` watch what was let in.

mod admit;
mod answer;
mod answering;
mod body;
mod denied;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use daypass_credential::Scope;
use http::{Extensions, Request, Response, request::Parts};
use hyper::upgrade::OnUpgrade;
use rustls_pki_types::CertificateDer;
use tower::{Layer, Service};

use super::{Certificate, Refused, Token, Verifier, basis::Basis, vigil::Vigil};
use answer::Speech;
pub use answering::Answering;
pub use body::GuardedBody;
pub use denied::Denied;

/// Lets requests through to a service if what they show is good, and watches them from then on. Copies share it.
///
/// It judges for the audience of its verifier. Over one that was made for several it lets nobody in: each gate takes a
/// copy for its own ([`Verifier::only`]).
///
/// What a service does after the answer has begun, and not in a body, is not watched. So nobody inside is handed the
/// connection to go on with in another protocol, as web sockets do, unless the service says so: see [`Gate::upgrading`].
#[derive(Clone)]
pub struct Gate {
    terms: Arc<Terms>,
}

#[derive(Clone)]
struct Terms {
    verifier: Verifier,
    peer: PeerOf,
    needs: Needs,
    upgrading: bool,
    hook: Hook,
}

/// Where the certificate of a request's connection is found: by what the server put into the request's extensions.
pub type PeerOf = for<'a> fn(&'a Extensions) -> Peer<'a>;

type Needs = Arc<dyn Fn(&Parts) -> Option<Need> + Send + Sync>;
type Hook = Arc<dyn Fn(&Denied) + Send + Sync>;

/// Who is at the other end of the connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub enum Peer<'a> {
    /// Nothing is said of the connection: the service is not set up for it, and refuses.
    Unknown,
    /// Somebody who showed no certificate.
    Bare,
    /// Who showed this certificate, whose key the handshake proved.
    Shown(&'a CertificateDer<'static>),
}

/// What a request has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A client certificate, and no token.
    Certificate,
    /// A token with all of these scopes, and the certificate that it is bound to, if it is.
    Token(Arc<[Scope]>),
}

impl Need {
    /// A token with these scopes.
    pub fn scopes(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self::Token(scopes.into_iter().collect())
    }
}

/// Put into the extensions of each request that was let in: what it showed, and that this was good.
#[derive(Debug, Clone)]
pub struct Granted {
    basis: Arc<Basis>,
}

impl Granted {
    /// The token, if one was asked for.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.basis.token.as_ref()
    }

    /// The certificate of the connection, if one was shown.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.basis.certificate.as_ref()
    }

    /// Waits until this is good no more, and says why: for work that goes on outside of the request's bodies.
    pub async fn over(&self) -> Refused {
        Vigil::over(Arc::clone(&self.basis)).wait().await
    }
}

impl Gate {
    /// A gate at which each request needs the same.
    #[must_use]
    pub fn new(verifier: &Verifier, peer: PeerOf, need: Need) -> Self {
        Self::by_request(verifier, peer, move |_| Some(need.clone()))
    }

    /// A gate at which `needs` says of each request what it has to show. Where it says nothing, the request is refused.
    #[must_use]
    pub fn by_request(
        verifier: &Verifier,
        peer: PeerOf,
        needs: impl Fn(&Parts) -> Option<Need> + Send + Sync + 'static,
    ) -> Self {
        let (verifier, needs) = (verifier.clone(), Arc::new(needs));
        let hook = Arc::new(|_: &Denied| ());
        Self { terms: Arc::new(Terms { verifier, peer, needs, upgrading: false, hook }) }
    }

    /// Lets the service go on with a connection in another protocol (`Upgrade` of HTTP/1.1, `CONNECT`). It has to wait for
    /// [`Granted::over`] beside its work there, and to close the connection then: nobody else watches it.
    #[must_use]
    pub fn upgrading(self) -> Self {
        self.with(|terms| terms.upgrading = true)
    }

    /// Tells this hook, and nobody else, why a request was refused, or ended: then once for each body that was cut off. It is
    /// called on the way of the request, and must not wait.
    #[must_use]
    pub fn on_denied(self, hook: impl Fn(&Denied) + Send + Sync + 'static) -> Self {
        self.with(|terms| terms.hook = Arc::new(hook))
    }

    fn with(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        change(Arc::make_mut(&mut self.terms));
        self
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind a [`Gate`].
#[derive(Debug, Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Gated<S>
where
    S: Service<Request<GuardedBody<B>>, Response = Response<R>>,
{
    type Response = Response<GuardedBody<R>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let (terms, speech) = (&self.gate.terms, Speech::of_request(&parts));
        match terms.admit(&parts) {
            Err(denied) => {
                (terms.hook)(&denied);
                Answering::refused(denied, speech)
            }
            Ok(granted) => {
                let watch = Watch { basis: Arc::clone(&granted.basis), speech, hook: terms.hook.clone() };
                parts.extensions.insert(granted);
                if !terms.upgrading {
                    // To refuse the answer would be too late: a connection that closes is handed on whatever was answered.
                    parts.extensions.remove::<OnUpgrade>();
                }
                let body = GuardedBody::of_request(body, watch.clone());
                Answering::under_way(self.inner.call(Request::from_parts(parts, body)), watch)
            }
        }
    }
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for Gated<S> {
    const NAME: &'static str = S::NAME;
}

/// What is to be watched, and how it ends.
#[derive(Clone)]
struct Watch {
    basis: Arc<Basis>,
    speech: Speech,
    hook: Hook,
}

impl Watch {
    /// Tells the hook that it is over, and gives out what it was told.
    fn over(&self, refused: Refused) -> Denied {
        let denied = Denied::Over(refused);
        (self.hook)(&denied);
        denied
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate(…)")
    }
}

#[cfg(test)]
mod tests;
