//! The right edge: leaf by leaf it is the tree of all leaves at once, and it can be put down and taken up anywhere.

use daypass_log::{Frontier, FrontierError, Hash, MAX_SIZE, Root};
use proptest::prelude::*;

use crate::sample::Log;

#[test]
fn grown_leaf_by_leaf_it_is_the_tree_of_all_leaves() {
    let log = Log::of(600);
    let mut tree = Frontier::new();
    assert_eq!(tree.root(), Root::empty());
    for (size, entry) in (1..).zip(&log.entries) {
        tree.append(entry);
        assert_eq!(tree.root(), log.root_at(size));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_goes_on_from_what_was_kept(size in 0_u64..3000, part in 0.0..=1.0_f64) {
        let log = Log::of(size);
        let stop = (size as f64 * part) as usize;
        let mut tree = Frontier::new();
        log.entries[..stop].iter().for_each(|entry| tree.append(entry));
        prop_assert!(tree.peaks().len() <= 64, "what is kept grows with the log's logarithm");
        let mut tree = Frontier::restore(tree.size(), tree.peaks().to_vec()).unwrap();
        log.entries[stop..].iter().for_each(|entry| tree.append(entry));
        prop_assert_eq!(tree.root(), log.root());
    }
}

#[test]
fn what_does_not_belong_to_a_size_is_not_taken_up() {
    let peaks = |count| vec![Hash::empty(); count];
    assert_eq!(Frontier::restore(6, peaks(1)), Err(FrontierError::Peaks { size: 6, wanted: 2, found: 1 }));
    assert_eq!(Frontier::restore(0, peaks(1)), Err(FrontierError::Peaks { size: 0, wanted: 0, found: 1 }));
    assert_eq!(Frontier::restore(u64::MAX, peaks(64)), Err(FrontierError::TooLarge(u64::MAX)));
    assert!(Frontier::restore(MAX_SIZE, peaks(56)).is_ok());
}
