//! Single changes to an export, at random: every one is found, and where it strikes an entry or a full tile, it is
//! named by the first entry that cannot be shown.

use daypass_log::export::{Step, Walk};
use proptest::{prelude::*, sample::Index};

use crate::sample::{Log, verify};

#[derive(Debug, Clone)]
enum Change {
    Flip(Index),
    Replace(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    DropLine(Index),
    DoubleLine(Index),
    SwapLines(Index, Index),
    Cut(Index),
    Add(Vec<u8>),
    /// A line of another log in place of this one's.
    Foreign(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Change::Flip),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (at(), Just(b'\n')).prop_map(|(at, byte)| Change::Insert(at, byte)),
        at().prop_map(Change::Delete),
        at().prop_map(Change::DropLine),
        at().prop_map(Change::DoubleLine),
        (at(), at()).prop_map(|(one, other)| Change::SwapLines(one, other)),
        at().prop_map(Change::Cut),
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Change::Add),
        at().prop_map(Change::Foreign),
    ]
}

fn lines(export: &[u8]) -> Vec<&[u8]> {
    export.split_inclusive(|byte| *byte == b'\n').collect()
}

fn apply(change: &Change, export: &[u8], foreign: &[u8]) -> Vec<u8> {
    let mut bytes = export.to_vec();
    let mut rows = lines(export);
    match change {
        Change::Flip(at) => {
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            return bytes;
        }
        Change::Replace(at, byte) => {
            *at.get_mut(&mut bytes) = *byte;
            return bytes;
        }
        Change::Insert(at, byte) => {
            bytes.insert(at.index(bytes.len() + 1), *byte);
            return bytes;
        }
        Change::Delete(at) => {
            bytes.remove(at.index(bytes.len()));
            return bytes;
        }
        Change::Cut(at) => return bytes[..at.index(bytes.len())].to_vec(),
        Change::Add(more) => return [bytes.as_slice(), more].concat(),
        Change::DropLine(at) => drop(rows.remove(at.index(rows.len()))),
        Change::DoubleLine(at) => {
            let at = at.index(rows.len());
            rows.insert(at, rows[at]);
        }
        Change::SwapLines(one, other) => {
            let (one, other) = (one.index(rows.len()), other.index(rows.len()));
            rows.swap(one, other);
        }
        Change::Foreign(at) => {
            let at = at.index(rows.len());
            rows[at] = lines(foreign)[at];
        }
    }
    rows.concat()
}

/// For each line the first entry that is not shown without it; none for the lines that everything rests on.
fn rests_on(size: u64) -> Vec<Option<u64>> {
    let mut revisions = vec![None];
    for step in Walk::new(size) {
        match step {
            Step::Tile(tile) => revisions.push(tile.is_full().then(|| tile.leaves().start + 1)),
            Step::Entries(entries) => revisions.extend(entries.map(|index| Some(index + 1))),
        }
    }
    revisions.push(Some(size + 1));
    revisions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_single_change_is_found_and_the_first_bad_entry_named(
        size in prop_oneof![0_u64..20, 250..260_u64, 500..520_u64, 0..1000_u64],
        change in change(),
    ) {
        let export = Log::of(size).export();
        let mutant = apply(&change, &export, &Log::seeded(size, ",\"x\":1").export());
        prop_assume!(mutant != export);
        let fault = verify(&mutant, None).expect_err("a change that nobody finds");
        let (before, after) = (lines(&export), lines(&mutant));
        let differs = (0..).find(|at| before.get(*at) != after.get(*at)).unwrap();
        let named = fault.first_bad().map(|revision| revision.get());
        match rests_on(size)[differs] {
            Some(revision) => prop_assert_eq!(named, Some(revision), "{}", fault),
            // Without those lines nothing is shown of any entry: none may be named as if those before it had been.
            None => prop_assert!(matches!(named, None | Some(1)), "{}", fault),
        }
    }
}
