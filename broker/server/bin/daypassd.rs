//! The few lines of `daypassd`, the broker.

use std::process::ExitCode;

fn main() -> ExitCode {
    daypass_broker::daypassd(std::env::args_os().collect())
}
