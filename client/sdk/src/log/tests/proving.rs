//! Events that are shown to be in the log, or are not; and exports.

use daypass_credential::{Era, Revision};
use daypass_log::{Hash, export::Reader};
use daypass_proto::v1;

use super::fake::{Fake, Log, wire};
use crate::{Connection, Error, LogFault};

async fn connected(log: Log) -> (Fake, Connection) {
    let broker = Fake::with(log).await;
    let identity = broker.identity(&tempfile::tempdir().unwrap().path().join("home")).keeping_nothing();
    let connection = Connection::open(&identity).await.unwrap();
    (broker, connection)
}

#[tokio::test]
async fn an_event_is_shown_to_be_in_the_log() {
    let (broker, connection) = connected(Log::of(300)).await;
    for revision in [1, 2, 256, 257, 300] {
        let proven = connection.prove(Revision::new(revision)).await.unwrap();
        assert_eq!(proven.event, format!("{{\"n\":{}}}", revision - 1).as_bytes());
        assert_eq!(proven.checkpoint.checkpoint().root(), Log::of(300).root(300));
        assert_eq!(proven.path.len(), Log::of(300).inclusion(revision - 1).len());
    }
    // It grows while it is asked: twice a turn, and stands still by the last.
    broker.scene().growing = true;
    let growing = connection.prove(Revision::new(3)).await;
    assert!(matches!(growing, Err(Error::Unable(_))), "{growing:?}");
    broker.scene().growing = false;
    connection.prove(Revision::new(3)).await.unwrap();
}

#[tokio::test]
async fn whatever_is_spoilt_shows_nothing() {
    let spoilt: [fn(&mut v1::ProveEventResponse); 9] = [
        |answer| answer.event = b"{\"n\":3}".to_vec().into(),
        |answer| answer.event = [answer.event.as_ref(), b" "].concat().into(),
        |answer| answer.inclusion = wire(&Log::of(300).inclusion(7)),
        |answer| answer.inclusion = wire(&Log::of(299).inclusion(4)),
        |answer| answer.inclusion[1] = wire(&[Hash::leaf(b"x")])[0].clone(),
        |answer| answer.inclusion.truncate(3),
        |answer| answer.checkpoint = Log { seed: 8, ..Log::of(300) }.checkpoint().note().to_owned(),
        |answer| answer.checkpoint = Log { era: Era::new(1), ..Log::of(300) }.checkpoint().note().to_owned(),
        |answer| {
            answer.checkpoint = Log { origin: "other/log", ..Log::of(300) }.checkpoint().note().to_owned();
        },
    ];
    let (broker, connection) = connected(Log::of(300)).await;
    for (number, spoil) in spoilt.into_iter().enumerate() {
        broker.scene().spoil_proof = spoil;
        let found = connection.prove(Revision::new(5)).await;
        assert!(matches!(found, Err(Error::Log { .. })), "{number}: {found:?}");
    }
    let found = connection.prove(Revision::new(0)).await;
    assert!(matches!(found, Err(Error::Log { .. })), "{found:?}");
}

#[tokio::test]
async fn a_signed_proof_from_another_history_shows_nothing() {
    let (broker, connection) = connected(Log::of(300)).await;
    connection.ping().await.unwrap();
    // All of it is right by itself, and signed by the right key.
    broker.scene().spoil_proof = |answer| {
        let other = Log::forked(300);
        answer.checkpoint = other.checkpoint().note().to_owned();
        answer.inclusion = wire(&other.inclusion(2));
        answer.event = other.entries[2].clone().into();
    };
    let found = connection.prove(Revision::new(3)).await.unwrap_err();
    assert!(matches!(found, Error::Log { source: LogFault::OtherHistory { .. }, .. }), "{found:?}");
}

#[tokio::test]
async fn a_checkpoint_of_somebody_else_s_is_held_against_the_log() {
    let (_broker, connection) = connected(Log::of(300)).await;
    let newest = connection.checkpoint_after(&Log::of(9).known(9)).await.unwrap();
    assert_eq!(newest.revision(), Revision::new(300));
    let found = connection.checkpoint_after(&Log::forked(9).known(9)).await.unwrap_err();
    assert!(matches!(found, Error::Log { source: LogFault::OtherHistory { .. }, .. }), "{found:?}");
    let found = connection.checkpoint_after(&Log::of(301).known(301)).await.unwrap_err();
    assert!(matches!(found, Error::Log { source: LogFault::Older { .. }, .. }), "{found:?}");
}

#[tokio::test]
async fn an_export_comes_whole() {
    let (_broker, connection) = connected(Log::of(300)).await;
    let mut export = connection.export_log().await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = export.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    let known = connection.known_log().unwrap().unwrap();
    let reader = Reader::new(bytes.as_slice(), &[known.key().clone()], Some(known.root())).unwrap();
    assert_eq!(reader.verify(|_| {}).unwrap(), *known.checkpoint());
}
