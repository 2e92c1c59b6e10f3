//! The feed over the wire: what a verifier says is parsed field by field, and what it is told goes out as it comes.

use std::{pin::Pin, sync::Arc};

use daypass_core::node::KeyAlgorithm;
use daypass_credential::{Cut, Revision, Ttl};
use daypass_log::Hash;
use daypass_proto::v1::{
    self, follow_revocations_request::Message as Asked, follow_revocations_response::Message as Answered,
};
use prost::bytes::Bytes;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    convert::{instant, parsed, timestamp},
    limits::Place,
    services::opened,
    status::status,
};
use crate::{
    broker::Broker,
    feed::{Acked, Follower, Hello, Known, Offer, Over, PublishedKey, Said, Standing, Tip, Told},
    refusal::Refusal,
};

/// What goes out.
pub(super) type Revocations =
    Pin<Box<dyn Stream<Item = Result<v1::FollowRevocationsResponse, Status>> + Send>>;

/// The bytes of an uncompressed point on P-256.
const POINT: usize = 65;
/// The longest signature on P-256 in ASN.1, with room to spare.
const SIGNATURE: usize = 80;

/// Follows for whoever the gate let in. The answer begins at once; whatever is wrong with the hello ends it.
pub(super) async fn follow_revocations(
    broker: &Arc<Broker>,
    request: Request<Streaming<v1::FollowRevocationsRequest>>,
) -> Result<Response<Revocations>, Status> {
    // INVARIANT (a place while it reads): without its place nobody follows.
    let place = request.extensions().get::<Arc<Place>>().cloned();
    let (call, said) = opened(request)?;
    let place = place.ok_or_else(|| status(&Refusal::internal("a follower without its place"), None))?;
    let answering = broker.feed.openings().open(&call.caller.identity);
    let answering = answering.map_err(|refusal| status(&refusal, None))?;
    // The issuer and the domain never change while a broker runs.
    let keys = broker.keys.now();
    let realm = keys.ring().realm().clone();
    let said = said.map(|said| said.map_err(broken).and_then(|said| heard(said).map_err(Over::from)));
    let (told, refused) = Follower::start(broker.clone(), call, place, said);
    let told = ReceiverStream::new(told).map(move |told| {
        // It goes with what waits to be read.
        let _unread = &answering;
        let message = match told {
            Told::Keys { offer, at } => Answered::Keys(keys_out(&realm, &offer, at)),
            other => answered(&realm.era.to_string(), other),
        };
        Ok(v1::FollowRevocationsResponse { message: Some(message) })
    });
    let refused = ReceiverStream::new(refused).map(|(refusal, event)| Err(status(&refusal, event)));
    Ok(Response::new(Box::pin(told.chain(refused))))
}

/// What ended the verifier's side. Most of all it is the connection; what cannot be read is said.
fn broken(error: Status) -> Over {
    match error.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            Refusal::TooLarge { what: "message".to_owned(), limit: super::services::MAX_MESSAGE }.into()
        }
        Code::Internal if error.message().starts_with("failed to decode") => {
            Refusal::bad("message", "it cannot be read").into()
        }
        _ => Over::Left,
    }
}

fn heard(said: v1::FollowRevocationsRequest) -> Result<Said, Refusal> {
    match said.message {
        Some(Asked::Hello(hello)) => hello_in(hello).map(|hello| Said::Hello(Box::new(hello))),
        Some(Asked::Counter(counter)) => Ok(Said::Counter(counter)),
        Some(Asked::Acknowledgement(acked)) => {
            let at = acked.position.ok_or_else(|| Refusal::bad("acknowledgement.position", "say what"))?;
            if acked.signature.len() > SIGNATURE {
                return Err(Refusal::bad("acknowledgement.signature", "it is too long to be one"));
            }
            Ok(Said::Acknowledgement(Acked {
                at: position_in("acknowledgement.position", &at)?,
                applied_at: timestamp("acknowledgement.applied_at", acked.applied_at)?,
                signature: acked.signature.to_vec(),
            }))
        }
        None => Err(Refusal::bad("message", "say something")),
    }
}

fn hello_in(hello: v1::FollowHello) -> Result<Hello, Refusal> {
    let known = match hello.known {
        Some(at) => {
            let at = position_in("hello.known", &at)?;
            Some(Known { era: parsed("hello.era", &hello.era)?, at })
        }
        None if hello.era.is_empty() => None,
        None => return Err(Refusal::bad("hello.era", "it is that of a place that is known, and none is")),
    };
    if hello.public_key.len() != POINT || hello.public_key.first() != Some(&4) {
        return Err(Refusal::bad("hello.public_key", "not an uncompressed point on P-256"));
    }
    let process = match hello.process.as_ref() {
        [] => None,
        process => {
            Some(process.try_into().map_err(|_| Refusal::bad("hello.process", "it has 16 bytes, or none"))?)
        }
    };
    Ok(Hello {
        known,
        snapshot: hello.snapshot,
        checkpoint: hello.checkpoint,
        key: hello.public_key.to_vec(),
        observing: hello.observing,
        process,
    })
}

fn position_in(field: &'static str, at: &v1::FeedPosition) -> Result<Tip, Refusal> {
    let leaf = at.leaf.as_ref().try_into().map_err(|_| Refusal::bad(field, "a leaf's hash has 32 bytes"))?;
    if at.revision == 0 {
        return Err(Refusal::bad(field, "revisions begin with 1"));
    }
    Ok(Tip { revision: Revision::new(at.revision), leaf: Hash::new(leaf) })
}

fn position(at: Tip) -> v1::FeedPosition {
    v1::FeedPosition { revision: at.revision.get(), leaf: Bytes::copy_from_slice(at.leaf.as_bytes()) }
}

fn cut_out(cut: &Cut) -> v1::FeedCutNode {
    v1::FeedCutNode { node: cut.node.to_string(), revision: cut.at.get(), until: Some(instant(cut.until)) }
}

/// Everything but keys.
fn answered(era: &str, told: Told) -> Answered {
    match told {
        Told::SnapshotBegin { era, at } => Answered::SnapshotBegin(v1::FeedSnapshotBegin {
            era: era.to_string(),
            position: Some(position(at)),
        }),
        Told::SnapshotCuts(cuts) => {
            Answered::SnapshotCuts(v1::FeedCuts { cuts: cuts.iter().map(cut_out).collect() })
        }
        Told::SnapshotEnd { cuts } => {
            Answered::SnapshotEnd(v1::FeedSnapshotEnd { cuts: u64::try_from(cuts).unwrap_or(u64::MAX) })
        }
        Told::Resumed { at } => {
            Answered::Resumed(v1::FeedResumed { era: era.to_owned(), position: Some(position(at)) })
        }
        Told::Cut(recent) => Answered::Cut(v1::FeedCut {
            cut: Some(cut_out(&recent.cut)),
            leaf: Bytes::copy_from_slice(recent.leaf.as_bytes()),
        }),
        Told::Horizon(horizon) => Answered::Horizon(v1::FeedHorizon { horizon: Some(instant(horizon)) }),
        Told::Checkpoint { note, consistency } => Answered::Checkpoint(v1::FeedCheckpoint {
            checkpoint: note,
            consistency: consistency.iter().map(|hash| Bytes::copy_from_slice(hash.as_bytes())).collect(),
        }),
        Told::Echo { counter, head } => Answered::Echo(v1::FeedEcho { counter, head: Some(position(head)) }),
        Told::Keys { .. } => Answered::Keys(v1::FeedKeys::default()),
    }
}

fn keys_out(realm: &daypass_issuer::Realm, offer: &Offer, at: Option<Tip>) -> v1::FeedKeys {
    let audiences = offer.audiences().map(|(name, (staleness, roots))| v1::FeedAudience {
        audience: name.to_string(),
        staleness_seconds: seconds(*staleness),
        roots: roots.iter().map(|root| Bytes::copy_from_slice(root)).collect(),
    });
    v1::FeedKeys {
        position: at.map(position),
        era: realm.era.to_string(),
        issuer: realm.issuer.clone(),
        trust_domain: realm.domain.to_string(),
        token_keys: offer.all.tokens.iter().map(token_key).collect(),
        audiences: audiences.collect(),
        log_keys: offer.all.log_keys.clone(),
    }
}

fn seconds(ttl: Ttl) -> u32 {
    u32::try_from(ttl.as_millis() / 1000).unwrap_or(u32::MAX)
}

fn token_key(key: &PublishedKey) -> v1::FeedTokenKey {
    let algorithm = match key.algorithm {
        KeyAlgorithm::Es256 => "ES256",
        KeyAlgorithm::EdDsa => "EdDSA",
    };
    v1::FeedTokenKey {
        kid: key.kid.to_string(),
        algorithm: algorithm.to_owned(),
        public_key: Bytes::copy_from_slice(&key.public),
        latest: Some(instant(key.latest)),
    }
}

/// How one instance of a verifier stands.
pub(super) fn standing(standing: &Standing) -> v1::VerifierStanding {
    v1::VerifierStanding {
        verifier: standing.verifier.to_string(),
        identity: standing.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
        audiences: standing.audiences.iter().map(ToString::to_string).collect(),
        following: standing.following,
        observing: standing.observing,
        acknowledged: standing.acknowledged.get(),
        behind: standing.behind,
        heard_at: standing.heard.map(instant),
        refuses_at: standing.refuses.map(instant),
    }
}
