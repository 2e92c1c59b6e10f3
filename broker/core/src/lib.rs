//! The rules of Daypass: what the nodes are, what an event is, who may do what, and whether a credential may be minted.
//! Decisions are plain functions of facts, request and `now`. Nothing here waits, asks the time or touches the wire.

pub mod authority;
mod beside;
pub mod carrying;
mod chain;
pub mod denial;
pub mod directory;
pub mod ending;
pub mod enroll;
pub mod event;
pub mod facts;
pub mod forgetting;
pub mod ledger;
mod lifetime;
pub mod mint;
pub mod node;
pub mod record;
pub mod replay;
pub mod resuming;
mod rule;
pub mod text;

pub use denial::{Class, Denial, Stop};
pub use event::{Action, Actor, ChangeId, Event, Put};
pub use facts::{Expect, Facts, Stored, Unsettled};
pub use mint::{Permit, Shown};
pub use node::{Body, Life, Node};
pub use record::{ActionKind, Outcome, Record, Who};
pub use text::{PrivateId, TextRef};
