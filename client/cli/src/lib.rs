//! The command line of Daypass: a file or folder for each thing that one does with it. What goes to standard output
//! is data, in the shapes of `shapes.rs`; everything else goes to standard error.

mod arguments;
mod audit;
mod bench;
mod broker_process;
mod console;
mod context;
mod credential;
mod diagnostics;
mod directory;
mod doctor;
mod enrollment;
mod example;
mod explain;
mod failure;
mod feed;
mod key;
mod leftovers;
mod manual;
mod offboarding;
mod paint;
mod person;
mod progress;
mod quickstart;
mod receipt;
mod shapes;
mod table;
mod verification;

use std::{ffi::OsString, process::ExitCode};

use daypass_sdk::Home;

use crate::{
    arguments::{Arguments, Verb},
    console::Console,
    context::{Place, Said},
    failure::{Exit, Failure},
    progress::Progress,
};

/// Runs the whole command line of `daypass`; the first argument is the program's name.
#[must_use]
pub fn daypass(arguments: Vec<OsString>) -> ExitCode {
    let (Arguments { home, output, color, verb }, path) = match arguments::parse(arguments) {
        Ok(parsed) => parsed,
        Err(exit) => return exit.into(),
    };
    let verb = match verb {
        Verb::Daypassd { tied, arguments } => return broker_process::become_broker(tied, arguments),
        verb => verb,
    };
    let console = Console::new(output, color);
    match block_on(run(verb, &home.said(), &console)) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            console.fail(&failure, &path);
            failure.exit().into()
        }
    }
}

/// Verbs that need no broker, or bring their own, and then all others.
async fn run(verb: Verb, said: &Said, console: &Console) -> Result<(), Failure> {
    match verb {
        Verb::Quickstart(wish) => quickstart::run(wish, console).await,
        Verb::Bench(wish) => bench::run(wish, console).await,
        Verb::Key(wish) => key::run(&wish, console),
        Verb::Context(wish) => context::run(wish, said, console),
        Verb::Completions(wish) => manual::completions(&wish, console),
        Verb::Man(wish) => manual::man(&wish, console),
        Verb::Schema(wish) => directory::schema(&wish, console),
        // It says by itself what it waits for: following the log is not waiting for the broker.
        Verb::Audit(wish) => audit::run(wish, said, console).await,
        // The same: it tells who is waited for.
        Verb::Receipt(wish) => receipt::run(wish, said, console).await,
        Verb::Offboard(wish) => offboarding::offboard(wish, said, console).await,
        Verb::Follow(wish) => feed::follow(wish, said, console).await,
        verb => {
            let _waiting = Progress::start(console, "waiting for the broker", None);
            run_with_broker(verb, said, console).await
        }
    }
}

/// Verbs that begin without an identity, or look at what is wrong with it, and then all others.
async fn run_with_broker(verb: Verb, said: &Said, console: &Console) -> Result<(), Failure> {
    match verb {
        Verb::Enroll(wish) => enrollment::enroll(wish, said, console).await,
        Verb::Doctor(wish) => doctor::run(wish, said, console).await,
        Verb::Explain(wish) => explain::run(wish, said, console).await,
        verb => {
            let place = Place::find(said)?;
            place.check()?;
            run_as(verb, &place.home, console).await
        }
    }
}

/// Verbs of somebody who is enrolled.
async fn run_as(verb: Verb, home: &Home, console: &Console) -> Result<(), Failure> {
    match verb {
        Verb::Renew => enrollment::renew(home, console).await,
        Verb::OpenEnrollment(wish) => enrollment::open(wish, home, console).await,
        Verb::Cert(wish) => credential::certificate(wish, home, console).await,
        Verb::Token(wish) => credential::token(wish, home, console).await,
        Verb::Credential(wish) => credential::run(wish, home, console).await,
        Verb::Verify(wish) => verification::run(wish, home, console).await,
        Verb::Verifier(wish) => feed::run(wish, home, console).await,
        Verb::Apply(wish) => directory::apply(wish, home, console).await,
        Verb::Export(wish) => directory::export(wish, home, console).await,
        Verb::Put(wish) => directory::put(wish, home, console).await,
        Verb::Get(wish) => directory::get(wish, home, console).await,
        Verb::List(wish) => directory::list(wish, home, console).await,
        Verb::Describe(wish) => directory::describe(wish, home, console).await,
        Verb::End(wish) => offboarding::run(wish, home, console).await,
        Verb::Resume(wish) => offboarding::resume(wish, home, console).await,
        Verb::Person(wish) => person::run(wish, home, console).await,
        Verb::Ping => diagnostics::ping(home, console).await,
        Verb::Quickstart(_)
        | Verb::Bench(_)
        | Verb::Key(_)
        | Verb::Context(_)
        | Verb::Enroll(_)
        | Verb::Completions(_)
        | Verb::Man(_)
        | Verb::Schema(_)
        | Verb::Audit(_)
        | Verb::Offboard(_)
        | Verb::Receipt(_)
        | Verb::Follow(_)
        | Verb::Doctor(_)
        | Verb::Explain(_)
        | Verb::Daypassd { .. } => Err(Failure::Internal("this verb came here by the wrong way".into())),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Internal(format!("cannot start: {error}")))?.block_on(work)
}
