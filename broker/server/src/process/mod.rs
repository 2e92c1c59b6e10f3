//! The process: its command line, how it begins, how it serves, how it ends.

mod arguments;
mod backup;
mod command;
pub(crate) mod durable;
mod init;
mod listener;
mod notify;
mod operator;
mod panics;
mod progress;
mod recover;
mod restore;
mod serve;
mod start;
mod tls;

pub use command::daypassd;
