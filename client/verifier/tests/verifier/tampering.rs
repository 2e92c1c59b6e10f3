//! Every single bit of a token and of a certificate counts, and hostile bytes are survived.

use std::sync::LazyLock;

use daypass_core::{event::TokenRecord, node::KeyAlgorithm};
use daypass_verifier::Refused;
use proptest::prelude::*;

use crate::{
    common::{Broker, REV, csr, token_permit},
    rig::{Rig, at},
};

/// Every copy of the bytes with one bit changed.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// Every beginning of the bytes but the whole.
fn beginnings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..bytes.len()).map(|length| &bytes[..length])
}

fn token(broker: &Broker) -> String {
    let record = TokenRecord { thumbprint: None, ..broker.token_record() };
    broker.ring.sign_token(&token_permit(record), REV).unwrap()
}

#[test]
fn every_bit_of_a_token_counts() {
    for algorithm in [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
        let broker = Broker::with(algorithm);
        let (rig, token) = (Rig::following(&broker), token(&broker));
        rig.show(&token, None, at(1)).unwrap();
        let mut tried = 0;
        for flipped in flips(token.as_bytes()) {
            // What is no UTF-8 never gets here: a token comes as text.
            let Ok(flipped) = String::from_utf8(flipped) else { continue };
            let refused = rig.show(&flipped, None, at(1)).expect_err("a token with a bit changed");
            assert!(is_about_form(&refused), "{refused:?} tells what only the real one says");
            assert!(broker.ring.read_token(&flipped).is_err());
            tried += 1;
        }
        assert!(tried > 4_000, "only {tried} were tried");
        for part in beginnings(token.as_bytes()) {
            assert!(rig.show(str::from_utf8(part).unwrap(), None, at(1)).is_err());
        }
        rig.show(&token, None, at(1)).unwrap();
    }
}

#[test]
fn every_bit_of_a_certificate_counts() {
    let broker = Broker::new();
    let (rig, der) = (Rig::following(&broker), broker.certificate(Some("billing"), &csr()));
    rig.show_certificate(&der, at(1)).unwrap();
    let mut tried = 0;
    for flipped in flips(&der) {
        let refused = rig.show_certificate(&flipped, at(1)).expect_err("a certificate with a bit changed");
        assert!(is_about_form(&refused), "{refused:?} tells what only the real one says");
        assert!(broker.ring.read_client_certificate(&flipped).is_err());
        tried += 1;
    }
    assert!(tried > 4_000, "only {tried} were tried");
    for part in beginnings(&der) {
        assert_eq!(rig.show_certificate(part, at(1)).map(drop), Err(Refused::Malformed));
    }
    for byte in 0..=255 {
        let longer = [der.as_slice(), &[byte]].concat();
        assert_eq!(rig.show_certificate(&longer, at(1)).map(drop), Err(Refused::Malformed));
    }
}

/// What is forged is told nothing of what it says.
fn is_about_form(refused: &Refused) -> bool {
    matches!(
        refused,
        Refused::Malformed
            | Refused::UnknownKey
            | Refused::WrongType
            | Refused::WrongAlgorithm
            | Refused::StrangeHeader
            | Refused::BadSignature
    )
}

struct Known {
    rig: Rig,
    broker: Broker,
    token: String,
    der: Vec<u8>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let broker = Broker::new();
    let (token, der) = (token(&broker), broker.certificate(Some("billing"), &csr()));
    Known { rig: Rig::following(&broker), token, der, broker }
});

/// The bytes with a part of them replaced.
fn spliced(bytes: &[u8], from: usize, to: usize, new: &[u8]) -> Vec<u8> {
    let (from, to) = (from % (bytes.len() + 1), to % (bytes.len() + 1));
    let (from, to) = (from.min(to), from.max(to));
    [&bytes[..from], new, &bytes[to..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_credentials_are_refused_by_both(
        from in any::<usize>(),
        to in any::<usize>(),
        new in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let Known { rig, broker, token, der } = &*KNOWN;
        let bad = spliced(der, from, to, &new);
        if bad != *der {
            prop_assert!(rig.show_certificate(&bad, at(1)).is_err());
            prop_assert!(broker.ring.read_client_certificate(&bad).is_err());
        }
        if let Ok(bad) = String::from_utf8(spliced(token.as_bytes(), from, to, &new)) && bad != *token {
            prop_assert!(rig.show(&bad, None, at(1)).is_err());
            prop_assert!(broker.ring.read_token(&bad).is_err());
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(KNOWN.rig.show_certificate(&bytes, at(1)).is_err());
        prop_assert!(KNOWN.rig.show(&String::from_utf8_lossy(&bytes), None, at(1)).is_err());
    }

    #[test]
    fn what_one_reads_of_a_record_the_other_reads(
        rev in 1u64..u64::MAX,
        life in 1u64..10_000,
        scopes in "[a-z]{1,8}( [A-Z]{1,8})?( [0-9]{1,8})?",
        names in prop::collection::vec("[a-z0-9]{1,20}", 3),
        bound in any::<Option<[u8; 32]>>(),
    ) {
        let Known { broker, .. } = &*KNOWN;
        let record = broker.token_record();
        let lineage = format!(
            "vendor:{} contract:{} application:{} identity:i1 audience:billing",
            names[0], names[1], names[2]
        );
        let record = TokenRecord {
            application: names[2].parse().unwrap(),
            scopes: scopes.parse().unwrap(),
            lineage: lineage.parse().unwrap(),
            thumbprint: bound.map(daypass_credential::Digest::new),
            expires: daypass_credential::Timestamp::from_secs(record.issued.as_secs() + life),
            ..record
        };
        let revision = daypass_credential::Revision::new(rev);
        let token = broker.ring.sign_token(&token_permit(record), revision).unwrap();
        let theirs = broker.ring.read_token(&token).unwrap();
        match KNOWN.rig.show(&token, None, at(1)) {
            Ok(ours) => prop_assert_eq!(ours.claims(), &theirs),
            Err(refused) => {
                prop_assert!(bound.is_some());
                prop_assert_eq!(refused, Refused::CertificateMissing);
            }
        }
    }
}
