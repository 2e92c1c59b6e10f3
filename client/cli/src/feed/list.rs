//! `verifier list`: how far each verifier is.

use clap::Args;
use daypass_credential::Timestamp;
use daypass_sdk::{Home, VerifierStanding};

use crate::{
    console::Console,
    diagnostics::{connect, instant},
    failure::Failure,
    paint::{Ink, Text},
    shapes::{Standing, Standings},
    table::{Cell, Column, Table},
};

/// Show how far each verifier is: up to where everything that was ended is refused there. For admins and auditors.
///
/// Every open verifier with each of its instances, as this process of the broker has heard from them since it started.
/// `behind` counts what was sent and not acknowledged; from `refuses at` on an instance refuses everything by itself, unless
/// it hears more before.
#[derive(Debug, Args)]
pub(crate) struct Wish {}

pub(super) async fn run(home: &Home, console: &Console) -> Result<(), Failure> {
    let found = connect(&home.identity()?).await?.standings().await?;
    let shape =
        Standings { head: found.head.get(), verifiers: found.verifiers.into_iter().map(standing).collect() };
    console.show(&shape, || text(&shape, console.width()))
}

fn standing(standing: VerifierStanding) -> Standing {
    let optional = |at: Option<Timestamp>| at.map(instant);
    Standing {
        verifier: standing.verifier.to_string(),
        identity: standing.identity.map(|name| name.to_string()),
        audiences: standing.audiences.iter().map(ToString::to_string).collect(),
        following: standing.following,
        observing: standing.observing,
        acknowledged: standing.acknowledged.map(daypass_credential::Revision::get),
        behind: standing.behind,
        heard_at: optional(standing.heard_at),
        refuses_at: optional(standing.refuses_at),
    }
}

fn text(standings: &Standings, width: Option<usize>) -> Text {
    if standings.verifiers.is_empty() {
        return Text::from("there is no verifier".to_owned());
    }
    let mut table = Table::new([
        Column::left("verifier"),
        Column::left("instance"),
        Column::left("audiences").gives_way(),
        Column::left("feed"),
        Column::right("revision"),
        Column::right("behind"),
        Column::left("heard at"),
        Column::left("refuses at"),
    ]);
    for one in &standings.verifiers {
        table.row(row(one));
    }
    table.text(width).then(Ink::Faint, format!("\n(the newest revision is {})", standings.head))
}

fn row(one: &Standing) -> Vec<Cell> {
    let none = || "-".to_owned();
    let feed = match (&one.identity, one.following, one.observing) {
        (None, ..) => Cell::new(Ink::Doubtful, "not enrolled"),
        (Some(_), true, true) => Cell::new(Ink::Plain, "observes"),
        (Some(_), true, false) => Cell::new(Ink::Good, "follows"),
        (Some(_), false, _) => Cell::new(Ink::Bad, "away"),
    };
    vec![
        one.verifier.as_str().into(),
        one.identity.clone().unwrap_or_else(none).into(),
        one.audiences.join(", ").into(),
        feed,
        one.acknowledged.map_or_else(none, |revision| revision.to_string()).into(),
        one.behind.to_string().into(),
        one.heard_at.clone().unwrap_or_else(none).into(),
        one.refuses_at.clone().unwrap_or_else(none).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_a_line_and_says_whether_it_follows() {
        let silent = Standing {
            verifier: "api".to_owned(),
            identity: None,
            audiences: vec!["billing".to_owned(), "payroll".to_owned()],
            following: false,
            observing: false,
            acknowledged: None,
            behind: 0,
            heard_at: None,
            refuses_at: None,
        };
        let following = Standing {
            identity: Some("i1".to_owned()),
            following: true,
            acknowledged: Some(40),
            behind: 2,
            audiences: silent.audiences.clone(),
            verifier: "api".to_owned(),
            heard_at: Some("2026-01-01T00:00:00Z".to_owned()),
            refuses_at: Some("2026-01-01T00:00:30Z".to_owned()),
            ..silent
        };
        let standings = Standings { head: 42, verifiers: vec![silent, following] };
        assert_eq!(
            text(&standings, None).to_string(),
            "verifier  instance  audiences         feed          revision  behind  heard at              refuses at\n\
             api       -         billing, payroll  not enrolled         -       0  -                     -\n\
             api       i1        billing, payroll  follows             40       2  2026-01-01T00:00:00Z  2026-01-01T00:00:30Z\n\
             (the newest revision is 42)"
        );
    }
}
