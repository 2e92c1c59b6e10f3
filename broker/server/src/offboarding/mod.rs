//! Ending things.

mod end;
