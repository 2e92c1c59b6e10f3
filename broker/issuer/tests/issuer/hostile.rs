//! Hostile bytes: whatever is shown as a certificate, token, request or key is refused or read, and never panics; one
//! changed byte of a signed thing is never read as something else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::LazyLock;

use crate::common::{Broker, csr, request};
use daypass_issuer::{Csr, KeyEncryptionKey, PublicKey};
use proptest::prelude::*;

struct Known {
    broker: Broker,
    identity: Vec<u8>,
    client: Vec<u8>,
    token: String,
    request: Vec<u8>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (broker, csr) = (Broker::new(), csr());
    Known {
        identity: broker.certificate(None, &csr),
        client: broker.certificate(Some("billing"), &csr),
        token: broker.token(),
        request: request(),
        broker,
    }
});

/// One way to damage bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, new)| Damage::Insert(at, new)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        let length = bytes.len().max(1);
        match damage {
            Damage::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= bits;
                }
            }
            Damage::Cut(at) => bytes.truncate(at % length),
            Damage::Insert(at, new) => {
                let at = (at % length).min(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Damage::Repeat(from, to) => {
                let (from, to) = (from % length, to % length);
                let part = bytes.get(from.min(to)..from.max(to)).unwrap_or_default().to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_certificate_is_refused(damages in prop::collection::vec(damage(), 1..3)) {
        let ring = &KNOWN.broker.ring;
        for good in [&KNOWN.identity, &KNOWN.client] {
            let bad = damaged(good, &damages);
            if bad != *good {
                prop_assert!(ring.read_identity_certificate(&bad).is_err());
                prop_assert!(ring.read_client_certificate(&bad).is_err());
            }
        }
    }

    #[test]
    fn a_damaged_token_is_refused(damages in prop::collection::vec(damage(), 1..3)) {
        let bad = damaged(KNOWN.token.as_bytes(), &damages);
        if let Ok(bad) = String::from_utf8(bad)
            && bad != KNOWN.token
        {
            prop_assert!(KNOWN.broker.ring.read_token(&bad).is_err());
        }
    }

    #[test]
    fn a_damaged_request_is_refused_or_for_the_same_key(damages in prop::collection::vec(damage(), 1..3)) {
        let good = Csr::parse(&KNOWN.request).unwrap();
        if let Ok(read) = Csr::parse(&damaged(&KNOWN.request, &damages)) {
            prop_assert_eq!(read.key(), good.key());
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let ring = &KNOWN.broker.ring;
        prop_assert!(ring.read_identity_certificate(&bytes).is_err());
        prop_assert!(Csr::parse(&bytes).is_err());
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(ring.read_token(&text).is_err());
        prop_assert!(text.parse::<PublicKey>().is_err());
        let _ = KeyEncryptionKey::parse(&bytes);
    }

    #[test]
    fn any_words_after_a_kind_of_key_are_survived(kind in "(ssh-ed25519|ecdsa-sha2-nistp256) ", rest in "[A-Za-z0-9+/= \n]{0,200}") {
        let _ = format!("{kind}{rest}").parse::<PublicKey>();
    }
}

#[test]
fn every_single_bit_of_a_certificate_counts() {
    let ring = &KNOWN.broker.ring;
    for at in 0..KNOWN.client.len() {
        for bit in 0..8 {
            let mut bad = KNOWN.client.clone();
            bad[at] ^= 1 << bit;
            assert!(ring.read_client_certificate(&bad).is_err(), "byte {at}, bit {bit}");
        }
    }
}
