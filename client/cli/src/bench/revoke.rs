//! How long it takes from sending an end until every verifier that follows refuses what it accepted before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use daypass_credential::Scope;
use daypass_sdk::{
    Connection,
    verifier::{Certificate, Refused, Token, Verifier},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout_at},
};

use super::{
    figures::{percentile, rounded},
    population::{self, Minter},
    stage::{self, Stage},
};
use crate::{console::Console, failure::Failure, progress::Progress, shapes::RevokeMeasured};

/// Measure the time from sending an end until verifiers refuse what it ended.
///
/// Verifiers, each with an identity and a connection of its own, follow a real broker. Again and again a token is minted
/// and accepted by all of them; then it is ended, and the clock starts when that is sent. For each verifier it stops once
/// a check refuses the token because of that end. All of them share this process, and this machine with the broker.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// How many verifiers follow; the broker takes 512 connections of verifiers by default.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    verifiers: u64,
    /// How many tokens are ended, one after the other.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    samples: u64,
}

const EXAMPLES: &str = "\
Examples:
  daypass bench revoke
  daypass bench revoke --verifiers 10 --samples 1000 -o json";

const PARTNER: &str = "partner";

pub(super) async fn run(wish: Wish, console: &Console) -> Result<(), Failure> {
    let measured = stage::perform(console, async |stage| measure(&wish, stage, console).await).await?;
    console.show(&measured, || text(&measured))
}

async fn measure(wish: &Wish, stage: &mut Stage, console: &Console) -> Result<RevokeMeasured, Failure> {
    let admin = stage.begin().await?;
    population::write_audience(&admin).await?;
    population::write_vendor(&admin, PARTNER).await?;
    let partner = Minter::enroll(stage, &admin, PARTNER, 1).await?;
    let progress = Progress::start(console, "enrolling verifiers", Some(wish.verifiers));
    let mut guards = Vec::new();
    for number in 1..=wish.verifiers {
        let guard = population::enroll_verifier(stage, &admin, &format!("guard-{number}")).await?;
        guards.push(Verifier::start(&guard, &population::checks()?)?);
        progress.advance();
    }
    drop(progress);
    let mut relying = Vec::new();
    for verifier in guards {
        verifier.ready().await?;
        let shown = verifier.read_certificate(partner.certificate.leaf()).map_err(|why| refused(&why))?;
        relying.push(Arc::new(Relying { verifier, shown, wanted: partner.wanted() }));
    }
    let progress = Progress::start(console, "ending tokens", Some(wish.samples));
    let mut found = Found::default();
    for _ in 0..wish.samples {
        sample(&partner, &relying, admin.connection(), &mut found).await?;
        progress.advance();
        sleep(PAUSE).await;
    }
    Ok(figures(wish, found))
}

/// What was measured, in microseconds.
#[derive(Debug, Default)]
struct Found {
    refused: Vec<u32>,
    ended: Vec<u32>,
    missed: u64,
}

/// One who relies on the partner's credentials.
struct Relying {
    verifier: Verifier,
    shown: Certificate,
    wanted: Vec<Scope>,
}

/// Mints a token that everybody accepts, ends it, and waits until nobody does.
async fn sample(
    partner: &Minter,
    relying: &[Arc<Relying>],
    admin: &Connection,
    found: &mut Found,
) -> Result<(), Failure> {
    let token = partner.token().await?;
    let mut watches = Vec::new();
    for one in relying {
        let accepted = one.verifier.check_token(token.reveal(), Some(&one.shown), &one.wanted);
        watches.push((Arc::clone(one), accepted.map_err(|why| refused(&why))?, one.verifier.moved()));
    }
    let id = population::credential(&token)?;
    let begin = Instant::now();
    let mut waiting = JoinSet::new();
    for (one, token, moved) in watches {
        waiting.spawn(async move { one.until_refused(&token, moved, begin + PATIENCE).await });
    }
    let begin = Instant::now();
    admin.end(&id, "").await?;
    found.ended.push(micros(begin.elapsed()));
    while let Some(at) = waiting.join_next().await {
        match at.map_err(|error| Failure::Internal(error.to_string()))? {
            Some(at) => found.refused.push(micros(at.saturating_duration_since(begin))),
            None => {
                found.missed += 1;
                found.refused.push(micros(PATIENCE));
            }
        }
    }
    Ok(())
}

impl Relying {
    /// When a check refused the token because of its end; none if that takes too long.
    async fn until_refused(
        &self,
        token: &Token,
        mut moved: watch::Receiver<u64>,
        deadline: Instant,
    ) -> Option<Instant> {
        loop {
            timeout_at(deadline.into(), moved.changed()).await.ok()?.ok()?;
            let verdict = self.verifier.check_token_again(token, Some(&self.shown), &self.wanted);
            // Any other reason would say nothing about the end.
            if matches!(verdict, Err(Refused::Cut { .. })) {
                return Some(Instant::now());
            }
        }
    }
}

fn refused(why: &Refused) -> Failure {
    Failure::Internal(format!("a credential that is good is refused: {why}"))
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn figures(wish: &Wish, mut found: Found) -> RevokeMeasured {
    found.refused.sort_unstable();
    found.ended.sort_unstable();
    let millis = |sorted: &[u32], hundredth| {
        let micros = u32::try_from(percentile(sorted, hundredth)).unwrap_or(u32::MAX);
        rounded(f64::from(micros) / 1000.0, 1000.0)
    };
    RevokeMeasured {
        verifiers: wish.verifiers,
        samples: wish.samples,
        missed: found.missed,
        commit_to_refusal_p50_ms: millis(&found.refused, 50),
        commit_to_refusal_p99_ms: millis(&found.refused, 99),
        commit_to_refusal_max_ms: millis(&found.refused, 100),
        end_p50_ms: millis(&found.ended, 50),
        end_p99_ms: millis(&found.ended, 99),
    }
}

fn text(measured: &RevokeMeasured) -> String {
    let line = |what: &str, p50: f64, p99: f64| format!("{what:<26} {p50:>9.3} {p99:>9.3}");
    [
        format!("{:<26} {:>9} {:>9}", "from sending an end", "p50 ms", "p99 ms"),
        line("until its answer", measured.end_p50_ms, measured.end_p99_ms),
        line(
            "until a verifier refuses",
            measured.commit_to_refusal_p50_ms,
            measured.commit_to_refusal_p99_ms,
        ),
        format!(
            "{} verifiers, {} ends, {} missed, {:.3} ms at the most",
            measured.verifiers, measured.samples, measured.missed, measured.commit_to_refusal_max_ms
        ),
    ]
    .join("\n")
}

/// After this long a verifier that still accepts has missed the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two ends: each is measured by itself.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_missed_the_end_counts_as_slow() {
        let refused = (1..100).map(|n| n * 100).chain([micros(PATIENCE)]).collect();
        let found = Found { refused, ended: vec![700], missed: 1 };
        let measured = figures(&Wish { verifiers: 100, samples: 1 }, found);
        assert_eq!(measured.missed, 1);
        assert!((measured.commit_to_refusal_p50_ms - 5.0).abs() < 1e-9, "{measured:?}");
        assert!((measured.commit_to_refusal_p99_ms - 9.9).abs() < 1e-9, "{measured:?}");
        assert!((measured.commit_to_refusal_max_ms - 1000.0).abs() < 1e-9, "{measured:?}");
    }
}
