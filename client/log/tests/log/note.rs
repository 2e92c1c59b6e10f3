//! Signed notes and keys: what is refused, and that what others signed on the same note does no harm.

use std::convert::Infallible;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_log::{KeyError, MAX_NOTE, MAX_SIGNATURES, NoteError, SignError, VerifierKey, open, sign};
use proptest::prelude::*;

use crate::sample::{key, pair, signer};

const NAME: &str = "log.example/one";

fn keys() -> [VerifierKey; 1] {
    [key(NAME, &pair(1))]
}

fn note(text: &str) -> String {
    sign(text, &keys()[0], signer(&pair(1))).unwrap()
}

/// The line of a signature, of whoever, over whatever.
fn line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&id, signature].concat()))
}

fn refused(note: impl AsRef<[u8]>) -> NoteError {
    open(note.as_ref(), &keys()).unwrap_err()
}

#[test]
fn a_note_reads_back_as_signed() {
    let keys = keys();
    for text in ["x\n", "three\nlines\n\nand an empty one\n", "\u{2014} not a signature\n", "ähm\n"] {
        assert_eq!(open(note(text).as_bytes(), &keys).unwrap(), (text, vec![&keys[0]]));
    }
}

#[test]
fn signatures_of_unknown_keys_say_nothing() {
    let (keys, note) = (keys(), note("text\n"));
    let same_name = line(NAME, [9; 4], &[0; 64]);
    let same_id = line("log.example/two", keys[0].id(), &[0; 64]);
    let longer = line("quantum.example", [1; 4], &[0; 4000]);
    let crowded = [note.as_str(), &same_name, &same_id, &longer].concat();
    assert_eq!(open(crowded.as_bytes(), &keys).unwrap(), ("text\n", vec![&keys[0]]));
    // They alone are nobody.
    let alone = ["text\n\n", &same_name, &same_id, &longer].concat();
    assert_eq!(refused(&alone), NoteError::Untrusted);
    assert_eq!(open(note.as_bytes(), &[]), Err(NoteError::Untrusted));
}

#[test]
fn a_wrong_signature_of_a_known_key_spoils_the_note() {
    let keys = [key(NAME, &pair(1)), key("log.example/two", &pair(2))];
    let good = note("text\n");
    for wrong in [&[0; 64][..], &[0; 63], &[0]] {
        let note = [good.as_str(), &line(keys[1].name(), keys[1].id(), wrong)].concat();
        assert_eq!(open(note.as_bytes(), &keys), Err(NoteError::Wrong(keys[1].name().to_owned())));
    }
    assert_eq!(refused(good.replace("text", "test")), NoteError::Wrong(NAME.to_owned()));
    let twice = format!("{good}{}", good.lines().last().map(|line| format!("{line}\n")).unwrap());
    assert_eq!(refused(&twice), NoteError::Twice(NAME.to_owned()));
}

#[test]
fn both_of_two_known_keys_count() {
    let keys = [key(NAME, &pair(1)), key("log.example/two", &pair(2))];
    let second = sign("text\n", &keys[1], signer(&pair(2))).unwrap();
    let both = [note("text\n").as_str(), second.strip_prefix("text\n\n").unwrap()].concat();
    assert_eq!(open(both.as_bytes(), &keys).unwrap().1, vec![&keys[0], &keys[1]]);
}

#[test]
fn what_is_no_note_is_refused_by_name() {
    let good = note("text\n");
    let signature = good.strip_prefix("text\n\n").unwrap();
    assert_eq!(refused(""), NoteError::Unsigned);
    assert_eq!(refused("text\n"), NoteError::Unsigned);
    assert_eq!(refused("text\n\n"), NoteError::Unsigned);
    assert_eq!(refused(format!("text\n{signature}")), NoteError::Unsigned);
    assert_eq!(refused(format!("\n\n{signature}")), NoteError::Text);
    assert_eq!(refused(format!("{good}\n")), NoteError::Unsigned);
    assert_eq!(refused(good.trim_end()), NoteError::Unsigned);
    assert_eq!(refused(good.replace("text", "te\rxt")), NoteError::Characters);
    assert_eq!(refused(good.replace("text", "te\0xt")), NoteError::Characters);
    assert_eq!(refused(good.replace('\n', "\r\n")), NoteError::Characters);
    assert_eq!(refused([good.as_bytes(), b"\xff\n"].concat()), NoteError::Characters);
    for bad in [
        "no dash\n",
        "- log.example AAAAAAA=\n",
        "\u{2014} log.example\n",
        "\u{2014}  AAAAAAA=\n",
        "\u{2014} a+b AAAAAAA=\n",
        "\u{2014} log.example AAAA\n",
        "\u{2014} log.example AAAAAA==\n",
        "\u{2014} log.example AAAAAAA\n",
        "\u{2014} log.example AAAAAAB=\n",
        "\u{2014} log.example AAAA AAA=\n",
        "\u{2014} log.example  AAAAAAA=\n",
    ] {
        assert_eq!(refused(format!("{good}{bad}")), NoteError::Line(2), "`{bad}`");
    }
}

#[test]
fn a_note_is_bounded() {
    let good = note("text\n");
    let others = |count| (0..count).map(|n| line(&format!("w{n}"), [1; 4], &[0; 64])).collect::<String>();
    assert!(open(format!("{good}{}", others(MAX_SIGNATURES - 1)).as_bytes(), &keys()).is_ok());
    assert_eq!(refused(format!("{good}{}", others(MAX_SIGNATURES))), NoteError::TooMany);
    let long = "x".repeat(MAX_NOTE);
    assert!(matches!(refused(format!("{long}\n")), NoteError::TooLong(_)));
    assert!(matches!(
        sign(&format!("{long}\n"), &keys()[0], signer(&pair(1))),
        Err(SignError::Note(NoteError::TooLong(_)))
    ));
}

#[test]
fn only_what_can_be_read_is_signed() {
    let key = &keys()[0];
    for (text, error) in [
        ("", NoteError::Text),
        ("\n", NoteError::Text),
        ("no end", NoteError::Text),
        ("a\tb\n", NoteError::Characters),
    ] {
        assert_eq!(sign(text, key, signer(&pair(1))), Err(SignError::Note(error)), "`{text}`");
    }
    assert_eq!(sign("text\n", key, signer(&pair(2))), Err(SignError::Foreign(NAME.to_owned())));
    assert_eq!(sign("text\n", key, |_| Err("sealed")), Err(SignError::Signer("sealed")));
}

#[test]
fn a_key_has_one_spelling_and_its_own_id() {
    let text = keys()[0].to_string();
    assert_eq!(text.parse(), Ok(keys()[0].clone()));
    assert_eq!(text.replace("/one", "/two").parse::<VerifierKey>(), Err(KeyError::Id));
    let (name, rest) = text.split_once('+').unwrap();
    let (id, public) = rest.split_once('+').unwrap();
    assert_eq!(format!("{name}+{}+{public}", id.to_uppercase()).parse::<VerifierKey>(), Err(KeyError::Id));
    assert_eq!(format!("{name}+0{id}+{public}").parse::<VerifierKey>(), Err(KeyError::Id));
    assert_eq!(format!("+{id}+{public}").parse::<VerifierKey>(), Err(KeyError::Name));
    assert_eq!(format!("a b+{id}+{public}").parse::<VerifierKey>(), Err(KeyError::Name));
    assert_eq!(format!("{name}+{id}+Ag==").parse::<VerifierKey>(), Err(KeyError::Algorithm));
    assert_eq!(format!("{name}+{id}+AQ==").parse::<VerifierKey>(), Err(KeyError::Algorithm));
    for bad in ["", "name", "name+id", &format!("{name}+{id}+{public}+"), &format!("{name}+{id}+{public}\n")]
    {
        assert_eq!(bad.parse::<VerifierKey>(), Err(KeyError::Form), "`{bad}`");
    }
    for bad in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\0"] {
        assert_eq!(VerifierKey::new(bad, [0; 32]), Err(KeyError::Name), "`{bad}`");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_flipped_bit_spoils_a_note(bit in any::<prop::sample::Index>()) {
        let mut bytes = note("broker.example/audit\n5\nnot a root\n").into_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open(&bytes, &keys()).is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&bytes, &keys()).is_err());
    }
}

#[test]
fn the_closure_gets_the_text_alone() {
    let mut seen = Vec::new();
    let pair = pair(1);
    sign("text\n", &keys()[0], |text| {
        seen = text.to_vec();
        signer(&pair)(text).map_err(|never: Infallible| never)
    })
    .unwrap();
    assert_eq!(seen, b"text\n");
}
