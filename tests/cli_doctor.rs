//! The doctor of the command line, against brokers and homes that are ill in many ways.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cli_support;
mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use cli_support::Cli;
use serde_json::Value;
use support::{Broker, World, id};

/// What the doctor finds in this home: its exit code, and the document.
async fn examine(cli: &Cli, home: &Path) -> (i32, Value) {
    let ran = cli.run(cli.command(&["--home", home.to_str().unwrap(), "doctor", "-o", "json"])).await;
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}")))
}

/// The status of a check, and what it says.
fn check<'a>(found: &'a Value, name: &str) -> (&'a str, &'a str) {
    let check = found["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no `{name}` in {found}"));
    if check["status"] == "problem" {
        assert!(check["next"].is_string(), "a problem without a next step: {check}");
    }
    (check["status"].as_str().unwrap(), check["message"].as_str().unwrap())
}

#[tokio::test]
async fn where_all_is_well_every_check_says_so() {
    let world = World::new().await;
    world.application("sync", "sync").await;
    world.verifier("billing-api").await;
    let cli = Cli::new(world.broker.path());
    for who in ["dana", "sync", "billing-api"] {
        let (code, found) = examine(&cli, world.broker.home(who).folder()).await;
        assert_eq!((code, &found["well"]), (0, &Value::Bool(true)), "{found}");
        let checks = found["checks"].as_array().unwrap();
        assert!(checks.len() >= 9 && checks.iter().all(|check| check["status"] == "ok"), "{found}");
    }
}

#[tokio::test]
async fn a_home_without_an_identity_or_open_to_others_is_told() {
    let world = World::new().await;
    world.application("sync", "sync").await;
    let cli = Cli::new(world.broker.path());
    let (code, found) = examine(&cli, &cli.folder().join("nowhere")).await;
    assert_eq!((code, check(&found, "home").0, check(&found, "tls").0), (2, "problem", "skipped"));

    let home = world.broker.home("sync");
    let file = home.folder().join("identity.toml");
    for (path, mode, usual) in [(home.folder(), 0o755, 0o700), (file.as_path(), 0o644, 0o600)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (code, found) = examine(&cli, home.folder()).await;
        assert_eq!((code, check(&found, "home").0), (2, "problem"), "{found}");
        assert_eq!(check(&found, "standing").0, "ok", "it goes on where it can: {found}");
        fs::set_permissions(path, fs::Permissions::from_mode(usual)).unwrap();
    }
    fs::write(home.folder().join("next-key.pem"), "").unwrap();
    let (code, found) = examine(&cli, home.folder()).await;
    assert_eq!((code, check(&found, "next key").0), (0, "warning"), "{found}");
    fs::write(&file, "version = 1").unwrap();
    let (code, found) = examine(&cli, home.folder()).await;
    assert_eq!((code, check(&found, "identity").0), (2, "problem"), "{found}");
    assert!(check(&found, "identity").1.contains("damaged"), "{found}");
}

#[tokio::test]
async fn an_identity_that_has_to_renew_or_is_over_is_told() {
    let world = World::new().await;
    world.application("sync", "sync").await;
    let cli = Cli::new(world.broker.path());
    let home = world.broker.home("sync");
    let mut narrower = support::application("sync", "acme", "acme-2026");
    narrower.entitlements[0].scopes = vec!["invoices.read".into()];
    world.put(support::object(daypass_proto::v1::object::Kind::Application(narrower))).await;
    let (code, found) = examine(&cli, home.folder()).await;
    assert_eq!(
        (code, check(&found, "caller").0, check(&found, "standing").0),
        (3, "ok", "problem"),
        "{found}"
    );
    assert!(check(&found, "standing").1.contains("renew-first"), "{found}");
    daypass_sdk::renew(&home).await.unwrap();
    assert_eq!(examine(&cli, home.folder()).await.0, 0);

    world.admin.end(&id("vendor:acme"), "").await.unwrap();
    let (code, found) = examine(&cli, home.folder()).await;
    assert_eq!((code, check(&found, "tls").0, check(&found, "caller").0), (3, "ok", "problem"), "{found}");
    assert!(check(&found, "caller").1.contains("vendor:acme"), "{found}");
    let checks = found["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["reason"] == "caller-dead"), "{found}");
}

#[tokio::test]
async fn a_broker_that_is_away_or_another_is_told_apart() {
    let mut world = World::new().await;
    let cli = Cli::new(world.broker.path());
    let home = world.broker.home("dana");
    // Another broker takes its place: the same address, another root.
    let port = world.broker.address().port();
    assert!(world.broker.stop().await, "{}", world.broker.log());
    let (code, found) = examine(&cli, home.folder()).await;
    assert_eq!(
        (code, check(&found, "connect").0, check(&found, "tls").0),
        (4, "problem", "skipped"),
        "{found}"
    );
    assert!(check(&found, "connect").1.contains(&format!("nothing listens on port {port}")), "{found}");

    let text = fs::read_to_string(home.folder().join("identity.toml")).unwrap();
    let other = Broker::start().await;
    let elsewhere = cli.folder().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    let moved = |from: &str, to: &str| {
        let file = elsewhere.join("identity.toml");
        fs::write(&file, text.replace(from, to)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    moved(&format!(":{port}\""), &format!(":{}\"", other.address().port()));
    let (code, found) = examine(&cli, &elsewhere).await;
    assert_eq!((code, check(&found, "connect").0, check(&found, "tls").0), (6, "ok", "problem"), "{found}");
    assert!(check(&found, "tls").1.contains("not of the root that this identity knows"), "{found}");

    moved(&format!("127.0.0.1:{port}\""), "no-such-host.invalid:7443\"");
    let (code, found) = examine(&cli, &elsewhere).await;
    assert_eq!((code, check(&found, "address").0), (4, "problem"), "{found}");
}

#[tokio::test]
async fn what_does_not_speak_tls_is_no_broker() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let cli = Cli::new(world.broker.path());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _read = stream.read(&mut [0; 1024]).await;
                let _written = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            });
        }
    });
    let home = world.broker.home("dana");
    let file = home.folder().join("identity.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&format!(":{}\"", world.broker.address().port()), &format!(":{port}\"")))
        .unwrap();
    let (code, found) = examine(&cli, home.folder()).await;
    assert_eq!((code, check(&found, "connect").0, check(&found, "tls").0), (4, "ok", "problem"), "{found}");
    assert!(check(&found, "tls").1.contains("does not speak TLS"), "{found}");
}
