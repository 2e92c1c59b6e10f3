//! Serving: puts the parts together, listens, and drains when told to stop.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daypass_credential::{Digest, Era, Timestamp};
use daypass_store::Store;
use rustls::{crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{service::Routes, transport::Server};

use super::{
    command::Failure,
    listener::listen,
    notify::{State, notify},
    operator,
    start::{begun, key_encryption_key, not_restored, open_notary, open_store, pace},
    tls::{ServerIdentity, server_config},
};
use crate::{
    audit::{Audit, Summaries, keep_summaries},
    broker::{Broker, Lifetimes},
    clock::{ClockGuard, SystemClock},
    config::Config,
    entropy::SystemEntropy,
    feed::{Feed, keep_feed, keep_ledger},
    grpc::{GateLayer, routes, unlisted},
    keys::Cabinet,
    notary::{self, Worker},
    receipts::{Receipts, keep_receipts},
    refusal::Refusal,
    refusals::{INTERVAL, Refusals},
    space::{self, Space},
};

/// How long the end waits for the last checkpoint, and for the ledger.
const LAST_CHECKPOINT: Duration = Duration::from_secs(5);

/// Why the broker stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Not,
    Asked,
    StoreFailed,
    Older,
}

/// Asks for a stop; the first reason stands.
fn ask(stop: &watch::Sender<Stop>, why: Stop) {
    stop.send_if_modified(|now| {
        let first = *now == Stop::Not;
        if first {
            *now = why;
        }
        first
    });
}

/// Serves until it is told to stop, or the store fails.
pub(crate) async fn serve(config: Config, ready_file: Option<PathBuf>) -> Result<(), Failure> {
    every_method_is_listed()?;
    not_restored(&config)?;
    let kek = key_encryption_key(&config.key_file)?;
    // Before the store is opened, which takes space itself: what is held back may be needed for that already.
    let space = space(&config);
    let store = open_store(&config)?;
    let (broker, mut notary) = broker(&config, store.clone(), kek, space).await?;
    let broker = Arc::new(broker);
    notary.begin(&broker).await;
    if broker.notary.sound().is_err() {
        return Err(Failure::Older(broker.notary.found_older().await));
    }
    let identity =
        server_identity(&broker, &config).map_err(|error| Failure::work("no server certificate", error))?;
    let tls = server_config(identity.clone()).map_err(|error| Failure::work("TLS", error))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Failure::work(format!("cannot listen on {}", config.listen), error))?;
    let address = listener.local_addr().map_err(|error| Failure::work("cannot listen", error))?;

    let (stop, stopped) = watch::channel(Stop::Not);
    tokio::spawn(watch_signals(stop.clone())?);
    let _operator = operator::listen(&config, store.clone())
        .inspect_err(|error| tracing::warn!(%error, "no backups can be made while the broker runs"));
    tokio::spawn(watch_store(store, stop.clone()));
    tokio::spawn(watch_notary(broker.clone(), stop));
    let (finish, finishing) = oneshot::channel();
    let notary = tokio::spawn(notary.run(broker.clone(), finishing));
    tokio::spawn(renew_certificate(broker.clone(), config.clone(), identity));
    tokio::spawn(count_refusals(broker.clone()));
    tokio::spawn(watch_space(broker.clone()));
    tokio::spawn(keep_feed(broker.clone()));
    tokio::spawn(keep_receipts(broker.clone()));
    tokio::spawn(keep_summaries(broker.clone(), pace(&config)));

    let connections =
        listen(listener, TlsAcceptor::from(Arc::new(tls)), broker.clone(), config.limits.connections);
    if let Some(path) = &ready_file {
        write_ready(path, &address.to_string())?;
    }
    tracing::info!(%address, era = %broker.era, revision = %broker.store.head().borrow().revision, "serving");
    notify(State::Ready);
    let served = answer(&config, broker.clone(), connections, stopped.clone()).await;
    broker.write_counts().await;
    let ledger = tokio::spawn(keep_ledger(broker.clone()));
    // What was recorded up to the end is signed as well.
    drop(finish);
    if tokio::time::timeout(LAST_CHECKPOINT, notary).await.is_err() {
        tracing::warn!("the last checkpoint takes too long, and is left to the next start");
    }
    if tokio::time::timeout(LAST_CHECKPOINT, ledger).await.is_err() {
        tracing::warn!("keeping the ledger takes too long: the next start follows the log for longer");
    }
    if let Some(path) = &ready_file {
        let _gone = fs::remove_file(path);
    }
    let why = *stopped.borrow();
    match (served, why) {
        (_, Stop::StoreFailed) => Err(Failure::Store),
        (_, Stop::Older) => Err(Failure::Older(broker.notary.found_older().await)),
        (Err(failure), _) => Err(failure),
        (Ok(()), _) => {
            tracing::info!("stopped");
            Ok(())
        }
    }
}

/// Answers requests until told to stop, and then those under way, for as long as the drain lasts.
async fn answer(
    config: &Config,
    broker: Arc<Broker>,
    connections: tokio::sync::mpsc::Receiver<std::io::Result<super::listener::Connection>>,
    stopped: watch::Receiver<Stop>,
) -> Result<(), Failure> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let (mut asked, mut late) = (stopped.clone(), stopped);
    let drain = Duration::from_millis(config.limits.drain.as_millis());
    let following = broker.clone();
    let routes = routes(&broker).add_service(health);
    let routes = reflection(routes).map_err(|error| Failure::work("cannot offer reflection", error))?;
    let server = Server::builder()
        .max_concurrent_streams(config.limits.calls_per_connection)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .layer(GateLayer::new(broker))
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), async move {
            let _closed = asked.wait_for(|stop| *stop != Stop::Not).await;
            tracing::info!("stopping: finishing what is under way");
            notify(State::Stopping);
            following.audit.close();
            following.feed.close();
            following.receipts.close();
            reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        });
    tokio::select! {
        served = server => served.map_err(|error| Failure::work("serving failed", error)),
        () = async {
            let _closed = late.wait_for(|stop| *stop != Stop::Not).await;
            tokio::time::sleep(drain).await;
        } => {
            tracing::warn!("what was still under way is cut off");
            Ok(())
        }
    }
}

/// Adds reflection, for clients without our files. Many of them ask for `v1alpha` alone; the two are the same but in name.
fn reflection(routes: Routes) -> Result<Routes, tonic_reflection::server::Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(daypass_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

/// The parts of a broker over this store, and its notary's worker.
async fn broker(
    config: &Config,
    store: Arc<dyn Store>,
    kek: daypass_issuer::KeyEncryptionKey,
    space: Space,
) -> Result<(Broker, Worker), Failure> {
    let begun = begun(&*store, config).await?;
    let (era, previous, issuer) = (begun.era, begun.previous, begun.realm.issuer.clone());
    let last = store.head().borrow().at;
    let clock = ClockGuard::new(Arc::new(SystemClock), Some(last));
    if let Err(error) = clock.trusted(last) {
        tracing::error!(%error, "nothing is minted: check the machine's time, then run `daypassd clock accept`");
    }
    let keys = Cabinet::open(&*store, kek, begun.realm)
        .await
        .map_err(|error| Failure::work(operator_text("cannot open the broker's keys", &error), error))?;
    let log_keys = notary::every_log_key(keys.now().ring());
    let subject = notary::Subject { issuer: &issuer, era, previous, keys: &log_keys };
    let (notary, worker) = open_notary(config, &subject, store.clone()).await?;
    let audit = Audit::new(summaries(config, era, &keys.kek().digest("summaries", &[])));
    let ledger = config.data_dir.join("ledger");
    // Never before what the log knows: an earlier process told verifiers up to its end that nothing is missing.
    let began = clock.now().max(store.head().borrow().at);
    let feed = Feed::open(began, ledger, &*store, era, keys.kek()).await;
    let lifetimes = &config.lifetimes;
    let broker = Broker {
        store,
        clock,
        entropy: Arc::new(SystemEntropy::new()),
        keys,
        era,
        lifetimes: Lifetimes {
            identity_ttl: lifetimes.identity,
            certificate_ttl: lifetimes.certificate,
            token_ttl: lifetimes.token,
        },
        refusals: Refusals::default(),
        space,
        notary,
        audit,
        feed,
        receipts: Receipts::at(config.data_dir.join("receipts"), era),
        right_of_way: crate::right_of_way::RightOfWay::default(),
    };
    Ok((broker, worker))
}

/// What lets searches of the log skip what cannot match. Without it they are slower, and nothing else.
fn summaries(config: &Config, era: Era, secret: &Digest) -> Summaries {
    Summaries::open(&config.data_dir.join("notary"), era, secret).unwrap_or_else(|error| {
        tracing::warn!(%error, "searches of the log are slower: their summaries cannot be opened");
        Summaries::none()
    })
}

/// The space on the store's disk, as it is at the start.
fn space(config: &Config) -> Space {
    let limits = space::Limits::mebibytes(config.limits.disk_low_water_mib, config.limits.disk_reserve_mib);
    let space = Space::of(config.data_dir.clone(), limits);
    space.look();
    space
}

fn operator_text(what: &str, refusal: &Refusal) -> String {
    refusal.operator_words().map_or_else(|| what.to_owned(), |words| format!("{what}: {words}"))
}

/// A method without its row in the table, or a row without its method, and the broker does not start.
fn every_method_is_listed() -> Result<(), Failure> {
    let unlisted = unlisted(daypass_proto::DESCRIPTORS)
        .map_err(|error| Failure::work("cannot read the method descriptors", error))?;
    match unlisted.as_slice() {
        [] => Ok(()),
        some => Err(Failure::Work(
            format!("methods without their row, or rows without their method: {some:?}"),
            None,
        )),
    }
}

fn server_identity(broker: &Broker, config: &Config) -> Result<Arc<ServerIdentity>, Failure> {
    Ok(ServerIdentity::new(server_key(broker, config, broker.clock.now())?))
}

/// A fresh server certificate with its key.
fn server_key(broker: &Broker, config: &Config, now: Timestamp) -> Result<CertifiedKey, Failure> {
    let keys = broker.keys.now();
    let names = config.server_names()?;
    let made = keys
        .ring()
        .server_certificate(&names, now, config.lifetimes.server)
        .map_err(|error| Failure::work("cannot sign the server certificate", error))?;
    let key = any_supported_type(&made.key).map_err(|error| Failure::work("the server key", error))?;
    Ok(CertifiedKey::new(made.chain, key))
}

/// Replaces the server certificate when two thirds of its life are over. Looks often instead of sleeping long: the
/// machine may sleep as well.
async fn renew_certificate(broker: Arc<Broker>, config: Config, identity: Arc<ServerIdentity>) {
    let life = config.lifetimes.server;
    let two_thirds = |from: Timestamp| Timestamp::from_millis(from.as_millis() + life.as_millis() / 3 * 2);
    let look =
        Duration::from_millis(life.as_millis() / 60).clamp(Duration::from_secs(1), Duration::from_secs(60));
    let mut issued = broker.clock.now();
    loop {
        tokio::time::sleep(look).await;
        let now = broker.clock.now();
        // A clock that was set back meets a certificate from the future: that one has to go as well.
        if issued <= now && now < two_thirds(issued) {
            continue;
        }
        match server_key(&broker, &config, now) {
            Ok(key) => {
                identity.replace(key);
                issued = now;
                tracing::info!("renewed the server certificate");
            }
            Err(error) => tracing::error!(%error, "cannot renew the server certificate"),
        }
    }
}

async fn watch_space(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(space::INTERVAL).await;
        let broker = broker.clone();
        let _looked = tokio::task::spawn_blocking(move || broker.space.look()).await;
    }
}

async fn count_refusals(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        broker.write_counts().await;
    }
}

/// Asks for a stop when the process is told to end.
fn watch_signals(stop: watch::Sender<Stop>) -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error| Failure::work("cannot listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ask(&stop, Stop::Asked);
    })
}

/// Asks for a stop when the store has failed: a failed sync is final, and the next start recovers from disk.
async fn watch_store(store: Arc<dyn Store>, stop: watch::Sender<Stop>) {
    let mut head = store.head();
    drop(store);
    while head.changed().await.is_ok() {}
    if *stop.borrow() == Stop::Not {
        tracing::error!("the store has failed");
        ask(&stop, Stop::StoreFailed);
    }
}

/// Asks for a stop when the log was found to be older than what was signed.
async fn watch_notary(broker: Arc<Broker>, stop: watch::Sender<Stop>) {
    let _why = broker.notary.found_older().await;
    ask(&stop, Stop::Older);
}

/// Tells whoever waits where the broker listens: the file is there whole, or not at all.
fn write_ready(path: &Path, address: &str) -> Result<(), Failure> {
    let failed = |error| Failure::work(format!("cannot write `{}`", path.display()), error);
    let part = path.with_extension("part");
    fs::write(&part, serde_json::json!({ "address": address }).to_string()).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}
