//! What ending a vendor takes that has very many live credentials, beside one that has a single one. The store is filled
//! once; each repetition starts a broker on a copy of it, and ends both vendors there.

use std::time::{Duration, Instant};

use clap::Args;
use daypass_credential::NodeKind;
use daypass_proto::v1::{
    GetReceiptRequest, PreviewOffboardingRequest, PreviewOffboardingResponse, get_receipt_response::Part,
    offboarding_service_client::OffboardingServiceClient,
};
use daypass_sdk::Connection;
use tokio::time::{sleep, timeout};

use super::{
    figures::{median, rounded},
    population::{self, Keep, Minter},
    stage::{self, ADMIN_HOME, Stage},
};
use crate::{console::Console, example, failure::Failure, progress::Progress, shapes::OffboardMeasured};

/// Measure ending a vendor with very many live credentials against one with a single credential.
///
/// Mints the credentials through a real broker: tokens that are bound to a client certificate, as they are by default.
/// Then, again and again, starts a broker on a copy of its data, ends both vendors, one after the other in turns, and
/// takes the time of each call at the client. Counting what was alive, and making the receipts, lies outside of it.
///
/// A million takes some minutes, and three gigabytes in the folder for temporary files (TMPDIR).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// How many live credentials the large vendor has at the least.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    credentials: u64,
    /// How often both are ended.
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u64).range(1..=101))]
    repetitions: u64,
}

const EXAMPLES: &str = "\
Examples:
  daypass bench offboard
  daypass bench offboard --credentials 10000 --repetitions 5 -o json";

/// The vendors that are ended.
const ONE: &str = "one";
const MANY: &str = "many";
/// Vendors that are ended beforehand, so that neither of the others meets a broker that never ended anything.
const BEFORE: [&str; 3] = ["before-1", "before-2", "before-3"];

pub(super) async fn run(wish: Wish, console: &Console) -> Result<(), Failure> {
    let measured = stage::perform(console, async |stage| measure(&wish, stage, console).await).await?;
    console.show(&measured, || text(&measured))
}

/// What one repetition found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Repetition {
    one_ms: f64,
    many_ms: f64,
    /// How many were alive right before.
    one_alive: u64,
    many_alive: u64,
}

async fn measure(wish: &Wish, stage: &mut Stage, console: &Console) -> Result<OffboardMeasured, Failure> {
    fill(wish, stage, console).await?;
    let address = stage.address()?;
    stage.stop().await?;
    let progress = Progress::start(console, "ending both vendors", Some(wish.repetitions));
    let mut found = Vec::new();
    for round in 0..wish.repetitions {
        stage.open_copy(&address).await?;
        found.push(repeat(stage, round).await?);
        stage.close_copy().await?;
        progress.advance();
    }
    figures(wish, &found)
}

/// Has everything minted that is alive when the vendors are ended.
async fn fill(wish: &Wish, stage: &mut Stage, console: &Console) -> Result<(), Failure> {
    let admin = stage.begin().await?;
    population::write_audience(&admin).await?;
    for vendor in [ONE, MANY].into_iter().chain(BEFORE) {
        population::write_vendor(&admin, vendor).await?;
    }
    // Its identity is the single credential that it has.
    let one = population::id(NodeKind::Application, ONE)?;
    example::enroll(stage.folder(), &stage.address()?, &admin, &one).await?;
    let many = Minter::enroll(stage, &admin, MANY, CONNECTIONS).await?;
    let progress = Progress::start(console, "minting", Some(wish.credentials));
    many.mint(wish.credentials, Keep::None, &progress).await.map(drop)
}

/// Ends both vendors on the copy that is open.
async fn repeat(stage: &Stage, round: u64) -> Result<Repetition, Failure> {
    let admin = population::connect(&stage.home(ADMIN_HOME)).await?;
    let (one_alive, many_alive) = (alive(&admin, ONE).await?, alive(&admin, MANY).await?);
    for vendor in BEFORE {
        end_and_settle(&admin, vendor).await?;
    }
    // Whoever comes first meets another state of the machine: that takes turns.
    let (one_ms, many_ms) = if round.is_multiple_of(2) {
        (end_and_settle(&admin, ONE).await?, end(&admin, MANY).await?)
    } else {
        let many = end_and_settle(&admin, MANY).await?;
        (end(&admin, ONE).await?, many)
    };
    Ok(Repetition { one_ms, many_ms, one_alive, many_alive })
}

/// How many live credentials a vendor has, by the broker's own count.
async fn alive(admin: &Connection, vendor: &str) -> Result<u64, Failure> {
    let total = preview(admin, vendor).await?.total.unwrap_or_default();
    Ok(total.tokens + total.client_certificates + total.identity_certificates)
}

/// Ends a vendor: milliseconds from sending the call to having the answer.
async fn end(admin: &Connection, vendor: &str) -> Result<f64, Failure> {
    let id = population::id(NodeKind::Vendor, vendor)?;
    admin.ping().await?;
    let begin = Instant::now();
    admin.end(&id, "").await?;
    Ok(begin.elapsed().as_secs_f64() * 1000.0)
}

/// The same, and then waits for what the broker does about it beside that, so that the next is not disturbed.
async fn end_and_settle(admin: &Connection, vendor: &str) -> Result<f64, Failure> {
    let took = end(admin, vendor).await?;
    settle(admin, vendor).await.map(|()| took)
}

/// What is alive under a vendor. The broker says so once it has followed its log, which takes a while after a start.
async fn preview(admin: &Connection, vendor: &str) -> Result<PreviewOffboardingResponse, Failure> {
    let deadline = Instant::now() + FOLLOWING;
    loop {
        let request = PreviewOffboardingRequest { vendor: vendor.to_owned() };
        match OffboardingServiceClient::new(admin.channel()).preview_offboarding(request).await {
            Ok(previewed) => return Ok(previewed.into_inner()),
            Err(status) if Instant::now() > deadline => {
                return Err(Failure::Internal(format!("nobody can say what is alive: {}", status.message())));
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until the receipt of an ended vendor is closed.
async fn settle(admin: &Connection, vendor: &str) -> Result<(), Failure> {
    let request = GetReceiptRequest { vendor: vendor.to_owned(), wait: true };
    let failed = |why: &str| Failure::Internal(format!("there is no receipt of `{vendor}`: {why}"));
    let receipt = async {
        let mut client = OffboardingServiceClient::new(admin.channel());
        let answer = client.get_receipt(request).await.map_err(|status| failed(status.message()))?;
        let mut parts = answer.into_inner();
        while let Some(part) = parts.message().await.map_err(|status| failed(status.message()))? {
            if matches!(part.part, Some(Part::Statement(_))) {
                return Ok(());
            }
        }
        Err(failed("it ends before its statement"))
    };
    timeout(CLOSING, receipt).await.map_err(|_| failed("it takes too long"))?
}

fn figures(wish: &Wish, found: &[Repetition]) -> Result<OffboardMeasured, Failure> {
    let times = |of: fn(&Repetition) -> f64| found.iter().map(of).collect::<Vec<_>>();
    let (ones, millions) = (times(|found| found.one_ms), times(|found| found.many_ms));
    let least = |of: fn(&Repetition) -> u64| found.iter().map(of).min().unwrap_or_default();
    let (one_alive, many_alive) = (least(|found| found.one_alive), least(|found| found.many_alive));
    if many_alive < wish.credentials || one_alive == 0 {
        let words = format!("only {many_alive} and {one_alive} credentials were alive: the figures are void");
        return Err(Failure::Internal(words));
    }
    let (one, million) = (median(ones.clone()), median(millions.clone()));
    let all = |times: Vec<f64>| times.into_iter().map(|time| rounded(time, 1000.0)).collect();
    Ok(OffboardMeasured {
        credentials: wish.credentials,
        repetitions: wish.repetitions,
        live_before: many_alive,
        one_live_before: one_alive,
        one_ms: rounded(one, 1000.0),
        million_ms: rounded(million, 1000.0),
        ratio: rounded(million / one, 1000.0),
        one_each_ms: all(ones),
        million_each_ms: all(millions),
    })
}

fn text(measured: &OffboardMeasured) -> String {
    let line = |what: &str, alive: u64, ms: f64| format!("{what:<22} {alive:>12} {ms:>10.3}");
    [
        format!("{:<22} {:>12} {:>10}", "ending a vendor with", "alive before", "median ms"),
        line("one credential", measured.one_live_before, measured.one_ms),
        line("very many", measured.live_before, measured.million_ms),
        format!("{:.3} times as long, over {} repetitions", measured.ratio, measured.repetitions),
    ]
    .join("\n")
}

/// Over how many connections the mints come.
const CONNECTIONS: usize = 8;
/// How long a broker may take until it has followed its log.
const FOLLOWING: Duration = Duration::from_secs(120);
/// How long a receipt may take. Nobody has to be waited for: there are no verifiers.
const CLOSING: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn found(one_ms: f64, many_ms: f64, many_alive: u64) -> Repetition {
        Repetition { one_ms, many_ms, one_alive: 1, many_alive }
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let wish = Wish { credentials: 50, repetitions: 3 };
        let all = [found(2.0, 9.0, 51), found(4.0, 4.4, 51), found(9.0, 2.0, 52)];
        let measured = figures(&wish, &all).unwrap();
        assert_eq!((measured.live_before, measured.one_live_before), (51, 1));
        assert!((measured.ratio - 1.1).abs() < 1e-9, "{measured:?}");
        assert_eq!(measured.one_each_ms, [2.0, 4.0, 9.0]);
    }

    #[test]
    fn figures_of_credentials_that_were_not_alive_are_void() {
        let wish = Wish { credentials: 50, repetitions: 1 };
        assert!(figures(&wish, &[found(1.0, 1.0, 49)]).is_err());
        assert!(figures(&wish, &[Repetition { one_alive: 0, ..found(1.0, 1.0, 50) }]).is_err());
    }
}
