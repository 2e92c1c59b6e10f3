//! The directory: writing and reading single objects, planning many, and forgetting persons.

mod forget;
mod get;
mod plan;
mod put;

pub(crate) use get::Object;
pub(crate) use plan::{Change, Planned};
pub(crate) use put::{ObjectWish, ca_plan};
