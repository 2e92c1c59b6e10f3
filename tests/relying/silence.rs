//! What a verifier does that hears nothing, or everything too late: it refuses once it is staler than its audience allows,
//! not sooner, and goes on by itself when it hears again.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_proto::v1;
use daypass_sdk::Address;
use serde_json::{Value, json};

use crate::{
    child::Process,
    late::Late,
    powerfs::{Damage, PowerDisk, Random},
    proxy::{Proxy, Weather},
    support::{self, Broker, World, audience, id},
};

/// The least that an audience can allow.
const LIMIT: u64 = 5_000;
/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A verifier in a process of its own, and what it was seen to do.
struct Watched {
    process: Process,
    looks: u64,
}

impl Watched {
    async fn start(world: &World, who: &str, broker: &Address, pass: &Value) -> Self {
        let home = world.broker.home(who);
        let code = world.code("verifier:billing-api").await;
        daypass_sdk::enroll(&home, broker, &code, None).await.unwrap();
        let knows = json!({
            "home": home.folder().display().to_string(),
            "token": pass["token"],
            "certificate": pass["certificate"],
        });
        let mut process = Process::start("watch", &knows);
        assert_eq!(process.says().await["ready"], true);
        Self { process, looks: 0 }
    }

    /// Does it accept? Whatever it says, it has to be what its limit demands: no later, and no sooner.
    async fn accepts(&mut self) -> bool {
        let said = self.process.ask("look").await;
        self.judge(&said)
    }

    fn judge(&mut self, said: &Value) -> bool {
        self.looks += 1;
        let age = |key: &str| said[key].as_u64().unwrap_or(u64::MAX);
        // A proof may come between the verdict and what stands around it.
        let (least, most) = (age("before").min(age("after")), age("before").max(age("after")));
        match said["verdict"].as_str().unwrap() {
            "good" => assert!(least < LIMIT, "it accepts though it is stale: {said}"),
            "stale" => assert!(most >= LIMIT, "it refuses though it is fresh: {said}"),
            other => panic!("refused as `{other}`"),
        }
        said["verdict"] == "good"
    }

    /// Waits until it accepts, or does not.
    async fn until(&mut self, accepts: bool) {
        let begun = Instant::now();
        while self.accepts().await != accepts {
            assert!(begun.elapsed() < PATIENCE, "it never {}", if accepts { "recovers" } else { "refuses" });
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// It refuses, all the time.
    async fn refuses_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            assert!(!self.accepts().await, "it accepts again, and has heard nothing in time");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A world on this disk whose audience allows as little as can be, and a credential for it.
async fn world(disk: &PowerDisk) -> (World, Value) {
    let place = disk.path().join("broker");
    let mut broker = Broker::init_at(tempfile::tempdir().unwrap(), place, "");
    broker.serve().await;
    let world = World::over(broker).await;
    let v1::Object { kind: Some(v1::object::Kind::Audience(billing)) } = audience("billing", "production")
    else {
        panic!("no audience");
    };
    let strict = v1::Audience { staleness_seconds: 5, ..billing };
    world.put(support::object(v1::object::Kind::Audience(strict))).await;
    let (certificate, token) = support::mint(&world.application("sync", "sync").await).await.unwrap();
    let pass = json!({ "token": token.reveal(), "certificate": STANDARD.encode(certificate.leaf()) });
    (world, pass)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hears_nothing_in_time_refuses_and_recovers_by_itself() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let (mut world, pass) = world(&disk).await;
    let (quiet, late) = (Proxy::to(world.broker.address()).await, Late::to(world.broker.address()).await);
    let mut stalled = Watched::start(&world, "stalled", &quiet.address, &pass).await;
    let mut delayed = Watched::start(&world, "delayed", &late.address, &pass).await;
    let mut suspended = Watched::start(&world, "suspended", world.broker.address(), &pass).await;
    for verifier in [&mut stalled, &mut delayed, &mut suspended] {
        assert!(verifier.accepts().await);
    }

    let delay = Duration::from_secs(support::size("DAYPASS_DELAY_SECONDS", 12) as u64);
    quiet.set(Weather::Deaf);
    late.by(delay);
    suspended.process.signal("STOP");
    tokio::join!(stalled.until(false), delayed.until(false));
    // What is late by a constant time comes all the same, and proves nothing however long it goes on.
    tokio::join!(stalled.refuses_for(delay), delayed.refuses_for(delay + Duration::from_secs(8)));

    // It was away for longer than its limit: what it is asked first, it is asked before it has heard anything.
    suspended.process.begin("look").await;
    suspended.process.signal("CONT");
    let first = suspended.process.says().await;
    let suspended_accepted = suspended.judge(&first);
    quiet.set(Weather::Fair);
    quiet.cut();
    late.by(Duration::ZERO);
    tokio::join!(stalled.until(true), delayed.until(true), suspended.until(true));

    // A broker whose disk is gone ends with the next commit, and says nothing any more.
    disk.cut();
    assert!(world.admin.end(&id("application:other"), "").await.is_err());
    assert_eq!(world.broker.ended().await, Some(3));
    tokio::join!(stalled.until(false), delayed.until(false), suspended.until(false));
    disk.restart(Damage::Drop, &mut Random::new(7));
    world.broker.serve().await;
    tokio::join!(stalled.until(true), delayed.until(true), suspended.until(true));

    support::show(&json!({
        "limit_ms": LIMIT,
        "delay_s": delay.as_secs(),
        "looks": stalled.looks + delayed.looks + suspended.looks,
        "accepted_stale": 0,
        "refused_fresh": 0,
        "suspended_accepted_at_once": suspended_accepted,
        "recovered": ["stalled", "delayed", "suspended", "unreadable"],
    }));
}
