//! Offboarding a vendor: what would die, the end, and how far it has come everywhere.

use clap::Args;
use daypass_credential::{Name, NodeId, NodeKind, Timestamp};
use daypass_proto::v1;
use daypass_sdk::{Connection, Offboarded};

use crate::{
    console::Console,
    context::{Place, Said},
    diagnostics::{connect, instant},
    failure::Failure,
    paint::{Ink, Text},
    receipt, shapes,
};

/// Offboard a vendor: everything under it is dead, and a receipt says who refuses it since when.
///
/// One commit, whatever is alive. Verifiers that follow the feed refuse within moments; the receipt is closed once all of
/// them have confirmed, or refuse by themselves. Before it asks, it shows which credentials would die, and who checks
/// them. With --yes it neither looks nor asks.
///
/// Again is no error: it answers the same revision and the same receipt. With --wait it ends with what the receipt says:
/// exit code 0 means that the receipt is closed, so that nobody who follows accepts anything of it. Verifiers that do not
/// follow are named; what they may still accept is dead by its expiry. The end itself stands whatever comes of the waiting:
/// exit code 5 means that it is ended, and that the receipt did not come.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Offboard {
    /// The vendor, as `acme`.
    vendor: Name,
    /// Only show what would die, and end nothing.
    #[arg(long, conflicts_with_all = ["yes", "wait"])]
    preview: bool,
    /// Wait until the receipt is closed, and show what it says.
    #[arg(long)]
    wait: bool,
    /// Why, in your words; kept beside the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask first.
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  daypass offboard acme --preview
  daypass offboard acme --wait --reason 'contract terminated, see CASE-17'
  daypass offboard acme --yes -o json";

pub(crate) async fn offboard(wish: Offboard, said: &Said, console: &Console) -> Result<(), Failure> {
    let place = Place::find(said)?;
    place.check()?;
    let identity = place.home.identity()?;
    if !wish.yes && !wish.preview {
        console.must_ask()?;
    }
    let connection = connect(&identity).await?;
    if !wish.yes {
        let previewed = shape(&wish.vendor, connection.preview_offboarding(&wish.vendor).await?);
        if wish.preview {
            return console.show(&previewed, || text(&previewed));
        }
        console.tell(text(&previewed));
        console.confirm("offboard it, and all of that with it, for ever?")?;
    }
    let ended = connection.offboard(&wish.vendor, wish.reason.as_deref().unwrap_or_default()).await?;
    if wish.wait {
        // Before anything may break off: whoever stops the waiting stops nothing else.
        console.say(format!("vendor:{} is ended, at revision {}", wish.vendor, ended.revision));
    }
    let waited = if wish.wait { Some(wait(&connection, &wish.vendor, ended, console).await) } else { None };
    let (receipt, missing) = match waited {
        None => (None, None),
        Some(Ok(receipt)) => (Some(receipt), None),
        Some(Err(failure)) => (None, Some(failure)),
    };
    let shape = shapes::Offboarded {
        id: NodeId::new(NodeKind::Vendor, wish.vendor.clone()).to_string(),
        revision: ended.revision.get(),
        already: ended.already,
        receipt,
    };
    console.show(&shape, || told(&shape, &wish.vendor))?;
    missing.map_or(Ok(()), |failure| Err(without(&failure)))
}

/// The receipt once it is closed.
async fn wait(
    connection: &Connection,
    vendor: &Name,
    ended: Offboarded,
    console: &Console,
) -> Result<shapes::Receipt, Failure> {
    let got = receipt::fetch(connection, vendor, true, None, console).await?;
    let (_, receipt) = got.ok_or_else(|| Failure::Internal("the broker's answer ended before it".into()))?;
    let of = receipt.statement().end.revision;
    if of == ended.revision {
        return Ok(receipt::shape(&receipt));
    }
    Err(Failure::Internal(format!("the broker's receipt is of an end at revision {of}")))
}

/// Whatever came of the waiting: whoever sees no other code than that of the failure would take it that nothing was ended.
fn without(failure: &Failure) -> Failure {
    let words = format!("the vendor is ended; its receipt did not come: {}", failure.message());
    Failure::Partial(words)
        .then("the end stands: wait for its receipt with `daypass receipt get VENDOR --wait`")
}

fn told(shape: &shapes::Offboarded, vendor: &Name) -> Text {
    if let Some(receipt) = &shape.receipt {
        let kept = format!("\n\nkeep it: `daypass receipt get {vendor}`");
        return receipt::text(receipt, false).then(Ink::Plain, kept);
    }
    let how = if shape.already {
        "was ended before, at revision"
    } else {
        "is ended: everything is dead with a revision below"
    };
    Text::new().then(Ink::Strong, shape.id.as_str()).then(
        Ink::Plain,
        format!(
            " {how} {}\nwho refuses it since when: `daypass receipt get {vendor} --wait`",
            shape.revision
        ),
    )
}

fn live(count: Option<v1::LiveCount>) -> shapes::Live {
    let count = count.unwrap_or_default();
    shapes::Live {
        identity_certificates: count.identity_certificates,
        client_certificates: count.client_certificates,
        tokens: count.tokens,
    }
}

fn shape(vendor: &Name, preview: v1::PreviewOffboardingResponse) -> shapes::OffboardPreview {
    let named = |kind: &str, name: &str| format!("{kind}:{name}");
    let application = |one: v1::LiveApplication| shapes::LiveApplication {
        application: named("application", &one.application),
        live: live(one.live),
    };
    let audience = |at: v1::LiveAudience| shapes::LiveAudience {
        audience: named("audience", &at.audience),
        live: live(at.live),
        last_expiry: at.last_expiry.map_or_else(String::new, |at| {
            let seconds = u64::try_from(at.seconds).unwrap_or_default();
            let millis = u64::try_from(at.nanos).unwrap_or_default() / 1_000_000;
            instant(Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(millis)))
        }),
        verifiers: at.verifiers,
        following: at.following,
        staleness_seconds: at.staleness_seconds,
    };
    shapes::OffboardPreview {
        vendor: named("vendor", vendor.as_str()),
        revision: preview.revision,
        live: live(preview.total),
        applications: preview.applications.into_iter().map(application).collect(),
        audiences: preview.audiences.into_iter().map(audience).collect(),
    }
}

fn text(preview: &shapes::OffboardPreview) -> Text {
    let mut text = Text::new()
        .then(Ink::Strong, preview.vendor.as_str())
        .then(Ink::Bad, format!(": with it would die {}", receipt::words(&preview.live)));
    for one in &preview.applications {
        text = text.then(Ink::Plain, format!("\n  {}: {}", one.application, receipt::words(&one.live)));
    }
    for at in &preview.audiences {
        let who = match (at.verifiers, at.following) {
            (0, _) => format!("no verifier checks it: dead by expiry at {}", at.last_expiry),
            (all, following) => format!(
                "{following} of {all} verifiers follow; one that goes without news refuses after {} s",
                at.staleness_seconds
            ),
        };
        text = text.then(Ink::Plain, format!("\n  {}: {}; {who}", at.audience, receipt::words(&at.live)));
    }
    text
}
