//! The command line of Daypass: a file or folder for each thing that one does with it. What goes to standard output
//! is data, in the shapes of `shapes.rs`; everything else goes to standard error.

mod arguments;
mod bench;
mod broker_process;
mod console;
mod credential;
mod diagnostics;
mod directory;
mod enrollment;
mod example;
mod failure;
mod key;
mod offboarding;
#[allow(dead_code, reason = "verbs that need all of it follow")]
mod paint;
#[allow(dead_code, reason = "verbs that need all of it follow")]
mod progress;
mod quickstart;
mod shapes;
#[allow(dead_code, reason = "verbs that need all of it follow")]
mod table;
mod verification;

use std::{ffi::OsString, io, process::ExitCode};

use clap::Parser as _;

use crate::{
    arguments::{Arguments, Verb},
    console::Console,
    failure::{Exit, Failure},
};

/// Runs the whole command line of `daypass`; the first argument is the program's name.
#[must_use]
pub fn daypass(arguments: Vec<OsString>) -> ExitCode {
    let Arguments { home, output, color, verb } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors, and go to standard output; clap knows which is which.
            let printed = error.print().or_else(|error| match error.kind() {
                // Whoever reads it has seen enough.
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(error),
            });
            let exit = if error.use_stderr() || printed.is_err() { Exit::BadInput } else { Exit::Done };
            return exit.into();
        }
    };
    let verb = match verb {
        Verb::Daypassd { tied, arguments } => return broker_process::become_broker(tied, arguments),
        verb => verb,
    };
    let console = Console::new(output, color);
    let done = home.folder().and_then(|home| block_on(run(verb, home, &console)));
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            console.fail(&failure);
            failure.exit().into()
        }
    }
}

async fn run(verb: Verb, home: daypass_sdk::Home, console: &Console) -> Result<(), Failure> {
    match verb {
        Verb::Quickstart(wish) => quickstart::run(wish, console).await,
        Verb::Key(wish) => key::run(&wish, console),
        Verb::Enroll(wish) => enrollment::enroll(wish, &home, console).await,
        Verb::Renew => enrollment::renew(&home, console).await,
        Verb::OpenEnrollment(wish) => enrollment::open(wish, &home, console).await,
        Verb::Cert(wish) => credential::certificate(wish, &home, console).await,
        Verb::Token(wish) => credential::token(wish, &home, console).await,
        Verb::Verify(wish) => verification::run(wish, &home, console).await,
        Verb::Put(wish) => directory::put(wish, &home, console).await,
        Verb::Get(wish) => directory::get(wish, &home, console).await,
        Verb::List(wish) => directory::list(wish, &home, console).await,
        Verb::End(wish) => offboarding::run(wish, &home, console).await,
        Verb::Ping => diagnostics::ping(&home, console).await,
        Verb::Bench(wish) => bench::run(wish, console).await,
        Verb::Daypassd { .. } => Err(Failure::Internal("a broker was asked for too late".into())),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Internal(format!("cannot start: {error}")))?.block_on(work)
}
