//! The few lines of `daypass`, the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    daypass_cli::daypass(std::env::args_os().collect())
}
