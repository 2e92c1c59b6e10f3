//! The verifier from the outside: against what the real broker signs, against what it never would, and against feeds
//! that stall, lie and break off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

mod bundles;
mod certificates;
#[path = "../../../../broker/issuer/tests/common/mod.rs"]
#[allow(dead_code, reason = "shared with the issuer's own tests")]
mod common;
mod eras;
mod feeds;
mod forge;
mod forms;
mod freshness;
mod keys;
mod log;
mod model;
mod properties;
mod rig;
mod tampering;
mod tokens;
