//! Logs that are tampered with in every way, shown by a broker over real TLS and to the functions that judge.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

pub(crate) mod fake;
mod following;
mod judging;
mod proving;
