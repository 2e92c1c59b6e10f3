//! A broker that serves a feed over real TLS: it says what it is told to say, and keeps what it was told.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use daypass_credential::{Revision, Timestamp, stamp};
use daypass_log::Hash;
use daypass_proto::v1::{
    self, follow_revocations_request::Message as Said, follow_revocations_response::Message,
    verification_service_server as verification,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::{
    Identity, PrivateKey,
    identity::Held,
    log::tests::fake::{Fake, Log, wire as proof},
    pem,
    wire::timestamp,
};

pub(super) type Answer = Result<v1::FollowRevocationsResponse, Status>;

/// How counters are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echoes {
    /// At once.
    Prompt,
    Never,
    /// After so many later ones came.
    Late(usize),
    /// With one that was never sent.
    Unknown,
}

/// What the broker has, does and was told.
pub(super) struct Scene {
    pub(super) log: Log,
    pub(super) cuts: Vec<v1::FeedCutNode>,
    pub(super) keys: Vec<v1::FeedTokenKey>,
    pub(super) audiences: Vec<v1::FeedAudience>,
    pub(super) echoes: Echoes,
    /// Snapshots end in the middle, with the stream.
    pub(super) halves: bool,
    /// It answers hellos with nothing, and reads on.
    pub(super) mute: bool,
    /// Changes what is said on a hello.
    pub(super) spoil: fn(&mut Vec<Message>),
    pub(super) refuse: Option<Status>,
    pub(super) hellos: Vec<v1::FollowHello>,
    pub(super) acknowledgements: Vec<v1::FollowAcknowledgement>,
    pub(super) counters: Vec<u64>,
    streams: Vec<mpsc::Sender<Answer>>,
}

#[derive(Clone)]
pub(super) struct Feeder {
    scene: Arc<Mutex<Scene>>,
    changes: Arc<watch::Sender<u64>>,
    pub(super) signer: Arc<Ed25519KeyPair>,
}

impl Feeder {
    /// A feed beside a broker with this log, which has one token key and one audience.
    pub(super) async fn with(log: Log) -> (Self, Fake) {
        let signer = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap());
        let scene = Scene {
            log: log.clone(),
            cuts: Vec::new(),
            keys: vec![token_key("k1", &signer)],
            audiences: vec![audience("billing")],
            echoes: Echoes::Prompt,
            halves: false,
            mute: false,
            spoil: |_| {},
            refuse: None,
            hellos: Vec::new(),
            acknowledgements: Vec::new(),
            counters: Vec::new(),
            streams: Vec::new(),
        };
        let (scene, changes) = (Arc::new(Mutex::new(scene)), Arc::new(watch::Sender::new(0)));
        let feeder = Self { scene, changes, signer };
        let service = verification::VerificationServiceServer::new(feeder.clone());
        let fake = Fake::serving(log, Routes::default().add_service(service)).await;
        (feeder, fake)
    }

    pub(super) fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap()
    }

    /// Waits until this holds of what the broker was told.
    pub(super) async fn until(&self, holds: impl Fn(&Scene) -> bool) {
        let mut changes = self.changes.subscribe();
        while !holds(&self.scene()) {
            changes.changed().await.unwrap();
        }
    }

    /// Says something over every open stream.
    pub(super) async fn say(&self, message: Message) {
        let streams = self.scene().streams.clone();
        for stream in streams {
            // One that is over hears nothing.
            let _heard = stream.send(answer(message.clone())).await;
        }
    }

    /// Records a cut, and says so.
    pub(super) async fn cut(&self, node: &str) -> u64 {
        let (cut, leaf) = {
            let mut scene = self.scene();
            scene.log.entries.push(format!("{{\"cut\":\"{node}\"}}").into_bytes());
            let cut = v1::FeedCutNode {
                node: node.to_owned(),
                revision: scene.log.size(),
                until: Some(timestamp(Timestamp::from_secs(u64::from(u32::MAX)))),
            };
            scene.cuts.push(cut.clone());
            (cut, leaf(&scene.log, scene.log.size()))
        };
        let revision = cut.revision;
        self.say(Message::Cut(v1::FeedCut { cut: Some(cut), leaf })).await;
        revision
    }

    /// Ends every stream without a word.
    pub(super) fn end_streams(&self) {
        self.scene().streams.clear();
    }

    /// It holds the stream only while it says something, so that it can be ended from outside.
    async fn serve(self, mut told: Streaming<v1::FollowRevocationsRequest>, to: mpsc::WeakSender<Answer>) {
        let mut waiting = Vec::new();
        while let Ok(Some(request)) = told.message().await {
            let (answers, end) = self.react(request.message.unwrap(), &mut waiting);
            for message in answers {
                let Some(to) = to.upgrade() else { return };
                if to.send(answer(message)).await.is_err() {
                    return;
                }
            }
            self.changes.send_modify(|times| *times += 1);
            if end {
                self.end_streams();
            }
        }
    }

    fn react(&self, said: Said, waiting: &mut Vec<u64>) -> (Vec<Message>, bool) {
        let mut scene = self.scene();
        match said {
            Said::Hello(hello) => {
                scene.hellos.push(hello.clone());
                let mut answers = if scene.mute { Vec::new() } else { scene.begin(&hello) };
                (scene.spoil)(&mut answers);
                if scene.halves {
                    answers.truncate(2);
                }
                (answers, scene.halves)
            }
            Said::Acknowledgement(said) => {
                scene.acknowledgements.push(said);
                (Vec::new(), false)
            }
            Said::Counter(counter) => {
                scene.counters.push(counter);
                waiting.push(counter);
                let due = match scene.echoes {
                    Echoes::Never => 0,
                    Echoes::Prompt | Echoes::Unknown => waiting.len(),
                    Echoes::Late(by) => waiting.len().saturating_sub(by),
                };
                let unknown = if scene.echoes == Echoes::Unknown { 1_000_000 } else { 0 };
                let head = Some(place(&scene.log, scene.log.size()));
                let echo =
                    |counter| Message::Echo(v1::FeedEcho { counter: counter + unknown, head: head.clone() });
                (waiting.drain(..due).map(echo).collect(), false)
            }
        }
    }
}

impl Scene {
    pub(super) fn begin(&self, hello: &v1::FollowHello) -> Vec<Message> {
        let at = Some(place(&self.log, self.log.size()));
        let era = self.log.era.to_string();
        let mut answers = if hello.snapshot {
            vec![
                Message::SnapshotBegin(v1::FeedSnapshotBegin { era, position: at }),
                Message::SnapshotCuts(v1::FeedCuts { cuts: self.cuts.clone() }),
                Message::Horizon(v1::FeedHorizon { horizon: Some(timestamp(Timestamp::from_secs(60))) }),
                Message::Keys(v1::FeedKeys { position: None, ..self.keys() }),
                Message::SnapshotEnd(v1::FeedSnapshotEnd { cuts: self.cuts.len() as u64 }),
            ]
        } else {
            vec![Message::Resumed(v1::FeedResumed { era, position: hello.known.clone() })]
        };
        let known = hello.checkpoint.lines().nth(1).map(|line| line.parse::<u64>().unwrap());
        let within = known.filter(|known| (1..self.log.size()).contains(known));
        answers.push(Message::Checkpoint(v1::FeedCheckpoint {
            checkpoint: self.log.checkpoint().note().to_owned(),
            consistency: within.map(|from| proof(&self.log.consistency(from))).unwrap_or_default(),
        }));
        answers
    }

    /// The newest stream, to wait for its end.
    pub(super) fn open_stream(&self) -> mpsc::Sender<Answer> {
        self.streams.last().unwrap().clone()
    }

    pub(super) fn keys(&self) -> v1::FeedKeys {
        v1::FeedKeys {
            position: Some(place(&self.log, self.log.size())),
            era: self.log.era.to_string(),
            issuer: ISSUER.to_owned(),
            trust_domain: "daypass.example".to_owned(),
            token_keys: self.keys.clone(),
            audiences: self.audiences.clone(),
            log_keys: vec![self.log.key().to_string()],
        }
    }
}

pub(super) const ISSUER: &str = "https://broker.example";
pub(super) const INSTANCE: &str = "api-1";

pub(super) fn token_key(kid: &str, signer: &Ed25519KeyPair) -> v1::FeedTokenKey {
    v1::FeedTokenKey {
        kid: kid.to_owned(),
        algorithm: "EdDSA".to_owned(),
        public_key: Bytes::copy_from_slice(signer.public_key().as_ref()),
        latest: Some(timestamp(Timestamp::from_secs(u64::from(u32::MAX)))),
    }
}

pub(super) fn audience(name: &str) -> v1::FeedAudience {
    v1::FeedAudience { audience: name.to_owned(), staleness_seconds: 30, roots: Vec::new() }
}

pub(super) fn leaf(log: &Log, revision: u64) -> Bytes {
    let entry = &log.entries[usize::try_from(revision).unwrap() - 1];
    Bytes::copy_from_slice(Hash::leaf(entry).as_bytes())
}

pub(super) fn place(log: &Log, revision: u64) -> v1::FeedPosition {
    v1::FeedPosition { revision, leaf: leaf(log, revision) }
}

fn answer(message: Message) -> Answer {
    Ok(v1::FollowRevocationsResponse { message: Some(message) })
}

/// A verifier's instance that is enrolled there, with a home.
pub(super) fn identity(fake: &Fake, home: &Path) -> Identity {
    let pair = KeyPair::generate().unwrap();
    let text = pem::encode("PRIVATE KEY", pair.serialized_der());
    let lineage = format!("verifier:api identity:{INSTANCE}").parse().unwrap();
    let text_of_stamp = stamp::text(crate::log::tests::fake::ERA, &lineage);
    let content = [&[0x0c, u8::try_from(text_of_stamp.len()).unwrap()], text_of_stamp.as_bytes()].concat();
    let mut params = CertificateParams::default();
    params.custom_extensions.push(CustomExtension::from_oid_content(stamp::LINEAGE_OID, content));
    let leaf = params.self_signed(&pair).unwrap().der().clone();
    let held = Held {
        leaf,
        above: Vec::new(),
        revision: Revision::new(7),
        expires_at: Timestamp::from_secs(u64::from(u32::MAX)),
    };
    let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
    Identity { subject: "verifier:api".parse().unwrap(), key, held, ..fake.identity(home) }
}

#[tonic::async_trait]
impl verification::VerificationService for Feeder {
    type FollowRevocationsStream = ReceiverStream<Answer>;

    async fn follow_revocations(
        &self,
        request: Request<Streaming<v1::FollowRevocationsRequest>>,
    ) -> Result<Response<Self::FollowRevocationsStream>, Status> {
        let (to, from) = mpsc::channel(16);
        {
            let mut scene = self.scene();
            if let Some(status) = &scene.refuse {
                return Err(status.clone());
            }
            scene.streams.push(to.clone());
        }
        tokio::spawn(self.clone().serve(request.into_inner(), to.downgrade()));
        Ok(Response::new(ReceiverStream::new(from)))
    }

    async fn introspect(
        &self,
        _request: Request<v1::IntrospectRequest>,
    ) -> Result<Response<v1::IntrospectResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_trust_bundle(
        &self,
        _request: Request<v1::GetTrustBundleRequest>,
    ) -> Result<Response<v1::GetTrustBundleResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_verifiers(
        &self,
        _request: Request<v1::ListVerifiersRequest>,
    ) -> Result<Response<v1::ListVerifiersResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
