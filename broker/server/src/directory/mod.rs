//! The directory: writing and reading single objects, and planning many.

mod get;
mod plan;
mod put;

pub(crate) use get::Object;
pub(crate) use plan::{Change, Planned};
pub(crate) use put::{ObjectWish, ca_plan};
