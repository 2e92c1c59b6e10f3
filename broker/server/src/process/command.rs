//! The command line of `daypassd`.

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use daypass_credential::Name;
use tracing_subscriber::EnvFilter;

use super::{backup, init, panics, recover, restore, serve, start};
use crate::config::{Config, ConfigError, LogFormat};

/// The Daypass broker: mints short-lived credentials for partner applications, and ends them.
///
/// Begin with `daypassd init`, then `daypassd serve`. Exit codes: 0 done, 1 failed, 2 wrong use or configuration,
/// 3 the store failed and must be reopened (start again: it recovers what was acknowledged), 4 the store is older than what
/// was signed, or another one (do not start it again: find the newest, or run `daypassd recover`).
#[derive(Debug, Parser)]
#[command(name = "daypassd", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the store, the broker's keys, and a one-time code for the first admin.
    Init {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
        /// The first admin's name, as `dana`.
        #[arg(long, value_name = "NAME")]
        admin: Name,
        /// The first admin's public key: a PEM `PUBLIC KEY` or an OpenSSH line, P-256 or Ed25519. The code enrols this
        /// key alone; the private key stays with the admin.
        #[arg(long, value_name = "FILE.pub")]
        admin_key: PathBuf,
        /// How to reach the first admin; kept beside the log.
        #[arg(long, value_name = "TEXT", default_value = "the first admin, named at init")]
        admin_contact: String,
        /// How the answer looks.
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Serve until told to stop.
    Serve {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
        /// Write `{"address":"HOST:PORT"}` here once it listens.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Check the configuration file, and change nothing.
    CheckConfig {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
    },
    /// Make a backup, of a broker that runs or of one that stands still.
    ///
    /// It holds the log and what lies beside it: sealed keys, and the free texts, which may be personal data. Keep it as
    /// you keep those. The key file is not in it; without that file it cannot be restored, so keep a copy elsewhere.
    Backup {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
        /// Where to write it; `-` for standard output.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How the answer looks (on standard error, if the backup goes to standard output).
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Make the store from a backup, where there is none.
    ///
    /// Every event comes back as it was. What was ended after the backup was made is not ended in it, so that the store
    /// is not served before `daypassd recover`, unless nothing was recorded after it: the anchor shows that, or you
    /// vouch for it with --newest.
    Restore {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
        /// The backup; not needed where it was restored before, and --newest vouches for it.
        #[arg(long, value_name = "FILE", required_unless_present = "newest")]
        from: Option<PathBuf>,
        /// Only check that the backup is whole, and write nothing.
        #[arg(long, conflicts_with_all = ["newest", "without_keys"])]
        check: bool,
        /// Vouch that nothing was recorded after the backup, so that the store can be served as it is.
        #[arg(long, conflicts_with = "without_keys")]
        newest: bool,
        /// Restore although the key file is lost: only `daypassd recover` can go on from there.
        #[arg(long)]
        without_keys: bool,
        /// How the answer looks.
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Begin a new era: after a restore, when the key file is lost, or when no admin is left.
    ///
    /// The directory is carried over into a new log with new keys. Whatever was given out before is void: identities,
    /// certificates, tokens, enrolment codes. Vendors are suspended until an admin resumes each (`daypass resume`). The old
    /// store is kept beside the new one. Needs nothing of the old keys; makes the key file if it is missing. Stop the
    /// broker first.
    #[command(after_long_help = RECOVER)]
    Recover {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
        /// Who is to be admin: somebody of the directory, or somebody new.
        #[arg(long, value_name = "NAME")]
        admin: Name,
        /// The admin's public key: a PEM `PUBLIC KEY` or an OpenSSH line, P-256 or Ed25519. The code enrols this key
        /// alone; the private key stays with the admin.
        #[arg(long, value_name = "FILE.pub")]
        admin_key: PathBuf,
        /// How to reach the admin; kept beside the log. Not needed for somebody of the directory.
        #[arg(long, value_name = "TEXT")]
        admin_contact: Option<String>,
        /// Do not ask first.
        #[arg(long)]
        yes: bool,
        /// How the answer looks.
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Vouch for the machine's clock, or for a log that was silent for long. Stop the broker first.
    Clock {
        #[command(subcommand)]
        command: ClockCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Record that the clock is right as it is now.
    Accept {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
    },
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Output {
    /// What is printed: the text, or one JSON document in one line.
    fn of(self, text: impl FnOnce() -> String, json: impl FnOnce() -> serde_json::Value) -> String {
        match self {
            Self::Text => text(),
            Self::Json => format!("{}\n", json()),
        }
    }
}

const RECOVER: &str = "\
Examples:
  daypassd recover --config daypassd.toml --admin dana --admin-key admin.key.pub
  daypassd recover --config daypassd.toml --admin lee --admin-key lee.pub --admin-contact lee@company.example --yes -o json";

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
