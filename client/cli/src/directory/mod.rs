//! The directory: as files of many objects (`apply`, `export`), one object at a time (`put`, `get`), and to look at
//! (`list`, `describe`).

mod apply;
mod check;
mod describe;
mod difference;
mod export;
mod fields;
mod file;
mod get;
mod list;
mod manifest;
mod order;
mod problem;
mod put;
mod relations;
mod schema;
mod sources;
mod stored;
mod surroundings;
mod wire;
mod words;

pub(crate) use apply::{Apply, run as apply};
pub(crate) use describe::{Describe, run as describe};
pub(crate) use export::{Export, run as export};
pub(crate) use get::{Get, run as get};
pub(crate) use list::{List, run as list};
pub(crate) use manifest::Manifest;
pub(crate) use put::{Put, run as put};
pub(crate) use schema::{Schema, run as schema};
