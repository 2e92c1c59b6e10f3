//! The tree over the log from the outside: known vectors, a second implementation, every way to spoil a proof, or a note.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "tests"
)]

mod checkpoint;
mod known;
mod note;
mod peer;
mod proof;
mod sample;
mod tiles;
mod tree;
