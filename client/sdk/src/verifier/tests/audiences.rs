//! Verifiers for one audience, for several and for none; and by which time a token is judged.

use rustls::server::danger::ClientCertVerifier as _;
use rustls_pki_types::UnixTime;

use super::{Options, Refused, World, billing};
use crate::{
    Error,
    log::tests::fake::Log,
    verifier::{
        ClientCertificates, Guarded, Without,
        forge::{Claim, Forge, Leaf},
    },
};

#[tokio::test]
async fn whoever_checks_names_an_audience_and_whoever_observes_none() {
    let world = World::with(Log::of(5)).await;
    for options in [Options::of([]), Options { observing: true, ..billing() }] {
        let Err(error) = world.start_with(options).await else { panic!("taken") };
        assert!(matches!(&error, Error::BadInput(text) if text.contains("audience")), "{error:?}");
    }
    let observing = world.start_with(Options::observing()).await.unwrap();
    observing.ready().await;
    assert_eq!(observing.verdict(&world.token("acme")), Err(Refused::NoAudience));
}

#[tokio::test(start_paused = true)]
async fn a_verifier_for_several_audiences_judges_no_request_until_one_is_named() {
    let forge = Forge::new();
    let (token, proof) = (forge.token(&Claim::default()), forge.billing.proof(&Leaf::default()));
    let judged = |verifier: &crate::verifier::Verifier| {
        let certificate = verifier.read_certificate(&proof.chain[0]).unwrap();
        let read = forge.verifier.check_token(&token, None, &[]).unwrap();
        [
            verifier.check_token(&token, None, &[]).err(),
            verifier.check_token_again(&read, None, &[]).err(),
            verifier.check_certificate(&certificate).err(),
            Guarded::new(tokio::io::duplex(1).0, &proof.chain[0], verifier).err(),
        ]
    };
    let of = |audience: &str| forge.both.only(&audience.parse().unwrap()).unwrap();
    assert_eq!(judged(&forge.both), [const { Some(Refused::NoAudience) }; 4]);
    assert_eq!(judged(&of("billing")), [const { None }; 4]);
    assert_eq!(judged(&of("payroll")), [const { Some(Refused::OtherAudience) }; 4]);
    let other = |error| matches!(error, Err(Error::BadInput(text)) if text.contains("`rates`"));
    assert!(other(forge.both.only(&"rates".parse().unwrap()).map(drop)));
    assert!(forge.verifier.only(&"payroll".parse().unwrap()).is_err(), "one for one audience stays that");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_lets_clients_of_each_named_audience_in() {
    let forge = Forge::new();
    let let_in = |verifier, authority: &crate::verifier::forge::Authority| {
        let clients = ClientCertificates::new(verifier, Without::Refuse);
        let proof = authority.proof(&Leaf::default());
        clients.verify_client_cert(&proof.chain[0], &[], UnixTime::now()).is_ok()
    };
    assert!(let_in(&forge.both, &forge.billing) && let_in(&forge.both, &forge.payroll));
    assert!(let_in(&forge.verifier, &forge.billing) && !let_in(&forge.verifier, &forge.payroll));
}

#[tokio::test(start_paused = true)]
async fn the_clocks_are_read_once_the_signature_is_verified() {
    let forge = Forge::new();
    let good = forge.token(&Claim::default());
    let (message, _) = good.rsplit_once('.').unwrap();
    let other = forge.token(&Claim { revision: 43, ..Claim::default() });
    let forged = format!("{message}.{}", other.rsplit_once('.').unwrap().1);
    let before = forge.looks();
    assert_eq!(forge.verifier.check_token(&forged, None, &[]).err(), Some(Refused::BadSignature));
    assert_eq!(forge.looks(), before, "there was nothing to judge yet");
    assert!(forge.verifier.check_token(&good, None, &[]).is_ok());
    assert_eq!(forge.looks(), before + 1);
}
