//! Closing one receipt: list, wait, state, sign, and say so in the log, each durable before the next.

use std::sync::Arc;

use daypass_core::{Action, Actor, Facts, Stop};
use daypass_credential::Revision;
use daypass_log::{
    VerifierKey,
    receipt::{Audience, End, Receipt, Said, State as Known, Statement, Totals, VERSION, Verifier},
};
use daypass_store::Lane;

use super::{
    Closed, Digests, Ended, Hindrance, State, find,
    list::{self, Of},
    standing::{AtAudience, Stands, settled},
};
use crate::{
    broker::{Broker, Decision, Plan, Recorded},
    call::RequestMark,
    feed::Acknowledged,
    notary,
    refusal::Refusal,
};

/// Closes it, if nothing stands in the way.
pub(super) async fn close(broker: &Arc<Broker>, ended: &mut Ended) -> Result<(), Hindrance> {
    let of = Of { vendor: ended.vendor.clone(), revision: ended.revision, at: ended.at };
    let totals = {
        let place = broker.receipts.listing.acquire().await;
        let _place = place.map_err(Refusal::internal)?;
        list::make(broker, &of).await?
    };
    ended.held = None;
    let standing = settled(broker, ended, &totals).await?;
    let statement = state(broker, ended, &totals, standing).await?;
    let digests = sign(broker, &statement).await?;
    let event = record(broker, ended, digests, totals.list.credentials.all()).await?;
    broker.receipts.set(ended.revision, State::Closed(Closed { event, digests }));
    find::note(broker, ended.revision, event).await;
    tracing::info!(vendor = %ended.vendor, revision = %ended.revision, "closed the receipt");
    Ok(())
}

/// Everything that it says.
async fn state(
    broker: &Broker,
    ended: &Ended,
    totals: &Totals,
    standing: Vec<AtAudience>,
) -> Result<Statement, Hindrance> {
    let proven = broker.proven(ended.revision).await?;
    let noted = proven.noted.signed();
    let end = End {
        revision: ended.revision,
        at: ended.at,
        event: proven.entry.event.to_vec(),
        checkpoint: noted.note().to_owned(),
        inclusion: proven.inclusion,
    };
    Ok(Statement {
        v: VERSION,
        log: noted.checkpoint().origin().to_owned(),
        era: broker.era,
        vendor: ended.vendor.clone(),
        end,
        list: totals.list,
        acknowledgements: acknowledgements(&standing),
        audiences: standing.into_iter().map(audience).collect(),
        closed_at: broker.stamp(),
    })
}

/// Each once, though somebody may check for several audiences.
fn acknowledgements(standing: &[AtAudience]) -> Vec<Said> {
    let all = standing.iter().flat_map(|at| &at.verifiers);
    let mut said: Vec<Said> = all
        .filter_map(|who| match (&who.identity, &who.stands) {
            (Some(identity), Stands::Confirmed(said)) => Some((&who.verifier, identity, &**said)),
            _ => None,
        })
        .map(|(verifier, identity, said)| {
            let Acknowledged { revision, leaf, applied_at, came_at, key, signature } = said.clone();
            let (verifier, identity) = (verifier.clone(), identity.clone());
            Said { verifier, identity, revision, leaf, applied_at, came_at, key, signature }
        })
        .collect();
    said.sort_by(|one, other| (&one.verifier, &one.identity).cmp(&(&other.verifier, &other.identity)));
    said.dedup_by(|one, other| (&one.verifier, &one.identity) == (&other.verifier, &other.identity));
    said
}

fn audience(at: AtAudience) -> Audience {
    let AtAudience { audience, credentials, last_expiry, staleness, verifiers } = at;
    let verifier = |who: super::standing::Who| Verifier {
        verifier: who.verifier,
        identity: who.identity,
        state: match who.stands {
            Stands::Confirmed(_) => Known::Confirmed,
            Stands::Awaited(until) | Stands::RefusesFrom(until) => Known::RefusesFrom(until),
            Stands::NotFollowing => Known::NotFollowing,
        },
    };
    let verifiers = verifiers.into_iter().map(verifier).collect();
    Audience { audience, credentials, last_expiry, staleness, verifiers }
}

/// Signs it, and makes it durable. It is read back as anybody will read it: what would not hold is not handed out.
async fn sign(broker: &Broker, statement: &Statement) -> Result<Digests, Hindrance> {
    let (keys, now) = (broker.keys.now(), broker.clock.now());
    let ring = keys.ring();
    let key: VerifierKey = ring
        .audit_key(now)
        .and_then(|key| notary::log_key(&ring.realm().issuer, key))
        .ok_or(Hindrance::NoKey)?;
    let signature = |message: &[u8]| ring.sign_audit(message, now).map(|signed| signed.signature);
    let note = statement.sign(&key, signature).map_err(|error| Hindrance::NotSigned(error.to_string()))?;
    let receipt = Receipt::open(note.as_bytes(), &notary::every_log_key(ring))?;
    let digests = Digests { statement: receipt.digest(), list: statement.list.sha256 };
    broker.receipts.files.write_statement(statement.end.revision, note).await?;
    Ok(digests)
}

/// Says in the log that this is the receipt.
async fn record(
    broker: &Broker,
    ended: &Ended,
    digests: Digests,
    credentials: u64,
) -> Result<Revision, Hindrance> {
    let action = || Action::ReceiptClosed {
        node: ended.vendor.clone(),
        ended: ended.revision,
        statement: digests.statement,
        list: digests.list,
        credentials,
    };
    let mark = RequestMark::single(&*broker.entropy)?;
    let recorded = broker
        .record(mark, Lane::Background, Facts::default(), |facts, _| {
            // As it was when the statement was made.
            facts.stored(&ended.vendor)?;
            Ok::<_, Stop>(Decision::Write(Box::new(Plan::of(Actor::Broker, action(), ()))))
        })
        .await?;
    match recorded {
        Recorded::Now((), Some(revision)) | Recorded::Before(revision, _) => Ok(revision),
        Recorded::Now((), None) => Err(Refusal::internal("a receipt was not recorded").into()),
    }
}
