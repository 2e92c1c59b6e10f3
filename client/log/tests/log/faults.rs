//! Every way to spoil an export by hand, and what it is called.

use daypass_credential::Revision;
use daypass_log::{CheckpointError, NoteError, SignedCheckpoint, Tile, export::Fault};

use crate::sample::{Log, ORIGIN, key, lines, pair, signed, verify, verify_by};

/// The export with its lines changed.
fn with(log: &Log, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Result<SignedCheckpoint, Fault> {
    let mut lines = lines(&log.export());
    change(&mut lines);
    verify(&lines.concat(), None)
}

/// In which line of the export of a log of 600 this entry stands: behind the header, two tiles of the edge
/// (`tile/1/000.p/2`, `tile/0/002.p/88`), and the full tiles up to its own.
fn line_of(revision: u64) -> usize {
    let tiles_before = 1 + 2 + revision.div_ceil(256).min(2);
    usize::try_from(tiles_before + revision - 1).unwrap()
}

fn entry(revision: u64, stands: Option<u64>) -> Fault {
    Fault::Entry { revision: Revision::new(revision), stands: stands.map(Revision::new) }
}

#[test]
fn a_changed_entry_is_named() {
    for revision in [1, 256, 257, 300, 512, 513, 600] {
        let found = with(&Log::of(600), |lines| lines[line_of(revision)][5] ^= 1);
        assert_eq!(found, Err(entry(revision, None)), "{revision}");
        assert_eq!(found.unwrap_err().first_bad(), Some(Revision::new(revision)));
    }
}

#[test]
fn a_dropped_entry_is_named() {
    let log = Log::of(600);
    let drop = |revision| with(&log, |lines| drop(lines.remove(line_of(revision))));
    assert_eq!(drop(1), Err(entry(1, Some(2))));
    assert_eq!(drop(300), Err(entry(300, Some(301))));
    // Behind the last of a tile comes a tile, and behind the last of all nothing.
    assert_eq!(drop(256), Err(entry(256, None)));
    assert_eq!(drop(600), Err(Fault::CutShort { after: Revision::new(599), of: Revision::new(600) }));
}

#[test]
fn a_doubled_entry_is_named() {
    let log = Log::of(600);
    let double =
        |revision| with(&log, |lines| lines.insert(line_of(revision), lines[line_of(revision)].clone()));
    assert_eq!(double(1), Err(entry(2, Some(1))));
    assert_eq!(double(300), Err(entry(301, Some(300))));
    let tile = Tile::new(0, 1, 256).unwrap();
    assert_eq!(double(256), Err(Fault::Tile { tile, first: Revision::new(257) }));
    assert_eq!(double(600), Err(Fault::Surplus { of: Revision::new(600) }));
    assert_eq!(double(600).unwrap_err().first_bad(), Some(Revision::new(601)));
}

#[test]
fn reordered_entries_are_named() {
    let log = Log::of(600);
    assert_eq!(with(&log, |lines| lines.swap(line_of(7), line_of(8))), Err(entry(7, Some(8))));
    assert_eq!(with(&log, |lines| lines.swap(line_of(20), line_of(200))), Err(entry(20, Some(200))));
    assert_eq!(with(&log, |lines| lines.swap(line_of(20), line_of(500))), Err(entry(20, None)));
}

#[test]
fn an_export_that_was_cut_is_told_from_a_whole_one_wherever_it_was_cut() {
    let log = Log::of(259);
    let export = log.export();
    let header = lines(&export)[0].len();
    for end in 0..export.len() {
        let found = verify(&export[..end], None).unwrap_err();
        if end < header {
            assert_eq!(found, Fault::NotOne, "{end}");
        } else {
            let whole = lines(&export[..end])
                .iter()
                .filter(|line| line.starts_with(b"{\"v\"") && line.ends_with(b"\n"))
                .count();
            let after = Revision::new(whole as u64);
            assert_eq!(found, Fault::CutShort { after, of: Revision::new(259) }, "{end}");
        }
    }
}

#[test]
fn a_tile_of_another_log_is_named() {
    let (log, other) = (Log::of(600), lines(&Log::seeded(600, ",\"x\":1").export()));
    let tile = Tile::new(0, 1, 256).unwrap();
    assert_eq!(
        with(&log, |lines| lines[line_of(257) - 1] = other[line_of(257) - 1].clone()),
        Err(Fault::Tile { tile, first: Revision::new(257) })
    );
    for edge in [1, 2] {
        assert_eq!(with(&log, |lines| lines[edge] = other[edge].clone()), Err(Fault::Root));
    }
    // Changed together with its tile, an entry is found by the tile above.
    let both = with(&log, |lines| {
        for line in [line_of(257) - 1, line_of(257), line_of(300)] {
            lines[line] = other[line].clone();
        }
    });
    assert_eq!(both, Err(Fault::Tile { tile, first: Revision::new(257) }));
    // All but the first line: another log under this one's name.
    assert_eq!(with(&log, |lines| lines[1..].clone_from_slice(&other[1..])), Err(Fault::Root));
}

#[test]
fn a_tile_that_is_said_otherwise_is_refused() {
    let log = Log::of(600);
    let line = line_of(1) - 1;
    let tile = Fault::Tile { tile: Tile::new(0, 0, 256).unwrap(), first: Revision::new(1) };
    let said = |from: &str, to: &str| {
        with(&log, |lines| {
            let text = String::from_utf8(lines[line].clone()).unwrap();
            assert!(text.contains(from));
            lines[line] = text.replacen(from, to, 1).into_bytes();
        })
    };
    for (from, to) in [
        ("{\"tile\"", "{ \"tile\""),
        ("\"hashes\"", "\"hashes\" "),
        ("}\n", "}\r\n"),
        ("}\n", "} \n"),
        ("tile/0/000", "tile/0/001"),
        ("tile/0/000", "tile/0/0000"),
        ("\"}", "=\"}"),
        ("{", "{\"a\":1,"),
    ] {
        assert_eq!(said(from, to), Err(tile.clone()), "{from} as {to}");
    }
}

#[test]
fn a_forged_checkpoint_is_refused() {
    let log = Log::of(600);
    let larger = signed(ORIGIN, log.root(), &pair(8));
    assert_eq!(
        verify(&log.export_with(&larger), None),
        Err(Fault::Checkpoint(CheckpointError::Note(NoteError::Untrusted)))
    );
    let text = |from: &str, to: &str| {
        with(&log, |lines| {
            let header = String::from_utf8(lines[0].clone()).unwrap();
            assert!(header.contains(from));
            lines[0] = header.replacen(from, to, 1).into_bytes();
        })
    };
    let wrong = Err(Fault::Checkpoint(NoteError::Wrong(ORIGIN.to_owned()).into()));
    assert_eq!(text("\\n600\\n", "\\n599\\n"), wrong);
    assert_eq!(text("era 0", "era 1"), wrong);
    assert_eq!(text("broker.example", "broken.example"), wrong, "the origin, not the signature's name");
    // The same JSON, spelled otherwise.
    for (from, to) in
        [("{\"f", "{ \"f"), ("\"version\":1", "\"version\": 1"), ("era", "\\u0065ra"), ("}", ",\"a\":1}")]
    {
        assert_eq!(text(from, to), Err(Fault::NotOne), "{from} as {to}");
    }
    assert_eq!(text("\"version\":1", "\"version\":2"), Err(Fault::Version(2)));
    assert_eq!(text("daypass-audit-export", "daypass-audit-exports"), Err(Fault::NotOne));
    assert_eq!(verify_by(&log.export(), &[], None), Err(Fault::Checkpoint(NoteError::Untrusted.into())));
    let other_log = [key("other.example", &pair(7))];
    assert_eq!(
        verify_by(&log.export(), &other_log, None),
        Err(Fault::Checkpoint(NoteError::Untrusted.into()))
    );
}

#[test]
fn an_older_checkpoint_does_not_fit_a_longer_export() {
    let log = Log::of(600);
    for size in [0, 1, 88, 256, 512, 599] {
        let older = signed(ORIGIN, log.root_at(size), &pair(7));
        let header = lines(&log.export_with(&older))[0].clone();
        assert!(with(&log, |lines| lines[0] = header).is_err(), "{size}");
    }
}

#[test]
fn a_log_that_was_cut_and_signed_earlier_is_found_by_what_is_known() {
    let log = Log::of(600);
    for cut in [0, 1, 256, 512, 599] {
        let older = log.export_with(&signed(ORIGIN, log.root_at(cut), &pair(7)));
        assert!(verify(&older, None).is_ok(), "an older export is whole in itself");
        let fault = Fault::Older { known: Revision::new(600), found: Revision::new(cut) };
        assert_eq!(verify(&older, Some(log.root())), Err(fault.clone()));
        assert_eq!(fault.first_bad(), Some(Revision::new(cut + 1)));
    }
}

#[test]
fn a_log_that_continues_the_known_one_is_told_from_one_that_does_not() {
    let (log, other) = (Log::of(600), Log::seeded(600, ",\"x\":1"));
    let export = log.export();
    for size in (0..=600).step_by(7).chain([1, 255, 256, 257, 511, 512, 513, 599, 600]) {
        assert!(verify(&export, Some(log.root_at(size))).is_ok(), "{size}");
        if size > 0 {
            let fault = Fault::OtherHistory { known: Revision::new(size) };
            assert_eq!(verify(&export, Some(other.root_at(size))), Err(fault), "{size}");
        }
    }
}
