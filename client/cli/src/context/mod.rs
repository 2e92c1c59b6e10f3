//! Contexts, for those who deal with several brokers: a name for each pair of home and broker, and the broker's root
//! remembered, so that nobody ends something at the wrong one.

mod file;
mod fingerprint;
mod place;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daypass_credential::{Digest, Name};
use daypass_sdk::{Address, Error, Home};

pub(crate) use file::{Context, Folder};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use place::{Place, Said};

use crate::{console::Console, failure::Failure, shapes};

/// Names for several brokers and identities.
///
/// A context is a name for a home (where the identity lives) and the broker that it is enrolled at. It remembers the
/// broker by the SHA-256 of its root certificate, and refuses any other (exit code 6). Every verb takes --context NAME
/// (or DAYPASS_CONTEXT); without it the one that `context use` chose is meant, and else `default`. A folder that is
/// named with --home (or DAYPASS_HOME) counts more than all of that.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub(crate) enum Wish {
    /// List the contexts; the one in use is marked.
    List,
    /// Show one context: the one in use, if not said.
    Show {
        /// Which.
        name: Option<Name>,
    },
    /// Choose the context that is meant where none is named.
    #[command(after_long_help = "Examples:\n  daypass context use staging\n  daypass context use default")]
    Use {
        /// Which; `default` is always there.
        name: Name,
    },
    Add(Add),
    /// Forget a context. The folder with the identity stays, and so does the identity at the broker.
    #[command(after_long_help = "Examples:\n  daypass context remove staging")]
    Remove {
        /// Which.
        name: Name,
    },
}

const EXAMPLES: &str = "\
Examples:
  daypass enroll --context staging --broker staging.example:7443 --code-file code.txt
  daypass context use staging
  daypass context list
  daypass --context default list vendor";

/// Name a home, and remember its broker.
///
/// Where somebody is enrolled in the home, the broker and its root are read from there. Where nobody is yet, say
/// where the broker is; its root is then remembered with the first `daypass enroll --context NAME`, or taken from
/// --root (as `daypassd init` prints it).
#[derive(Debug, Args)]
#[command(after_long_help = ADD_EXAMPLES)]
pub(crate) struct Add {
    /// What to call it.
    name: Name,
    /// Where the identity lives, or is to live: a folder of this command's own if not said.
    // Apart from the --home of all verbs, which chooses the identity that a verb acts as.
    #[arg(long = "folder", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Where the broker is, as `HOST:PORT`.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<Address>,
    /// What its server certificate is called, if not HOST.
    #[arg(long, value_name = "NAME", requires = "broker")]
    server_name: Option<String>,
    /// SHA-256 of its root certificate, in hexadecimal.
    #[arg(long, value_name = "SHA256")]
    root: Option<Fingerprint>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  daypass context add work --folder ./dana
  daypass context add staging --broker 10.0.0.7:7443 --server-name staging.example";

/// The name that means the default home. It cannot be given to another.
pub(crate) const DEFAULT: &str = "default";

pub(crate) fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let folder = Folder::of_user()?;
    if said.home.is_some() && !console.is_json() {
        console.say("a folder is named (--home, or DAYPASS_HOME), which counts more than any context");
    }
    match wish {
        Wish::List => show::list(&folder, console),
        Wish::Show { name } => {
            let named = name.or_else(|| said.context.clone());
            let shape = show::shape_of(&Place::by_context(named.as_ref(), &folder)?, &folder)?;
            console.show(&shape, || show::text(&shape))
        }
        Wish::Use { name } => choose(&name, &folder, console),
        Wish::Add(wish) => add(wish, &folder, console),
        Wish::Remove { name } => remove(&name, &folder, console),
    }
}

fn choose(name: &Name, folder: &Folder, console: &Console) -> Result<(), Failure> {
    folder.change(|contexts| {
        if name.as_str() == DEFAULT {
            contexts.current = None;
        } else if contexts.named.contains_key(name) {
            contexts.current = Some(name.clone());
        } else {
            return Err(place::unknown(name));
        }
        Ok(())
    })?;
    let shape = show::shape_of(&Place::by_context(Some(name), folder)?, folder)?;
    console.show(&shape, || format!("from now on `{}` is meant where no context is named", shape.name))
}

fn add(wish: Add, folder: &Folder, console: &Console) -> Result<(), Failure> {
    let home = match &wish.folder {
        Some(named) => std::path::absolute(named)
            .map_err(|error| Failure::bad(format!("`{}`: {error}", named.display())))?,
        None => folder.home_of(&wish.name),
    };
    let mut context = Context {
        broker: wish.broker.as_ref().map(ToString::to_string),
        server_name: wish.server_name,
        root: wish.root,
        home,
    };
    context.address()?;
    match Home::at(&context.home).identity() {
        Ok(identity) => {
            let place =
                Place { home: Home::at(&context.home), context: Some((wish.name.clone(), context.clone())) };
            place.demand(&identity.root_fingerprint(), "the identity in that folder")?;
            context.remember(identity.broker(), identity.root_fingerprint());
        }
        Err(Error::NotEnrolled { .. }) if context.broker.is_some() => {}
        Err(Error::NotEnrolled { .. }) => {
            return Err(Failure::bad(format!("nobody is enrolled in `{}`", context.home.display())).then(
                "name the folder of an identity with --folder, or say where its broker is with --broker",
            ));
        }
        Err(error) => return Err(error.into()),
    }
    keep_new(&wish.name, context, folder)?;
    let shape = show::shape_of(&Place::by_context(Some(&wish.name), folder)?, folder)?;
    console.show(&shape, || show::text(&shape))
}

/// Keeps a context whose name is not taken.
pub(crate) fn keep_new(name: &Name, context: Context, folder: &Folder) -> Result<(), Failure> {
    folder.change(|contexts| {
        if name.as_str() == DEFAULT || contexts.named.contains_key(name) {
            return Err(Failure::bad(format!("there is a context `{name}` already"))
                .then(format!("choose another name, or `daypass context remove {name}` first")));
        }
        contexts.named.insert(name.clone(), context);
        Ok(())
    })
}

/// Keeps what was learned about a context that is there.
pub(crate) fn keep(name: &Name, context: Context, folder: &Folder) -> Result<(), Failure> {
    folder.change(|contexts| {
        contexts.named.insert(name.clone(), context);
        Ok(())
    })
}

impl Context {
    /// Remembers where the broker is, and what it is known by.
    pub(crate) fn remember(&mut self, broker: &Address, root: Digest) {
        self.broker = Some(broker.to_string());
        let name = broker.server_name().to_str();
        self.server_name = (name != broker.host()).then(|| name.into_owned());
        self.root = Some(root.into());
    }
}

fn remove(name: &Name, folder: &Folder, console: &Console) -> Result<(), Failure> {
    let gone = folder.change(|contexts| {
        let gone = contexts.named.remove(name).ok_or_else(|| place::unknown(name))?;
        if contexts.current.as_ref() == Some(name) {
            contexts.current = None;
        }
        Ok(gone)
    })?;
    let shape = shapes::ContextRemoved { name: name.to_string(), home: gone.home.display().to_string() };
    console.show(&shape, || format!("`{}` is forgotten; the identity stays in {}", shape.name, shape.home))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(temporary.path());
        let context = Context { home: "/x".into(), broker: None, server_name: None, root: None };
        let name: Name = "work".parse().unwrap();
        keep_new(&name, context.clone(), &folder).unwrap();
        assert!(keep_new(&name, context.clone(), &folder).is_err());
        assert!(keep_new(&DEFAULT.parse().unwrap(), context, &folder).is_err());
    }

    #[test]
    fn without_the_one_in_use_the_default_is_meant_again() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(temporary.path());
        let context = Context { home: "/x".into(), broker: None, server_name: None, root: None };
        let name: Name = "work".parse().unwrap();
        let console = Console::new(crate::arguments::Format::Text, crate::paint::Color::Never);
        assert!(choose(&name, &folder, &console).is_err());
        keep_new(&name, context, &folder).unwrap();
        choose(&name, &folder, &console).unwrap();
        assert_eq!(folder.read().unwrap().current, Some(name.clone()));
        remove(&name, &folder, &console).unwrap();
        assert_eq!(folder.read().unwrap().current, None);
        assert!(remove(&name, &folder, &console).is_err());
    }
}
