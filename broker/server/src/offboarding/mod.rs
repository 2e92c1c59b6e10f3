//! Ending things, and opening again what a new era suspended.

mod end;
mod resume;
