//! The command line of `daypassd`: what each command does, and how it can fail.

use std::{ffi::OsString, fmt::Write as _, path::Path, process::ExitCode};

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use super::{
    arguments::{Args, ClockCommand, Command},
    backup, init, panics, recover, restore, serve, start,
};
use crate::config::{Config, ConfigError, LogFormat};

/// Why a command failed, and with which exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Wrong use, or a configuration that does not do.
    #[error("{0}")]
    Use(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// It did not work.
    #[error("{0}")]
    Work(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The store failed while serving.
    #[error("the store has failed: start the broker again, it recovers what was acknowledged")]
    Store,
    /// The store is older than what was signed, or another one.
    #[error("{0}")]
    Older(String),
}

impl Failure {
    /// It did not work, because of this.
    pub(crate) fn work(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Work(what.into(), Some(Box::new(source)))
    }

    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Work(..) => 1,
            Self::Use(..) => 2,
            Self::Store => 3,
            Self::Older(_) => 4,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Read { ref path, .. } => Self::Use(
                format!("cannot read the configuration `{}`", path.display()),
                Some(Box::new(error)),
            ),
            other => Self::Use(other.to_string(), None),
        }
    }
}

/// Runs the whole command line of `daypassd`; the first argument is the program's name.
#[must_use]
pub fn daypassd(args: Vec<OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows which goes where.
            let _printed = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    panics::end_with_the_store();
    match run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("daypassd: {}", with_sources(&failure));
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init { config, admin, admin_key, admin_contact, output } => {
            let config = Config::load(&config)?;
            let wish = init::Wish { admin, admin_key, admin_contact };
            let begun = block_on(init::init(&config, wish))?;
            print!("{}", output.of(|| begun.text(), || begun.json()));
            Ok(())
        }
        Command::Serve { config, ready_file } => {
            let config = Config::load(&config)?;
            log(&config)?;
            block_on(serve::serve(config, ready_file))
        }
        Command::CheckConfig { config } => {
            Config::load(&config)?;
            println!("the configuration is good");
            Ok(())
        }
        Command::Backup { config, out, output } => {
            let config = Config::load(&config)?;
            let made = block_on(backup::backup(&config, &out))?;
            let said = output.of(|| made.text(), || made.json());
            if out == Path::new("-") {
                eprint!("{said}");
            } else {
                print!("{said}");
            }
            Ok(())
        }
        Command::Restore { config, from, check, newest, without_keys, output } => {
            let config = Config::load(&config)?;
            let said = match from {
                None => {
                    restore::vouch(&config)?;
                    let said = "taken: nothing was recorded after the backup that was put back";
                    output.of(|| format!("{said}\n"), || serde_json::json!({ "done": "vouched" }))
                }
                Some(from) if check => {
                    let checked = backup::check_file(&from)?;
                    output.of(|| checked.text(), || checked.json())
                }
                Some(from) => {
                    let vouched = restore::Vouched { newest, without_keys };
                    let restored = block_on(restore::restore(&config, &from, vouched))?;
                    output.of(|| restored.text(), || restored.json())
                }
            };
            print!("{said}");
            Ok(())
        }
        Command::Recover { config, admin, admin_key, admin_contact, yes, output } => {
            let config = Config::load(&config)?;
            let wish = recover::Wish { admin, admin_key, admin_contact, yes };
            let recovered = block_on(recover::recover(&config, wish))?;
            print!("{}", output.of(|| recovered.text(), || recovered.json()));
            Ok(())
        }
        Command::Clock { command: ClockCommand::Accept { config } } => {
            let config = Config::load(&config)?;
            let accepted = block_on(start::accept_clock(&config))?;
            println!("recorded at revision {accepted}: the clock is right");
            Ok(())
        }
    }
}

/// Runs a future to its end on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        builder.enable_all().build().map_err(|error| Failure::work("cannot start the runtime", error))?;
    runtime.block_on(work)
}

fn log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log.level)
        .map_err(|error| Failure::Use(format!("`log.level`: {error}"), None))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match config.log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    set.map_err(|error| Failure::Work(format!("cannot log: {error}"), None))
}

/// An error with all that caused it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            let _infallible = write!(text, ": {words}");
        }
        source = cause.source();
    }
    text
}
