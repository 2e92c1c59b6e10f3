//! The main job, end to end: enrol, mint, check, end; and what ends with what.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_credential::NodeId;
use daypass_sdk::{Application, Connection, Error, Introspector, TokenRequest};
use support::{World, id, mint, name, reason, scopes, token};

#[tokio::test]
async fn an_application_is_enrolled_mints_is_checked_and_ends_with_its_vendor() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();

    let live = billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap().unwrap();
    assert_eq!(live.application, name("sync"));
    assert_eq!(live.scopes, scopes("invoices.read"));
    assert_eq!(live.revision, token.revision);
    for node in ["vendor:acme", "contract:acme-2026", "application:sync", "audience:billing"] {
        assert!(live.lineage.contains(&id(node)), "{node} in {:?}", live.lineage);
    }
    assert!(live.lineage.contains(&NodeId::credential(certificate.revision)));
    let alone = billing.introspect("", Some(certificate.leaf())).await.unwrap().unwrap();
    assert_eq!(alone.revision, certificate.revision);

    let cut = world.admin.end(&id("vendor:acme"), "the contract was not renewed").await.unwrap();
    assert!(cut > token.revision);
    assert_eq!(billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap(), None);
    assert_eq!(billing.introspect("", Some(certificate.leaf())).await.unwrap(), None);
    assert_eq!(reason(mint(&sync).await), "caller-dead");
    assert_eq!(
        world.admin.end(&id("vendor:acme"), "again").await.unwrap(),
        cut,
        "ending again says the same"
    );
}

#[tokio::test]
async fn the_end_of_one_vendor_is_nothing_to_another() {
    let world = World::new().await;
    let courier = world.application("courier", "courier").await;
    let billing = world.verifier("billing-api").await;
    let (certificate, token) = mint(&courier).await.unwrap();
    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    assert!(billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap().is_some());
    assert!(mint(&courier).await.is_ok());
}

/// Ends `what`, and tells whether the token, and the certificate, are alive afterwards.
async fn alive_after(world: &World, sync: &Application, billing: &Introspector, what: What) -> (bool, bool) {
    let (certificate, token) = mint(sync).await.unwrap();
    let node = match what {
        What::Token => NodeId::credential(token.revision),
        What::Certificate => NodeId::credential(certificate.revision),
        What::Node(node) => id(node),
    };
    world.admin.end(&node, "").await.unwrap();
    let token = billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap().is_some();
    let certificate = billing.introspect("", Some(certificate.leaf())).await.unwrap().is_some();
    (token, certificate)
}

enum What {
    Token,
    Certificate,
    Node(&'static str),
}

#[tokio::test]
async fn a_single_credential_ends_with_all_that_rests_on_it_and_nothing_else() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    assert_eq!(alive_after(&world, &sync, &billing, What::Token).await, (false, true));
    assert_eq!(alive_after(&world, &sync, &billing, What::Certificate).await, (false, false));
    assert!(mint(&sync).await.is_ok(), "the application goes on");
    let contract = What::Node("contract:acme-2026");
    assert_eq!(alive_after(&world, &sync, &billing, contract).await, (false, false));
    assert_eq!(reason(mint(&sync).await), "caller-dead");
}

#[tokio::test]
async fn an_application_ends_its_own_credentials_and_nobody_elses() {
    let world = World::new().await;
    let sync = world.enrolled("sync", "application:sync").await;
    let other = world.enrolled("other", "application:other").await;
    let (_, token) = mint(&Application::over(sync.clone()).unwrap()).await.unwrap();
    let node = NodeId::credential(token.revision);
    assert_eq!(reason(other.end(&node, "").await), "unknown-node");
    assert_eq!(reason(sync.end(&id("vendor:acme"), "").await), "unknown-node");
    assert_eq!(reason(sync.end(&id("vendor:no-such"), "").await), "unknown-node");
    assert_eq!(reason(sync.end(&id("application:other"), "").await), "unknown-node");
    sync.end(&node, "").await.unwrap();
}

#[tokio::test]
async fn owners_end_what_they_own() {
    let world = World::new().await;
    let rita = world.enrolled("rita", "person:rita").await;
    let bea = world.enrolled("bea", "person:bea").await;
    let audrey = world.enrolled("audrey", "person:audrey").await;
    assert_eq!(reason(audrey.end(&id("vendor:acme"), "").await), "unknown-node");
    assert_eq!(reason(bea.end(&id("vendor:acme"), "").await), "unknown-node");
    bea.end(&id("application:other"), "").await.unwrap();
    rita.end(&id("vendor:acme"), "").await.unwrap();
}

#[tokio::test]
async fn a_sub_vendor_ends_with_the_vendor_above_it() {
    let world = World::new().await;
    let end = support::now() + 7_200;
    world.put(support::vendor("acme-field", "acme")).await;
    let mut term = support::contract("acme-field-2026", "acme-field", support::now(), end);
    term.parent = "acme-2026".into();
    world.put(support::object(daypass_proto::v1::object::Kind::Contract(term))).await;
    let tablets = support::application("tablets", "acme-field", "acme-field-2026");
    world.put(support::object(daypass_proto::v1::object::Kind::Application(tablets))).await;
    let tablets = world.application("tablets", "tablets").await;
    let billing = world.verifier("billing-api").await;
    let (certificate, token) = mint(&tablets).await.unwrap();
    let live = billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap().unwrap();
    assert_eq!(live.lineage[..2], [id("vendor:acme"), id("vendor:acme-field")]);
    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    assert_eq!(billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap(), None);
    assert_eq!(reason(mint(&tablets).await), "caller-dead");
}

#[tokio::test]
async fn the_answer_says_what_bound_the_lifetime() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let (audience, wanted) = (name("billing"), scopes("invoices.read"));
    let short = sync.certificate(&audience, Some("60s".parse().unwrap())).await.unwrap();
    assert_eq!(short.bound_by, "asked");
    let bound = token(&sync, &short, "invoices.read").await.unwrap();
    assert_eq!((bound.bound_by.as_str(), bound.expires_at), ("parent", short.expires_at));
    let certificate = sync.certificate(&audience, None).await.unwrap();
    assert_eq!(certificate.bound_by, "scope");
    let ttl = Some("5s".parse().unwrap());
    let request =
        TokenRequest { audience: &audience, scopes: &wanted, certificate: Some(certificate.leaf()), ttl };
    assert_eq!(sync.token(&request).await.unwrap().bound_by, "asked");
}

#[tokio::test]
async fn a_narrowed_application_renews_first_and_then_mints_what_is_left() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    let mut narrower = support::application("sync", "acme", "acme-2026");
    narrower.entitlements[0].scopes = vec!["invoices.read".into()];
    world.put(support::object(daypass_proto::v1::object::Kind::Application(narrower))).await;
    assert_eq!(billing.introspect(token.reveal(), Some(certificate.leaf())).await.unwrap(), None);
    assert_eq!(reason(mint(&sync).await), "renew-first");
    let identity = daypass_sdk::renew(&world.broker.home("sync")).await.unwrap();
    let sync = Application::over(Connection::open(&identity).await.unwrap()).unwrap();
    let (certificate, fresh) = mint(&sync).await.unwrap();
    assert!(billing.introspect(fresh.reveal(), Some(certificate.leaf())).await.unwrap().is_some());
    assert_eq!(reason(support::token(&sync, &certificate, "status.read").await), "scope-not-entitled");
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let billing = world.verifier("billing-api").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    let (ended_certificate, ended) = mint(&sync).await.unwrap();
    world.admin.end(&NodeId::credential(ended.revision), "").await.unwrap();
    assert!(world.broker.stop().await, "a clean end: {}", world.broker.log());
    world.broker.serve().await;
    let again = async |token: &str, certificate| match billing.introspect(token, Some(certificate)).await {
        // The first call after a restart may find the old connection gone.
        Err(Error::Unreachable { .. }) => billing.introspect(token, Some(certificate)).await.unwrap(),
        other => other.unwrap(),
    };
    assert!(again(token.reveal(), certificate.leaf()).await.is_some());
    assert_eq!(again(ended.reveal(), ended_certificate.leaf()).await, None);
    assert!(mint(&sync).await.is_ok());
}
