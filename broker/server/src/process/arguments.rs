//! What may stand on the command line of `daypassd`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use daypass_credential::Name;

/// The Daypass broker: mints short-lived credentials for partner applications, and ends them.
///
/// Begin with `daypassd init`, then `daypassd serve`. Exit codes: 0 done, 1 failed, 2 wrong use or configuration,
/// 3 the store failed and must be reopened (start again: it recovers what was acknowledged), 4 the store is older than what
/// was signed, or another one (do not start it again: find the newest, or run `daypassd recover`).
#[derive(Debug, Parser)]
#[command(name = "daypassd", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
pub(super) enum ClockCommand {
    /// Record that the clock is right as it is now.
    Accept {
        /// The configuration file.
        #[arg(long, value_name = "FILE", env = "DAYPASSD_CONFIG")]
        config: PathBuf,
    },
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Output {
    /// What is printed: the text, or one JSON document in one line.
    pub(super) fn of(
        self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> serde_json::Value,
    ) -> String {
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
