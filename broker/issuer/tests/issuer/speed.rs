//! What signing and reading cost beside the bare signature. Not run by default: times mean nothing in a debug build.
//! `cargo test --release -p daypass-issuer -- --ignored --nocapture speed`

use std::{hint::black_box, time::Instant};

use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};

use crate::common::{Broker, REV, certificate_permit, csr, token_permit};

/// Microseconds of one call: the least of many short rounds, as noise only adds.
fn least(mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let begin = Instant::now();
        (0..20).for_each(|_| call());
        begin.elapsed().as_secs_f64() * 1e6 / 20.0
    };
    let times = (0..3000).map(|_| round(&mut call));
    times.fold(f64::MAX, f64::min)
}

#[test]
#[ignore = "a measurement, for release builds"]
fn tokens_cost_hardly_more_than_their_signature() {
    let broker = Broker::new();
    let (permit, token) = (token_permit(broker.token_record()), broker.token());
    let message = token.rsplit_once('.').unwrap().0;
    let rng = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
    let signature = pair.sign(&rng, message.as_bytes()).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().to_vec());

    let bare_sign = least(|| {
        let _ = black_box(pair.sign(&rng, message.as_bytes()).unwrap());
    });
    let sign = least(|| {
        drop(black_box(broker.ring.sign_token(&permit, REV).unwrap()));
    });
    let bare_verify = least(|| {
        public.verify(message.as_bytes(), signature.as_ref()).unwrap();
    });
    let read = least(|| drop(black_box(broker.ring.read_token(&token).unwrap())));
    println!("token of {} bytes", token.len());
    println!("sign: bare {bare_sign:.2} us, token {sign:.2} us, ratio {:.3}", bare_sign / sign);
    println!("read: bare {bare_verify:.2} us, token {read:.2} us, ratio {:.3}", bare_verify / read);
    assert!(bare_sign / sign >= 0.9, "signing a token costs too much beside its signature");
}

#[test]
#[ignore = "a measurement, for release builds"]
fn certificates_cost() {
    let (broker, csr) = (Broker::new(), csr());
    let permit = certificate_permit(broker.certificate_record(Some("billing"), &csr));
    let der = broker.certificate(Some("billing"), &csr);
    let sign = least(|| {
        drop(black_box(broker.ring.sign_certificate(&permit, REV, &csr).unwrap()));
    });
    let read = least(|| {
        drop(black_box(broker.ring.read_client_certificate(&der).unwrap()));
    });
    println!("certificate of {} bytes: sign {sign:.2} us, read {read:.2} us", der.len());
}
