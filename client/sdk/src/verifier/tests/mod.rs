//! Following a broker, seen from a verifier: what is put in force, and what is not believed.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod audiences;
mod feed;
mod following;
mod keeping;
mod mistrust;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use daypass_credential::{Timestamp, Ttl};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Clock, Moment, News, Options, Refused, SystemClock, Verifier, Watch};
use crate::{
    Connection,
    log::tests::fake::{ERA, Fake, Log},
};
use feed::{Feeder, ISSUER};

/// The machine's clocks, set forward.
#[derive(Default)]
struct SetClock(AtomicU64);

impl SetClock {
    fn jump(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn moment(&self) -> Moment {
        let (by, now) = (self.0.load(Ordering::SeqCst), SystemClock.moment());
        Moment { boot: now.boot + by, wall: Timestamp::from_millis(now.wall.as_millis() + by) }
    }
}

/// A broker, a verifier's home, and clocks.
struct World {
    feeder: Feeder,
    broker: Fake,
    home: TempDir,
    clock: Arc<SetClock>,
}

/// A verifier that follows, and what it tells.
struct Following {
    verifier: Verifier,
    news: mpsc::UnboundedReceiver<String>,
}

impl World {
    async fn with(log: Log) -> Self {
        let (feeder, broker) = Feeder::with(log).await;
        Self { feeder, broker, home: tempfile::tempdir().unwrap(), clock: Arc::default() }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("home")
    }

    async fn start(&self) -> Following {
        self.start_with(billing()).await.unwrap()
    }

    async fn start_with(&self, options: Options) -> Result<Following, crate::Error> {
        let identity = feed::identity(&self.broker, &self.folder());
        let connection = Connection::open(&identity).await.unwrap();
        let (tell, news) = mpsc::unbounded_channel();
        // Whoever listens may be gone before the verifier.
        let watch = Watch::new(move |news| {
            drop(tell.send(words(news)));
            if let News::Lost { pause, .. } = news {
                drop(tell.send(format!("pause {}", pause.as_millis())));
            }
        });
        let options = Options { watch, ..options };
        let verifier = Verifier::start_by(&connection, &options, self.clock.clone())?;
        Ok(Following { verifier, news })
    }

    /// A token for `billing` that rests on this vendor.
    fn token(&self, vendor: &str) -> String {
        let now = self.clock.moment().wall.as_secs();
        let lineage = format!("vendor:{vendor} application:sync identity:i1 credential:1 audience:billing");
        let claims = format!(
            r#"{{"iss":"{ISSUER}","sub":"sync","aud":"billing","exp":{},"iat":{now},"jti":"{ERA}-2","client_id":"sync","scope":"invoices.read","dp_era":"{ERA}","dp_rev":2,"dp_lin":"{lineage}"}}"#,
            now + 100_000,
        );
        let header = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"k1"}"#;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.feeder.signer.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

impl Following {
    /// Waits until something is told that begins so, and gives it.
    async fn told(&mut self, what: &str) -> String {
        let found = async {
            loop {
                let news = self.news.recv().await.expect("the verifier is gone");
                if news.starts_with(what) {
                    return news;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never told: {what}"))
    }

    fn verdict(&self, token: &str) -> Result<(), Refused> {
        self.verifier.check_token(token, None, &[]).map(drop)
    }

    async fn not_ready(&self) -> crate::Error {
        tokio::time::timeout(PATIENCE, self.verifier.ready()).await.unwrap().unwrap_err()
    }

    async fn ready(&self) {
        tokio::time::timeout(PATIENCE, self.verifier.ready()).await.unwrap().unwrap();
    }
}

/// The usual ones for `billing`.
fn billing() -> Options {
    Options::of(["billing".parse().unwrap()])
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Two counters a second and a half: for tests that wait for several.
const STRICT: Option<Ttl> = Some(Ttl::seconds(1));

fn words(news: &News<'_>) -> String {
    match news {
        News::Connected => "connected".to_owned(),
        News::Lost { why, .. } => {
            let source = std::error::Error::source(why).map(ToString::to_string).unwrap_or_default();
            format!("lost{}: {why}: {source}", if why.is_alarming() { " alarming" } else { "" })
        }
        News::Snapshot { view } => format!("snapshot {}", view.position().revision),
        News::Resumed { at } => format!("resumed {}", at.revision),
        News::Cut { cut } => format!("cut {} {}", cut.node, cut.at),
        News::Horizon { at } => format!("horizon {}", at.as_secs()),
        News::Keys { .. } => "keys".to_owned(),
        News::Checkpoint { revision } => format!("checkpoint {revision}"),
        News::Proven { at, age } => format!("proven {} {}", at.revision, age.as_millis()),
        News::Acknowledged { at } => format!("acknowledged {}", at.revision),
        News::NotKept { error } => format!("not kept: {error}"),
        News::Checked { refused } => format!("checked {}", refused.map_or("good", Refused::word)),
    }
}
