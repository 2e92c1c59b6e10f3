//! The issuer from the outside: keys, certificates, requests, hostile bytes, and what other programs say of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

mod certificates;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod keys;
mod openssl;
mod requests;
mod speed;
