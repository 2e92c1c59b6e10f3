//! Many verifiers at once, one that does not read, and a network that breaks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use daypass_proto::v1::follow_revocations_request::Message as Ask;
use daypass_sdk::{Address, Application, ClientCertificate, Connection, Identity};
use daypass_verifier::Feed;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};
use tonic::transport::{Channel, Endpoint};

use crate::{
    alive,
    proxy::Proxy,
    support::{self, World, id, token},
    verifier,
    wire::{Stream, hello, hello_of},
};

/// How many verifiers follow besides the one that does not read.
const OTHERS: usize = 100;

/// How many cuts there are before: more than one message of a snapshot holds, and what is over more than the window.
const BEFORE: usize = 1500;

/// As many bytes as may come that nobody has read.
const WINDOW: u32 = 4096;

/// A channel over which little comes that is not read.
async fn narrow(identity: &Identity, broker: &Address) -> Channel {
    let config = identity.proof().client_config(std::slice::from_ref(identity.root())).unwrap();
    let (mut config, address) = (Arc::new(config), broker.to_string());
    Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    Endpoint::from_shared(format!("https://{address}"))
        .unwrap()
        .initial_stream_window_size(WINDOW)
        .connect_with_connector(tower::service_fn(move |_| dial(address.clone(), config.clone())))
        .await
        .unwrap()
}

async fn dial(to: String, config: Arc<ClientConfig>) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(&to).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    Ok(TokioIo::new(TlsConnector::from(config).connect(name, stream).await?))
}

/// Enrols one instance of each of so many verifiers, and lets it follow.
async fn followers(world: &World, count: usize) -> Vec<(Connection, Stream)> {
    let mut followers = Vec::new();
    for n in 0..count {
        let called = format!("verifier-{n}");
        world.put(support::verifier(&called, &["billing"])).await;
        let code = world.code(&format!("verifier:{called}")).await;
        let identity = world.broker.enroll(&called, &code).await.unwrap();
        let connection = Connection::open(&identity).await.unwrap();
        let mut stream = Stream::open(&connection, &identity).await;
        stream.settle().await;
        followers.push((connection, stream));
    }
    followers
}

/// Mints so many tokens, and ends each by itself.
async fn end_tokens(world: &World, application: &Application, certificate: &ClientCertificate, count: usize) {
    let mut ends = JoinSet::new();
    for _ in 0..count {
        let token = token(application, certificate, "invoices.read").await.unwrap();
        let (admin, end) = (world.admin.clone(), id(&format!("credential:{}", token.revision)));
        ends.spawn(async move { admin.end(&end, "").await.unwrap() });
    }
    ends.join_all().await;
}

/// Ends something that is alive, again and again, and tells how long it took each time from the commit on until the last
/// of these had it, in milliseconds.
async fn spread(world: &World, streams: &mut Vec<(Connection, Stream)>, ends: Vec<String>) -> Vec<f64> {
    let mut took = Vec::new();
    for end in ends {
        let mut waiting = JoinSet::new();
        for (connection, mut stream) in streams.drain(..) {
            waiting.spawn(async move {
                stream.until("cut").await;
                (Instant::now(), connection, stream)
            });
        }
        world.admin.end(&id(&end), "").await.unwrap();
        let committed = Instant::now();
        let mut last = committed;
        while let Some(had) = waiting.join_next().await {
            let (at, connection, stream) = had.unwrap();
            last = last.max(at);
            streams.push((connection, stream));
        }
        took.push((last - committed).as_secs_f64() * 1000.0);
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_does_not_read_holds_nobody_up() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let certificate = sync.certificate(&support::name("billing"), None).await.unwrap();
    let mut others = followers(&world, OTHERS).await;
    let (_connection, identity) = verifier(&world, "api-1").await;
    let said = Some(Ask::Hello(hello(&identity)));
    let mut stalled = Stream::with(narrow(&identity, world.broker.address()).await, said).await;

    // Far more than fits between the broker and somebody who reads nothing.
    end_tokens(&world, &sync, &certificate, BEFORE).await;
    for (_, stream) in &mut others {
        stream.settle().await;
        assert_eq!(stream.cuts.len(), BEFORE);
    }
    let samples = support::size("DAYPASS_FEED_SAMPLES", 30);
    let mut ends = Vec::new();
    for _ in 0..samples {
        let token = token(&sync, &certificate, "invoices.read").await.unwrap();
        ends.push(format!("credential:{}", token.revision));
    }
    let mut took = spread(&world, &mut others, ends).await;
    took.sort_by(f64::total_cmp);
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    support::show(
        &json!({ "verifiers": OTHERS, "samples": samples, "last_of_all_median_ms": median, "last_of_all_worst_ms": worst }),
    );
    assert!(worst < 2_000.0, "{took:?}");

    // It reads at last: nothing is lost, and nothing came twice.
    stalled.settle().await;
    assert_eq!(stalled.cuts.len(), BEFORE + samples);
    assert!(stalled.cuts.is_sorted_by(|one, other| one.at < other.at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_cut_in_the_middle_of_a_snapshot_begins_anew() {
    let world = World::new().await;
    let sync = world.application("sync", "sync").await;
    let certificate = sync.certificate(&support::name("billing"), None).await.unwrap();
    end_tokens(&world, &sync, &certificate, BEFORE).await;
    let (connection, identity) = verifier(&world, "api-1").await;
    let proxy = Proxy::to(world.broker.address()).await;
    let (mut feed, channel) = (Feed::new(None), narrow(&identity, &proxy.address).await);
    let said = Some(Ask::Hello(hello_of(&mut feed, &identity)));
    let mut stream = Stream::with(channel, said).await;
    stream.feed = feed;
    stream.until("snapshot-cuts").await;
    // No more than a little of the second part has come by now.
    proxy.cut();
    while let Ok(kind) = stream.next().await {
        assert_ne!(kind, "snapshot-end");
    }
    assert!(stream.view.is_none(), "half a snapshot counts for nothing");
    let mut feed = stream.feed;
    feed.disconnected();
    let mut stream = Stream::go_on(&connection, &identity, feed).await;
    stream.settle().await;
    assert_eq!(stream.view.clone().unwrap().cuts(), BEFORE);
    let (other, other_identity) = verifier(&world, "api-2").await;
    let mut whole = Stream::go_on(&other, &other_identity, Feed::new(None)).await;
    whole.settle().await;
    assert_eq!(whole.cuts.len(), BEFORE);
    let _application = alive(&world, "courier", "courier").await;
    let begun = Instant::now();
    world.admin.end(&id("vendor:globex"), "").await.unwrap();
    stream.until("cut").await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}
