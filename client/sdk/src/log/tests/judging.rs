//! What is taken for the continuation of a known log, and what is not.

use daypass_credential::{Era, Revision, Timestamp};
use daypass_log::{CheckpointError, Hash, NoteError, Root, proof::ProofError};

use super::fake::{ERA, Log, ORIGIN};
use crate::{KnownLog, LogFault};

/// What a log of 300 entries, 100 of which are known, is held for when it shows this.
fn judge(note: &str, proof: &[Hash]) -> Result<Revision, LogFault> {
    Log::of(300).known(100).continued(note, proof, Timestamp::ZERO).map(|next| next.revision())
}

#[test]
fn a_log_that_grew_is_followed() {
    for (from, to) in [(1, 2), (1, 300), (100, 300), (255, 256), (256, 257), (300, 300)] {
        let log = Log::of(to);
        let proof = if from == to { Vec::new() } else { log.consistency(from) };
        let at = Timestamp::from_secs(9);
        let next = log.known(from).continued(log.checkpoint().note(), &proof, at).unwrap();
        assert_eq!((next.revision().get(), next.seen_at(), next.era()), (to, at, ERA), "{from} to {to}");
    }
}

#[test]
fn an_older_log_is_named_with_both_revisions() {
    let older = Log::of(99);
    let fault = LogFault::Older { known: Revision::new(100), found: Revision::new(99) };
    assert_eq!(judge(older.checkpoint().note(), &[]), Err(fault.clone()));
    assert_eq!(fault.reason(), Some("log-older"));
    assert!(fault.to_string().contains("revision 99") && fault.to_string().contains("revision 100"));
}

#[test]
fn another_history_is_told_from_a_proof_that_does_not_fit() {
    let (log, forked) = (Log::of(300), Log::forked(300));
    let other = Err(LogFault::OtherHistory { known: Revision::new(100) });
    assert_eq!(judge(forked.checkpoint().note(), &forked.consistency(100)), other);
    assert_eq!(judge(Log::forked(100).checkpoint().note(), &[]), other, "of the same size");
    let length = Err(LogFault::Proof(ProofError::Length));
    assert_eq!(judge(log.checkpoint().note(), &[]), length, "left out");
    assert_eq!(judge(log.checkpoint().note(), &log.consistency(128)), length, "for another size");
    assert_eq!(judge(Log::of(100).checkpoint().note(), &log.consistency(100)), length, "for no growth");
}

#[test]
fn every_flipped_hash_of_a_proof_is_found() {
    let log = Log::of(300);
    let proof = log.consistency(100);
    assert!(proof.len() > 3);
    for spoilt in 0..proof.len() {
        let mut proof = proof.clone();
        proof[spoilt] = Hash::leaf(b"x");
        let found = judge(log.checkpoint().note(), &proof);
        assert!(
            matches!(found, Err(LogFault::OtherHistory { .. } | LogFault::Proof(ProofError::Root))),
            "hash {spoilt}: {found:?}"
        );
    }
}

#[test]
fn only_the_log_s_own_key_counts() {
    let log = Log::of(300);
    let forged = Log { seed: 8, ..log.clone() };
    let found = judge(forged.checkpoint().note(), &log.consistency(100));
    assert_eq!(found, Err(LogFault::Forged(CheckpointError::Note(NoteError::Untrusted))));
    // A root that nobody signed, under a signature of another.
    let larger = log.checkpoint().note().replacen("300", "301", 1);
    let found = judge(&larger, &log.consistency(100));
    assert!(matches!(found, Err(LogFault::Forged(CheckpointError::Note(NoteError::Wrong(_))))), "{found:?}");
    for bad in ["", "x", "\u{1b}[31m\n\n\u{2014} x y\n"] {
        assert!(matches!(judge(bad, &[]), Err(LogFault::Forged(_))), "{bad:?}");
    }
}

#[test]
fn another_log_and_another_era_are_named() {
    let log = Log::of(300);
    let other = Log { origin: "elsewhere.example/log", ..log.clone() };
    let found = judge(other.checkpoint().note(), &log.consistency(100));
    assert_eq!(
        found,
        Err(LogFault::OtherLog { known: ORIGIN.into(), found: "elsewhere.example/log".into() })
    );
    let next = Log { era: Era::new(0xcd), ..log.clone() };
    let found = judge(next.checkpoint().note(), &log.consistency(100));
    assert_eq!(found, Err(LogFault::OtherEra { known: ERA, found: Era::new(0xcd) }));
}

#[test]
fn a_log_that_had_nothing_may_become_anything_without_a_proof() {
    let log = Log::of(3);
    let empty = KnownLog::new(log.key(), log.signed(Root::empty()).note(), Timestamp::ZERO).unwrap();
    assert!(empty.continued(log.checkpoint().note(), &[], Timestamp::ZERO).is_ok());
    let surplus = empty.continued(log.checkpoint().note(), &[Hash::empty()], Timestamp::ZERO);
    assert_eq!(surplus.unwrap_err(), LogFault::Proof(ProofError::Length));
}
