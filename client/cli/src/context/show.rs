//! Contexts as they are shown: one in words, all as a table.

use daypass_sdk::{Error, Home, KnownLog};

use super::{DEFAULT, Folder, Place};
use crate::{
    console::Console,
    diagnostics::instant,
    failure::Failure,
    paint::Ink,
    shapes,
    table::{Cell, Column, Table},
};

pub(super) fn list(folder: &Folder, console: &Console) -> Result<(), Failure> {
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

pub(super) fn shape_of(place: &Place, folder: &Folder) -> Result<shapes::Context, Failure> {
    let current = folder.read()?.current;
    let name = place.context.as_ref().map(|(name, _)| name);
    let remembered = place.context.as_ref().map(|(_, context)| context);
    let identity = match place.home.identity() {
        Ok(identity) => Ok(Some(identity)),
        Err(Error::NotEnrolled { .. }) => Ok(None),
        Err(error) => Err(Failure::from(error).message()),
    };
    let known = identity.as_ref().ok().and_then(Option::as_ref);
    let log = known.map_or(Ok(None), |identity| place.home.known_log(identity));
    let log_problem = log.as_ref().err().map(ToString::to_string);
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
        log: log.ok().flatten().map(|log| shape_of_log(&log)),
        problem: identity
            .as_ref()
            .err()
            .cloned()
            .or_else(|| Some(place.check().err()?.message()))
            .or(log_problem),
    })
}

fn shape_of_log(log: &KnownLog) -> shapes::KnownLog {
    shapes::KnownLog {
        key: log.key().to_string(),
        era: log.era().to_string(),
        revision: log.revision().get(),
        root: log.root().hash.to_string(),
        seen_at: instant(log.seen_at()),
        checkpoint: log.checkpoint().note().to_owned(),
    }
}

pub(super) fn text(context: &shapes::Context) -> String {
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
    if let Some(log) = &context.log {
        text.push_str(&format!(
            "\nlog          revision {}, seen {}, era {}\nlog key      {}",
            log.revision, log.seen_at, log.era, log.key
        ));
    }
    if let Some(problem) = &context.problem {
        text.push_str(&format!("\nproblem      {problem}"));
    }
    text
}
