//! A guarded connection over a pipe, so that the time of a test can stand still.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split},
    time::Instant,
};

use super::*;
use crate::verifier::forge::{Forge, LIMIT, Leaf};

/// A connection whose certificate is good for so many seconds, and its other end.
fn connection(forge: &Forge, lasts: u64) -> (Guarded<DuplexStream>, DuplexStream) {
    let proof = forge.billing.proof(&Leaf { lasts, ..Leaf::default() });
    let (ours, theirs) = duplex(64);
    (Guarded::new(ours, &proof.chain[0], &forge.verifier).unwrap(), theirs)
}

fn reason(error: &io::Error) -> Refused {
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    error.get_ref().unwrap().downcast_ref::<Refused>().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_with_a_cut_at_both_ends() {
    let forge = Forge::new();
    let (mut ours, mut theirs) = connection(&forge, 3_600);
    theirs.write_all(b"hello").await.unwrap();
    ours.read_exact(&mut [0; 5]).await.unwrap();
    ours.write_all(b"hello").await.unwrap();
    theirs.read_exact(&mut [0; 5]).await.unwrap();
    let reading = tokio::spawn(async move { (ours.read_u8().await.unwrap_err(), ours) });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    forge.cut("vendor:other");
    tokio::task::yield_now().await;
    assert!(!reading.is_finished(), "another's end is none of its");
    forge.cut("identity:i1");
    let (error, _open) = reading.await.unwrap();
    assert!(matches!(reason(&error), Refused::Cut { .. }));
    assert_eq!(
        theirs.read(&mut [0; 1]).await.unwrap(),
        0,
        "the other end hears of it, though nothing is dropped"
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_in_the_instant_of_expiry() {
    // Longer than a timer is set for.
    let forge = Forge::new();
    let (mut ours, _theirs) = connection(&forge, 200);
    let begun = Instant::now();
    assert_eq!(reason(&ours.read_u8().await.unwrap_err()), Refused::Expired);
    assert_eq!(begun.elapsed(), Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn silence_refuses_requests_and_keeps_the_connection() {
    let forge = Forge::new();
    let (mut ours, mut theirs) = connection(&forge, 3_600);
    ours.check().unwrap();
    forge.skip(LIMIT.as_millis());
    assert_eq!(ours.check(), Err(Refused::Stale));
    theirs.write_all(b"a").await.unwrap();
    assert_eq!(ours.read_u8().await.unwrap(), b'a');
    forge.refresh();
    ours.check().unwrap();
    // A cut that comes while it is stale ends it all the same.
    forge.skip(LIMIT.as_millis());
    forge.cut("vendor:acme");
    assert!(matches!(reason(&ours.read_u8().await.unwrap_err()), Refused::Cut { .. }));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_came_before_the_cut_and_was_not_read_is_handed_on() {
    let forge = Forge::new();
    let (mut ours, mut theirs) = connection(&forge, 3_600);
    theirs.write_all(b"late").await.unwrap();
    forge.cut("vendor:acme");
    assert!(ours.read_u8().await.is_err());
    assert!(ours.write_all(b"late").await.is_err());
    assert!(ours.flush().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_to_write_is_woken_too_whatever_another_task_reads() {
    let forge = Forge::new();
    let (ours, _theirs) = connection(&forge, 3_600);
    let (mut read, mut write) = split(ours);
    // Nobody reads at the other end: writing waits.
    let writing = tokio::spawn(async move { write.write_all(&[0; 1_000]).await.unwrap_err() });
    tokio::task::yield_now().await;
    let reading = tokio::spawn(async move { read.read_u8().await.unwrap_err() });
    tokio::task::yield_now().await;
    forge.cut("vendor:acme");
    assert!(matches!(reason(&writing.await.unwrap()), Refused::Cut { .. }));
    assert!(matches!(reason(&reading.await.unwrap()), Refused::Cut { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_good_is_not_guarded() {
    let forge = Forge::new();
    let (proof, foreign) =
        (forge.billing.proof(&Leaf::default()), Forge::new().billing.proof(&Leaf::default()));
    let guarded = |der: &[u8]| Guarded::new(duplex(1).0, der, &forge.verifier).map(drop);
    guarded(&proof.chain[0]).unwrap();
    assert_eq!(guarded(&foreign.chain[0]), Err(Refused::UnknownKey));
    forge.skip(LIMIT.as_millis());
    assert_eq!(guarded(&proof.chain[0]), Err(Refused::Stale));
    forge.refresh();
    forge.cut("vendor:acme");
    assert!(matches!(guarded(&proof.chain[0]), Err(Refused::Cut { .. })));
}
