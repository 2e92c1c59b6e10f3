//! The broker: its use cases (a folder per concept, a file per verb), the gRPC surface over them, and the process.
//!
//! A request comes in through `grpc`, which alone knows the wire: it authenticates the caller, finds the method in
//! its table, and hands a typed wish to a use case. A use case reads facts, lets `daypass-core` decide, records the
//! decision in the store, and only then signs.

mod audit;
mod broker;
mod call;
mod clock;
mod config;
mod credential;
mod diagnostics;
mod directory;
mod enrollment;
mod entropy;
mod feed;
mod grpc;
mod keys;
mod notary;
mod offboarding;
mod process;
mod receipts;
mod refusal;
mod refusals;
#[cfg(test)]
mod rig;
mod right_of_way;
mod space;
mod text;
mod verification;

pub use process::daypassd;
pub use refusal::REASONS;
