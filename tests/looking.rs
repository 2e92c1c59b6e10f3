//! Looking, over the wire: plans that write nothing, credentials as they stand, refusals as they were recorded; each
//! shown to those whom it concerns, and to nobody else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_proto::v1::{
    self, PlannedChange, credential_service_client::CredentialServiceClient,
    diagnostics_service_client::DiagnosticsServiceClient, directory_service_client::DirectoryServiceClient,
    object::Kind,
};
use daypass_sdk::{Connection, Error};
use support::{World, application, audience, contract, id, mint, name, now, object, person, scopes, vendor};
use tonic::Status;
use tonic_types::StatusExt;

async fn plan(asker: &Connection, objects: Vec<v1::Object>) -> Result<Vec<v1::PlannedObject>, Status> {
    let request = v1::PlanObjectsRequest { objects };
    let answer = DirectoryServiceClient::new(asker.channel())
        .max_encoding_message_size(16 << 20)
        .plan_objects(request)
        .await;
    answer.map(|answer| answer.into_inner().objects)
}

async fn look(asker: &Connection, revision: u64) -> Result<v1::Credential, Status> {
    let request = v1::GetCredentialRequest { revision };
    let answer = CredentialServiceClient::new(asker.channel()).get_credential(request).await;
    answer.map(|answer| answer.into_inner().credential.unwrap())
}

async fn explain(asker: &Connection, revision: u64) -> Result<v1::ExplainRefusalResponse, Status> {
    let request = v1::ExplainRefusalRequest { revision };
    let answer = DiagnosticsServiceClient::new(asker.channel()).explain_refusal(request).await;
    answer.map(tonic::Response::into_inner)
}

fn reason<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { panic!("it was not refused") };
    status.get_error_details().error_info().unwrap_or_else(|| panic!("{status:?}")).reason.clone()
}

fn changes(planned: &[v1::PlannedObject]) -> Vec<(&str, PlannedChange, bool, u32)> {
    planned.iter().map(|p| (p.id.as_str(), p.change(), p.cut, p.applications)).collect()
}

#[tokio::test]
async fn a_plan_judges_each_object_as_if_those_before_it_were_written_and_writes_nothing() {
    let world = World::new().await;
    let term = contract("initech-2026", "initech", now() - 60, now() + 3600);
    let mut narrowed = application("sync", "acme", "acme-2026");
    narrowed.entitlements[0].scopes = vec!["invoices.read".into()];
    let objects = vec![
        vendor("initech", ""),
        object(Kind::Contract(term.clone())),
        object(Kind::Application(application("pull", "initech", "initech-2026"))),
        object(Kind::Application(narrowed)),
        object(Kind::Application(application("other", "acme", "acme-2026"))),
        vendor("Not A Name", ""),
        object(Kind::Contract(v1::Contract {
            name: "lost".into(),
            vendor: "nowhere".into(),
            ..term.clone()
        })),
    ];
    let before = world.revision().await;
    let planned = plan(&world.admin, objects.clone()).await.unwrap();
    assert_eq!(
        changes(&planned),
        [
            ("vendor:initech", PlannedChange::New, false, 0),
            ("contract:initech-2026", PlannedChange::New, false, 0),
            ("application:pull", PlannedChange::New, false, 0),
            ("application:sync", PlannedChange::Changed, true, 1),
            ("application:other", PlannedChange::Unchanged, false, 0),
            ("", PlannedChange::Refused, false, 0),
            ("contract:lost", PlannedChange::Refused, false, 0),
        ]
    );
    assert_eq!(planned[5].reason, "bad-request");
    assert_eq!(planned[6].reason, "dangling-reference");
    let Some(Kind::Application(sync)) = planned[3].before.as_ref().and_then(|o| o.kind.as_ref()) else {
        panic!("what stands is not shown: {:?}", planned[3])
    };
    assert_eq!(sync.entitlements[0].scopes.len(), 3);
    assert_eq!(world.revision().await, before, "a plan writes nothing");

    // Without what stood before them they dangle; and once written they are as asked.
    let alone = plan(&world.admin, vec![objects[1].clone()]).await.unwrap();
    assert_eq!(alone[0].reason, "dangling-reference");
    for object in &objects[..4] {
        world.put(object.clone()).await;
    }
    let again = plan(&world.admin, objects[..4].to_vec()).await.unwrap();
    assert!(again.iter().all(|p| p.change() == PlannedChange::Unchanged), "{:?}", changes(&again));
    assert!(again.iter().all(|p| p.revision > before.get()));
}

#[tokio::test]
async fn a_plan_tells_how_many_applications_a_cut_reaches() {
    let world = World::new().await;
    let Some(Kind::Audience(mut billing)) = audience("billing", "production").kind else { panic!() };
    billing.scopes.retain(|rule| rule.scope != "invoices.write");
    let shorter = contract("acme-2026", "acme", now() - 3600, now() + 3600);
    let objects = vec![object(Kind::Audience(billing)), object(Kind::Contract(shorter))];
    let planned = plan(&world.admin, objects.clone()).await.unwrap();
    assert_eq!(
        changes(&planned),
        [
            ("audience:billing", PlannedChange::Changed, true, 3),
            ("contract:acme-2026", PlannedChange::Changed, true, 2),
        ]
    );
    world.admin.end(&id("application:other"), "").await.unwrap();
    let planned = plan(&world.admin, objects).await.unwrap();
    assert_eq!(
        planned.iter().map(|p| p.applications).collect::<Vec<_>>(),
        [2, 1],
        "an ended one counts no more"
    );
}

/// What comes after the writer has lost their own rights would be refused, and the plan knows.
#[tokio::test]
async fn a_plan_in_which_the_writer_loses_the_right_to_write_ends_there() {
    let world = World::new().await;
    let planned = plan(&world.admin, vec![person("dana", &[]), person("zoe", &[])]).await.unwrap();
    assert_eq!(changes(&planned)[0], ("person:dana", PlannedChange::Changed, false, 0));
    assert_eq!(planned[1].reason, "not-allowed");
}

#[tokio::test]
async fn plans_are_for_admins_and_of_a_bounded_size() {
    let world = World::new().await;
    let auditor = world.enrolled("audrey", "person:audrey").await;
    assert_eq!(reason(plan(&auditor, vec![vendor("initech", "")]).await), "not-allowed");
    let sync = world.application("sync", "sync").await;
    assert_eq!(reason(plan(sync.connection(), vec![]).await), "wrong-caller");
    // A caller who may not plan is refused before anything of a large request is read, and no other method takes one.
    let large = vec![v1::Object::default(); 500_000];
    assert_eq!(reason(plan(&auditor, large).await), "not-allowed");
    let long = v1::GetObjectRequest { id: "x".repeat(1 << 20) };
    let answer = DirectoryServiceClient::new(sync.connection().channel()).get_object(long).await;
    assert!(answer.unwrap_err().get_error_details().error_info().is_none(), "it was not even read");
    let twice = vec![vendor("initech", ""), vendor("initech", "")];
    assert_eq!(reason(plan(&world.admin, twice).await), "bad-request");
    let many = |count: usize| (0..count).map(|n| person(&format!("p{n}"), &[])).collect();
    assert_eq!(plan(&world.admin, many(2000)).await.unwrap().len(), 2000);
    assert_eq!(reason(plan(&world.admin, many(2001)).await), "bad-request");
}

#[tokio::test]
async fn a_credential_is_shown_as_it_stands_to_those_whom_it_concerns() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let (certificate, token) = mint(&sync).await.unwrap();
    let shown = look(sync.connection(), token.revision.get()).await.unwrap();
    assert_eq!(shown.kind(), v1::CredentialKind::Token);
    assert_eq!((shown.subject.as_str(), shown.audience.as_str()), ("application:sync", "billing"));
    assert_eq!(shown.scopes, ["invoices.read"]);
    assert!(shown.alive && shown.dead_by.is_empty());
    assert!(shown.lineage.contains(&format!("credential:{}", certificate.revision)));
    assert_eq!(shown.expires_at.unwrap().seconds, i64::try_from(token.expires_at.as_secs()).unwrap());

    let shown = look(&world.admin, certificate.revision.get()).await.unwrap();
    assert_eq!(shown.kind(), v1::CredentialKind::Certificate);
    let owner = world.enrolled("tom", "person:tom").await;
    let auditor = world.enrolled("audrey", "person:audrey").await;
    assert!(look(&owner, token.revision.get()).await.is_ok());
    assert!(look(&auditor, token.revision.get()).await.is_ok());

    let stranger = world.application("courier", "courier").await;
    let verifier = world.verifier("billing-api").await;
    for asker in [stranger.connection(), verifier.connection()] {
        assert_eq!(reason(look(asker, token.revision.get()).await), "unknown-node");
    }
    for nothing in [0, 1, 9_999_999, u64::MAX] {
        assert_eq!(reason(look(&world.admin, nothing).await), "unknown-node", "{nothing}");
    }

    let cut = world.admin.end(&id(&format!("credential:{}", certificate.revision)), "").await.unwrap();
    let shown = look(&world.admin, token.revision.get()).await.unwrap();
    assert!(!shown.alive);
    assert_eq!(shown.dead_by, format!("credential:{}", certificate.revision));
    assert_eq!(shown.dead_since, cut.get());
}

#[tokio::test]
async fn a_refusal_is_explained_to_whom_it_was_told() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let certificate = sync.certificate(&name("billing"), None).await.unwrap();
    let (audience, wanted) = (name("billing"), scopes("invoices.write"));
    let request = daypass_sdk::TokenRequest {
        audience: &audience,
        scopes: &wanted,
        certificate: Some(certificate.leaf()),
        ttl: None,
    };
    let Err(Error::Refused(refusal)) = sync.token(&request).await else { panic!("it was not refused") };
    let at = refusal.revision.unwrap().get();
    let said = explain(sync.connection(), at).await.unwrap();
    assert_eq!(said.reason, "scope-not-entitled");
    assert_eq!(said.method, "CredentialService/MintToken");
    assert_eq!((said.subject.as_str(), said.count), ("application:sync", 1));
    assert!(!said.identity.is_empty());
    let auditor = world.enrolled("audrey", "person:audrey").await;
    assert_eq!(explain(&auditor, at).await.unwrap().reason, "scope-not-entitled");
    let other = world.application("courier", "courier").await;
    assert_eq!(reason(explain(other.connection(), at).await), "unknown-refusal");
    for nothing in [0, 1, u64::MAX] {
        assert_eq!(reason(explain(&world.admin, nothing).await), "unknown-refusal", "{nothing}");
    }
}
