//! What the log said, changed in one place each: none of it may be taken.

use crate::checker::{Check, Claim};

/// The key of another log: the example of its specification.
const OTHER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// The same text with one character replaced by another of its kind.
fn turned(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = match bytes[at] {
        b'9' => b'0',
        b'z' => b'a',
        b'Z' => b'A',
        other => other + 1,
    };
    String::from_utf8(bytes).unwrap()
}

/// A checkpoint with another origin, size, root, era or signature, or under another key.
pub(crate) fn notes(key: &str, note: &str, checks: &mut Vec<Check>) {
    let mut bend = |what: &str, key: &str, note: &str| {
        checks.push(Check::new(format!("checkpoint with {what}"), false, key, note, &Claim::Note));
    };
    let starts: Vec<usize> =
        std::iter::once(0).chain(note.match_indices('\n').map(|(at, _)| at + 1)).collect();
    bend("another origin", key, &turned(note, starts[0]));
    bend("another size", key, &turned(note, starts[1]));
    bend("another root", key, &turned(note, starts[2] + 20));
    bend("another era", key, &turned(note, starts[3] + 6));
    // The last line is `— NAME SIGNATURE`.
    bend("another signature", key, &turned(note, note.len() - 20));
    bend("another key", OTHER, note);
    bend("no signature", key, &note[..starts[starts.len() - 2]]);
}

/// A proof with a hash changed, missing, doubled, or two that changed places; of another leaf.
pub(crate) fn proofs(key: &str, note: &str, claim: &Claim, checks: &mut Vec<Check>) {
    let mut bend = |what: &str, bent: &Claim| {
        checks.push(Check::new(format!("proof with {what}"), false, key, note, bent));
    };
    let proof = match claim {
        Claim::Inclusion { index, entry, proof } => {
            let with =
                |index, entry: &[u8]| Claim::Inclusion { index, entry: entry.to_vec(), proof: proof.clone() };
            bend("the next index", &with(index + 1, entry));
            let mut other = entry.clone();
            other[entry.len() / 2] ^= 1;
            bend("another entry", &with(*index, &other));
            proof
        }
        Claim::Consistency { proof, .. } => proof,
        Claim::Note | Claim::Tiles { .. } => return,
    };
    let with = |proof: Vec<Vec<u8>>| match claim.clone() {
        Claim::Inclusion { index, entry, .. } => Claim::Inclusion { index, entry, proof },
        Claim::Consistency { earlier, .. } => Claim::Consistency { earlier, proof },
        other => other,
    };
    for at in 0..proof.len() {
        let mut bent = proof.clone();
        bent[at][at % 32] ^= 0x10;
        bend("a hash changed", &with(bent));
        let mut bent = proof.clone();
        bent.remove(at);
        bend("a hash missing", &with(bent));
        let mut bent = proof.clone();
        bent.insert(at, proof[at].clone());
        bend("a hash doubled", &with(bent));
    }
    if let [first, second, ..] = proof.as_slice() {
        assert_ne!(first, second);
        let mut bent = proof.clone();
        bent.swap(0, 1);
        bend("two hashes that changed places", &with(bent));
    }
}

/// An entry changed, missing, doubled, or two that changed places; a tile changed, missing, or another one's.
pub(crate) fn tiles(key: &str, note: &str, claim: &Claim, checks: &mut Vec<Check>) {
    let Claim::Tiles { tiles, entries } = claim else { return };
    let mut bend = |what: String, tiles: &[(String, Vec<u8>)], entries: &[Vec<u8>]| {
        let bent = Claim::Tiles { tiles: tiles.to_vec(), entries: entries.to_vec() };
        checks.push(Check::new(what, false, key, note, &bent));
    };
    for at in [0, 1, 255, 256, entries.len() / 2, entries.len() - 1] {
        let mut bent = entries.clone();
        let middle = bent[at].len() / 2;
        bent[at][middle] ^= 1;
        bend(format!("entry {at} changed"), tiles, &bent);
        let mut bent = entries.clone();
        bent.remove(at);
        bend(format!("entry {at} missing"), tiles, &bent);
        let mut bent = entries.clone();
        bent.insert(at, entries[at].clone());
        bend(format!("entry {at} doubled"), tiles, &bent);
        let mut bent = entries.clone();
        bent.swap(at, (at + 1) % entries.len());
        bend(format!("entry {at} after the next"), tiles, &bent);
    }
    for at in 0..tiles.len() {
        let mut bent = tiles.clone();
        bent[at].1[7] ^= 0x80;
        bend(format!("`{}` changed", tiles[at].0), &bent, entries);
        let mut bent = tiles.clone();
        bent.remove(at);
        bend(format!("`{}` missing", tiles[at].0), &bent, entries);
    }
}
