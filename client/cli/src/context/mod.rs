//! Contexts, for those who deal with several brokers: a name for each pair of home and broker, and the broker's root
//! remembered, so that nobody ends something at the wrong one.

mod file;
mod place;

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use daypass_credential::{Digest, Name};
use daypass_sdk::{Address, Error, Home};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) use file::{Context, Folder};
pub(crate) use place::{Place, Said};

use crate::{
    console::Console,
    diagnostics::instant,
    failure::Failure,
    paint::Ink,
    shapes,
    table::{Cell, Column, Table},
};

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

/// What a broker is known by: SHA-256 of its root certificate, in hexadecimal as `daypassd init` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(Digest);

impl From<Digest> for Fingerprint {
    fn from(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a SHA-256 is 64 hexadecimal digits".to_owned();
        let (mut bytes, digits) = ([0; 32], text.as_bytes());
        if digits.len() != 64 {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
        }
        Ok(Self(Digest::new(bytes)))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The name that means the default home. It cannot be given to another.
pub(crate) const DEFAULT: &str = "default";

pub(crate) fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let folder = Folder::of_user()?;
    if said.home.is_some() && !console.is_json() {
        console.say("a folder is named (--home, or DAYPASS_HOME), which counts more than any context");
    }
    match wish {
        Wish::List => list(&folder, console),
        Wish::Show { name } => {
            let named = name.or_else(|| said.context.clone());
            let shape = shape_of(&Place::by_context(named.as_ref(), &folder)?, &folder)?;
            console.show(&shape, || text(&shape))
        }
        Wish::Use { name } => choose(&name, &folder, console),
        Wish::Add(wish) => add(wish, &folder, console),
        Wish::Remove { name } => remove(&name, &folder, console),
    }
}

fn list(folder: &Folder, console: &Console) -> Result<(), Failure> {
    let contexts = folder.read()?;
    let default = Place { home: Home::at(folder.default_home()), context: None };
    let places = contexts
        .named
        .into_iter()
        .map(|(name, context)| Place { home: Home::at(&context.home), context: Some((name, context)) });
    let shapes: Vec<_> = std::iter::once(default)
        .chain(places)
        .map(|place| shape_of(&place, folder))
        .collect::<Result<_, _>>()?;
    let listed = shapes::Contexts { contexts: shapes };
    console.show(&listed, || {
        let mut table = Table::new([
            Column::left(""),
            Column::left("context"),
            Column::left("broker"),
            Column::left("enrolled as"),
            Column::left("until").gives_way(),
            Column::left("home").gives_way(),
        ]);
        for context in &listed.contexts {
            let mark = if context.current { Cell::new(Ink::Good, "*") } else { "".into() };
            let who = match &context.problem {
                Some(_) => Cell::new(Ink::Bad, "(cannot be read)"),
                None => context.subject.as_deref().unwrap_or("(nobody)").into(),
            };
            let known = |text: &Option<String>| Cell::from(text.as_deref().unwrap_or_default());
            table.row([
                mark,
                context.name.as_str().into(),
                known(&context.broker),
                who,
                known(&context.expires_at),
                context.home.as_str().into(),
            ]);
        }
        table.text(console.width())
    })
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
    let shape = shape_of(&Place::by_context(Some(name), folder)?, folder)?;
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
    let shape = shape_of(&Place::by_context(Some(&wish.name), folder)?, folder)?;
    console.show(&shape, || text(&shape))
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

fn shape_of(place: &Place, folder: &Folder) -> Result<shapes::Context, Failure> {
    let current = folder.read()?.current;
    let name = place.context.as_ref().map(|(name, _)| name);
    let remembered = place.context.as_ref().map(|(_, context)| context);
    let identity = match place.home.identity() {
        Ok(identity) => Ok(Some(identity)),
        Err(Error::NotEnrolled { .. }) => Ok(None),
        Err(error) => Err(Failure::from(error).message()),
    };
    let known = identity.as_ref().ok().and_then(Option::as_ref);
    let broker = known.map(|identity| identity.broker().to_string());
    Ok(shapes::Context {
        name: name.map_or_else(|| DEFAULT.to_owned(), ToString::to_string),
        current: name == current.as_ref(),
        home: place.home.folder().display().to_string(),
        broker: broker.or_else(|| remembered?.broker.clone()),
        root: remembered
            .and_then(|context| context.root)
            .or_else(|| Some(known?.root_fingerprint().into()))
            .map(|root| root.to_string()),
        subject: known.map(|identity| identity.subject().to_string()),
        expires_at: known.map(|identity| instant(identity.expires_at())),
        problem: identity.as_ref().err().cloned().or_else(|| Some(place.check().err()?.message())),
    })
}

fn text(context: &shapes::Context) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let mut text = format!(
        "context      {}{}\nbroker       {}\nroot         {}\nenrolled as  {}\nuntil        {}\nhome         {}",
        context.name,
        if context.current { " (in use)" } else { "" },
        known(&context.broker),
        context.root.as_ref().map_or_else(|| "-".into(), |root| format!("sha256 {root}")),
        known(&context.subject),
        known(&context.expires_at),
        context.home
    );
    if let Some(problem) = &context.problem {
        text.push_str(&format!("\nproblem      {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_and_nothing_else_is_one() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), text);
        for bad in ["", "ab", &"g".repeat(64), &format!("+{}", "a".repeat(63)), &"é".repeat(32)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

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
