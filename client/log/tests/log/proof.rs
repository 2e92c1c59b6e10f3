//! Proofs: every one that is made is accepted, and no other is.

use daypass_log::{
    Hash, Root,
    proof::{MakeError, ProofError, check_consistency, check_inclusion, consistency, inclusion},
};
use proptest::prelude::*;

use crate::sample::{Log, sizes};

#[test]
fn every_entry_of_every_small_log_is_proved() {
    let log = Log::of(70);
    for size in 1..=70 {
        let root = log.root_at(size);
        for index in 0..size {
            let proof = inclusion(&log, index, size).unwrap();
            assert_eq!(check_inclusion(log.leaf(index), index, &proof, &root), Ok(()), "{index} of {size}");
            // It proves this index and no other.
            for other in (0..size).filter(|other| *other != index) {
                assert!(
                    check_inclusion(log.leaf(index), other, &proof, &root).is_err(),
                    "{index} as {other} of {size}"
                );
            }
        }
    }
}

#[test]
fn every_growth_of_every_small_log_is_proved() {
    let log = Log::of(70);
    for to in 1..=70 {
        for from in 1..=to {
            let proof = consistency(&log, from, to).unwrap();
            let (earlier, later) = (log.root_at(from), log.root_at(to));
            assert_eq!(check_consistency(&earlier, &later, &proof), Ok(()), "{from} to {to}");
            for other in (1..=to).filter(|other| *other != from) {
                let wrong = Root { size: other, ..earlier };
                assert!(check_consistency(&wrong, &later, &proof).is_err(), "{from} as {other} to {to}");
            }
        }
    }
}

/// Every proof that is one hash, one bit or one place away.
fn spoiled(proof: &[Hash], at: usize, bit: usize) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[Hash::empty()]].concat(), [&[Hash::empty()], proof].concat()];
    if !proof.is_empty() {
        let at = at % proof.len();
        let mut bytes = *proof[at].as_bytes();
        bytes[bit / 8 % 32] ^= 1 << (bit % 8);
        all.push([&proof[..at], &[Hash::new(bytes)], &proof[at + 1..]].concat());
        all.push([&proof[..at], &proof[at + 1..]].concat());
        all.push([&proof[..=at], &proof[at..]].concat());
        all.push([&proof[1..], &proof[..1]].concat());
    }
    all.retain(|other| other != proof);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spoiled_inclusion_is_refused(size in sizes(), index in any::<u64>(), at in any::<usize>(), bit in any::<usize>()) {
        let log = Log::of(size);
        let index = index % size;
        let root = log.root();
        let proof = inclusion(&log, index, size).unwrap();
        prop_assert_eq!(check_inclusion(log.leaf(index), index, &proof, &root), Ok(()));
        for proof in spoiled(&proof, at, bit) {
            prop_assert!(check_inclusion(log.leaf(index), index, &proof, &root).is_err());
        }
        prop_assert_eq!(check_inclusion(Hash::empty(), index, &proof, &root), Err(ProofError::Root));
        let other = Root { hash: Hash::empty(), ..root };
        prop_assert_eq!(check_inclusion(log.leaf(index), index, &proof, &other), Err(ProofError::Root));
    }

    #[test]
    fn a_spoiled_consistency_is_refused(to in sizes(), from in any::<u64>(), at in any::<usize>(), bit in any::<usize>()) {
        let log = Log::of(to);
        let from = 1 + from % to;
        let (earlier, later) = (log.root_at(from), log.root());
        let proof = consistency(&log, from, to).unwrap();
        prop_assert_eq!(check_consistency(&earlier, &later, &proof), Ok(()));
        for proof in spoiled(&proof, at, bit) {
            prop_assert!(check_consistency(&earlier, &later, &proof).is_err());
        }
        let other = Root { hash: Hash::empty(), ..earlier };
        prop_assert!(check_consistency(&other, &later, &proof).is_err());
        let other = Root { hash: Hash::empty(), ..later };
        prop_assert!(check_consistency(&earlier, &other, &proof).is_err());
    }
}

#[test]
fn a_log_with_another_beginning_is_told_from_one_that_grew() {
    let (log, other) = (Log::of(100), Log::seeded(100, ",\"x\":1"));
    let proof = consistency(&log, 60, 100).unwrap();
    assert_eq!(check_consistency(&other.root_at(60), &log.root(), &proof), Err(ProofError::EarlierRoot));
    assert_eq!(check_consistency(&log.root_at(60), &other.root(), &proof), Err(ProofError::Root));
    assert_eq!(check_consistency(&log.root(), &other.root(), &[]), Err(ProofError::EarlierRoot));
}

#[test]
fn what_cannot_be_proved_is_refused_by_name() {
    let log = Log::of(8);
    let root = log.root();
    let none = |error| Err(MakeError::None(error));
    let beyond = ProofError::OutOfRange { index: 8, size: 8 };
    assert_eq!(inclusion(&log, 8, 8), none(beyond));
    assert_eq!(check_inclusion(log.leaf(0), 8, &[], &root), Err(beyond));
    assert_eq!(inclusion(&log, 0, 0), none(ProofError::Empty));
    assert_eq!(check_inclusion(log.leaf(0), 0, &[], &Root::empty()), Err(ProofError::Empty));

    let shrunk = ProofError::Shrunk { from: 8, to: 7 };
    assert_eq!(consistency(&log, 8, 7), none(shrunk));
    assert_eq!(check_consistency(&root, &log.root_at(7), &[]), Err(shrunk));
    for (from, to) in [(0, 8), (0, 0)] {
        assert_eq!(consistency(&log, from, to), none(ProofError::Empty));
        assert_eq!(check_consistency(&log.root_at(from), &log.root_at(to), &[]), Err(ProofError::Empty));
    }
    assert_eq!(check_consistency(&log.root_at(6), &root, &[]), Err(ProofError::Length));
    assert_eq!(check_consistency(&root, &root, &[Hash::empty()]), Err(ProofError::Length));
}

#[test]
fn the_largest_sizes_do_not_overflow() {
    let largest = Root { size: u64::MAX, hash: Hash::empty() };
    let proof = [Hash::empty(); 64];
    assert_eq!(check_inclusion(Hash::empty(), 0, &proof, &largest), Err(ProofError::Root));
    assert_eq!(check_inclusion(Hash::empty(), u64::MAX - 1, &proof, &largest), Err(ProofError::Length));
    let half = Root { size: 1 << 63, hash: Hash::empty() };
    assert!(check_consistency(&half, &largest, &proof).is_err());
    assert!(check_consistency(&half, &largest, &[Hash::empty(); 200]).is_err());
}
