//! Clients that outlast their broker's restarts and a network that fails: whoever calls through a patient SDK notices
//! nothing, and nothing is done twice.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

#[path = "support/proxy.rs"]
mod proxy;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use daypass_core::{Action, Event as Recorded};
use daypass_credential::Revision;
use daypass_sdk::{
    Application, Connection, Credentials, Directory, Error, Event, Introspector, KeepAlive, Keeper, Observer,
    Options, RetryPolicy, TokenRequest,
};
use daypass_store::{Check, Options as StoreOptions, Sled, Store};
use proxy::{Proxy, Weather};
use serde_json::json;
use support::{World, id, name, scopes};
use tokio::task::JoinSet;

/// How many mint at once.
const MINTERS: usize = 8;

/// What the callers saw.
#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    retried: AtomicUsize,
    /// How often a keeper renewed an identity.
    renewed: AtomicUsize,
    failures: Mutex<Vec<String>>,
    /// What was minted one by one.
    minted: Mutex<Vec<Revision>>,
    enough: AtomicBool,
}

impl Seen {
    fn options(self: &Arc<Self>) -> Options {
        let seen = Arc::clone(self);
        let observer = Observer::new(move |event| {
            match event {
                Event::Retrying { .. } => seen.retried.fetch_add(1, Ordering::Relaxed),
                Event::Renewed { .. } => seen.renewed.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
        });
        Options { observer, ..Options::default() }
    }

    /// Calls until it is enough.
    async fn call<T, F: Future<Output = Result<T, Error>>>(&self, what: &str, mut call: impl FnMut() -> F) {
        while !self.enough.load(Ordering::Relaxed) {
            self.once(what, call().await);
        }
    }

    /// Counts a call, and keeps how it failed.
    fn once<T>(&self, what: &str, answer: Result<T, Error>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = answer {
            self.failures.lock().unwrap().push(format!("{what}: {error:?}"));
        }
    }
}

async fn keeper(world: &World, who: &str, seen: &Arc<Seen>) -> Arc<Keeper> {
    Arc::new(Keeper::start(world.broker.home(who), &seen.options()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_do_not_notice_that_the_broker_restarts() {
    let restarts = support::size("DAYPASS_RESTARTS", 3);
    let mut world = World::new().await;
    with_lifetimes(&mut world, "identity = \"30s\"\ntoken = \"12s\"\n").await;
    let seen = Arc::new(Seen::default());
    let mut keepers: Vec<Arc<Keeper>> = Vec::new();
    for (who, subject) in [
        ("sync", "application:sync"),
        ("other", "application:other"),
        ("billing-api", "verifier:billing-api"),
        ("tom", "person:tom"),
    ] {
        world.broker.enroll(who, &world.code(subject).await).await.unwrap();
        keepers.push(keeper(&world, who, &seen).await);
    }
    keepers.push(keeper(&world, "dana", &seen).await);
    let mut workers = JoinSet::new();
    start_callers(&mut workers, &seen, &keepers);

    let mut random = Random::seeded();
    for round in 0..restarts {
        tokio::time::sleep(Duration::from_millis(50 + random.below(900))).await;
        // A renewal goes on through the restart as well.
        let (renewing, renewed) = (keepers[round % keepers.len()].clone(), seen.clone());
        workers.spawn(async move { renewed.once("renew", renewing.renew().await) });
        if round % 2 == 0 {
            world.broker.kill();
        } else {
            assert!(world.broker.stop().await, "{}", world.broker.log());
        }
        // Down for a moment: calls begin while nobody is there.
        tokio::time::sleep(Duration::from_millis(random.below(300))).await;
        world.broker.serve().await;
    }
    seen.enough.store(true, Ordering::Relaxed);
    workers.join_all().await;
    drop(keepers);
    assert!(world.broker.stop().await);

    let failures = seen.failures.lock().unwrap().clone();
    let minted: HashSet<Revision> = seen.minted.lock().unwrap().iter().copied().collect();
    let recorded = minted_by_sync(&world).await;
    let figures = json!({
        "restarts": restarts,
        "calls": seen.calls.load(Ordering::Relaxed),
        "retried": seen.retried.load(Ordering::Relaxed),
        "renewed": seen.renewed.load(Ordering::Relaxed),
        "failed_to_caller": failures.len(),
        "mints": minted.len(),
        "minted_twice": recorded.difference(&minted).count(),
        "missing": minted.difference(&recorded).count(),
    });
    support::show(&figures);
    assert!(failures.is_empty(), "{figures}: {:#?}", &failures[..failures.len().min(5)]);
    assert_eq!(recorded, minted, "each mint stands in the log once, by the number that the caller got");
    assert_eq!(seen.minted.lock().unwrap().len(), minted.len(), "no two callers got the same");
    assert!(figures["retried"].as_u64().unwrap() > 0 && minted.len() > restarts * 10, "{figures}");
    assert!(seen.renewed.load(Ordering::Relaxed) >= restarts, "{figures}");
}

/// Everybody who calls: mints one by one, mints by need, checks, reads, writes and ends.
fn start_callers(workers: &mut JoinSet<()>, seen: &Arc<Seen>, keepers: &[Arc<Keeper>]) {
    let connection = |n: usize| keepers[n].connection();
    let sync = Application::over(connection(0)).unwrap();
    for n in 0..MINTERS {
        let (seen, sync) = (seen.clone(), sync.clone());
        workers.spawn(async move {
            let (audience, scopes) = (name("billing"), scopes("status.read"));
            seen.call("mint", async || {
                let revision = if n == 0 {
                    sync.certificate(&audience, None).await?.revision
                } else {
                    let (audience, scopes) = (&audience, &scopes);
                    sync.token(&TokenRequest { audience, scopes, certificate: None, ttl: None })
                        .await?
                        .revision
                };
                seen.minted.lock().unwrap().push(revision);
                Ok(())
            })
            .await;
        });
    }
    let credentials = Credentials::of(Application::over(connection(1)).unwrap());
    let verifier = Introspector::over(connection(2)).unwrap();
    for scope in ["invoices.read", "status.read"] {
        let (seen, credentials, verifier) = (seen.clone(), credentials.clone(), verifier.clone());
        workers.spawn(async move {
            let (audience, scopes, used) = (name("billing"), scopes(scope), AtomicUsize::new(0));
            seen.call("use", async || {
                if used.fetch_add(1, Ordering::Relaxed) % 50 == 49 {
                    credentials.forget(&audience);
                }
                let credential = credentials.credential(&audience, &scopes).await?;
                let leaf = credential.certificate().leaf().clone();
                let live = verifier.introspect(credential.token().reveal(), Some(&leaf)).await?;
                // It can only be over because an outage in between was longer than what was left of it.
                assert!(
                    live.is_some() || credential.expires_at().as_secs() <= support::now(),
                    "{credential:?}"
                );
                Ok(())
            })
            .await;
        });
    }
    let (reader, admin) = (Directory::over(connection(3)), Directory::over(connection(4)));
    let read = seen.clone();
    workers.spawn(async move {
        read.call("read", async || reader.object(&id("application:sync")).await).await;
    });
    let write = seen.clone();
    workers.spawn(async move {
        let next = AtomicUsize::new(0);
        write
            .call("write and end", async || {
                let person = format!("p{}", next.fetch_add(1, Ordering::Relaxed));
                let written = admin.put(support::person(&person, &[]), Some(Revision::ZERO)).await?;
                assert!(written.written, "a repeat gets the first answer");
                admin.connection().end(&id(&format!("person:{person}")), "").await
            })
            .await;
    });
}

/// Restarts the broker with other lifetimes.
async fn with_lifetimes(world: &mut World, lifetimes: &str) {
    assert!(world.broker.stop().await);
    let path = world.broker.path().join("daypassd.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}\n[lifetimes]\n{lifetimes}")).unwrap();
    world.broker.serve().await;
    world.settled().await;
}

/// What was minted for `sync`, by the log. No two were for one request.
async fn minted_by_sync(world: &World) -> HashSet<Revision> {
    let (mut found, mut requests) = (HashSet::new(), HashSet::new());
    for (revision, event) in log(world).await {
        let of_sync = match &event.action {
            Action::TokenMinted(record) => record.application == name("sync"),
            Action::CertificateMinted(record) => record.subject == id("application:sync"),
            _ => false,
        };
        if of_sync {
            assert!(event.request.is_some(), "every mint has an id of its own: {event:?}");
            assert!(requests.insert(event.id), "two for one request: {event:?}");
            found.insert(revision);
        }
    }
    found
}

/// The whole log of a broker that has stopped.
async fn log(world: &World) -> Vec<(Revision, Recorded)> {
    let options = StoreOptions { check: Check::Whole, ..StoreOptions::default() };
    let store = Sled::open(&world.broker.store_path(), options).unwrap();
    let (mut events, mut after) = (Vec::new(), Revision::ZERO);
    loop {
        let entries = store.log(after, 4096).await.unwrap();
        let Some(last) = entries.last() else { return events };
        after = last.revision;
        events.extend(
            entries.iter().map(|entry| (entry.revision, Recorded::from_bytes(&entry.event).unwrap())),
        );
    }
}

/// Instants by chance, the same for the same seed.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = support::size("DAYPASS_SEED", usize::try_from(support::now()).unwrap());
        eprintln!("DAYPASS_SEED={seed}");
        Self(u64::try_from(seed).unwrap() | 1)
    }

    fn below(&mut self, most: u64) -> u64 {
        for shift in [13_i32, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        self.0 % most
    }
}

/// A world whose `sync` is enrolled, and connects, through a network that can fail.
async fn behind(proxy: impl AsyncFnOnce(&World) -> Proxy, options: &Options) -> (World, Proxy, Connection) {
    let world = World::new().await;
    let proxy = proxy(&world).await;
    std::fs::create_dir_all(world.broker.path().join("homes")).unwrap();
    let code = world.code("application:sync").await;
    let identity =
        daypass_sdk::enroll(&world.broker.home("sync"), &proxy.address, &code, None).await.unwrap();
    let connection = Connection::open_with(&identity, options).await.unwrap();
    (world, proxy, connection)
}

async fn proxied(world: &World) -> Proxy {
    Proxy::to(world.broker.address()).await
}

/// Waits until the broker has recorded something after `mark`, and closes the connection that the answer was lost on.
async fn recorded_and_cut(world: &World, proxy: &Proxy, mark: Revision) {
    while world.revision().await == mark {
        tokio::task::yield_now().await;
    }
    proxy.cut();
}

#[tokio::test]
async fn a_mint_whose_answer_was_lost_stands_once() {
    let (mut world, proxy, connection) = behind(proxied, &Options::default()).await;
    let sync = Application::over(connection).unwrap();
    let certificate = sync.certificate(&name("billing"), None).await.unwrap();
    let mark = world.revision().await;
    proxy.set(Weather::Deaf);
    let (token, ()) = tokio::join!(
        support::token(&sync, &certificate, "invoices.read"),
        recorded_and_cut(&world, &proxy, mark)
    );
    assert_eq!(token.unwrap().revision.get(), mark.get() + 1, "the repeat gets what was recorded first");
    proxy.set(Weather::Deaf);
    let mark = world.revision().await;
    let audience = name("billing");
    let (again, ()) = tokio::join!(sync.certificate(&audience, None), recorded_and_cut(&world, &proxy, mark));
    assert_eq!(again.unwrap().revision.get(), mark.get() + 1);
    assert_eq!(world.revision().await.get(), mark.get() + 1);
    assert!(world.broker.stop().await);
    assert_eq!(minted_by_sync(&world).await.len(), 3);
}

#[tokio::test]
async fn an_enrolment_and_a_renewal_whose_answers_were_lost_lead_to_one_identity() {
    let mut world = World::new().await;
    let proxy = proxied(&world).await;
    std::fs::create_dir_all(world.broker.path().join("homes")).unwrap();
    let (home, code) = (world.broker.home("sync"), world.code("application:sync").await);
    let (options, mark) = (Options::default(), world.revision().await);
    let lost = async {
        // The handshake has to get through; the answer has not.
        while !home.folder().join("next-key.pem").exists() {
            tokio::task::yield_now().await;
        }
        proxy.set(Weather::Deaf);
        recorded_and_cut(&world, &proxy, mark).await;
    };
    let enrolled = daypass_sdk::enroll_with(&home, &proxy.address, &code, None, &options);
    let (identity, ()) = tokio::join!(enrolled, lost);
    let identity = identity.unwrap();
    let keeper = Keeper::start(home.clone(), &options).await.unwrap();
    let mark = world.revision().await;
    let lost = async {
        while !home.folder().join("next-key.pem").exists() {
            tokio::task::yield_now().await;
        }
        proxy.set(Weather::Deaf);
        recorded_and_cut(&world, &proxy, mark).await;
    };
    let (renewed, ()) = tokio::join!(keeper.renew(), lost);
    renewed.unwrap();
    assert!(keeper.identity().revision() > identity.revision());
    let pong = keeper.connection().ping().await.unwrap();
    assert!(world.broker.stop().await);
    let identities: HashSet<_> = log(&world)
        .await
        .into_iter()
        .filter_map(|(_, event)| match event.action {
            Action::Enrolled(record) | Action::Renewed(record)
                if record.subject == id("application:sync") =>
            {
                Some(record.identity)
            }
            _ => None,
        })
        .collect();
    assert_eq!(identities, HashSet::from([pong.identity]));
}

#[tokio::test]
async fn a_code_is_not_made_twice() {
    let mut world = World::new().await;
    let proxy = proxied(&world).await;
    let code = world.code("person:dana").await;
    let identity =
        daypass_sdk::enroll(&world.broker.home("dana2"), &proxy.address, &code, None).await.unwrap();
    let dana = Directory::over(Connection::open_with(&identity, &Options::default()).await.unwrap());
    // So that the next call is the first thing whose answer is lost.
    dana.connection().ping().await.unwrap();
    let mark = world.revision().await;
    proxy.set(Weather::Deaf);
    let subject = id("application:sync");
    let (opened, ()) =
        tokio::join!(dana.open_enrollment(&subject, None), recorded_and_cut(&world, &proxy, mark));
    assert!(matches!(opened, Err(Error::Unreachable { .. })), "whether it was made is not known: {opened:?}");
    assert_eq!(world.revision().await.get(), mark.get() + 1);
    // Where nothing can have been sent, it is tried again.
    let direct = world.broker.home("dana").identity().unwrap();
    let direct = Directory::over(Connection::open_with(&direct, &Options::default()).await.unwrap());
    assert!(world.broker.stop().await);
    let restarted = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.broker.serve().await;
    };
    let (opened, ()) = tokio::join!(direct.open_enrollment(&subject, None), restarted);
    opened.unwrap();
}

#[tokio::test]
async fn calls_find_their_way_again_when_a_network_that_went_silent_is_back() {
    let quick = KeepAlive { interval: Duration::from_millis(200), timeout: Duration::from_millis(200) };
    let kept = Options { keep_alive: quick, ..Options::default() };
    let (world, proxy, connection) = behind(proxied, &kept).await;
    let never = KeepAlive { interval: Duration::from_secs(600), timeout: Duration::from_secs(600) };
    let identity = world.broker.home("sync").identity().unwrap();
    let unkept = Options { keep_alive: never, ..Options::default() };
    let unkept = Connection::open_with(&identity, &unkept).await.unwrap();
    connection.ping().await.unwrap();
    unkept.ping().await.unwrap();

    // Nothing comes through and nothing is closed, and then all is well again; for new connections, that is.
    proxy.set(Weather::Void);
    let under_way = tokio::spawn({
        let connection = connection.clone();
        async move { connection.ping().await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.set(Weather::Fair);
    let patience = Duration::from_secs(8);
    tokio::time::timeout(patience, under_way).await.unwrap().unwrap().unwrap();
    tokio::time::timeout(patience, connection.ping()).await.unwrap().unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(1), unkept.ping()).await;
    assert!(lost.is_err(), "without pings nobody notices: {lost:?}");
}

#[tokio::test]
async fn the_patient_wait_for_a_broker_and_others_do_not() {
    let mut world = World::new().await;
    let (code, home) = (world.code("application:sync").await, world.broker.home("sync"));
    let address = world.broker.address().clone();
    assert!(world.broker.stop().await);
    std::fs::create_dir_all(world.broker.path().join("homes")).unwrap();
    let once = daypass_sdk::enroll(&home, &address, &code, None).await;
    assert!(matches!(once, Err(Error::Unreachable { .. })), "{once:?}");
    let short = Options::with_retry(RetryPolicy::new(Duration::from_millis(200)));
    let short = daypass_sdk::enroll_with(&home, &address, &code, None, &short).await;
    assert!(matches!(short, Err(Error::Unreachable { .. })), "{short:?}");
    let options = Options::default();
    let enrolled = daypass_sdk::enroll_with(&home, &address, &code, None, &options);
    let (enrolled, ()) = tokio::join!(enrolled, world.broker.serve());
    enrolled.unwrap();
    assert!(world.broker.stop().await);
    let (keeper, ()) = tokio::join!(Keeper::start(home, &options), world.broker.serve());
    keeper.unwrap().connection().ping().await.unwrap();
}
