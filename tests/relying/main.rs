//! Relying parties that judge by themselves, as processes of their own: a partner, a service of axum with the layer, a
//! service of bare rustls with the client-certificate verifier, and a broker. What they accepted before an end they refuse
//! after it, and what they cannot know they refuse as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

#[path = "../support/proxy.rs"]
#[allow(dead_code, reason = "its own tests use the rest")]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

#[path = "../powerfs/mod.rs"]
mod powerfs;

#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../../client/sdk/examples/axum_service.rs"]
mod axum_service;
#[allow(dead_code, reason = "its `main` is for the command line")]
#[path = "../../client/sdk/examples/tls_service.rs"]
mod tls_service;

mod child;
mod late;
mod offboarding;
mod partner;
mod silence;
mod watch;
