//! Held against an implementation that is not ours, over a SHA-256 that is not ours: the crate ct-merkle. Its trees are
//! ours, it accepts our proofs and we accept its, and neither accepts what was tampered with.

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use daypass_log::{
    Frontier, Hash, Root,
    proof::{check_consistency, check_inclusion, consistency, inclusion},
};
use proptest::prelude::*;
use sha2::Sha256;

use crate::sample::Log;

type Peer = MemoryBackedTree<Sha256, Vec<u8>>;

fn peer(log: &Log, size: u64) -> Peer {
    let mut tree = Peer::new();
    log.entries[..size as usize].iter().for_each(|entry| tree.push(entry.clone()));
    tree
}

fn peers_root(root: &Root) -> RootHash<Sha256> {
    RootHash::new((*root.hash.as_bytes()).into(), root.size)
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(Hash::as_bytes).copied().collect()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(32).map(|hash| Hash::new(hash.try_into().unwrap())).collect()
}

#[test]
fn the_peers_tree_is_ours_at_every_size() {
    let log = Log::of(530);
    let (mut ours, mut theirs) = (Frontier::new(), Peer::new());
    for entry in &log.entries {
        ours.append(entry);
        theirs.push(entry.clone());
        assert_eq!(peers_root(&ours.root()), theirs.root());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inclusion_is_agreed_on(size in 1_u64..3000, index in any::<u64>(), bit in any::<usize>()) {
        let log = Log::of(size);
        let index = index % size;
        let root = peers_root(&log.root());
        let entry = &log.entries[index as usize];

        let ours = inclusion(&log, index, size).unwrap();
        let theirs = peer(&log, size).prove_inclusion(index as usize);
        prop_assert_eq!(bytes(&ours), theirs.as_bytes());
        prop_assert!(check_inclusion(log.leaf(index), index, &hashes(theirs.as_bytes()), &log.root()).is_ok());
        prop_assert!(root.verify_inclusion(entry, index, &InclusionProof::from_bytes(bytes(&ours))).is_ok());

        let mut tampered = bytes(&ours);
        if !tampered.is_empty() {
            let bit = bit % (8 * tampered.len());
            tampered[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(root.verify_inclusion(entry, index, &InclusionProof::from_bytes(tampered.clone())).is_err());
            prop_assert!(check_inclusion(log.leaf(index), index, &hashes(&tampered), &log.root()).is_err());
        }
    }

    #[test]
    fn consistency_is_agreed_on(to in 2_u64..3000, from in any::<u64>(), bit in any::<usize>()) {
        let log = Log::of(to);
        let from = 1 + from % (to - 1);
        let (earlier, later) = (log.root_at(from), log.root());

        let ours = consistency(&log, from, to).unwrap();
        let theirs = peer(&log, to).prove_consistency((to - from) as usize);
        prop_assert_eq!(bytes(&ours), theirs.as_bytes());
        prop_assert!(check_consistency(&earlier, &later, &hashes(theirs.as_bytes())).is_ok());
        let check = |proof: Vec<u8>| {
            let proof = ConsistencyProof::try_from_bytes(proof).unwrap();
            peers_root(&later).verify_consistency(&peers_root(&earlier), &proof)
        };
        prop_assert!(check(bytes(&ours)).is_ok());

        let mut tampered = bytes(&ours);
        let bit = bit % (8 * tampered.len());
        tampered[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(check_consistency(&earlier, &later, &hashes(&tampered)).is_err());
        prop_assert!(check(tampered).is_err());
    }
}
