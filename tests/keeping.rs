//! What a program leaves to the SDK: its identity kept fresh, its credentials had and replaced in time; and what it is
//! told when that cannot be.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::{collections::HashSet, fs, sync::Arc, time::Duration};

use daypass_credential::{Name, ScopeSet};
use daypass_sdk::{
    Address, Application, Connection, Credential, Credentials, Error, Home, Keeper, Options, PrivateKey,
    RefusalClass, RetryPolicy, Standing,
};
use support::{World, id, name, reason, scopes};
use tokio::{task::JoinSet, time::timeout};

/// Long enough for anything here, short enough to say so.
const LIMIT: Duration = Duration::from_secs(20);

/// A world in which identities, certificates and tokens live this long, and `sync` is enrolled.
async fn short_lived(lifetimes: &str) -> (World, Home) {
    let mut world = World::new().await;
    let code = world.code("application:sync").await;
    assert!(world.broker.stop().await);
    let path = world.broker.path().join("daypassd.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{config}\n[lifetimes]\n{lifetimes}")).unwrap();
    world.broker.serve().await;
    world.settled().await;
    world.broker.enroll("sync", &code).await.unwrap();
    let home = world.broker.home("sync");
    (world, home)
}

async fn world_with_sync() -> (World, Home) {
    let world = World::new().await;
    world.broker.enroll("sync", &world.code("application:sync").await).await.unwrap();
    let home = world.broker.home("sync");
    (world, home)
}

/// A brief keeper: what fails here does so soon.
async fn keep(home: &Home) -> Keeper {
    let options = Options::with_retry(RetryPolicy::new(Duration::from_millis(300)));
    Keeper::start(home.clone(), &options).await.unwrap()
}

fn credentials(keeper: &Keeper) -> Credentials {
    Credentials::of(Application::over(keeper.connection()).unwrap())
}

async fn standing(keeper: &Keeper, is: fn(&Standing) -> bool) -> Standing {
    let mut standing = keeper.standing();
    timeout(LIMIT, standing.wait_for(is)).await.unwrap().unwrap().clone()
}

fn wanted() -> (Name, ScopeSet) {
    (name("billing"), scopes("invoices.read"))
}

async fn credential(credentials: &Credentials) -> Result<Arc<Credential>, Error> {
    let (audience, scopes) = wanted();
    credentials.credential(&audience, &scopes).await
}

#[tokio::test]
async fn an_identity_is_renewed_before_it_ends_and_its_connection_stays() {
    let (_world, home) = short_lived("identity = \"4s\"\n").await;
    let keeper = keep(&home).await;
    let (connection, first) = (keeper.connection(), keeper.identity());
    let mut at = first.expires_at();
    for _ in 0..2 {
        let mut standing = keeper.standing();
        standing.borrow_and_update();
        timeout(LIMIT, standing.changed()).await.unwrap().unwrap();
        let Standing::Fresh { until } = *standing.borrow() else { panic!("{standing:?}") };
        assert!(until > at, "before it ends");
        assert!(support::now() < at.as_secs() + 1);
        at = until;
    }
    support::reached(first.expires_at()).await;
    assert_eq!(connection.ping().await.unwrap().subject, id("application:sync"));
    assert!(keeper.identity().revision() > first.revision());
    assert_eq!(home.identity().unwrap().revision(), keeper.identity().revision(), "what is used is on disk");
}

#[tokio::test]
async fn calls_under_way_finish_when_the_certificate_is_replaced() {
    let (_world, home) = world_with_sync().await;
    let keeper = keep(&home).await;
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let connection = keeper.connection();
        calls.spawn(async move { connection.ping().await });
    }
    for _ in 0..3 {
        keeper.renew().await.unwrap();
        keeper.connection().ping().await.unwrap();
    }
    for call in calls.join_all().await {
        call.unwrap();
    }
}

#[tokio::test]
async fn two_programs_on_one_home_renew_once() {
    let (world, home) = world_with_sync().await;
    let (one, other) = (keep(&home).await, keep(&home).await);
    let mark = world.revision().await;
    let (a, b) = tokio::join!(one.renew(), other.renew());
    a.unwrap();
    b.unwrap();
    assert_eq!(world.revision().await.get(), mark.get() + 1);
    assert_eq!(one.identity().revision(), other.identity().revision());
    one.connection().ping().await.unwrap();
    other.connection().ping().await.unwrap();
}

/// The home as it was before a renewal; and the key that the renewal was for.
async fn renewed_and_put_back(home: &Home) -> PrivateKey {
    let before = fs::read(home.folder().join("identity.toml")).unwrap();
    let renewed = daypass_sdk::renew(home).await.unwrap();
    fs::write(home.folder().join("identity.toml"), before).unwrap();
    renewed.proof().key
}

#[tokio::test]
async fn a_renewal_that_a_crash_broke_off_goes_on_with_the_same_key() {
    let (_world, home) = world_with_sync().await;
    let before = home.identity().unwrap();
    // The broker had answered, and the program was gone before it could keep the answer.
    let key = renewed_and_put_back(&home).await;
    daypass_sdk::write_private(&home.folder().join("next-key.pem"), key.to_pem().as_bytes()).unwrap();
    let keeper = keep(&home).await;
    let mut standing = keeper.standing();
    timeout(LIMIT, standing.wait_for(|_| keeper.identity().revision() > before.revision()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(keeper.identity().proof().key.public_der(), key.public_der());
    keeper.connection().ping().await.unwrap();
}

#[tokio::test]
async fn a_second_key_suspends_the_identity_and_says_why() {
    let (_world, home) = world_with_sync().await;
    // An old copy of the home, put back: two hold what one should.
    renewed_and_put_back(&home).await;
    let keeper = keep(&home).await;
    assert_eq!(reason(keeper.renew().await), "renewed-twice");
    // The identity is suspended, for whoever holds it.
    assert_eq!(reason(keeper.connection().ping().await), "caller-dead");
}

#[tokio::test]
async fn an_identity_that_was_ended_is_over_and_said_to_be() {
    let (world, home) = short_lived("identity = \"3s\"\n").await;
    let keeper = keep(&home).await;
    let node = daypass_credential::NodeId::credential(keeper.identity().revision());
    world.admin.end(&node, "").await.unwrap();
    let over = standing(&keeper, |standing| matches!(standing, Standing::Over { .. })).await;
    let Standing::Over { error } = over else { panic!("{over:?}") };
    assert_eq!(error.reason(), Some("caller-ended"));
}

#[tokio::test]
async fn while_the_broker_is_away_a_renewal_is_late_and_then_made_good() {
    let (mut world, home) = short_lived("identity = \"6s\"\n").await;
    let keeper = keep(&home).await;
    assert!(world.broker.stop().await);
    let late = standing(&keeper, |standing| matches!(standing, Standing::Late { .. })).await;
    let Standing::Late { until, error } = late else { panic!("{late:?}") };
    assert!(error.may_retry() && until == keeper.identity().expires_at(), "{error:?}");
    world.broker.serve().await;
    standing(&keeper, |standing| matches!(standing, Standing::Fresh { .. })).await;
    keeper.connection().ping().await.unwrap();
}

#[tokio::test]
async fn many_who_ask_at_once_get_the_same_credential() {
    let (world, home) = world_with_sync().await;
    let keeper = keep(&home).await;
    let credentials = credentials(&keeper);
    let mark = world.revision().await;
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let credentials = credentials.clone();
        asking.spawn(async move { credential(&credentials).await.unwrap().token().revision });
    }
    let got: HashSet<_> = asking.join_all().await.into_iter().collect();
    assert_eq!(got.len(), 1);
    assert_eq!(world.revision().await.get(), mark.get() + 2, "one certificate, and one token");

    // Other scopes at the same audience: another token, bound to the same certificate.
    let first = credential(&credentials).await.unwrap();
    let other = credentials.credential(&name("billing"), &scopes("status.read")).await.unwrap();
    assert_eq!(other.certificate().revision, first.certificate().revision);
    assert_eq!(world.revision().await.get(), mark.get() + 3);
    let billing = world.verifier("billing-api").await;
    for credential in [first, other] {
        let leaf = Some(credential.certificate().leaf());
        assert!(billing.introspect(credential.token().reveal(), leaf).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn certificate_and_token_are_replaced_together() {
    let (world, home) = short_lived("certificate = \"3s\"\ntoken = \"3s\"\n").await;
    let (keeper, billing) = (keep(&home).await, world.verifier("billing-api").await);
    let credentials = credentials(&keeper);
    let (mut certificates, mut tokens) = (HashSet::new(), HashSet::new());
    let begun = tokio::time::Instant::now();
    while certificates.len() < 3 {
        assert!(begun.elapsed() < LIMIT);
        let credential = credential(&credentials).await.unwrap();
        let leaf = Some(credential.certificate().leaf());
        let live = billing.introspect(credential.token().reveal(), leaf).await.unwrap();
        // On a busy machine it may be over by the time that the question arrives.
        let over = credential.expires_at().as_secs() <= support::now();
        assert!(live.is_some() || over, "what is handed out is good, and fits: {credential:?}");
        certificates.insert(credential.certificate().revision);
        tokens.insert(credential.token().revision);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(tokens.len() >= 3);
}

#[tokio::test]
async fn while_the_broker_is_away_the_old_credential_is_handed_out_until_it_is_over() {
    let (mut world, home) = short_lived("certificate = \"4s\"\ntoken = \"4s\"\n").await;
    let keeper = keep(&home).await;
    let credentials = credentials(&keeper);
    let first = credential(&credentials).await.unwrap();
    assert!(world.broker.stop().await);
    let mut failed = None;
    while failed.is_none() {
        match credential(&credentials).await {
            Ok(same) => assert_eq!(same.token().revision, first.token().revision),
            Err(error) => failed = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(failed, Some(Error::Unreachable { .. })), "{failed:?}");
    // By this machine's clock, which is the broker's here, it was handed out for almost all of its life.
    assert!(support::now() + 1 >= first.expires_at().as_secs());
    world.broker.serve().await;
    let again = timeout(LIMIT, async {
        loop {
            if let Ok(fresh) = credential(&credentials).await {
                return fresh;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(again.await.unwrap().token().revision > first.token().revision);
}

#[tokio::test]
async fn a_narrowed_application_renews_and_goes_on_by_itself() {
    let (world, home) = world_with_sync().await;
    let (keeper, billing) = (keep(&home).await, world.verifier("billing-api").await);
    let (credentials, before) = (credentials(&keeper), keeper.identity().revision());
    let old = credential(&credentials).await.unwrap();
    let mut narrower = support::application("sync", "acme", "acme-2026");
    narrower.entitlements[0].scopes = vec!["invoices.read".into()];
    world.put(support::object(daypass_proto::v1::object::Kind::Application(narrower))).await;
    let leaf = Some(old.certificate().leaf());
    assert_eq!(billing.introspect(old.token().reveal(), leaf).await.unwrap(), None);

    // The relying party turned it down; what comes next is good, and the identity was renewed for it.
    assert!(credentials.turned_down(&old));
    let fresh = credential(&credentials).await.unwrap();
    let leaf = Some(fresh.certificate().leaf());
    assert!(billing.introspect(fresh.token().reveal(), leaf).await.unwrap().is_some());
    assert!(keeper.identity().revision() > before);
    assert!(fresh.certificate().revision > old.certificate().revision);
    assert!(credentials.turned_down(&old), "the old one is replaced already");
    let (audience, closed) = (name("billing"), scopes("status.read"));
    let refused = credentials.credential(&audience, &closed).await.map(drop);
    assert_eq!(reason(refused), "scope-not-entitled");
}

#[tokio::test]
async fn a_dead_certificate_is_replaced_when_a_token_is_wanted() {
    let (world, home) = world_with_sync().await;
    let keeper = keep(&home).await;
    let credentials = credentials(&keeper);
    let old = credential(&credentials).await.unwrap();
    let node = daypass_credential::NodeId::credential(old.certificate().revision);
    world.admin.end(&node, "").await.unwrap();
    let other = credentials.credential(&name("billing"), &scopes("status.read")).await.unwrap();
    assert!(other.certificate().revision > old.certificate().revision);
}

#[tokio::test]
async fn each_instance_has_a_home_of_its_own_and_there_are_no_more_than_the_cap() {
    let world = World::new().await;
    let folder = world.broker.path().join("instances");
    fs::create_dir_all(&folder).unwrap();
    let mut identities = HashSet::new();
    for instance in ["worker-1", "worker-2"] {
        let home = Home::instance(&folder, &name(instance));
        let code = world.code("application:sync").await;
        daypass_sdk::enroll(&home, world.broker.address(), &code, None).await.unwrap();
        identities.insert(keep(&home).await.connection().ping().await.unwrap().identity);
    }
    assert_eq!(identities.len(), 2, "none shares a key");
    let code = world.code("application:sync").await;
    let (home, options) = (Home::instance(&folder, &name("worker-3")), Options::default());
    let third = daypass_sdk::enroll_with(&home, world.broker.address(), &code, None, &options).await;
    let Err(Error::Refused(refusal)) = &third else { panic!("{third:?}") };
    assert_eq!((refusal.reason.as_str(), refusal.class), ("instance-cap", RefusalClass::Exhausted));
    assert!(matches!(Keeper::start(home, &options).await, Err(Error::NotEnrolled { .. })));
}

#[tokio::test]
async fn an_identity_of_another_broker_is_told_at_once() {
    let ((world, home), stranger) = (world_with_sync().await, support::Broker::start().await);
    let path = home.folder().join("identity.toml");
    let moved = |from: &Address, to: &Address| {
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&from.to_string(), &to.to_string())).unwrap();
    };
    moved(world.broker.address(), stranger.address());
    // Patience is for what passes by itself.
    let begun = tokio::time::Instant::now();
    let error = Keeper::start(home.clone(), &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::OtherBroker { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    moved(stranger.address(), world.broker.address());
    let identity = home.identity().unwrap();
    Connection::open(&identity).await.unwrap().ping().await.unwrap();
}
