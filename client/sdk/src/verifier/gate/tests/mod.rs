//! The gate without sockets: who is let in, what is heard by whom is not, and when that turns.

mod ending;
#[cfg(feature = "listen")]
mod wire;

use std::{convert::Infallible, sync::Mutex};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use http_body_util::{Empty, Full};
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::{
    Proof,
    verifier::forge::{Claim, Forge, LIMIT, Leaf},
};

/// What a server knows of a connection.
#[derive(Clone)]
struct Shown(Option<CertificateDer<'static>>);

fn peer(extensions: &Extensions) -> Peer<'_> {
    match extensions.get::<Shown>() {
        None => Peer::Unknown,
        Some(Shown(None)) => Peer::Bare,
        Some(Shown(Some(certificate))) => Peer::Shown(certificate),
    }
}

fn read() -> Need {
    Need::scopes(["invoices.read".parse().unwrap()])
}

/// A request over a connection with this certificate, with these `Authorization` headers.
fn request<B: Default>(shown: Option<&Proof>, authorization: &[&str]) -> Request<B> {
    let mut request = Request::new(B::default());
    request.extensions_mut().insert(Shown(shown.map(|proof| proof.chain[0].clone())));
    for value in authorization {
        request.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn bearing(shown: Option<&Proof>, token: &str) -> Request<Empty<Bytes>> {
    request(shown, &[&format!("Bearer {token}")])
}

type Ok200 = Response<Full<Bytes>>;

async fn fine<B>(_: Request<B>) -> Result<Ok200, Infallible> {
    Ok(Response::new(Full::from("fine")))
}

/// What a gate answers to a request.
async fn answer(gate: &Gate, request: Request<Empty<Bytes>>) -> Response<GuardedBody<Full<Bytes>>> {
    gate.layer(service_fn(fine)).oneshot(request).await.unwrap()
}

/// The status, and the challenge if there is one.
async fn heard(gate: &Gate, request: Request<Empty<Bytes>>) -> (u16, Option<String>) {
    let response = answer(gate, request).await;
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    (response.status().as_u16(), challenge.map(|value| value.to_str().unwrap().to_owned()))
}

/// The same as a call of gRPC.
fn as_grpc<B>(mut request: Request<B>) -> Request<B> {
    let kind = HeaderValue::from_static("application/grpc+proto");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    (*request.method_mut(), *request.version_mut()) = (Method::POST, Version::HTTP_2);
    request
}

/// The status of gRPC for the same request.
async fn heard_by_grpc(gate: &Gate, request: Request<Empty<Bytes>>) -> Option<String> {
    let response = answer(gate, as_grpc(request)).await;
    assert_eq!(response.status(), StatusCode::OK, "gRPC has its own");
    response.headers().get("grpc-status").map(|value| value.to_str().unwrap().to_owned())
}

/// A broker, a certificate, and a token that is bound to it.
struct Scene {
    forge: Forge,
    proof: Proof,
    token: String,
}

impl Scene {
    fn new() -> Self {
        let forge = Forge::new();
        let proof = forge.billing.proof(&Leaf::default());
        let token = forge.token(&Claim { bound: Some(&proof), ..Claim::default() });
        Self { forge, proof, token }
    }

    fn gate(&self) -> Gate {
        Gate::new(&self.forge.verifier, peer, read())
    }

    fn good(&self) -> Request<Empty<Bytes>> {
        bearing(Some(&self.proof), &self.token)
    }
}

const INVALID: (u16, Option<&str>) = (401, Some(r#"Bearer error="invalid_token""#));
const UNREADABLE: (u16, Option<&str>) = (400, Some(r#"Bearer error="invalid_request""#));
const FORBIDDEN: (u16, Option<&str>) = (403, None);
const SHOW: (u16, Option<&str>) = (401, Some("Bearer"));

fn owned((status, challenge): (u16, Option<&str>)) -> (u16, Option<String>) {
    (status, challenge.map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn who_shows_what_is_needed_is_let_in_and_known_to_the_service() {
    let scene = Scene::new();
    let service = scene.gate().layer(service_fn(async |request: Request<_>| {
        let granted = request.extensions().get::<Granted>().unwrap();
        let (token, shown) = (granted.token().unwrap(), granted.certificate().unwrap());
        let said = format!("{} as {}", token.claims().sub, shown.subject());
        drop::<GuardedBody<Empty<Bytes>>>(request.into_body());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(said)))
    }));
    let response = service.oneshot(scene.good()).await.unwrap();
    assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(24), "a length is told as before");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "sync as application:sync");
}

#[tokio::test(start_paused = true)]
async fn each_way_of_not_showing_it_is_refused() {
    let Scene { forge, proof, token } = Scene::new();
    let gate = Gate::new(&forge.verifier, peer, read());
    let other = forge.billing.proof(&Leaf { instance: "i2", revision: 43, ..Leaf::default() });
    let payroll = forge.payroll.proof(&Leaf::default());
    let foreign = Forge::new().billing.proof(&Leaf::default());
    let status = forge.token(&Claim { scope: "status.read", bound: Some(&proof), ..Claim::default() });
    let unbound = forge.token(&Claim::default());
    let (bent, huge) = (format!("{token}A"), "a".repeat(9_000));
    let (lower, spaced) = (format!("bearer {token}"), format!("BEARER   {token}"));
    let bearer = |token: &str| format!("Bearer {token}");
    let shown = Some(&proof);
    let cases: Vec<(&str, Request<_>, _, Option<&str>)> = vec![
        ("good", bearing(shown, &token), (200, None), None),
        ("in small letters", request(shown, &[&lower]), (200, None), None),
        ("in capitals, far apart", request(shown, &[&spaced]), (200, None), None),
        ("bound to nothing", bearing(None, &unbound), (200, None), None),
        ("no header", request(shown, &[]), SHOW, Some("16")),
        ("another scheme", request(shown, &["Basic YTpi"]), SHOW, Some("16")),
        ("no token", request(shown, &["Bearer"]), UNREADABLE, Some("16")),
        ("two words", request(shown, &["Bearer a b"]), UNREADABLE, Some("16")),
        ("twice the same", request(shown, &[&bearer(&token), &bearer(&token)]), UNREADABLE, Some("16")),
        ("another scheme first", request(shown, &["Basic YTpi", &bearer(&token)]), UNREADABLE, Some("16")),
        ("bent", bearing(shown, &bent), INVALID, Some("16")),
        ("huge", bearing(shown, &huge), INVALID, Some("16")),
        ("another connection's", bearing(Some(&other), &token), INVALID, Some("16")),
        ("a connection's without certificate", bearing(None, &token), INVALID, Some("16")),
        ("over a foreign certificate", bearing(Some(&foreign), &unbound), INVALID, Some("16")),
        ("over another audience's certificate", bearing(Some(&payroll), &token), INVALID, Some("16")),
        (
            "for something else",
            bearing(shown, &status),
            (403, Some(r#"Bearer error="insufficient_scope""#)),
            Some("7"),
        ),
        ("from nowhere", Request::new(Empty::new()), (500, None), Some("13")),
    ];
    for (what, request, expected, grpc) in cases {
        assert_eq!(heard(&gate, request.clone()).await, owned(expected), "{what}");
        assert_eq!(heard_by_grpc(&gate, request).await.as_deref(), grpc, "{what}");
    }
    // Not the header alone may be missing: a token elsewhere is no token.
    let mut asked = request(shown, &[]);
    *asked.uri_mut() = format!("/invoices?access_token={token}").parse().unwrap();
    assert_eq!(heard(&gate, asked).await, owned(SHOW));
}

#[tokio::test(start_paused = true)]
async fn no_refusal_looks_like_success_because_a_header_says_grpc() {
    let scene = Scene::new();
    let bare = || as_grpc(request(Some(&scene.proof), &[]));
    let (mut old, mut get) = (bare(), bare());
    *old.version_mut() = Version::HTTP_11;
    *get.method_mut() = Method::GET;
    assert_eq!(heard(&scene.gate(), old).await, owned(SHOW));
    assert_eq!(heard(&scene.gate(), get).await, owned(SHOW));
}

#[tokio::test(start_paused = true)]
async fn where_a_certificate_is_enough_no_token_is_asked_for() {
    let Scene { forge, proof, .. } = Scene::new();
    let gate = Gate::new(&forge.verifier, peer, Need::Certificate);
    assert_eq!(heard(&gate, request(Some(&proof), &[])).await, owned((200, None)));
    assert_eq!(heard(&gate, request(None, &[])).await, owned(FORBIDDEN));
    let ca = Proof { chain: vec![CertificateDer::from(vec![1; 20_000])], ..proof.clone() };
    assert_eq!(heard(&gate, request(Some(&ca), &[])).await, owned(INVALID));
    forge.cut("identity:i1");
    assert_eq!(heard(&gate, request(Some(&proof), &[])).await, owned(INVALID));
}

#[tokio::test(start_paused = true)]
async fn each_request_can_need_something_else_and_one_that_nobody_thought_of_is_refused() {
    let scene = Scene::new();
    let gate = Gate::by_request(&scene.forge.verifier, peer, |parts| match parts.uri.path() {
        "/invoices" => Some(read()),
        "/rates" => Some(Need::Certificate),
        _ => None,
    });
    let at = |path: &'static str, mut request: Request<Empty<Bytes>>| {
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    let bare = || request(Some(&scene.proof), &[]);
    assert_eq!(heard(&gate, at("/invoices", scene.good())).await, owned((200, None)));
    assert_eq!(heard(&gate, at("/invoices", bare())).await, owned(SHOW));
    assert_eq!(heard(&gate, at("/rates", bare())).await, owned((200, None)));
    assert_eq!(heard(&gate, at("/", scene.good())).await, owned(FORBIDDEN));
}

#[tokio::test(start_paused = true)]
async fn a_gate_for_one_audience_takes_no_credential_of_another() {
    let forge = Forge::new();
    let payroll = forge.payroll.proof(&Leaf::default());
    let token = forge.token(&Claim { audience: "payroll", ..Claim::default() });
    let bound = forge.token(&Claim { audience: "payroll", bound: Some(&payroll), ..Claim::default() });
    let of = |audience: &str| {
        let verifier = forge.both.only(&audience.parse().unwrap()).unwrap();
        Gate::new(&verifier, peer, read())
    };
    let (both, billing, payroll_gate) = (Gate::new(&forge.both, peer, read()), of("billing"), of("payroll"));
    for (shown, token) in [(None, &token), (Some(&payroll), &bound)] {
        assert_eq!(heard(&payroll_gate, bearing(shown, token)).await, owned((200, None)));
        assert_eq!(heard(&billing, bearing(shown, token)).await, owned(INVALID));
        assert_eq!(heard(&both, bearing(shown, token)).await, owned((500, None)), "nothing says which");
        assert_eq!(heard_by_grpc(&both, bearing(shown, token)).await.as_deref(), Some("13"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_refuses_the_next_request() {
    for node in ["vendor:acme", "application:sync", "identity:i1", "audience:billing", "credential:42"] {
        let scene = Scene::new();
        let gate = scene.gate();
        assert_eq!(heard(&gate, scene.good()).await, owned((200, None)));
        scene.forge.cut("vendor:other");
        assert_eq!(heard(&gate, scene.good()).await, owned((200, None)), "another's end is none of its");
        scene.forge.cut(node);
        assert_eq!(heard(&gate, scene.good()).await, owned(INVALID), "{node}");
    }
}

#[tokio::test(start_paused = true)]
async fn expiry_and_silence_refuse_from_their_very_instant() {
    let Scene { forge, proof, .. } = Scene::new();
    let token = forge.token(&Claim { bound: Some(&proof), lasts: 10, ..Claim::default() });
    let gate = Gate::new(&forge.verifier, peer, read());
    forge.skip(9_999);
    assert_eq!(heard(&gate, bearing(Some(&proof), &token)).await, owned((200, None)));
    forge.skip(1);
    assert_eq!(heard(&gate, bearing(Some(&proof), &token)).await, owned(INVALID));

    let scene = Scene::new();
    let gate = scene.gate();
    scene.forge.skip(LIMIT.as_millis() - 1);
    assert_eq!(heard(&gate, scene.good()).await, owned((200, None)));
    scene.forge.skip(1);
    assert_eq!(heard(&gate, scene.good()).await, owned((503, None)));
    assert_eq!(heard_by_grpc(&gate, scene.good()).await.as_deref(), Some("14"));
    let response = answer(&gate, scene.good()).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    scene.forge.refresh();
    assert_eq!(heard(&gate, scene.good()).await, owned((200, None)), "it recovers by itself");
}

#[tokio::test(start_paused = true)]
async fn before_anything_came_nobody_is_let_in() {
    let forge = Forge::silent();
    let (proof, token) = (forge.billing.proof(&Leaf::default()), forge.token(&Claim::default()));
    let gate = Gate::new(&forge.verifier, peer, read());
    assert_eq!(heard(&gate, bearing(None, &token)).await, owned((503, None)));
    assert_eq!(heard(&gate, bearing(Some(&proof), &token)).await, owned((503, None)));
    forge.snapshot();
    assert_eq!(heard(&gate, bearing(None, &token)).await, owned((503, None)), "keys prove nothing");
    forge.refresh();
    assert_eq!(heard(&gate, bearing(None, &token)).await, owned((200, None)));
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_told_to_the_hook_alone() {
    let Scene { forge, proof, token } = Scene::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let gate = Gate::new(&forge.verifier, peer, read()).on_denied(move |denied| {
        let reason = denied.refused().map(Refused::word).unwrap_or_default();
        tell.lock().unwrap().push((denied.word(), reason));
    });
    heard(&gate, bearing(Some(&proof), &token)).await;
    assert!(told.lock().unwrap().is_empty(), "nothing is told of what was let in");
    heard(&gate, request(Some(&proof), &[])).await;
    heard(&gate, bearing(None, &token)).await;
    forge.cut("vendor:acme");
    let response = answer(&gate, bearing(Some(&proof), &token)).await;
    let unbound = forge.token(&Claim::default());
    heard(&gate, bearing(None, &unbound)).await;
    let expected =
        [("no-token", ""), ("token", "certificate-missing"), ("certificate", "cut"), ("token", "cut")];
    assert_eq!(*told.lock().unwrap(), expected);
    let answered = format!("{:?} {:?}", response.status(), response.headers());
    assert!(!answered.contains("acme") && !answered.contains("cut"), "{answered}");
}
