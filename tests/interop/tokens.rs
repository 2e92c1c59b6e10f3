//! Tokens, read by libraries of others with our key set: `tokens.py` with PyJWT, `tokens.mjs` with jose.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    checks::{Checks, python, run_script, version},
    scene::{Scene, base64},
    support::Broker,
};

/// How many cases each script has.
const CASES: usize = 13;

pub(crate) async fn in_python(scene: &Scene, checks: &mut Checks) {
    if version(&python(), "--version").is_some() {
        checks.take(&run_script(&python(), "tokens.py", &input(scene).await), CASES);
    }
}

pub(crate) async fn in_node(scene: &Scene, checks: &mut Checks) {
    if crate::reflection::node_is_there() {
        checks.take(&run_script(Path::new("node"), "tokens.mjs", &input(scene).await), CASES);
    }
}

async fn input(scene: &Scene) -> Value {
    let stranger = Broker::start().await;
    let others = stranger.admin().await.trust_bundle(None).await.unwrap();
    let keys = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    json!({
        "issuer": scene.bundle.issuer,
        "jwks": keys(&scene.bundle.jwks),
        "other_jwks": keys(&others.jwks),
        "token": scene.token,
        "expired": scene.expired,
        "certificates": { "own": base64(&scene.own), "other": base64(&scene.other) },
    })
}
