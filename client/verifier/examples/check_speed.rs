//! What the local check costs beside the bare signature verification that it cannot do without, for tokens and
//! certificates that were and were not seen before. Prints one line of JSON.
//!
//! `cargo run --release -p daypass-verifier --example check_speed`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a measurement")]

#[path = "../../../broker/issuer/tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the issuer's own tests")]
mod common;
#[path = "../tests/verifier/rig.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod rig;

use std::{hint::black_box, time::Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{Broker, certificate_permit, csr, name, token_permit};
use daypass_core::{event::TokenRecord, node::KeyAlgorithm};
use daypass_credential::Revision;
use daypass_verifier::{Certificate, Options, Verifier};
use rig::{Rig, at, published};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};

/// How many credentials a round checks, each another one, and how many rounds there are.
const MANY: u64 = 50;
const ROUNDS: usize = 400;

struct Case {
    rig: Rig,
    public: UnparsedPublicKey<Vec<u8>>,
    tokens: Vec<String>,
    /// Message and signature of each token, taken apart beforehand.
    bare: Vec<(Vec<u8>, Vec<u8>)>,
    certificates: Vec<Vec<u8>>,
    shown: Certificate,
}

impl Case {
    fn new(algorithm: KeyAlgorithm) -> Self {
        let broker = Broker::with(algorithm);
        let ring: &'static dyn VerificationAlgorithm = match algorithm {
            KeyAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            KeyAlgorithm::EdDsa => &ED25519,
        };
        let (rig, request) = (Rig::following(&broker), csr());
        let certificate = |rev| {
            let record = broker.certificate_record(Some("billing"), &request);
            broker.ring.sign_certificate(&certificate_permit(record), Revision::new(rev), &request).unwrap()
        };
        let certificates: Vec<_> = (1..=MANY).map(certificate).collect();
        let thumbprint = Some(daypass_issuer::digest(&certificates[0]));
        let permit = token_permit(TokenRecord { thumbprint, ..broker.token_record() });
        let token = |rev| broker.ring.sign_token(&permit, Revision::new(rev)).unwrap();
        let tokens: Vec<_> = (1..=MANY).map(token).collect();
        let apart = |token: &String| {
            let (message, signature) = token.rsplit_once('.').unwrap();
            (message.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        };
        Self {
            public: UnparsedPublicKey::new(ring, published(&broker).tokens[0].public.clone()),
            bare: tokens.iter().map(apart).collect(),
            shown: rig.verifier.read_certificate(&certificates[0]).unwrap(),
            tokens,
            certificates,
            rig,
        }
    }

    /// A verifier that has seen nothing yet.
    fn fresh(&self) -> Verifier {
        let verifier = Verifier::new([name("billing")], &Options::default()).unwrap();
        verifier.apply(self.rig.verifier.view().unwrap());
        verifier
    }

    fn verify_bare(&self) {
        self.bare.iter().for_each(|(message, signature)| self.public.verify(message, signature).unwrap());
    }

    fn check_tokens(&self, verifier: &Verifier) {
        for token in &self.tokens {
            drop(black_box(verifier.check_token(token, Some(&self.shown), &[], at(1)).unwrap()));
        }
    }

    fn check_certificates(&self, verifier: &Verifier) {
        for der in &self.certificates {
            let certificate = verifier.read_certificate(der).unwrap();
            verifier.check_certificate(black_box(&certificate), at(1)).unwrap();
        }
    }

    /// Microseconds each: bare, token unseen, token seen, certificate unseen, certificate seen. The rounds of each are
    /// taken in turn, and the least is told, as noise only adds.
    fn measure(&self) -> [f64; 5] {
        let mut times: [Vec<f64>; 5] = Default::default();
        for _ in 0..ROUNDS {
            let verifier = self.fresh();
            times[0].push(timed(|| self.verify_bare()));
            times[1].push(timed(|| self.check_tokens(&verifier)));
            times[2].push(timed(|| self.check_tokens(&verifier)));
            times[3].push(timed(|| self.check_certificates(&verifier)));
            times[4].push(timed(|| self.check_certificates(&verifier)));
        }
        times.map(|times| times.into_iter().fold(f64::MAX, f64::min))
    }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn timed(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e6 / MANY as f64
}

fn main() {
    let cases = [("es256", KeyAlgorithm::Es256), ("eddsa", KeyAlgorithm::EdDsa)].map(|(name, algorithm)| {
        let case = Case::new(algorithm);
        let bytes = case.tokens[0].len();
        let [bare, unseen, seen, certificate, certificate_seen] = case.measure();
        format!(
            r#""{name}":{{"token_bytes":{bytes},"bare_us":{bare:.2},"unseen_us":{unseen:.2},"seen_us":{seen:.2},"check_ratio":{:.3},"check_seen_speedup":{:.1},"certificate_us":{certificate:.2},"certificate_seen_us":{certificate_seen:.2}}}"#,
            bare / unseen,
            bare / seen,
        )
    });
    println!("{{{}}}", cases.join(","));
}
