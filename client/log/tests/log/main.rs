//! The tree over the log from the outside: known vectors, a second implementation, every way to spoil a proof, a note or
//! an export.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

mod checkpoint;
mod export;
mod faults;
mod golden;
mod known;
mod mutants;
mod note;
mod peer;
mod proof;
mod receipt;
mod sample;
mod tiles;
mod tree;
