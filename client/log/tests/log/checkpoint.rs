//! Checkpoints: the same bytes out as in, and only what the log itself signed.

use daypass_credential::Era;
use daypass_log::{Checkpoint, CheckpointError, Hash, MAX_SIZE, NoteError, Root, SignError, sign};
use proptest::prelude::*;

use crate::sample::{Log, ORIGIN, key, keys, pair, signed, signer};

const HASH: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

#[test]
fn the_text_is_that_of_the_specification() {
    let text = format!("example.com/behind-the-sofa\n20852163\n{HASH}\n");
    let checkpoint: Checkpoint = text.parse().unwrap();
    assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.root(), Root { size: 20_852_163, hash: HASH.parse().unwrap() });
    assert_eq!(checkpoint.era(), None);
    assert_eq!(checkpoint.to_string(), text);
}

#[test]
fn ours_names_its_era() {
    let checkpoint = Checkpoint::new(ORIGIN, Log::of(5).root(), Era::new(0xab)).unwrap();
    assert!(checkpoint.to_string().ends_with("=\nera 00000000000000ab\n"));
    let read: Checkpoint = checkpoint.to_string().parse().unwrap();
    assert_eq!(read, checkpoint);
    assert_eq!(read.era(), Some(Era::new(0xab)));
}

#[test]
fn what_was_signed_opens_and_keeps_its_bytes() {
    let log = Log::of(5);
    let signed = log.checkpoint();
    let opened = Checkpoint::open(signed.note().as_bytes(), &keys()).unwrap();
    assert_eq!(opened, signed);
    assert_eq!(opened.checkpoint().root(), log.root());
}

#[test]
fn only_the_logs_own_key_makes_a_checkpoint() {
    let (witness, root) = (key("witness.example", &pair(9)), Log::of(5).root());
    let by_another = signed(ORIGIN, root, &pair(8));
    assert_eq!(
        Checkpoint::open(by_another.note().as_bytes(), &keys()),
        Err(NoteError::Untrusted.into()),
        "another key under the same name"
    );

    let text = Checkpoint::new(ORIGIN, root, Era::new(1)).unwrap().to_string();
    let witnessed = sign(&text, &witness, signer(&pair(9))).unwrap();
    let all = [keys(), vec![witness.clone()]].concat();
    assert_eq!(
        Checkpoint::open(witnessed.as_bytes(), &all),
        Err(CheckpointError::Origin(ORIGIN.to_owned())),
        "trusted, but not as this log"
    );
    let checkpoint = Checkpoint::new(ORIGIN, root, Era::new(1)).unwrap();
    assert_eq!(
        checkpoint.sign(&witness, signer(&pair(9))),
        Err(SignError::Foreign("witness.example".to_owned()))
    );
}

#[test]
fn what_is_no_checkpoint_is_refused_by_name() {
    let refused = |text: &str| text.parse::<Checkpoint>().unwrap_err();
    let good = format!("o\n5\n{HASH}\nera 00000000000000ab\n");
    assert!(good.parse::<Checkpoint>().is_ok());
    for lines in
        ["", "\n", "o\n", "o\n5\n", good.trim_end(), &format!("{good}\n"), &format!("\n{good}"), "o\n\n5\n"]
    {
        assert_eq!(refused(lines), CheckpointError::Lines, "`{lines}`");
    }
    for size in ["", "05", "+5", "-5", "5 ", "0x5", "18446744073709551616", &(MAX_SIZE + 1).to_string()] {
        let error = refused(&good.replacen("\n5\n", &format!("\n{size}\n"), 1));
        assert!(matches!(error, CheckpointError::Size | CheckpointError::Lines), "`{size}`: {error}");
    }
    for hash in
        [&HASH[..40], "AAAA", &HASH.replace("q2I=", "q2J="), &format!("{HASH}="), &Hash::empty().to_string()]
    {
        assert_eq!(refused(&good.replace(HASH, hash)), CheckpointError::Root, "`{hash}`");
    }
    assert_eq!(refused(&good.replacen("\n5\n", "\n0\n", 1)), CheckpointError::Root);
    for era in ["era ab", "era 00000000000000AB", "era ", "era 00000000000000ab\nera 00000000000000ab"] {
        assert_eq!(refused(&good.replace("era 00000000000000ab", era)), CheckpointError::Era, "`{era}`");
    }
}

#[test]
fn none_is_made_that_could_not_be_read() {
    let root = Log::of(5).root();
    for origin in ["", "two\nlines", "\0"] {
        assert_eq!(Checkpoint::new(origin, root, Era::new(1)), Err(CheckpointError::Lines));
    }
    for (size, hash) in [(0, root.hash), (5, Hash::empty())] {
        assert_eq!(Checkpoint::new(ORIGIN, Root { size, hash }, Era::new(1)), Err(CheckpointError::Root));
    }
    let large = Root { size: MAX_SIZE + 1, ..root };
    assert_eq!(Checkpoint::new(ORIGIN, large, Era::new(1)), Err(CheckpointError::Size));
    assert!(Checkpoint::new(ORIGIN, Root::empty(), Era::new(1)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_printed_in_the_same_bytes(
        origin in "[^\\x00-\\x1f]{1,40}",
        size in 1..=MAX_SIZE,
        hash in any::<[u8; 32]>(),
        more in prop::collection::vec("[^\\x00-\\x1fe][^\\x00-\\x1f]{0,30}", 0..4),
    ) {
        let more: String = more.iter().map(|line| format!("{line}\n")).collect();
        let text = format!("{origin}\n{size}\n{}\n{more}", Hash::new(hash));
        prop_assert_eq!(text.parse::<Checkpoint>().unwrap().to_string(), text);
    }

    #[test]
    fn any_text_is_read_strictly_or_not_at_all(text in "(a|0|1|9|\\+|=|\n|era |CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=){0,12}") {
        if let Ok(checkpoint) = text.parse::<Checkpoint>() {
            prop_assert_eq!(checkpoint.to_string(), text);
        }
    }
}
