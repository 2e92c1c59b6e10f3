//! What tools and libraries of others say of our certificates, tokens, key set and ports, of the good ones and of bent
//! ones: openssl, curl, PyJWT, jose, and a reflection client on grpc-js. Against a real broker.
//!
//! `tests/interop/install` installs them. They are found on the path, and below `target/tools/interop` or where
//! `DAYPASS_INTEROP_TOOLS` says. What is missing is left out, and said; with `DAYPASS_REQUIRE_ALL=1` it is a failure.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod checks;
mod curl;
mod openssl;
mod reflection;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod tokens;

use checks::Checks;
use scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn outside_tools_take_what_is_good_and_refuse_what_is_bent() {
    let scene = Scene::new().await;
    let mut checks = Checks::default();
    openssl::certificates(&scene, &mut checks);
    openssl::handshakes(&scene, &mut checks);
    openssl::requests(&scene, &mut checks).await;
    curl::open_endpoints(&scene, &mut checks);
    tokens::in_python(&scene, &mut checks).await;
    tokens::in_node(&scene, &mut checks).await;
    reflection::by_node(&scene, &mut checks);
    support::show(&checks.figures());
    assert!(checks.failures().is_empty(), "{:#?}", checks.failures());
    if std::env::var_os("DAYPASS_REQUIRE_ALL").is_some() {
        for tool in ["openssl", "curl", "PyJWT", "jose", "grpc-js-reflection-client"] {
            assert!(checks.of(tool) > 0, "{tool} said nothing");
        }
    }
}
