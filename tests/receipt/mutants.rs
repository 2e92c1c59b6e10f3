//! A receipt over many live credentials, checked by the real binary without a broker; and with one byte changed, no more.

use std::fs;

use serde_json::{Value, json};

use crate::{
    Desk, mint_tokens,
    random::Random,
    support::{World, show, size},
};

/// How many single bytes are changed.
const MUTANTS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_holds_and_none_of_its_bytes_can_be_changed() {
    let live = size("DAYPASS_RECEIPT_CREDENTIALS", 2_000);
    let mut world = World::new().await;
    let sync = world.application("sync", "sync").await;
    // An identity certificate and a client certificate come with them.
    mint_tokens(&sync, live - 2).await;
    let desk = Desk::of(&world, "dana");
    desk.json("offboard acme --yes").await;
    let got = desk.json("receipt get acme --wait").await;
    let died = &got["receipt"]["died"];
    let credentials: u64 = ["identity_certificates", "client_certificates", "tokens"]
        .iter()
        .map(|kind| died[kind].as_u64().unwrap())
        .sum();
    assert!(world.broker.stop().await, "from here on there is no broker");
    let verified = desk.verify(&world, "acme.receipt").await.json()["good"] == true;

    let mut random = Random::from_env("DAYPASS_RECEIPT_SEED");
    let files = ["acme.receipt", "acme.receipt.list"].map(|file| desk.cli.folder().join(file));
    let mut rejected = 0;
    for number in 0..MUTANTS {
        let path = &files[number % 2];
        let good = fs::read(path).unwrap();
        let at = usize::try_from(random.between(0, good.len() as u64)).unwrap();
        let mut bent = good.clone();
        bent[at] ^= u8::try_from(random.between(1, 256)).unwrap();
        fs::write(path, &bent).unwrap();
        let ran = desk.verify(&world, "acme.receipt").await;
        let verdict: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let says_no = ran.code == 3 && verdict["good"] == false;
        assert!(says_no, "byte {at} of {}: {ran:?}", path.display());
        rejected += usize::from(says_no);
        fs::write(path, &good).unwrap();
    }
    assert_eq!(desk.verify(&world, "acme.receipt").await.json()["good"], true, "they are as they were");
    show(&json!({
        "credentials": credentials, "verified": verified, "mutants": MUTANTS, "rejected": rejected
    }));
    assert_eq!((credentials, verified), (live as u64, true));
}
