//! Offboarding, seen from where it counts: what a partner could do before, and cannot after, over every kind of connection.

use std::{fs, path::Path};

use daypass_sdk::PrivateKey;
use serde_json::{Value, json};

use crate::{
    child::Process,
    support::{self, World},
};

/// The relying parties' own server certificate, which stands for itself, and its key, as files.
pub(crate) fn server(dir: &Path) -> (String, String) {
    let key = PrivateKey::generate().unwrap();
    let pair = rcgen::KeyPair::try_from(&key.der()).unwrap();
    let certificate =
        rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    let (chain_path, key_path) = (dir.join("chain.pem"), dir.join("key.pem"));
    fs::write(&chain_path, daypass_sdk::certificates_to_pem(&[certificate.der().clone()])).unwrap();
    fs::write(&key_path, key.to_pem().as_bytes()).unwrap();
    (chain_path.display().to_string(), key_path.display().to_string())
}

/// How many of an answer's connections were accepted, each service's new, open and resumed one.
fn accepted(said: &Value) -> Vec<bool> {
    let ways =
        ["axum", "tls"].iter().flat_map(|service| ["new", "open", "resumed"].map(|way| &said[service][way]));
    ways.map(|way| way.as_bool().unwrap()).collect()
}

#[tokio::test]
async fn what_was_accepted_before_an_offboarding_is_refused_after_it_over_every_connection() {
    let world = World::new().await;
    let (chain, key) = server(world.broker.path());
    let mut ports = Vec::new();
    let mut services = Vec::new();
    for role in ["axum", "tls"] {
        let who = format!("{role}-service");
        world.broker.enroll(&who, &world.code("verifier:billing-api").await).await.unwrap();
        let home = world.broker.home(&who).folder().display().to_string();
        let mut service = Process::start(role, &json!({ "home": home, "chain": chain, "key": key }));
        ports.push(service.says().await["port"].to_string());
        services.push(service);
    }
    world.broker.enroll("partner", &world.code("application:sync").await).await.unwrap();
    let home = world.broker.home("partner").folder().display().to_string();
    let knows = json!({ "home": home, "chain": chain, "axum": ports[0], "tls": ports[1] });
    let mut partner = Process::start("partner", &knows);
    assert_eq!(partner.says().await["ready"], true);

    let before = partner.ask("try").await;
    assert_eq!(accepted(&before), [true; 6], "{before}");
    let ended = world.admin.end(&support::id("vendor:acme"), "the contract is over").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let after = partner.ask("try").await;
    assert_eq!(accepted(&after), [false; 6], "{after}");
    let shortened = [&before, &after]
        .iter()
        .any(|said| ["axum", "tls"].iter().any(|service| said[service]["shortened"].as_bool().unwrap()));
    assert!(!shortened, "a handshake was shortened: {before} {after}");
    let _ = ended;

    let of = |said: &Value| accepted(said).iter().filter(|accepted| **accepted).count();
    support::show(&json!({
        "accepted_before": of(&before),
        "accepted_after": of(&after),
        "before": before,
        "after": after,
    }));
}
