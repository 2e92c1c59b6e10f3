//! Verifiers that follow real brokers through the SDK: an end reaches them, they outlast restarts of the broker and of
//! themselves, and without the broker they refuse by themselves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::time::Duration;

use daypass_credential::Ttl;
use daypass_sdk::{
    Application, Connection, Keeper, Options, RetryPolicy, VerifierStanding,
    verifier::{self, Lost, News, Refused, Verifier, Watch},
};
use support::{World, id, mint, name, reason};
use tokio::sync::mpsc;

/// A service that checks what a partner shows.
struct Service {
    keeper: Keeper,
    verifier: Verifier,
    told: mpsc::UnboundedReceiver<String>,
}

impl Service {
    async fn start(world: &World, staleness: Option<Ttl>) -> Self {
        let patient = Options::with_retry(RetryPolicy::new(Duration::from_secs(20)));
        let keeper = Keeper::start(world.broker.home("billing-api"), &patient).await.unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let watch = Watch::new(move |news| {
            let words = match news {
                News::Snapshot { .. } => "snapshot".to_owned(),
                News::Resumed { .. } => "resumed".to_owned(),
                News::Cut { cut } => format!("cut {}", cut.node),
                News::Lost { why, .. } => match why {
                    Lost::Broker(error) => format!("lost: {}", error.reason().unwrap_or("unreachable")),
                    why => format!("lost: {why}"),
                },
                _ => return,
            };
            drop(tell.send(words));
        });
        let options = verifier::Options { staleness, watch, ..verifier::Options::of([name("billing")]) };
        let verifier = Verifier::start(&keeper.connection(), &options).unwrap();
        verifier.ready().await.unwrap();
        Self { keeper, verifier, told }
    }

    async fn told(&mut self, what: &str) -> String {
        let found = async {
            loop {
                let told = self.told.recv().await.unwrap();
                if told.starts_with(what) {
                    return told;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never told: {what}"))
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

/// What a partner shows: a certificate and a token bound to it.
struct Shown {
    certificate: Vec<u8>,
    token: String,
}

impl Shown {
    async fn of(application: &Application) -> Self {
        let (certificate, token) = mint(application).await.unwrap();
        Self { certificate: certificate.leaf().to_vec(), token: token.reveal().to_owned() }
    }

    fn verdict(&self, service: &Service) -> Result<(), Refused> {
        let certificate = service.verifier.read_certificate(&self.certificate)?;
        service.verifier.check_certificate(&certificate)?;
        service.verifier.check_token(&self.token, Some(&certificate), &[]).map(drop)
    }
}

async fn enrolled(world: &World) {
    world.verifier("billing-api").await;
}

/// Waits until the broker says of the instance what is wanted.
async fn standing(admin: &Connection, wanted: impl Fn(&VerifierStanding) -> bool) -> VerifierStanding {
    let found = async {
        loop {
            let standings = admin.standings().await.unwrap();
            let billing = standings.verifiers.into_iter().find(|one| one.verifier == name("billing-api"));
            if let Some(found) = billing.filter(&wanted) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn an_end_is_refused_and_its_acknowledgement_stands_at_the_broker() {
    let world = World::new().await;
    enrolled(&world).await;
    let never = standing(&world.admin, |_| true).await;
    assert!(!never.following && never.acknowledged.is_none() && never.refuses_at.is_none());
    let (acme, globex) =
        (world.application("sync", "sync").await, world.application("courier", "courier").await);
    let (dead, alive) = (Shown::of(&acme).await, Shown::of(&globex).await);
    let mut service = Service::start(&world, None).await;
    assert_eq!((dead.verdict(&service), alive.verdict(&service)), (Ok(()), Ok(())));

    let end = world.admin.end(&id("vendor:acme"), "").await.unwrap();
    service.told("cut vendor:acme").await;
    assert_eq!(dead.verdict(&service), Err(Refused::Cut { node: id("vendor:acme"), cut: end }));
    assert_eq!(alive.verdict(&service), Ok(()));
    let found = standing(&world.admin, |one| one.acknowledged.is_some_and(|at| at >= end)).await;
    assert!(found.following && !found.observing);
    assert_eq!(found.behind, 0);
    assert!(found.refuses_at > found.heard_at && found.heard_at.is_some());
}

#[tokio::test]
async fn a_restart_of_the_broker_is_outlasted_and_what_comes_after_it_arrives() {
    let mut world = World::new().await;
    enrolled(&world).await;
    let application = world.application("sync", "sync").await;
    let shown = Shown::of(&application).await;
    let mut service = Service::start(&world, None).await;
    world.broker.kill();
    service.told("lost").await;
    assert_eq!(shown.verdict(&service), Ok(()), "within its limit");
    world.broker.serve().await;
    service.told("resumed").await;
    let admin = Connection::open(&world.broker.home("dana").identity().unwrap()).await.unwrap();
    admin.end(&id("vendor:acme"), "").await.unwrap();
    service.told("cut vendor:acme").await;
    assert_eq!(shown.verdict(&service).unwrap_err().word(), "cut");
    service.verifier.ready().await.unwrap();
}

#[tokio::test]
async fn the_next_process_of_a_verifier_knows_what_the_last_one_did() {
    let world = World::new().await;
    enrolled(&world).await;
    let application = world.application("sync", "sync").await;
    let shown = Shown::of(&application).await;
    let mut service = Service::start(&world, None).await;
    service.told("snapshot").await;
    let before = service.verifier.position().unwrap();
    service.verifier.close().await;
    drop(service.keeper);
    world.admin.end(&id("vendor:acme"), "").await.unwrap();

    let next = Service::start(&world, None).await;
    assert_eq!(shown.verdict(&next).unwrap_err().word(), "cut", "it came with the snapshot");
    assert!(next.verifier.position().unwrap().revision > before.revision);
}

#[tokio::test]
async fn without_the_broker_it_refuses_after_its_limit_and_not_before() {
    let mut world = World::new().await;
    enrolled(&world).await;
    let application = world.application("sync", "sync").await;
    let shown = Shown::of(&application).await;
    let service = Service::start(&world, Some(Ttl::seconds(2))).await;
    world.broker.kill();
    assert_eq!(shown.verdict(&service), Ok(()));
    let left = service.verifier.refuses_in().unwrap();
    assert!(left <= Duration::from_secs(2));
    tokio::time::sleep(left + Duration::from_millis(5)).await;
    assert_eq!(shown.verdict(&service), Err(Refused::Stale));
    world.broker.serve().await;
    tokio::time::timeout(PATIENCE, service.verifier.ready()).await.unwrap().unwrap();
    assert_eq!(shown.verdict(&service), Ok(()));
}

#[tokio::test]
async fn an_instance_that_is_ended_hears_no_more_and_refuses() {
    let world = World::new().await;
    enrolled(&world).await;
    let application = world.application("sync", "sync").await;
    let shown = Shown::of(&application).await;
    let mut service = Service::start(&world, Some(Ttl::seconds(2))).await;
    assert_eq!(shown.verdict(&service), Ok(()));
    let found = standing(&world.admin, |one| one.following).await;
    let instance = format!("identity:{}", found.identity.unwrap());
    world.admin.end(&id(&instance), "").await.unwrap();
    let lost = service.told("lost").await;
    let lost = if lost.contains("caller") { lost } else { service.told("lost: caller").await };
    assert_eq!(lost, "lost: caller-dead");
    assert_eq!(reason(service.keeper.connection().standings().await), "caller-dead");
    let left = service.verifier.refuses_in().unwrap();
    tokio::time::sleep(left + Duration::from_millis(5)).await;
    assert_eq!(shown.verdict(&service), Err(Refused::Stale));
}
