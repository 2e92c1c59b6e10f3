//! Bad input over the wire: a clear typed answer to each, and nothing changed but the log.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_credential::{EnrollmentCode, NodeKind};
use daypass_proto::v1::{
    self, credential_service_client::CredentialServiceClient,
    diagnostics_service_client::DiagnosticsServiceClient, enrollment_service_client::EnrollmentServiceClient,
    object::Kind,
};
use daypass_sdk::{
    Application, Connection, Directory, Error, PrivateKey, Proof, TokenRequest, Trust, connect,
};
use support::{
    Broker, World, application, audience, contract, id, mint, name, object, reason, scopes, token,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The code and the reason of a refusal.
fn said<T>(answer: Result<T, Status>) -> (Code, String) {
    let Err(status) = answer else { panic!("it was not refused") };
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(info.domain, "daypass");
    (status.code(), info.reason.clone())
}

fn refused<T>(answer: Result<T, Status>, code: Code, reason: &str) {
    assert_eq!(said(answer), (code, reason.to_owned()));
}

/// The root that a broker's own codes name.
fn pin(broker: &Broker) -> Trust {
    Trust::Pin(broker.first_code().root())
}

async fn enroll_raw(broker: &Broker, code: &str, csr: Vec<u8>) -> Result<v1::EnrollResponse, Status> {
    let channel = connect(broker.address(), &pin(broker), None).await.unwrap();
    let request = v1::EnrollRequest { code: code.to_owned(), csr: csr.into() };
    EnrollmentServiceClient::new(channel).enroll(request).await.map(tonic::Response::into_inner)
}

fn csr() -> Vec<u8> {
    PrivateKey::generate().unwrap().csr().unwrap()
}

#[tokio::test]
async fn a_code_works_once_and_a_second_key_suspends_what_it_led_to() {
    let mut world = World::new().await;
    let code = world.code("application:sync").await.reveal();
    let first = csr();
    enroll_raw(&world.broker, &code, first.clone()).await.unwrap();
    let again = enroll_raw(&world.broker, &code, first).await.unwrap();
    assert_eq!(again.subject, "application:sync", "the same key lost its answer");
    let identities = Directory::over(world.admin.clone()).all(NodeKind::Identity).await.unwrap();
    let of_sync = |stored: &&v1::StoredObject| match stored.object.as_ref().and_then(|o| o.kind.as_ref()) {
        Some(Kind::Identity(identity)) => identity.subject == "application:sync",
        _ => false,
    };
    let identity = identities.iter().find(of_sync).unwrap();
    assert_eq!(identity.life(), v1::Life::Open);
    refused(enroll_raw(&world.broker, &code, csr()).await, Code::Unauthenticated, "code-spent");
    let now = Directory::over(world.admin.clone()).object(&id(&identity.id)).await.unwrap();
    assert_eq!(now.life(), v1::Life::Suspended);
    let mark = world.revision().await;
    refused(enroll_raw(&world.broker, &code, csr()).await, Code::Unauthenticated, "code-spent");
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn codes_that_do_not_do() {
    let mut world = World::new().await;
    let other = Broker::init("");
    let own_root = world.broker.first_code().root();
    let unknown = EnrollmentCode::new([7; 16], own_root).reveal();
    let mark = world.revision().await;
    let broker = &world.broker;
    refused(enroll_raw(broker, &unknown, csr()).await, Code::Unauthenticated, "code-unknown");
    let strange = other.first_code().reveal();
    refused(enroll_raw(broker, &strange, csr()).await, Code::Unauthenticated, "code-for-other-broker");
    refused(enroll_raw(broker, "dpe1-nonsense", csr()).await, Code::InvalidArgument, "bad-request");
    let first = broker.first_code().reveal();
    refused(enroll_raw(broker, &first, csr()).await, Code::Unauthenticated, "other-key-expected");
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn a_code_is_void_once_its_time_is_over_or_it_was_withdrawn() {
    let mut world = World::new().await;
    let directory = Directory::over(world.admin.clone());
    let sync = id("application:sync");
    let short = directory.open_enrollment(&sync, Some("1s".parse().unwrap())).await.unwrap();
    let withdrawn = directory.open_enrollment(&sync, None).await.unwrap();
    world.admin.end(&withdrawn.id, "sent to the wrong address").await.unwrap();
    let mark = world.revision().await;
    let answer = enroll_raw(&world.broker, &withdrawn.code.reveal(), csr()).await;
    refused(answer, Code::Unauthenticated, "code-withdrawn");
    support::reached(short.expires_at).await;
    let answer = enroll_raw(&world.broker, &short.code.reveal(), csr()).await;
    refused(answer, Code::Unauthenticated, "code-expired");
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn the_first_code_enrols_the_admins_key_alone() {
    let broker = Broker::start().await;
    let code = broker.first_code().reveal();
    refused(enroll_raw(&broker, &code, csr()).await, Code::Unauthenticated, "other-key-expected");
    let csr = broker.admin_key().csr().unwrap();
    assert_eq!(enroll_raw(&broker, &code, csr).await.unwrap().subject, "person:dana");
}

#[tokio::test]
async fn a_code_of_another_broker_is_seen_before_anything_is_sent() {
    let (here, there) = (Broker::start().await, Broker::init(""));
    let error = here.enroll("x", there.first_code()).await.unwrap_err();
    assert!(matches!(error, Error::OtherBroker { .. }), "{error:?}");
}

#[tokio::test]
async fn requests_without_proof_of_a_good_key_are_refused() {
    let mut world = World::new().await;
    let code = world.code("application:sync").await.reveal();
    let mark = world.revision().await;
    let broker = &world.broker;
    let mut altered = csr();
    *altered.last_mut().unwrap() ^= 1;
    refused(enroll_raw(broker, &code, altered).await, Code::InvalidArgument, "csr-bad-signature");
    refused(enroll_raw(broker, &code, vec![0x30; 40]).await, Code::InvalidArgument, "csr-malformed");
    refused(enroll_raw(broker, &code, Vec::new()).await, Code::InvalidArgument, "csr-malformed");
    let openssl = |args: &[&str]| support::openssl_csr(broker.path(), args);
    if let Some(weak) = openssl(&["-newkey", "rsa:1024"]) {
        refused(enroll_raw(broker, &code, weak).await, Code::InvalidArgument, "csr-weak-key");
    }
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"];
    if let Some(other) = openssl(&curve) {
        refused(enroll_raw(broker, &code, other).await, Code::InvalidArgument, "csr-unsupported-key");
    }
    if let Some(named) = openssl(&["-newkey", "rsa:2048", "-addext", "subjectAltName=DNS:admin.example"]) {
        refused(enroll_raw(broker, &code, named).await, Code::InvalidArgument, "csr-asks-for-names");
    }
    if let Some(ca) = openssl(&["-newkey", "rsa:2048", "-addext", "basicConstraints=CA:TRUE"]) {
        refused(enroll_raw(broker, &code, ca).await, Code::InvalidArgument, "csr-asks-for-authority");
    }
    world.only_refusals_since(mark).await;
}

async fn ask(from: &Application, at: &str, wanted: &str) -> String {
    let (audience, wanted) = (name(at), scopes(wanted));
    reason(
        from.token(&TokenRequest { audience: &audience, scopes: &wanted, certificate: None, ttl: None })
            .await,
    )
}

#[tokio::test]
async fn nothing_is_minted_beyond_the_entitlement() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let (certificate, _) = mint(&sync).await.unwrap();
    let mark = world.revision().await;
    for (wanted, no) in [
        ("invoices.write", "scope-not-entitled"),
        ("invoices.read invoices.write", "scope-not-entitled"),
        ("no.such", "scope-not-entitled"),
        ("customers.export", "grant-required"),
    ] {
        assert_eq!(reason(token(&sync, &certificate, wanted).await), no, "{wanted}");
    }
    assert_eq!(ask(&sync, "no-such", "invoices.read").await, "unknown-audience");
    assert_eq!(ask(&sync, "shipping", "invoices.read").await, "unknown-audience");
    assert_eq!(ask(&sync, "billing-staging", "invoices.read").await, "unknown-audience");
    assert_eq!(ask(&sync, "billing", "invoices.read").await, "binding-required");
    for at in ["no-such", "shipping", "billing-staging"] {
        assert_eq!(reason(sync.certificate(&name(at), None).await), "unknown-audience");
    }
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn a_scope_that_says_so_needs_no_certificate() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    let (audience, wanted) = (name("billing"), scopes("status.read"));
    let request = TokenRequest { audience: &audience, scopes: &wanted, certificate: None, ttl: None };
    let token = sync.token(&request).await.unwrap();
    assert!(billing.introspect(token.reveal(), None).await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_is_bound_to_a_certificate_of_the_same_application_and_audience() {
    let mut world = World::new().await;
    let mut both = application("sync", "acme", "acme-2026");
    both.entitlements
        .push(v1::Entitlement { audience: "shipping".into(), scopes: vec!["invoices.read".into()] });
    world.put(object(Kind::Application(both))).await;
    let sync = world.application("sync", "sync").await;
    let other = world.application("other", "other").await;
    let (own, own_token) = mint(&sync).await.unwrap();
    let (others, _) = mint(&other).await.unwrap();
    let elsewhere = sync.certificate(&name("shipping"), None).await.unwrap();
    let identity = world.broker.home("sync").identity().unwrap();
    let billing = world.verifier("billing-api").await;
    let shipping = world.verifier("shipping-api").await;
    let mark = world.revision().await;

    let (audience, wanted) = (name("billing"), scopes("invoices.read"));
    for (certificate, no) in [
        (others.leaf(), "wrong-certificate"),
        (elsewhere.leaf(), "wrong-certificate"),
        (identity.certificate(), "wrong-certificate"),
        (identity.root(), "wrong-certificate"),
    ] {
        let request =
            TokenRequest { audience: &audience, scopes: &wanted, certificate: Some(certificate), ttl: None };
        assert_eq!(reason(sync.token(&request).await), no);
    }
    for certificate in [None, Some(others.leaf()), Some(elsewhere.leaf()), Some(identity.certificate())] {
        assert_eq!(billing.introspect(own_token.reveal(), certificate).await.unwrap(), None);
    }
    assert_eq!(billing.introspect("", Some(identity.certificate())).await.unwrap(), None);
    assert_eq!(shipping.introspect(own_token.reveal(), Some(own.leaf())).await.unwrap(), None);
    assert_eq!(billing.introspect("no.such.token", Some(own.leaf())).await.unwrap(), None);
    assert!(billing.introspect(own_token.reveal(), Some(own.leaf())).await.unwrap().is_some());
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn the_broker_takes_identity_certificates_of_its_own_and_nothing_else() {
    let mut world = World::new().await;
    let elsewhere = Broker::start().await;
    let sync = world.application("sync", "sync").await;
    let (client, _) = mint(&sync).await.unwrap();
    elsewhere.admin().await;
    let stranger = elsewhere.home("dana").identity().unwrap().proof();
    let mark = world.revision().await;
    let trust = pin(&world.broker);
    for (proof, code, no) in [
        (None, Code::Unauthenticated, "no-certificate"),
        (Some(client.proof()), Code::Unauthenticated, "client-certificate-shown"),
        (Some(stranger), Code::Unauthenticated, "certificate-not-ours"),
    ] {
        let channel = connect(world.broker.address(), &trust, proof.as_ref()).await.unwrap();
        let ping = DiagnosticsServiceClient::new(channel.clone()).ping(v1::PingRequest::default()).await;
        refused(ping, code, no);
        let mint = CredentialServiceClient::new(channel).mint_token(v1::MintTokenRequest::default()).await;
        refused(mint, code, no);
    }
    let identity = world.broker.home("sync").identity().unwrap();
    let proof = Proof { key: PrivateKey::generate().unwrap(), ..identity.proof() };
    assert!(
        connect(world.broker.address(), &trust, Some(&proof)).await.is_err(),
        "a key that is not the certificate's"
    );
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn each_method_is_for_its_kind_of_caller() {
    let world = World::new().await;
    let sync = world.enrolled("sync", "application:sync").await;
    let rita = world.enrolled("rita", "person:rita").await;
    let billing = world.enrolled("billing-api", "verifier:billing-api").await;
    let put = |connection: &Connection| {
        let directory = Directory::over(connection.clone());
        async move { reason(directory.put(support::person("eve", &[v1::Role::Admin]), None).await) }
    };
    assert_eq!(put(&sync).await, "wrong-caller");
    assert_eq!(put(&billing).await, "wrong-caller");
    assert_eq!(put(&rita).await, "not-allowed");
    let code = Directory::over(rita.clone()).open_enrollment(&id("application:sync"), None).await;
    assert_eq!(reason(code), "not-allowed", "rita owns the relationship, not the technique");
    let tom = world.enrolled("tom", "person:tom").await;
    Directory::over(tom.clone()).open_enrollment(&id("application:sync"), None).await.unwrap();
    let code = Directory::over(tom).open_enrollment(&id("person:tom"), None).await;
    assert_eq!(reason(code), "not-allowed");
    let mut mint = CredentialServiceClient::new(rita.channel());
    refused(mint.mint_token(v1::MintTokenRequest::default()).await, Code::PermissionDenied, "wrong-caller");
    assert_eq!(reason(Directory::over(rita).all(NodeKind::Vendor).await), "not-allowed");
    let own = Directory::over(sync.clone()).object(&id("application:sync")).await.unwrap();
    assert_eq!(own.life(), v1::Life::Open);
    let other = Directory::over(sync).object(&id("application:other")).await;
    assert_eq!(reason(other), "unknown-node");
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_nobody_elses() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let connection = world.enrolled("again", "application:sync").await;
    let other = world.enrolled("other", "application:other").await;
    let (certificate, _) = mint(&sync).await.unwrap();
    let request = |scope: &str, certificate: &daypass_sdk::ClientCertificate| v1::MintTokenRequest {
        audience: "billing".into(),
        scopes: vec![scope.into()],
        client_certificate: certificate.leaf().to_vec().into(),
        ttl_seconds: 0,
        request_id: "order-17".into(),
    };
    let mint_raw = |connection: &Connection, request: v1::MintTokenRequest| {
        let mut client = CredentialServiceClient::new(connection.channel());
        async move { client.mint_token(request).await.map(tonic::Response::into_inner) }
    };
    let asked = request("invoices.read", &certificate);
    let first = mint_raw(&connection, asked.clone()).await.unwrap();
    let again = mint_raw(&connection, asked.clone()).await.unwrap();
    assert_eq!((first.revision, first.expires_at), (again.revision, again.expires_at));
    let changed = request("status.read", &certificate);
    refused(mint_raw(&connection, changed).await, Code::AlreadyExists, "request-id-reused");
    let (others, _) = mint(&Application::over(other.clone()).unwrap()).await.unwrap();
    let theirs = mint_raw(&other, request("invoices.read", &others)).await.unwrap();
    assert_ne!(theirs.revision, first.revision, "an id counts for its caller alone");
    world.admin.end(&id(&format!("credential:{}", first.revision)), "").await.unwrap();
    refused(mint_raw(&connection, asked).await, Code::FailedPrecondition, "answer-over");
    let long = v1::MintTokenRequest { request_id: "x".repeat(65), ..request("invoices.read", &certificate) };
    refused(mint_raw(&connection, long).await, Code::InvalidArgument, "bad-request");
}

#[tokio::test]
async fn a_contract_binds_before_its_start_and_after_its_end() {
    let world = World::new().await;
    let now = support::now();
    for (term, start, end) in [("acme-early", now + 3600, now + 7200), ("acme-late", now - 7200, now - 3600)]
    {
        world.put(object(Kind::Contract(contract(term, "acme", start, end)))).await;
        let name = term.replace("acme", "app");
        world.put(object(Kind::Application(application(&name, "acme", term)))).await;
    }
    let early = world.application("early", "app-early").await;
    assert_eq!(reason(early.certificate(&name("billing"), None).await), "contract-not-begun");
    let code = world.code("application:app-late").await;
    assert_eq!(reason(world.broker.enroll("late", &code).await), "contract-over");
}

#[tokio::test]
async fn objects_that_do_not_do() {
    let mut world = World::new().await;
    let directory = Directory::over(world.admin.clone());
    let good = || application("more", "acme", "acme-2026");
    let owners = |business: &str| {
        let mut owners = good().owners.unwrap();
        owners.business = business.into();
        Some(owners)
    };
    let entitled = |audience: &str, scope: &str| {
        vec![v1::Entitlement { audience: audience.into(), scopes: vec![scope.into()] }]
    };
    let mark = world.revision().await;
    for (bad, no) in [
        (v1::Application { owners: None, ..good() }, "bad-request"),
        (v1::Application { owners: owners(""), ..good() }, "bad-request"),
        (v1::Application { owners: owners("nobody"), ..good() }, "dangling-reference"),
        (v1::Application { purpose: " ".into(), ..good() }, "bad-request"),
        (v1::Application { purpose: "a\u{1b}[2J".into(), ..good() }, "bad-request"),
        (v1::Application { vendor: "globex".into(), ..good() }, "bad-field"),
        (v1::Application { instances: 0, ..good() }, "bad-field"),
        (v1::Application { classification: 99, ..good() }, "bad-request"),
        (v1::Application { name: "No Such".into(), ..good() }, "bad-request"),
        (
            v1::Application { entitlements: entitled("billing-staging", "invoices.read"), ..good() },
            "other-environment",
        ),
        (
            v1::Application { entitlements: entitled("no-such", "invoices.read"), ..good() },
            "dangling-reference",
        ),
        (v1::Application { entitlements: entitled("billing", "no.such"), ..good() }, "unknown-scope"),
    ] {
        assert_eq!(reason(directory.put(object(Kind::Application(bad)), None).await), no);
    }
    let stale = directory.put(object(Kind::Application(good())), Some(daypass_credential::Revision::new(3)));
    assert_eq!(reason(stale.await), "stale-write");
    world.only_refusals_since(mark).await;
}

#[tokio::test]
async fn an_unchanged_object_writes_nothing_and_an_ended_name_is_spent() {
    let world = World::new().await;
    let directory = Directory::over(world.admin.clone());
    let same = || object(Kind::Application(application("sync", "acme", "acme-2026")));
    let before = directory.object(&id("application:sync")).await.unwrap();
    let written = directory.put(same(), None).await.unwrap();
    assert_eq!((written.written, written.revision.get()), (false, before.revision));
    let Some(Kind::Application(read)) = before.object.unwrap().kind else { panic!("another kind") };
    assert_eq!(read, application("sync", "acme", "acme-2026"), "it reads back as written");
    world.admin.end(&id("application:sync"), "").await.unwrap();
    assert_eq!(reason(directory.put(same(), None).await), "name-spent");
    let moved = object(Kind::Audience(v1::Audience {
        environment: "staging".into(),
        ..match audience("billing", "production").kind.unwrap() {
            Kind::Audience(audience) => audience,
            _ => panic!("another kind"),
        }
    }));
    assert_eq!(reason(directory.put(moved, None).await), "immutable");
}

#[tokio::test]
async fn a_certificate_renews_once() {
    let world = World::new().await;
    let connection = world.enrolled("sync", "application:sync").await;
    let renew = |connection: &Connection, csr: Vec<u8>| {
        let mut client = EnrollmentServiceClient::new(connection.channel());
        async move { client.renew_identity(v1::RenewIdentityRequest { csr: csr.into() }).await }
    };
    let own =
        PrivateKey::from_pem(world.broker.home("sync").identity().unwrap().proof().key.to_pem().as_bytes());
    let reused = renew(&connection, own.unwrap().csr().unwrap()).await;
    refused(reused, Code::InvalidArgument, "key-reused");
    let next = csr();
    renew(&connection, next.clone()).await.unwrap();
    renew(&connection, next).await.unwrap();
    refused(renew(&connection, csr()).await, Code::Unauthenticated, "renewed-twice");
    let after = connection.ping().await;
    assert_eq!(reason(after), "caller-dead");
}

#[tokio::test]
async fn no_more_instances_than_the_cap() {
    let world = World::new().await;
    world.enrolled("one", "application:sync").await;
    let two = world.enrolled("two", "application:sync").await;
    let code = world.code("application:sync").await;
    assert_eq!(reason(world.broker.enroll("three", &code).await), "instance-cap");
    let identity = two.ping().await.unwrap().identity;
    two.end(&daypass_credential::NodeId::new(NodeKind::Identity, identity), "").await.unwrap();
    assert!(world.broker.enroll("three", &code).await.is_ok(), "a place became free");
}

#[tokio::test]
async fn an_audience_is_as_large_as_its_rules_say_or_refused_by_them() {
    let world = World::new().await;
    let directory = Directory::over(world.admin.clone());
    let audience = |count: usize| {
        let rule = |n: usize| support::rule(&format!("{n:02}{}", "s".repeat(62)), v1::Tier::Standing);
        object(Kind::Audience(v1::Audience {
            name: format!("{}{count}", "a".repeat(58)),
            environment: "production".into(),
            scopes: (0..count).map(rule).collect(),
            staleness_seconds: 30,
        }))
    };
    let mut largest = 0;
    for count in 10..=24 {
        match directory.put(audience(count), None).await {
            Ok(_) => largest = count,
            refused => assert_eq!(reason(refused), "bad-field"),
        }
    }
    assert!(largest > 10, "only {largest} scopes");
}

#[tokio::test]
async fn health_is_open_and_reflection_is_for_those_who_are_known() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let world = World::new().await;
    let stranger = connect(world.broker.address(), &pin(&world.broker), None).await.unwrap();
    let health = HealthClient::new(stranger.clone()).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().status, 1, "serving");
    let ask = || {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        tokio_stream::once(ServerReflectionRequest { host: String::new(), message_request })
    };
    let closed = ServerReflectionClient::new(stranger).server_reflection_info(ask()).await;
    refused(closed, Code::Unauthenticated, "no-certificate");
    let open = ServerReflectionClient::new(world.admin.channel()).server_reflection_info(ask()).await;
    let answer = open.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else {
        panic!("no list")
    };
    assert!(
        listed.service.iter().any(|service| service.name == "daypass.v1.CredentialService"),
        "{listed:?}"
    );
}

#[tokio::test]
async fn messages_are_bounded_and_unknown_methods_are_refused() {
    let world = World::new().await;
    let mut client = DiagnosticsServiceClient::new(world.admin.channel());
    let large = |bytes: usize| v1::PingRequest { padding: vec![0; bytes].into(), answer_size: 0 };
    refused(client.ping(large(8 * 1024 + 1)).await, Code::InvalidArgument, "bad-request");
    assert_eq!(client.ping(large(70 * 1024)).await.unwrap_err().code(), Code::OutOfRange);
    client.ping(large(8 * 1024)).await.unwrap();
    let mut raw = tonic::client::Grpc::new(world.admin.channel());
    raw.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/daypass.v1.CredentialService/MintEverything");
    let codec = tonic_prost::ProstCodec::<v1::PingRequest, v1::PingResponse>::default();
    let answer = raw.unary(tonic::Request::new(v1::PingRequest::default()), path, codec).await;
    refused(answer, Code::Unimplemented, "unknown-method");
}

#[tokio::test]
async fn everybody_finds_the_public_keys() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let (_, token) = mint(&sync).await.unwrap();
    let stranger = connect(world.broker.address(), &pin(&world.broker), None).await.unwrap();
    let mut client = v1::verification_service_client::VerificationServiceClient::new(stranger);
    let bundle = client.get_trust_bundle(v1::GetTrustBundleRequest::default()).await.unwrap().into_inner();
    assert_eq!(
        (bundle.issuer.as_str(), bundle.trust_domain.as_str()),
        ("https://test.example", "test.example")
    );
    assert_eq!(bundle.audiences.len(), 3);
    let keys: serde_json::Value = serde_json::from_str(&bundle.jwks).unwrap();
    let key = &keys["keys"][0];
    assert_eq!((key["alg"].as_str(), key["crv"].as_str()), (Some("ES256"), Some("P-256")));
    assert!(token.reveal().starts_with("eyJ") && key["kid"].as_str().unwrap().starts_with("tok-"));
    let roots = |bundle: &v1::AudienceBundle| bundle.roots.clone();
    let one = v1::GetTrustBundleRequest { audience: "billing".into() };
    let billing = client.get_trust_bundle(one).await.unwrap().into_inner().audiences;
    assert_eq!(billing.len(), 1);
    assert!(
        bundle
            .audiences
            .iter()
            .filter(|other| other.audience != "billing")
            .all(|other| roots(other) != roots(&billing[0]))
    );
    assert!(!billing[0].roots.contains(&bundle.broker_roots[0]));
}
