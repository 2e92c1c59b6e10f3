//! `follow`: what the broker pushes to a verifier, as it comes.

use clap::Args;
use daypass_credential::NodeKind;
use daypass_sdk::{
    Home, Keeper, Options, RetryPolicy,
    verifier::{self, Verifier, Watch},
};
use tokio::sync::mpsc;

use super::told::Told;
use crate::{
    console::{Console, Reader},
    context::{Place, Said},
    failure::Failure,
    table::{Column, Table},
};

/// Show what the broker pushes to verifiers, as it comes. For verifiers.
///
/// It follows as an instance of the verifier would, checks what comes as one does, and checks no credential by it: the broker
/// waits for no acknowledgement of it. The streams of running programs are not touched. A stream that is over is opened
/// again; a no of the broker ends it, and so does Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Follow {
    /// End as soon as the broker has shown that nothing is missing.
    #[arg(long)]
    until_fresh: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass --context billing-api follow
  daypass follow --until-fresh
  daypass follow -o json > feed.jsonl";

pub(crate) async fn follow(wish: Follow, said: &Said, console: &Console) -> Result<(), Failure> {
    let place = Place::find(said)?;
    place.check()?;
    let keeper = keeper(place.home).await?;
    let (tell, told) = mpsc::unbounded_channel();
    // Whoever prints may have ended already.
    let watch = Watch::new(move |news| {
        if let Some(told) = Told::of(news) {
            drop(tell.send(told));
        }
    });
    let options = verifier::Options { watch, ..verifier::Options::observing() };
    let verifier = Verifier::start(&keeper.connection(), &options)?;
    let done = tokio::select! {
        done = print(told, wish.until_fresh, console) => done,
        // That is how following ends.
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    };
    verifier.close().await;
    done
}

/// Keeps the identity fresh, for following may go on for long.
async fn keeper(home: Home) -> Result<Keeper, Failure> {
    let identity = home.identity()?;
    let subject = identity.subject();
    if subject.kind != NodeKind::Verifier {
        return Err(Failure::bad(format!(
            "`{subject}` is enrolled here, and only verifiers can follow what the broker pushes to them"
        ))
        .then("name the identity of a verifier: --home DIR or --context NAME; `daypass audit tail -f` follows the log"));
    }
    Ok(Keeper::start(home, &Options::with_retry(RetryPolicy::BRIEF)).await?)
}

async fn print(
    mut told: mpsc::UnboundedReceiver<Told>,
    until_fresh: bool,
    console: &Console,
) -> Result<(), Failure> {
    let (mut begun, mut fresh) = (false, false);
    while let Some(Told { line, refused }) = told.recv().await {
        let proof = line.what == "fresh";
        // Proofs come each second: only the first of a stream is news.
        let news = !(proof && fresh);
        fresh = if proof { true } else { fresh && line.what != "lost" };
        let reader = if !news {
            Reader::There
        } else if console.is_json() {
            console.json_lines(&[line])?
        } else {
            let mut table = Table::new([
                Column::left("time").at_least(24),
                Column::left("what").at_least(10),
                Column::right("revision").at_least(8),
                Column::left("about").gives_way(),
            ]);
            table.row(super::told::cells(&line));
            let width = console.width();
            let text = if begun { table.rows_text(width) } else { table.text(width) };
            begun = true;
            console.lines(text)?
        };
        if let Some(error) = refused {
            return Err(error.into());
        }
        if reader == Reader::Gone || (proof && until_fresh) {
            return Ok(());
        }
    }
    Ok(())
}
