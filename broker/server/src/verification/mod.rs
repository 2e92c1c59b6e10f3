//! Checking credentials, and the public keys to check them with.

mod introspect;

pub(crate) use introspect::{Active, Presented};
