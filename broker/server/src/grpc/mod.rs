//! The gRPC surface, which alone knows the wire: authentication, the table of methods, and a thin handler for each.

mod audit;
mod convert;
mod feed;
mod gate;
mod limits;
mod offboarding;
mod outlet;
mod read_events;
mod services;
mod status;
mod table;

pub(crate) use gate::{GateLayer, Peer, Remote};
pub(crate) use limits::{Counted, Tally, VENDORS_PART, Who};
pub(crate) use services::routes;
pub(crate) use table::unlisted;
