//! Exports: what comes out is what went in, and what cannot come out again is not written.

use std::{collections::HashMap, convert::Infallible};

use daypass_credential::Revision;
use daypass_log::{
    Checkpoint, Hash, MAX_ENTRY, Tile,
    export::{Check, Fault, ReadError, Reader, Step, Walk, WriteError, write},
};
use proptest::prelude::*;

use crate::sample::{Log, keys, lines, verify};

#[test]
fn an_export_is_read_back_in_its_exact_bytes() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 600, 65_536, 65_537, 66_000] {
        let log = Log::of(size);
        let export = log.export();
        let keys = keys();
        let mut reader = Reader::new(export.as_slice(), &keys, Some(log.root())).unwrap();
        assert_eq!(reader.checkpoint(), &log.checkpoint());
        for (number, wanted) in (1..).zip(&log.entries) {
            assert_eq!(reader.next_entry().unwrap(), Some((Revision::new(number), wanted.as_slice())));
        }
        assert_eq!(reader.next_entry().unwrap(), None, "{size} entries");
        assert_eq!(reader.next_entry().unwrap(), None);
    }
}

#[test]
fn entries_can_be_found_with_a_search_for_text() {
    let export = Log::of(600).export();
    let found = lines(&export).iter().filter(|line| line.starts_with(b"{\"v\":1,")).count();
    assert_eq!(found, 600);
    assert!(lines(&export).contains(&b"{\"v\":1,\"n\":299}\n".to_vec()));
}

#[test]
fn progress_is_told_for_each_entry() {
    let (export, keys) = (Log::of(300).export(), keys());
    let mut told = Vec::new();
    Reader::new(export.as_slice(), &keys, None)
        .unwrap()
        .verify(|revision| told.push(revision.get()))
        .unwrap();
    assert_eq!(told, (1..=300).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_without_a_line_feed_survive(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("line feed", |b| *b != b'\n'), 1..50), 0..600)
    ) {
        let log: Log = entries.iter().cloned().collect();
        let (export, keys) = (log.export(), keys());
        let mut reader = Reader::new(export.as_slice(), &keys, None).unwrap();
        let mut read = Vec::new();
        while let Some((_, entry)) = reader.next_entry().unwrap() {
            read.push(entry.to_vec());
        }
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn the_walk_passes_every_tile_before_what_is_below_it(size in 0_u64..70_000) {
        let mut seen: HashMap<(u8, u64), Tile> = HashMap::new();
        let mut next = 0;
        for step in Walk::new(size) {
            match step {
                Step::Tile(tile) => {
                    if tile.is_full() {
                        prop_assert!(seen.contains_key(&(tile.level() + 1, tile.index() / 256)), "{}", tile);
                    }
                    prop_assert_eq!(seen.insert((tile.level(), tile.index()), tile), None);
                }
                Step::Entries(entries) => {
                    prop_assert_eq!(entries.start, next);
                    prop_assert!(seen[&(0, entries.start / 256)].leaves() == entries);
                    next = entries.end;
                }
            }
        }
        prop_assert_eq!(next, size);
        prop_assert_eq!(seen.len(), daypass_log::grown(0, size).count());
    }
}

#[test]
fn line_by_line_the_answers_are_the_same() {
    let log = Log::of(300);
    let export = log.export();
    let mut lines = export.split(|byte| *byte == b'\n');
    let keys = keys();
    let mut check = Check::new(lines.next().unwrap(), &keys, None).unwrap();
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    for line in &lines {
        assert!(check.end().is_err());
        check.line(line).unwrap();
    }
    assert_eq!(check.end(), Ok(()));
    assert_eq!(check.line(lines[5]), Err(Fault::Surplus { of: Revision::new(300) }));
}

#[test]
fn what_is_no_export_is_refused() {
    for bytes in [&b""[..], b"\n", b"{}\n", b"null\n", b"daypass-backup 1\n", &[0; 1000], &[b'x'; 1_000_000]]
    {
        assert_eq!(verify(bytes, None), Err(Fault::NotOne));
    }
}

#[test]
fn an_endless_line_is_refused_in_the_memory_of_one() {
    let export = Log::of(300).export();
    let endless = std::io::Read::chain(&export[..export.len() - 10], std::io::repeat(b'x'));
    let keys = keys();
    let found = Reader::new(endless, &keys, None).unwrap().verify(|_| {});
    assert!(matches!(found, Err(ReadError::Fault(Fault::Entry { revision, .. })) if revision.get() == 300));
}

#[test]
fn what_cannot_be_a_line_is_not_written() {
    for bad in [&b""[..], b"two\nlines", &[b'x'; MAX_ENTRY + 1]] {
        let log: Log = [b"good".to_vec(), bad.to_vec()].into_iter().collect();
        let entries = log.entries.iter().map(Ok::<_, Infallible>);
        let error = write(&mut Vec::new(), &log.checkpoint(), &log, entries).unwrap_err();
        assert!(matches!(error, WriteError::Entry(revision) if revision.get() == 2), "{error}");
    }
    let longest: Log = [vec![b'x'; MAX_ENTRY]].into_iter().collect();
    assert!(verify(&longest.export(), None).is_ok());
}

#[test]
fn an_export_is_not_written_beyond_what_there_is() {
    let log = Log::of(5);
    let entries = log.entries[..4].iter().map(Ok::<_, Infallible>);
    let error = write(&mut Vec::new(), &log.checkpoint(), &log, entries).unwrap_err();
    assert!(matches!(error, WriteError::Missing(revision) if revision.get() == 5), "{error}");
    let error = write(
        &mut Vec::new(),
        &log.checkpoint(),
        &HashMap::<Tile, Vec<Hash>>::new(),
        [Ok::<_, Infallible>(b"")],
    );
    assert!(matches!(error, Err(WriteError::Tiles(_))));
    let broken = [Err::<Vec<u8>, _>("no disk")];
    assert!(matches!(
        write(&mut Vec::new(), &log.checkpoint(), &log, broken),
        Err(WriteError::Source("no disk"))
    ));
}

#[test]
fn a_checkpoint_is_what_an_export_gives_back() {
    let log = Log::of(300);
    let checkpoint = verify(&log.export(), None).unwrap();
    assert_eq!(Checkpoint::open(checkpoint.note().as_bytes(), &keys()), Ok(checkpoint));
}
