//! A partner loops while an admin ends other vendors: how long each end takes to reach a relying party, and what the loop
//! costs verifiers.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_proto::v1;
use daypass_sdk::{
    Application, Connection, Token, TokenRequest,
    verifier::{News, Options, Verifier, Watch},
};
use serde_json::json;

use crate::{
    loops::Loops,
    support::{World, application, contract, id, name, now, object, scopes, show, size, vendor},
};

/// How many instances the partner has.
const INSTANCES: usize = 8;
/// How many connections each of them, where it mints.
const CONNECTIONS: usize = 2;
/// How many clients over each connection.
const CLIENTS: usize = 8;
/// How many own ends are remembered before nothing more is opened.
const LIMIT: usize = 1024;
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relying party's verifier, and what it was sent.
struct Relying {
    verifier: Verifier,
    /// The cuts of single credentials and identities: of what the loops ended, and of nothing else here.
    small: Arc<Mutex<BTreeSet<NodeId>>>,
    /// Why streams were over.
    lost: Arc<Mutex<Vec<String>>>,
}

impl Relying {
    async fn follow(world: &World) -> Self {
        let connection = world.enrolled("billing-api", "verifier:billing-api").await;
        let small: Arc<Mutex<BTreeSet<NodeId>>> = Arc::default();
        let lost: Arc<Mutex<Vec<String>>> = Arc::default();
        let (sent, over) = (small.clone(), lost.clone());
        let watch = Watch::new(move |news| match news {
            News::Cut { cut } if matches!(cut.node.kind, NodeKind::Credential | NodeKind::Identity) => {
                sent.lock().unwrap().insert(cut.node.clone());
            }
            News::Lost { why, .. } => over.lock().unwrap().push(format!("{why:?}")),
            _ => {}
        });
        let verifier =
            Verifier::start(&connection, &Options { watch, ..Options::of([name("billing")]) }).unwrap();
        verifier.ready().await.unwrap();
        Self { verifier, small, lost }
    }

    fn small(&self) -> usize {
        self.small.lock().unwrap().len()
    }

    fn accepts(&self, token: &Token) -> bool {
        self.verifier.check_token(token.reveal(), None, &["status.read".parse().unwrap()]).is_ok()
    }

    /// Ends a vendor; how long until what was accepted before is refused, from when the end was sent.
    async fn end_to_refusal(&self, admin: &Connection, vendor: &NodeId, token: &Token) -> Duration {
        let mut moved = self.verifier.moved();
        assert!(self.accepts(token), "it is accepted before");
        let sent = Instant::now();
        let refused = async {
            while self.accepts(token) {
                moved.changed().await.unwrap();
            }
            sent.elapsed()
        };
        let end = async { admin.end(vendor, "").await.unwrap() };
        let (_revision, refused): (Revision, Duration) = tokio::join!(end, refused);
        refused
    }
}

/// A vendor with one application, and a token of it that the relying party accepts.
async fn other_vendor(world: &World, called: &str) -> (NodeId, Token) {
    world.put(vendor(called, "")).await;
    let term = contract(called, called, now() - 3600, now() + 86_400);
    world.put(object(v1::object::Kind::Contract(term))).await;
    world.put(object(v1::object::Kind::Application(application(called, called, called)))).await;
    let application = world.application(called, called).await;
    let (audience, scopes) = (name("billing"), scopes("status.read"));
    let request = TokenRequest { audience: &audience, scopes: &scopes, certificate: None, ttl: None };
    let token = application.token(&request).await.unwrap();
    (id(&format!("vendor:{called}")), token)
}

/// Ends so many vendors, one after the other.
async fn end_others(
    world: &World,
    relying: &Relying,
    others: impl Iterator<Item = (NodeId, Token)>,
) -> Vec<Duration> {
    let mut took = Vec::new();
    for (vendor, token) in others {
        let end = relying.end_to_refusal(&world.admin, &vendor, &token);
        took.push(tokio::time::timeout(PATIENCE, end).await.unwrap());
    }
    took
}

/// Its instances, of an application that may have as many.
async fn instances(world: &World, called: &str) -> Vec<daypass_sdk::Identity> {
    let many = v1::Application {
        instances: u32::try_from(INSTANCES).unwrap(),
        ..application(called, "acme", "acme-2026")
    };
    world.put(object(v1::object::Kind::Application(many))).await;
    let mut identities = Vec::new();
    for number in 0..INSTANCES {
        let code = world.code(&format!("application:{called}")).await;
        identities.push(world.broker.enroll(&format!("{called}-{number}"), &code).await.unwrap());
    }
    identities
}

fn milliseconds(took: &mut [Duration]) -> serde_json::Value {
    took.sort();
    let of = |took: &Duration| (took.as_secs_f64() * 100_000.0).round() / 100.0;
    json!({ "worst": took.last().map(of), "p50": took.get(took.len() / 2).map(of), "ends": took.len() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_loops_delays_no_end_and_fills_no_verifier() {
    let world = World::new().await;
    let each = size("DAYPASS_ENDS", 3);
    let mut others = Vec::new();
    for number in 0..3 * each {
        others.push(other_vendor(&world, &format!("ended-{number}")).await);
    }
    let mut others = others.into_iter();
    let relying = Relying::follow(&world).await;
    let mut quiet = end_others(&world, &relying, others.by_ref().take(each)).await;

    // Its own identity certificates: nothing that a relying party could accept dies.
    let mut loops = Loops::new();
    for identity in instances(&world, "sync").await {
        loops.renew_and_end(&identity);
    }
    loops.began().await;
    let mut renewing = end_others(&world, &relying, others.by_ref().take(each)).await;
    let renewed = loops.stop().await;
    let sent_for_renewals = relying.small();

    // Its own tokens: until it has ended too many, and on.
    let identities = instances(&world, "other").await;
    let mut loops = Loops::new();
    for identity in &identities {
        loops.mint_and_end(identity, CONNECTIONS, CLIENTS).await;
    }
    loops.began().await;
    let mut minting = end_others(&world, &relying, others).await;
    loops.limited().await;
    let minted = loops.stop().await;
    // Whatever was ended before this end has reached the verifier with it.
    let courier = Application::over(world.enrolled("courier", "application:courier").await).unwrap();
    let last = crate::limit::token(&courier).await.unwrap();
    relying.end_to_refusal(&world.admin, &id("vendor:globex"), &last).await;
    let entries = relying.small() - sent_for_renewals;

    let ended = usize::try_from(minted.ended.load(Ordering::Relaxed)).unwrap();
    let over = INSTANCES * CONNECTIONS * CLIENTS;
    let worst = renewing.iter().chain(&minting).max().unwrap().as_secs_f64() * 1e3;
    show(&json!({
        // The worst beside either loop; each by itself stands below.
        "end_to_refusal_ms": (worst * 100.0).round() / 100.0,
        "ends": {
            "quiet": milliseconds(&mut quiet),
            "renewing": milliseconds(&mut renewing),
            "minting": milliseconds(&mut minting),
        },
        "loop_calls": {
            "renewing": renewed.calls.load(Ordering::Relaxed),
            "minting": minted.calls.load(Ordering::Relaxed),
        },
        "ended_by_loop": { "renewing": renewed.ended.load(Ordering::Relaxed), "minting": ended },
        "entries_sent_for_loop": sent_for_renewals,
        "entries_live_loop": entries,
        "limit": LIMIT,
        "under_way": over,
        "refused_opening": {
            "renewing": renewed.refused.load(Ordering::Relaxed),
            "minting": minted.refused.load(Ordering::Relaxed),
        },
    }));
    let lost = relying.lost.lock().unwrap().clone();
    assert!(lost.is_empty(), "the verifier followed over one stream: {lost:?}");
    assert!(renewed.ended.load(Ordering::Relaxed) > 0);
    assert_eq!(sent_for_renewals, 0, "no relying party has to hear of identity certificates");
    assert_eq!(entries, ended, "each of these killed something live");
    assert!(entries >= LIMIT, "the limit was reached: {entries}");
}
