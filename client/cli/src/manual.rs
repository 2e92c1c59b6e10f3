//! The command line described to others: completions for shells, pages for `man`.

use std::{io, path::PathBuf};

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::{Shell, generate};
use daypass_sdk::{Error, write_public};

use crate::{arguments::Arguments, console::Console, failure::Failure, shapes};

/// Print the completions for a shell, to be loaded by it.
#[derive(Debug, Args)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct Completions {
    /// For which shell.
    shell: ShellName,
}

/// The shells that there are completions for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  daypass completions bash > ~/.local/share/bash-completion/completions/daypass
  daypass completions zsh > ~/.zfunc/_daypass
  daypass completions fish > ~/.config/fish/completions/daypass.fish";

/// Write the manual: a page for `man` of each verb.
#[derive(Debug, Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub(crate) struct Man {
    /// The folder that the pages go to; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

const MAN_EXAMPLES: &str = "\
Examples:
  daypass man --out ~/.local/share/man/man1
  daypass man --out ./pages && man ./pages/daypass-token.1";

pub(crate) fn completions(wish: &Completions, console: &Console) -> Result<(), Failure> {
    let shell = match wish.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut shown(), NAME, &mut script);
    let script = String::from_utf8(script).map_err(|error| Failure::Internal(error.to_string()))?;
    let shape = shapes::Completions { script };
    console.show(&shape, || shape.script.clone())
}

pub(crate) fn man(wish: &Man, console: &Console) -> Result<(), Failure> {
    let files = |source: io::Error| Error::Files { path: wish.out.clone(), source };
    std::fs::create_dir_all(&wish.out).map_err(files)?;
    let mut command = shown();
    command.build();
    let mut written = Vec::new();
    for (name, page) in pages(&command, NAME)? {
        let path = wish.out.join(format!("{name}.1"));
        write_public(&path, &page)?;
        written.push(path.display().to_string());
    }
    let shape = shapes::Manual { pages: written };
    console.show(&shape, || shape.pages.join("\n"))
}

/// The page of a command, and those of all below it.
fn pages(command: &Command, name: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut page = Vec::new();
    let manual = clap_mangen::Man::new(command.clone().version(env!("CARGO_PKG_VERSION"))).title(name);
    manual.render(&mut page).map_err(|error| Failure::Internal(error.to_string()))?;
    let mut all = vec![(name.to_owned(), page)];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        all.extend(pages(below, &format!("{name}-{}", below.get_name()))?);
    }
    Ok(all)
}

/// The command line without what is not for people.
fn shown() -> Command {
    let full = Arguments::command();
    let verbs: Vec<_> = full.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let mut command = Command::new(NAME).args(full.get_arguments().cloned()).subcommands(verbs);
    if let Some(about) = full.get_about() {
        command = command.about(about.clone());
    }
    if let Some(about) = full.get_long_about() {
        command = command.long_about(about.clone());
    }
    if let Some(after) = full.get_after_long_help() {
        command = command.after_long_help(after.clone());
    }
    command
}

const NAME: &str = "daypass";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_and_the_hidden_one_has_none() {
        let mut command = shown();
        command.build();
        let pages = pages(&command, NAME).unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            assert!(names.contains(&format!("daypass-{}", verb.get_name()).as_str()), "{names:?}");
        }
        assert!(names.contains(&"daypass-credential-rotate"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("daypassd")), "{names:?}");
        let token = &pages.iter().find(|(name, _)| name == "daypass-token").unwrap().1;
        let token = String::from_utf8_lossy(token);
        assert!(token.contains("Examples:") && token.contains("invoices.read"), "{token}");
    }

    #[test]
    fn completions_know_every_verb_and_not_the_hidden_one() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            generate(shell, &mut shown(), NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("open-enrollment") && script.contains("rotate"), "{shell}");
            assert!(!script.contains("daypassd"), "{shell}");
        }
    }
}
