//! A small log as files: what was signed and exported once is read for ever, and made again in the same bytes.
//!
//! `DAYPASS_BLESS=1 cargo test -p daypass-log golden` writes them anew. Whoever does that changes the format.

use std::{env, fs, path::PathBuf};

use daypass_log::{Checkpoint, VerifierKey};

use crate::sample::{Log, keys, verify};

/// As many as make every kind of line: full and partial tiles of level 0, and a tile of level 1.
fn log() -> Log {
    Log::of(300)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/log/golden").join(name)
}

fn golden(name: &str, made: &[u8]) -> Vec<u8> {
    if env::var_os("DAYPASS_BLESS").is_some() {
        fs::write(path(name), made).unwrap();
    }
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_files_are_made_again_in_the_same_bytes() {
    let log = log();
    let key = format!("{}\n", keys()[0]);
    for (name, made) in [
        ("key", key.as_bytes()),
        ("checkpoint", log.checkpoint().note().as_bytes()),
        ("audit.export", &log.export()),
    ] {
        assert!(golden(name, made) == made, "{name} is not what it was");
    }
}

#[test]
fn the_files_are_read() {
    let log = log();
    let key: VerifierKey = String::from_utf8(golden("key", format!("{}\n", keys()[0]).as_bytes()))
        .unwrap()
        .trim_end()
        .parse()
        .unwrap();
    let note = golden("checkpoint", log.checkpoint().note().as_bytes());
    let checkpoint = Checkpoint::open(&note, &[key]).unwrap();
    assert_eq!(checkpoint.checkpoint().root(), log.root());
    assert_eq!(verify(&golden("audit.export", &log.export()), Some(log.root())), Ok(checkpoint));
}
