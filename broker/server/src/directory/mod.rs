//! The directory: writing and reading single objects.

mod get;
mod put;

pub(crate) use get::Object;
pub(crate) use put::{ObjectWish, ca_plan};
