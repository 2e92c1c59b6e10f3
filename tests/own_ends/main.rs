//! What a partner ends of its own comes second and is limited: at the limit nothing more is opened for it, and whatever it
//! does as fast as it can, an end by the company reaches relying parties as before.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod limit;
mod looping;
mod loops;
