//! What a broker does a second: no-op, mint and introspection over the same stack, in one run. Short slices of each
//! take turns, so that noise meets all three alike; the ratios are medians over the rounds.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use daypass_credential::NodeId;
use daypass_sdk::{Address, Application, Connection, Directory, Error, Home, Introspector, TokenRequest};

use super::{
    figures::{Slice, median, percentile, rounded},
    load::{self, Kind, Padding, Parties},
    stage::{self, Stage},
};
use crate::{console::Console, example, failure::Failure, shapes::Measured};

/// How calls are measured.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Wish {
    /// How long to measure in all, warm-up aside.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many calls are under way at once: at most 512, as the broker has no more of one identity under way.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = in_flight)]
    in_flight: usize,
    /// Over how many connections.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = connections_at_most)]
    connections: usize,
}

fn in_flight(text: &str) -> Result<usize, String> {
    up_to(512, text)
}

fn connections_at_most(text: &str) -> Result<usize, String> {
    up_to(4096, text)
}

fn up_to(most: usize, text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| format!("a number from 1 to {most}"))
}

pub(super) async fn run(wish: Wish, console: &Console) -> Result<(), Failure> {
    let measured = stage::perform(console, async |stage| measure(&wish, stage, console).await).await?;
    console.show(&measured, || text(&measured))?;
    match measured.failures {
        0 => Ok(()),
        failures => Err(Failure::Internal(format!("{failures} calls failed: the figures are void"))),
    }
}

async fn measure(wish: &Wish, stage: &mut Stage, console: &Console) -> Result<Measured, Failure> {
    let admin = stage.begin().await?;
    let parties = Arc::new(parties(wish, stage.folder(), &stage.address()?, &admin).await?);
    let mut first_error = None;
    for kind in Kind::ALL {
        drop(load::slice(&parties, kind, wish.in_flight, WARM_UP, &mut first_error).await);
    }
    if !console.is_json() {
        console.say(format_args!("measuring for {} s …", wish.seconds));
    }
    let rounds = rounds(wish, &parties, &mut first_error).await;
    if let Some(error) = first_error {
        console.say(format_args!("the first call that failed: {}", Failure::from(error).message()));
    }
    Ok(figures(wish, &rounds))
}

/// Who calls: one instance of an application and one of a verifier, each over several connections.
async fn parties(
    wish: &Wish,
    folder: &Path,
    broker: &Address,
    admin: &Directory,
) -> Result<Parties, Failure> {
    let known = |error: &dyn std::fmt::Display| Failure::Internal(format!("the example is broken: {error}"));
    let subject: NodeId = "application:invoice-sync".parse().map_err(|error| known(&error))?;
    let guard: NodeId = "verifier:billing-api".parse().map_err(|error| known(&error))?;
    let audience = "billing".parse().map_err(|error| known(&error))?;
    let scopes = "invoices.read".parse().map_err(|error| known(&error))?;

    let applications = connections(wish, folder, broker, admin, &subject).await?;
    let applications: Vec<_> = applications.into_iter().map(Application::over).collect::<Result<_, _>>()?;
    let verifiers = connections(wish, folder, broker, admin, &guard).await?;
    let verifiers = verifiers.into_iter().map(Introspector::over).collect::<Result<_, _>>()?;

    let application = applications.first().ok_or(Error::BadInput("there are no connections".into()))?;
    let certificate = application.certificate(&audience, None).await?;
    let request = TokenRequest {
        audience: &audience,
        scopes: &scopes,
        certificate: Some(certificate.leaf()),
        ttl: None,
    };
    let token = application.token(&request).await?;
    let padding = Padding::measure(application, &request, &token).await?;
    Ok(Parties { applications, verifiers, certificate, token, audience, scopes, padding })
}

async fn connections(
    wish: &Wish,
    folder: &Path,
    broker: &Address,
    admin: &Directory,
    subject: &NodeId,
) -> Result<Vec<Connection>, Failure> {
    let mut connections = vec![example::enroll(folder, broker, admin, subject).await?];
    let identity = Home::at(folder.join(subject.name.as_str())).identity()?;
    while connections.len() < wish.connections {
        connections.push(Connection::open(&identity).await?);
    }
    Ok(connections)
}

/// One slice of each kind.
type Round = Vec<(Kind, Slice)>;

async fn rounds(wish: &Wish, parties: &Arc<Parties>, first_error: &mut Option<Error>) -> Vec<Round> {
    let slices = u64::try_from(Kind::ALL.len()).unwrap_or(1) * u64::try_from(SLICE.as_millis()).unwrap_or(1);
    let count = (wish.seconds * 1000 / slices).max(1);
    let mut rounds = Vec::new();
    let mut order = Kind::ALL;
    for _ in 0..count {
        let mut round = Round::new();
        for kind in order {
            round.push((kind, load::slice(parties, kind, wish.in_flight, SLICE, first_error).await));
        }
        rounds.push(round);
        // Whoever comes first meets another state of the machine: that goes round as well.
        order.rotate_left(1);
    }
    rounds
}

fn figures(wish: &Wish, rounds: &[Round]) -> Measured {
    let slices = |kind| rounds.iter().flatten().filter(move |(of, _)| *of == kind).map(|(_, slice)| slice);
    let rates = |kind| slices(kind).map(Slice::rate).collect::<Vec<_>>();
    let ratio = |kind| {
        let pairs = rates(kind).into_iter().zip(rates(Kind::NoOp));
        median(pairs.map(|(rate, noop)| if noop > 0.0 { rate / noop } else { 0.0 }).collect())
    };
    let times = |kind| {
        let mut micros: Vec<u32> = slices(kind).flat_map(|slice| slice.micros.iter().copied()).collect();
        micros.sort_unstable();
        (percentile(&micros, 50), percentile(&micros, 99))
    };
    let (noop, mint, introspect) = (times(Kind::NoOp), times(Kind::Mint), times(Kind::Introspect));
    Measured {
        seconds: rounded(rounds.iter().flatten().map(|(_, slice)| slice.elapsed.as_secs_f64()).sum(), 100.0),
        in_flight: wish.in_flight,
        connections: wish.connections,
        rounds: rounds.len(),
        noop_rps: rounded(median(rates(Kind::NoOp)), 10.0),
        mint_rps: rounded(median(rates(Kind::Mint)), 10.0),
        introspect_rps: rounded(median(rates(Kind::Introspect)), 10.0),
        mint_ratio: rounded(ratio(Kind::Mint), 10_000.0),
        introspect_ratio: rounded(ratio(Kind::Introspect), 10_000.0),
        noop_p50_micros: noop.0,
        noop_p99_micros: noop.1,
        mint_p50_micros: mint.0,
        mint_p99_micros: mint.1,
        introspect_p50_micros: introspect.0,
        introspect_p99_micros: introspect.1,
        failures: rounds.iter().flatten().map(|(_, slice)| slice.failures).sum(),
    }
}

fn text(measured: &Measured) -> String {
    let line = |name: &str, rate: f64, ratio: f64, p50: u64, p99: u64| {
        format!("{name:<11} {rate:>10.0} {ratio:>8.3} {p50:>9} {p99:>9}")
    };
    [
        format!("{:<11} {:>10} {:>8} {:>9} {:>9}", "", "calls/s", "of no-op", "p50 µs", "p99 µs"),
        line("no-op", measured.noop_rps, 1.0, measured.noop_p50_micros, measured.noop_p99_micros),
        line(
            "mint",
            measured.mint_rps,
            measured.mint_ratio,
            measured.mint_p50_micros,
            measured.mint_p99_micros,
        ),
        line(
            "introspect",
            measured.introspect_rps,
            measured.introspect_ratio,
            measured.introspect_p50_micros,
            measured.introspect_p99_micros,
        ),
        format!(
            "{:.1} s in {} rounds, {} in flight on {} connections, {} failures",
            measured.seconds, measured.rounds, measured.in_flight, measured.connections, measured.failures
        ),
    ]
    .join("\n")
}

const WARM_UP: Duration = Duration::from_millis(700);
const SLICE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(calls: usize, failures: u64) -> Slice {
        Slice { micros: vec![100; calls], failures, elapsed: Duration::from_secs(1) }
    }

    #[test]
    fn no_more_is_asked_than_the_broker_takes_of_one_identity() {
        assert_eq!(in_flight("512"), Ok(512));
        assert!(in_flight("513").is_err() && in_flight("0").is_err());
    }

    #[test]
    fn ratios_are_medians_over_the_rounds() {
        let round = |noop, mint| {
            vec![
                (Kind::NoOp, slice(noop, 0)),
                (Kind::Mint, slice(mint, 1)),
                (Kind::Introspect, slice(noop, 0)),
            ]
        };
        let wish = Wish { seconds: 1, in_flight: 64, connections: 4 };
        let measured = figures(&wish, &[round(100, 40), round(1000, 300), round(200, 100)]);
        assert!((measured.mint_ratio - 0.4).abs() < 1e-9, "{measured:?}");
        assert!((measured.introspect_ratio - 1.0).abs() < 1e-9, "{measured:?}");
        assert_eq!((measured.failures, measured.rounds, measured.mint_p99_micros), (3, 3, 100));
        let json = serde_json::to_value(&measured).unwrap();
        for key in ["noop_rps", "mint_rps", "introspect_rps", "mint_ratio", "introspect_ratio"] {
            assert!(json[key].is_f64(), "{key}");
        }
    }
}
