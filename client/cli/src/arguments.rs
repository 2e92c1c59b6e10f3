//! What may stand on the command line: the verbs, and what holds for all of them. Each verb's own arguments are with it.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{
    ArgMatches, Args, ColorChoice, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    ValueEnum, error::ErrorKind, parser::ValueSource,
};
use daypass_credential::Name;

use crate::{
    audit, bench, context, context::Said, credential, directory, doctor, enrollment, explain, failure::Exit,
    feed, key, manual, offboarding, paint::Color, person, quickstart, receipt, verification,
};

/// Short-lived credentials for the software that you let in.
///
/// A broker (`daypassd`) hands out day passes: client certificates and tokens, narrow, owned, and short-lived. When
/// what they rest on is ended they are dead: at the broker at once, for whoever asks it, and milliseconds later at every
/// relying party that follows it. One that only checks signatures does not hear of it. This command is how applications,
/// persons and verifiers talk to the broker.
#[derive(Debug, Parser)]
#[command(name = "daypass", version, max_term_width = 100, after_help = HINT, after_long_help = LONG)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) home: Where,
    /// How data looks on standard output (and an error on standard error).
    #[arg(short, long, global = true, value_name = "FORM", value_enum, default_value = "text")]
    pub(crate) output: Format,
    /// Whether there is colour; NO_COLOR counts as well.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        help_heading = "Everywhere"
    )]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the identity lives.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The folder that the identity lives in; counts more than any context, unless that is typed and this is not.
    #[arg(long, global = true, value_name = "DIR", env = "DAYPASS_HOME", help_heading = "Everywhere")]
    home: Option<PathBuf>,
    /// The context that is meant [default: what `daypass context use` chose, else `default`].
    #[arg(long, global = true, value_name = "NAME", env = "DAYPASS_CONTEXT", help_heading = "Everywhere")]
    context: Option<Name>,
}

impl Where {
    /// Was a context typed, and a folder only found in the environment? What is typed is what is meant.
    fn prevails(matches: &ArgMatches) -> bool {
        let below = std::iter::successors(Some(matches), |at| at.subcommand().map(|(_, below)| below));
        let from = |id: &str, source| below.clone().any(|at| at.value_source(id) == Some(source));
        from("context", ValueSource::CommandLine) && !from("home", ValueSource::CommandLine)
    }

    pub(crate) fn said(self) -> Said {
        Said { home: self.home, context: self.context }
    }
}

/// How data looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document, for programs.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Quickstart(quickstart::Wish),
    #[command(subcommand)]
    Key(key::Wish),
    Enroll(enrollment::Enroll),
    #[command(subcommand)]
    Context(context::Wish),
    /// Get the next identity certificate, with a new key.
    ///
    /// An identity certificate renews once; a second renewal with another key suspends the identity. So the new key
    /// is stored before it is asked for: if this breaks off, run it again.
    #[command(after_long_help = "Examples:\n  daypass renew\n  daypass --home /var/lib/sync/daypass renew")]
    Renew,
    OpenEnrollment(enrollment::Open),
    Cert(credential::Certificate),
    Token(credential::Token),
    #[command(subcommand)]
    Credential(credential::Wish),
    Verify(verification::Wish),
    Follow(feed::Follow),
    #[command(subcommand)]
    Verifier(feed::Wish),
    Apply(directory::Apply),
    Export(directory::Export),
    Schema(directory::Schema),
    Put(directory::Put),
    Get(directory::Get),
    List(directory::List),
    Describe(directory::Describe),
    End(offboarding::Wish),
    Offboard(offboarding::Offboard),
    #[command(subcommand)]
    Receipt(receipt::Wish),
    #[command(subcommand)]
    Audit(audit::Wish),
    Resume(offboarding::Resume),
    #[command(subcommand)]
    Person(person::Wish),
    Doctor(doctor::Wish),
    Explain(explain::Wish),
    /// Ask the broker whom it takes you for.
    ///
    /// By the way that every call takes; `daypass doctor` looks closer where this fails.
    #[command(after_long_help = "Examples:\n  daypass ping\n  daypass ping -o json")]
    Ping,
    Bench(bench::Wish),
    Completions(manual::Completions),
    Man(manual::Man),
    /// Run the broker's own command line.
    #[command(hide = true, disable_help_flag = true)]
    Daypassd {
        /// Stop with whoever started it: the process with this id.
        #[arg(long, value_name = "PID")]
        tied: Option<u32>,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
        arguments: Vec<OsString>,
    },
}

/// Reads the command line; with it goes the way to the verb, as in `context list`.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<(Arguments, String), Exit> {
    let command = Arguments::command().color(colour_of_help(&arguments));
    let verb = named_verb(&command, &arguments);
    let read = command.try_get_matches_from(arguments).and_then(|mut matches| {
        let path = path(&matches);
        let typed = Where::prevails(&matches);
        let mut parsed = Arguments::from_arg_matches_mut(&mut matches)?;
        if typed {
            parsed.home.home = None;
        }
        Ok((parsed, path))
    });
    read.map_err(|error| explain(&error, verb.as_deref()))
}

fn path(matches: &ArgMatches) -> String {
    let way = std::iter::successors(matches.subcommand(), |(_, below)| below.subcommand());
    way.map(|(verb, _)| verb).collect::<Vec<_>>().join(" ")
}

/// The verb on a command line that may not be right in the rest.
fn named_verb(command: &Command, arguments: &[OsString]) -> Option<String> {
    let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    words.find(|word| command.find_subcommand(word).is_some()).map(str::to_owned)
}

/// Help and mistakes are printed before the command line is understood, so that this one wish is looked for by hand.
fn colour_of_help(arguments: &[OsString]) -> ColorChoice {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let wish = if word == "--color" { words.next() } else { word.strip_prefix("--color=") };
        match wish {
            Some("always") => return ColorChoice::Always,
            Some("never") => return ColorChoice::Never,
            _ => {}
        }
    }
    ColorChoice::Auto
}

/// Prints help, or what is wrong with the command line and where it is explained.
fn explain(error: &clap::Error, verb: Option<&str>) -> Exit {
    let printed = error.print().or_else(|error| match error.kind() {
        // Whoever reads it has seen enough.
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    });
    // Help and version are no errors, and go to standard output; clap knows which is which.
    if !error.use_stderr() && printed.is_ok() {
        return Exit::Done;
    }
    if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let next = match verb {
            Some(verb) => format!("mend that and run it again; `daypass {verb} --help` has examples"),
            None => "`daypass --help` lists the verbs; `daypass VERB --help` has examples of each".to_owned(),
        };
        // Whoever closed standard error does not want to know.
        drop(writeln!(io::stderr(), "\nnext: {next}"));
    }
    Exit::BadInput
}

const HINT: &str = "Begin with `daypass quickstart`; `daypass --help` has examples and the exit codes.";

const LONG: &str = "\
Examples:
  daypass quickstart                                     the whole thing, in a temporary folder
  daypass enroll --broker broker.example:7443 --code-file code.txt
  daypass cert --audience billing --out ./billing        key.pem and cert.pem
  daypass token --audience billing --scope invoices.read --cert billing/cert.pem
  daypass end application:sync                           everything under it is dead
  daypass offboard acme --wait                           the same for a vendor, with a receipt of who refuses it

Exit codes:
  0  done
  1  it went wrong inside, here or at the broker
  2  bad input: the command line, a file, or what the broker calls malformed
  3  refused: the broker said no (its reason code is shown), or a credential is not good
  4  unreachable: no broker answers, or it is busy or unwell; try again
  5  partial: some of what was to be done is done, and some is not; run it again
  6  what answers is not the broker that it should be
  130  interrupted

With `-o json` an error of a verb is one line on standard error:
  {\"error\":{\"kind\":\"refused\",\"reason\":\"scope-not-entitled\",\"message\":\"…\",\"refusal\":41,\"next\":\"…\"}}
A command line that cannot be read is told in plain text, whatever -o says, with exit code 2. The documents of each verb
are described in client/cli/docs/json.md, and are stable.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_is_typed_counts_more_than_a_folder_in_the_environment() {
        // Where the folder comes from cannot be set here without touching the environment of other tests, so that the rule
        // itself is asked.
        let read = |words: &[&str]| Arguments::command().try_get_matches_from(words).unwrap();
        assert!(Where::prevails(&read(&["daypass", "--context", "staging", "ping"])));
        assert!(Where::prevails(&read(&["daypass", "ping", "--context", "staging"])));
        assert!(!Where::prevails(&read(&["daypass", "ping"])));
        assert!(!Where::prevails(&read(&["daypass", "--home", "x", "--context", "staging", "ping"])));
        assert!(!Where::prevails(&read(&["daypass", "--home", "x", "ping"])));
    }

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    /// The words of a line of shell, up to where it is no longer this command's.
    fn words(line: &str) -> Vec<String> {
        let own = line.split("  ").next().unwrap_or_default();
        let own = own.split(['>', '<', '|', '&']).next().unwrap_or_default();
        let mut words = Vec::new();
        for (n, part) in own.split('\'').enumerate() {
            if n % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    fn examples(command: &Command) -> Vec<String> {
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let own = help
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with("daypass "));
        own.map(str::to_owned).chain(command.get_subcommands().flat_map(examples)).collect()
    }

    #[test]
    fn every_example_of_the_help_can_be_typed() {
        let examples = examples(&Arguments::command());
        assert!(examples.len() > 15, "{examples:?}");
        for example in examples {
            let parsed = Arguments::try_parse_from(words(&example));
            assert!(parsed.is_ok(), "`{example}`: {}", parsed.unwrap_err());
        }
    }

    fn without_examples(command: &Command, path: &str) -> Vec<String> {
        let path = format!("{path} {}", command.get_name());
        let verbs: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        // A verb that only shows what there is needs none.
        let bare = !help.contains("Examples") && !["list", "show"].contains(&command.get_name());
        let own = bare.then(|| path.clone());
        own.into_iter().chain(verbs.into_iter().flat_map(|verb| without_examples(verb, &path))).collect()
    }

    #[test]
    fn every_verb_teaches_by_examples() {
        assert_eq!(without_examples(&Arguments::command(), ""), Vec::<String>::new());
    }

    #[test]
    fn the_help_names_every_exit_code() {
        use crate::failure::Exit;
        for exit in [
            Exit::Done,
            Exit::Internal,
            Exit::BadInput,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Partial,
            Exit::OtherBroker,
            Exit::Interrupted,
        ] {
            assert!(LONG.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
