//! Refusals in words: what a reason means and what would have to change, and who was refused what at a revision.

pub(crate) mod pages;

use clap::Args;
use daypass_credential::Revision;
use daypass_sdk::{Error, PastRefusal};
use unicode_width::UnicodeWidthStr as _;

use self::pages::Page;
use crate::{
    console::Console,
    context::{Place, Said},
    diagnostics::{connect, instant},
    failure::Failure,
    paint::{Ink, Text},
    shapes,
};

/// Say in words what a refusal means, and what would have to change.
///
/// A reason code (the word in brackets behind a refusal) is explained from what is built in: no broker is asked. A
/// number is the revision of a refusal: the broker is asked who was refused what, and when. It answers whom it was
/// told, owners of that, admins and auditors.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// A reason code, or the revision of a refusal; every reason if not said.
    #[arg(value_name = "REASON|REVISION")]
    what: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  daypass explain scope-not-entitled
  daypass explain 41
  daypass explain";

pub(crate) async fn run(wish: Wish, said: &Said, console: &Console) -> Result<(), Failure> {
    let Some(what) = wish.what else { return list(console) };
    match what.parse::<u64>() {
        Ok(revision) => recorded(Revision::new(revision), said, console).await,
        Err(_) => {
            let page = pages::of(&what).ok_or_else(|| unknown(&what))?;
            let shape = shape(page, None);
            console.show(&shape, || text(&shape, console))
        }
    }
}

fn unknown(what: &str) -> Failure {
    let shown: String = what.chars().take(80).collect();
    let failure = Failure::bad(format!("`{shown}` is neither a reason code nor a revision"));
    match pages::nearest(what) {
        Some(near) => failure.then(format!("did you mean `daypass explain {near}`?")),
        None => {
            failure.then("`daypass explain` lists every reason; its code stands in brackets behind a refusal")
        }
    }
}

fn list(console: &Console) -> Result<(), Failure> {
    let explanations: Vec<_> = pages::all().map(|page| shape(page, None)).collect();
    let listed = shapes::Explanations { reasons: explanations };
    console.show(&listed, || {
        let codes: Vec<_> = listed.reasons.iter().map(|page| page.reason.as_str()).collect();
        codes.join("\n")
    })
}

async fn recorded(revision: Revision, said: &Said, console: &Console) -> Result<(), Failure> {
    let place = Place::find(said)?;
    place.check()?;
    let connection = connect(&place.home.identity()?).await?;
    let refusal = connection.refusal(revision).await.map_err(|error| no_such(error, revision))?;
    // A newer broker may have reasons that are not built in here; what it recorded is told all the same.
    let page = pages::of(&refusal.reason).unwrap_or_else(|| Page {
        reason: "",
        means: format!(
            "`{}` is a reason that this version of the command line does not know.",
            refusal.reason
        ),
        what_to_do: "Ask a newer version, or the documentation of the broker.".into(),
    });
    let shape = shape(page, Some((revision, refusal)));
    console.show(&shape, || text(&shape, console))
}

fn no_such(error: Error, revision: Revision) -> Failure {
    let unknown = error.reason() == Some("unknown-refusal");
    let failure = Failure::from(error);
    if unknown {
        return failure.then(format!(
            "check the number; if it is a credential's, `daypass credential show {revision}`; admins and auditors may \
             ask about any refusal"
        ));
    }
    failure
}

fn shape(page: Page, recorded: Option<(Revision, PastRefusal)>) -> shapes::Explanation {
    let reason = recorded.as_ref().map(|(_, refusal)| refusal.reason.clone());
    shapes::Explanation {
        reason: reason.unwrap_or_else(|| page.reason.to_owned()),
        means: page.means,
        what_to_do: page.what_to_do,
        refusal: recorded.map(|(revision, refusal)| shapes::PastRefusal {
            revision: revision.get(),
            at: instant(refusal.at),
            method: refusal.method,
            subject: refusal.subject.map(|subject| subject.to_string()),
            identity: (!refusal.identity.is_empty()).then_some(refusal.identity),
            count: refusal.count,
            about: refusal.about.map(|node| node.to_string()),
        }),
    }
}

fn text(explained: &shapes::Explanation, console: &Console) -> Text {
    let width = console.width().unwrap_or(READABLE).min(READABLE);
    let mut text = Text::new();
    if let Some(refusal) = &explained.refusal {
        let who = refusal.subject.as_deref().unwrap_or("somebody whom the broker does not know");
        let instance = refusal.identity.as_ref().map(|name| format!(", instance {name}")).unwrap_or_default();
        let times = if refusal.count > 1 { format!(", {} times", refusal.count) } else { String::new() };
        let about = refusal.about.as_ref().map(|node| format!("about    {node}\n")).unwrap_or_default();
        let facts = format!(
            "refusal  {}\nwhen     {}{times}\nwho      {who}{instance}\ncalled   {}\n{about}\n",
            refusal.revision, refusal.at, refusal.method
        );
        text = text.then(Ink::Plain, facts);
    }
    text.then(Ink::Strong, explained.reason.as_str())
        .then(Ink::Plain, format!("\n{}\n\n", wrapped(&explained.means, width)))
        .then(Ink::Strong, "What to do")
        .then(Ink::Plain, format!("\n{}", wrapped(&explained.what_to_do, width)))
}

/// Lines of at most so many columns; a word that is longer stays whole.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.width() + 1 + word.width() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Longer lines are hard to read, however wide the terminal is.
const READABLE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one\n\ntwo", 80), "one\n\ntwo");
        assert_eq!(wrapped("incomprehensibilities are long", 10), "incomprehensibilities\nare long");
    }

    #[test]
    fn what_is_no_reason_is_refused_with_a_way_on() {
        assert_eq!(
            unknown("code-spend").next().as_deref(),
            Some("did you mean `daypass explain code-spent`?")
        );
        assert!(unknown("x").next().is_some_and(|next| next.contains("`daypass explain` lists")));
    }
}
