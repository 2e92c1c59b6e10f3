//! A verifier made of raw messages: what comes over the wire goes into the state machine that the SDK uses, which judges
//! whether it can be.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use daypass_credential::{Cut, Revision, Timestamp, Ttl};
use daypass_log::{Acknowledgement, Hash};
use daypass_proto::v1::{
    self, follow_revocations_request::Message as Ask, follow_revocations_response::Message as Answer,
    verification_service_client::VerificationServiceClient,
};
use daypass_sdk::{Connection, Identity};
use daypass_verifier::{
    Algorithm, Bundle, Counter, Echo, Event, Feed, Moment, Part, Position, Published, PublishedAudience,
    PublishedKey, View,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use tonic_types::StatusExt;

/// A stream, with the state machine that judges it.
pub(crate) struct Stream {
    say: mpsc::Sender<v1::FollowRevocationsRequest>,
    hear: Streaming<v1::FollowRevocationsResponse>,
    pub(crate) feed: Feed,
    pub(crate) view: Option<Arc<View>>,
    /// What came, by its kind.
    pub(crate) kinds: Vec<&'static str>,
    /// The cuts that came, in a snapshot or not.
    pub(crate) cuts: Vec<Cut>,
}

/// The hello of an identity that knows nothing, and is one process over all its streams.
pub(crate) fn hello(identity: &Identity) -> v1::FollowHello {
    let spki = identity.proof().key.public_der();
    v1::FollowHello {
        snapshot: true,
        public_key: spki[spki.len() - 65..].to_vec().into(),
        process: vec![1; 16].into(),
        ..v1::FollowHello::default()
    }
}

/// What a feed says first.
pub(crate) fn hello_of(feed: &mut Feed, identity: &Identity) -> v1::FollowHello {
    let said = feed.connected();
    v1::FollowHello {
        known: said.known.map(|(_, at)| position(at)),
        era: said.known.map(|(era, _)| era.to_string()).unwrap_or_default(),
        snapshot: said.snapshot,
        checkpoint: said.checkpoint.map(|known| known.note().to_owned()).unwrap_or_default(),
        ..hello(identity)
    }
}

pub(crate) fn position(at: Position) -> v1::FeedPosition {
    v1::FeedPosition { revision: at.revision.get(), leaf: at.leaf.as_bytes().to_vec().into() }
}

pub(crate) fn now() -> Moment {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let wall = u64::try_from(wall).unwrap();
    Moment { boot: wall, wall: Timestamp::from_millis(wall) }
}

impl Stream {
    /// Opens a stream that begins anew.
    pub(crate) async fn open(connection: &Connection, identity: &Identity) -> Self {
        Self::go_on(connection, identity, Feed::new(None)).await
    }

    /// Opens a stream that goes on with what this feed knows.
    pub(crate) async fn go_on(connection: &Connection, identity: &Identity, mut feed: Feed) -> Self {
        let hello = hello_of(&mut feed, identity);
        Self { feed, ..Self::with(connection.channel(), Some(Ask::Hello(hello))).await }
    }

    /// Opens a stream with this as its first message.
    pub(crate) async fn with(channel: Channel, first: Option<Ask>) -> Self {
        let (say, said) = mpsc::channel(16);
        if first.is_some() {
            say.send(v1::FollowRevocationsRequest { message: first }).await.unwrap();
        }
        let mut client = VerificationServiceClient::new(channel);
        let hear = client.follow_revocations(ReceiverStream::new(said)).await.unwrap().into_inner();
        let mut feed = Feed::new(None);
        let _hello = feed.connected();
        Self { say, hear, feed, view: None, kinds: Vec::new(), cuts: Vec::new() }
    }

    pub(crate) async fn say(&self, message: Ask) {
        // The broker may have ended it meanwhile; then that is what the test hears.
        let _said = self.say.send(v1::FollowRevocationsRequest { message: Some(message) }).await;
    }

    /// The next message as it came; none once the stream is over without a word.
    pub(crate) async fn raw(&mut self) -> Result<Option<Answer>, Status> {
        Ok(self.hear.message().await?.map(|message| message.message.unwrap()))
    }

    /// Takes in the next message. What cannot be is a failure of the test.
    pub(crate) async fn next(&mut self) -> Result<&'static str, Status> {
        let answer = self.raw().await?.expect("the stream goes on");
        let kind = kind(&answer);
        let event = event(answer, self.kinds.iter().rfind(|kind| kind.starts_with("snapshot")).copied());
        match &event {
            Event::Cut { cut, .. } => self.cuts.push(cut.clone()),
            Event::Part(Part::Cuts(cuts)) => self.cuts.extend(cuts.clone()),
            _ => {}
        }
        self.kinds.push(kind);
        if let Some(view) = self.feed.take(event).unwrap() {
            self.view = Some(view);
        }
        Ok(kind)
    }

    /// Takes in what comes, up to the first of this kind.
    pub(crate) async fn until(&mut self, kind: &'static str) {
        while self.next().await.unwrap() != kind {}
    }

    /// Sends a counter, and takes in everything up to its echo: nothing is missing then.
    pub(crate) async fn settle(&mut self) {
        let counter = self.feed.ask(now()).unwrap();
        self.say(Ask::Counter(counter.0)).await;
        self.until("echo").await;
        assert!(self.view.as_ref().unwrap().is_fresh(Ttl::seconds(30), now()));
    }

    /// Sends a counter, and takes in everything up to its echo; how the stream ended, if it did.
    pub(crate) async fn ended(&mut self) -> String {
        loop {
            match self.raw().await {
                Ok(Some(_)) => {}
                Ok(None) => return "no word".to_owned(),
                Err(status) => return reason(&status),
            }
        }
    }

    /// Acknowledges a place, signed with the identity's key.
    pub(crate) async fn acknowledge(&self, identity: &Identity, acked: &Acked<'_>) {
        self.say(Ask::Acknowledgement(acked.signed(identity))).await;
    }

    /// Is this node cut, by all that came?
    pub(crate) fn knows_cut(&self, node: &str) -> bool {
        self.cuts.iter().any(|cut| cut.node == node.parse().unwrap())
    }
}

/// What is acknowledged.
pub(crate) struct Acked<'a> {
    pub(crate) verifier: &'a str,
    pub(crate) identity: &'a str,
    pub(crate) era: daypass_credential::Era,
    pub(crate) at: Position,
}

impl Acked<'_> {
    pub(crate) fn signed(&self, identity: &Identity) -> v1::FollowAcknowledgement {
        let applied_at = now().wall;
        let (verifier, name) = (self.verifier.parse().unwrap(), self.identity.parse().unwrap());
        let text = Acknowledgement {
            log: "test.example/log",
            era: self.era,
            verifier: &verifier,
            identity: &name,
            revision: self.at.revision,
            leaf: self.at.leaf,
            applied_at,
        };
        let (key, random) = (identity.proof().key.der(), SystemRandom::new());
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der(), &random).unwrap();
        let signature = key.sign(&random, text.to_string().as_bytes()).unwrap();
        v1::FollowAcknowledgement {
            position: Some(position(self.at)),
            applied_at: Some(instant(applied_at)),
            signature: signature.as_ref().to_vec().into(),
        }
    }
}

/// The reason in a status.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map_or_else(|| status.to_string(), |info| info.reason.clone())
}

fn instant(at: Timestamp) -> prost_types::Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap();
    prost_types::Timestamp {
        seconds: millis / 1000,
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap(),
    }
}

fn millis(at: Option<prost_types::Timestamp>) -> Timestamp {
    let at = at.unwrap();
    let millis = at.seconds * 1000 + i64::from(at.nanos) / 1_000_000;
    Timestamp::from_millis(u64::try_from(millis).unwrap())
}

fn place(at: Option<v1::FeedPosition>) -> Position {
    let at = at.unwrap();
    Position { revision: Revision::new(at.revision), leaf: hash(&at.leaf) }
}

fn hash(bytes: &[u8]) -> Hash {
    Hash::new(bytes.try_into().unwrap())
}

fn cut(cut: v1::FeedCutNode) -> Cut {
    Cut { node: cut.node.parse().unwrap(), at: Revision::new(cut.revision), until: millis(cut.until) }
}

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::SnapshotBegin(_) => "snapshot-begin",
        Answer::SnapshotCuts(_) => "snapshot-cuts",
        Answer::SnapshotEnd(_) => "snapshot-end",
        Answer::Resumed(_) => "resumed",
        Answer::Cut(_) => "cut",
        Answer::Horizon(_) => "horizon",
        Answer::Keys(_) => "keys",
        Answer::Checkpoint(_) => "checkpoint",
        Answer::Echo(_) => "echo",
    }
}

/// The event of an answer; `within` is the last word about a snapshot.
fn event(answer: Answer, within: Option<&'static str>) -> Event {
    let in_snapshot = matches!(within, Some("snapshot-begin" | "snapshot-cuts"));
    match answer {
        Answer::SnapshotBegin(begin) => {
            Event::SnapshotBegin { era: begin.era.parse().unwrap(), at: place(begin.position) }
        }
        Answer::SnapshotCuts(cuts) => Event::Part(Part::Cuts(cuts.cuts.into_iter().map(cut).collect())),
        Answer::SnapshotEnd(end) => Event::SnapshotEnd { cuts: end.cuts },
        Answer::Resumed(resumed) => {
            Event::Resumed { era: resumed.era.parse().unwrap(), at: place(resumed.position) }
        }
        Answer::Cut(one) => Event::Cut { cut: cut(one.cut.unwrap()), leaf: hash(&one.leaf) },
        Answer::Horizon(horizon) if in_snapshot => Event::Part(Part::Horizon(millis(horizon.horizon))),
        Answer::Horizon(horizon) => Event::Horizon(millis(horizon.horizon)),
        Answer::Keys(keys) => {
            let at = keys.position.clone();
            let bundle = bundle(keys);
            match at {
                None => Event::Part(Part::Keys(bundle)),
                at => Event::Keys { bundle, at: place(at) },
            }
        }
        Answer::Checkpoint(checkpoint) => Event::Checkpoint {
            note: checkpoint.checkpoint.into_bytes(),
            proof: checkpoint.consistency.iter().map(|bytes| hash(bytes)).collect(),
        },
        Answer::Echo(echo) => Event::Echo(Echo { counter: Counter(echo.counter), head: place(echo.head) }),
    }
}

fn bundle(keys: v1::FeedKeys) -> Bundle {
    let token = |key: v1::FeedTokenKey| PublishedKey {
        kid: key.kid.parse().unwrap(),
        algorithm: if key.algorithm == "ES256" { Algorithm::Es256 } else { Algorithm::EdDsa },
        public: key.public_key.to_vec(),
        latest: millis(key.latest),
    };
    let audience = |audience: v1::FeedAudience| PublishedAudience {
        name: audience.audience.parse().unwrap(),
        staleness: Ttl::seconds(audience.staleness_seconds.try_into().unwrap()),
        anchors: audience.roots.iter().map(|root| root.to_vec()).collect(),
    };
    Bundle::open(Published {
        era: keys.era.parse().unwrap(),
        issuer: keys.issuer,
        domain: keys.trust_domain.parse().unwrap(),
        tokens: keys.token_keys.into_iter().map(token).collect(),
        audiences: keys.audiences.into_iter().map(audience).collect(),
        log_keys: keys.log_keys.iter().map(|key| key.parse().unwrap()).collect(),
    })
    .unwrap()
}
