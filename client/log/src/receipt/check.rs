//! Checking a receipt with nothing but the log's public key.

use std::{collections::BTreeMap, io::BufRead};

use daypass_credential::{Digest, Name, NodeId, NodeKind, Timestamp};
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use super::{
    fault::{ListFault, ReceiptError},
    list::{MAX_LINE, Tally},
    statement::{Audience, Count, MAX_STATEMENT, Said, State, Statement},
};
use crate::{Acknowledgement, Checkpoint, Hash, SignedCheckpoint, VerifierKey, note, proof};

/// A statement that was checked in every part but its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    statement: Statement,
    checkpoint: SignedCheckpoint,
    digest: Digest,
}

impl Receipt {
    /// Checks a statement: that one of these keys of the log signed it, that a signed checkpoint of the same log and era holds
    /// the end of this vendor at this revision, that every confirmation was signed and reaches as far, and that all it says
    /// fits together.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn open(note: &[u8], keys: &[VerifierKey]) -> Result<Self, ReceiptError> {
        let (text, signed) = note::open_within(note, keys, MAX_STATEMENT)?;
        let statement = Statement::parse(text)?;
        let by = |key: &&VerifierKey| key.name() == statement.log;
        let origin = || ReceiptError::Origin(statement.log.clone());
        signed.into_iter().find(by).ok_or_else(origin)?;
        // A broker signs once: what anybody could write below that would be no part of what was handed out.
        if !note.get(text.len()..).is_some_and(is_one_line) {
            return Err(ReceiptError::Signature);
        }
        let checkpoint = included(&statement, keys)?;
        the_end(&statement)?;
        fits_together(&statement)?;
        statement.acknowledgements.iter().try_for_each(|said| is_signed(&statement, said))?;
        Ok(Self { statement, checkpoint, digest: digest_of(note) })
    }

    /// What it says.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The checkpoint that the end stands under.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// SHA-256 of the whole signed statement, as the log's closing event has it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks the list beside it, in memory that does not depend on its length.
    ///
    /// # Errors
    /// [`ListFault`], with the first line that does not fit.
    pub fn check_list(&self, mut list: impl BufRead) -> Result<(), ListFault> {
        let Statement { end, list: listed, audiences, .. } = &self.statement;
        let mut tally = Tally::new(end.revision, end.at);
        let mut line = Vec::with_capacity(MAX_LINE);
        loop {
            line.clear();
            let mut one = std::io::Read::take(&mut list, MAX_LINE as u64);
            if one.read_until(b'\n', &mut line).map_err(ListFault::Read)? == 0 {
                break;
            }
            let unfit = || ListFault::Line(tally.lines() + 1);
            let text =
                line.strip_suffix(b"\n").and_then(|text| str::from_utf8(text).ok()).ok_or_else(unfit)?;
            let read = text.parse().map_err(|_| unfit())?;
            tally.take(&read)?;
        }
        let totals = tally.finish();
        if (totals.list.sha256, totals.list.bytes) != (listed.sha256, listed.bytes) {
            return Err(ListFault::Other);
        }
        if totals.list.credentials != listed.credentials || totals.audiences.len() != audiences.len() {
            return Err(ListFault::Counts { of: None });
        }
        for ((name, count, latest), said) in totals.audiences.into_iter().zip(audiences) {
            if (&name, count, latest) != (&said.audience, said.credentials, said.last_expiry) {
                return Err(ListFault::Counts { of: Some(NodeId::new(NodeKind::Audience, name)) });
            }
        }
        Ok(())
    }
}

/// Is this an empty line, and one line below it?
fn is_one_line(rest: &[u8]) -> bool {
    let lines = rest.strip_prefix(b"\n").and_then(|rest| rest.strip_suffix(b"\n"));
    lines.is_some_and(|line| !line.contains(&b'\n'))
}

fn digest_of(bytes: &[u8]) -> Digest {
    // SHA-256 has 32 bytes, always.
    Digest::new(digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default())
}

/// The checkpoint, if it is of this log and era and holds the event.
fn included(statement: &Statement, keys: &[VerifierKey]) -> Result<SignedCheckpoint, ReceiptError> {
    let Statement { log, era, end, .. } = statement;
    let opened = Checkpoint::open(end.checkpoint.as_bytes(), keys).map_err(ReceiptError::Checkpoint)?;
    let checkpoint = opened.checkpoint();
    if checkpoint.origin() != log || checkpoint.era() != Some(*era) {
        return Err(ReceiptError::Elsewhere);
    }
    let index = end.revision.get().checked_sub(1).ok_or(ReceiptError::NotTheEnd(end.revision))?;
    let leaf = Hash::leaf(&end.event);
    proof::check_inclusion(leaf, index, &end.inclusion, &checkpoint.root())
        .map_err(ReceiptError::NotIncluded)?;
    Ok(opened)
}

/// As much of an event as shows that it is the end of something.
#[derive(Deserialize)]
struct Event {
    v: u16,
    at: Timestamp,
    action: Action,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    node: Option<NodeId>,
}

/// The event is the end of this vendor at this instant.
fn the_end(statement: &Statement) -> Result<(), ReceiptError> {
    let Statement { vendor, end, .. } = statement;
    let event: Option<Event> = serde_json::from_slice(&end.event).ok();
    let is = event.is_some_and(|event| {
        event.v == 1
            && event.at == end.at
            && event.action.kind == "ended"
            && event.action.node.as_ref() == Some(vendor)
    });
    if is && vendor.kind == NodeKind::Vendor { Ok(()) } else { Err(ReceiptError::NotTheEnd(end.revision)) }
}

/// Audiences, verifiers and acknowledgements, each once and in order; a confirmation for each acknowledgement, and the other
/// way round; and counts that add up.
fn fits_together(statement: &Statement) -> Result<(), ReceiptError> {
    let Statement { audiences, acknowledgements, list, .. } = statement;
    let says = |so: bool, otherwise| if so { Ok(()) } else { Err(ReceiptError::Disagrees(otherwise)) };
    says(ascend(audiences, |audience| &audience.audience), "an audience is there twice, or out of order")?;
    says(ascend(acknowledgements, who), "an acknowledgement is there twice, or out of order")?;
    let mut said: BTreeMap<_, bool> = acknowledgements.iter().map(|said| (who(said), false)).collect();
    for audience in audiences {
        let by = |one: &super::Verifier| (one.verifier.clone(), one.identity.clone());
        says(ascend(&audience.verifiers, by), "a verifier is there twice, or out of order")?;
        confirmed(audience, &mut said)?;
    }
    says(
        said.values().all(|used| *used),
        "an acknowledgement is by nobody who checks for one of the audiences",
    )?;
    let sum = |of: fn(&Count) -> u64| {
        audiences.iter().fold(0u64, |sum, audience| sum.saturating_add(of(&audience.credentials)))
    };
    let all = &list.credentials;
    let adds_up = sum(|count| count.identity_certificates) == 0
        && sum(|count| count.client_certificates) == all.client_certificates
        && sum(|count| count.tokens) == all.tokens;
    says(adds_up, "what died at the audiences is not what died in all")
}

fn confirmed<'a>(
    audience: &'a Audience,
    said: &mut BTreeMap<(&'a Name, &'a Name), bool>,
) -> Result<(), ReceiptError> {
    let missing = "a verifier is said to have confirmed, and its acknowledgement is not there";
    let besides = "a verifier has confirmed, and is said not to have";
    for one in &audience.verifiers {
        let there = one.identity.as_ref().and_then(|identity| said.get_mut(&(&one.verifier, identity)));
        match (one.state, there) {
            (State::Confirmed, Some(used)) => *used = true,
            (State::Confirmed, None) => return Err(ReceiptError::Disagrees(missing)),
            (State::RefusesFrom(_) | State::NotFollowing, Some(_)) => {
                return Err(ReceiptError::Disagrees(besides));
            }
            (State::RefusesFrom(_) | State::NotFollowing, None) => {}
        }
    }
    Ok(())
}

const fn who(said: &Said) -> (&Name, &Name) {
    (&said.verifier, &said.identity)
}

fn ascend<'a, T, K: Ord>(all: &'a [T], key: impl Fn(&'a T) -> K) -> bool {
    all.is_sorted_by(|one, next| key(one) < key(next))
}

/// The instance signed that it applied the end, or something later.
fn is_signed(statement: &Statement, said: &Said) -> Result<(), ReceiptError> {
    let Statement { log, era, end, .. } = statement;
    let text = Acknowledgement {
        log,
        era: *era,
        verifier: &said.verifier,
        identity: &said.identity,
        revision: said.revision,
        leaf: said.leaf,
        applied_at: said.applied_at,
    };
    let far = said.revision > end.revision
        || (said.revision == end.revision && said.leaf == Hash::leaf(&end.event));
    if far && text.is_signed(&said.key, &said.signature) {
        return Ok(());
    }
    Err(ReceiptError::Acknowledgement(said.identity.to_string()))
}
