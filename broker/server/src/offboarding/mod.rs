//! Ending things, what comes before and after, and opening again what a new era suspended. The receipt of an end is made in
//! `receipts`.

mod end;
mod preview;
mod resume;

pub(crate) use preview::{LiveAudience, Preview};
