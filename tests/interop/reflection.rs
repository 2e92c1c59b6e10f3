//! A client that has no files of ours: `reflection.cjs`, on grpc-js.

use std::path::Path;

use serde_json::json;

use crate::{
    checks::{Checks, run_script, tools, version},
    scene::Scene,
    support,
};

/// How many cases the script has.
const CASES: usize = 7;
/// What it has to find, besides reflection itself.
const SERVICES: [&str; 8] = [
    "daypass.v1.AuditService",
    "daypass.v1.CredentialService",
    "daypass.v1.DiagnosticsService",
    "daypass.v1.DirectoryService",
    "daypass.v1.EnrollmentService",
    "daypass.v1.OffboardingService",
    "daypass.v1.VerificationService",
    "grpc.health.v1.Health",
];

pub(crate) fn by_node(scene: &Scene, checks: &mut Checks) {
    if !node_is_there() {
        return;
    }
    let input = json!({
        // By name: Node does not like addresses in TLS.
        "address": scene.address().replace("127.0.0.1", "localhost"),
        "root": scene.read("root"),
        "certificate": scene.read("identity"),
        "key": scene.read("identity.key"),
        "services": SERVICES,
    });
    checks.take(&run_script(Path::new("node"), "reflection.cjs", &input), CASES);
}

/// Node, and the libraries for it.
pub(crate) fn node_is_there() -> bool {
    let libraries = tools().join("node/node_modules");
    if !libraries.is_dir() {
        support::left_out(&libraries.display().to_string(), &std::io::ErrorKind::NotFound.into());
        return false;
    }
    version(Path::new("node"), "--version").is_some()
}
