//! What a receipt says, for people and for programs.

use daypass_credential::{NodeId, NodeKind, Timestamp};
use daypass_log::receipt::{Audience, Count, Receipt, Said, State};
use daypass_proto::v1;

use crate::{
    diagnostics::instant,
    paint::{Ink, Text},
    shapes,
};

/// The document.
pub(crate) fn shape(receipt: &Receipt) -> shapes::Receipt {
    let said = receipt.statement();
    shapes::Receipt {
        id: said.vendor.to_string(),
        revision: said.end.revision.get(),
        ended_at: instant(said.end.at),
        closed_at: instant(said.closed_at),
        log: said.log.clone(),
        era: said.era.to_string(),
        died: live(&said.list.credentials),
        statement_sha256: receipt.digest().to_string(),
        list_sha256: said.list.sha256.to_string(),
        audiences: said.audiences.iter().map(|at| audience(at, &said.acknowledgements)).collect(),
    }
}

const fn live(count: &Count) -> shapes::Live {
    shapes::Live {
        identity_certificates: count.identity_certificates,
        client_certificates: count.client_certificates,
        tokens: count.tokens,
    }
}

fn audience(at: &Audience, said: &[Said]) -> shapes::ReceiptAudience {
    let verifier = |one: &daypass_log::receipt::Verifier| {
        let (state, from): (_, Option<Timestamp>) = match one.state {
            State::Confirmed => {
                let theirs = |said: &&Said| {
                    said.verifier == one.verifier && Some(&said.identity) == one.identity.as_ref()
                };
                ("confirmed", said.iter().find(theirs).map(|said| said.came_at))
            }
            State::RefusesFrom(from) => ("refuses-from", Some(from)),
            State::NotFollowing => ("not-following", None),
        };
        let id = |kind, name: &daypass_credential::Name| NodeId::new(kind, name.clone()).to_string();
        shapes::ReceiptVerifier {
            verifier: id(NodeKind::Verifier, &one.verifier),
            identity: one.identity.as_ref().map(|name| id(NodeKind::Identity, name)),
            state,
            from: from.map(instant),
        }
    };
    shapes::ReceiptAudience {
        audience: NodeId::new(NodeKind::Audience, at.audience.clone()).to_string(),
        died: live(&at.credentials),
        last_expiry: instant(at.last_expiry),
        staleness_seconds: at.staleness.as_secs(),
        verifiers: at.verifiers.iter().map(verifier).collect(),
    }
}

/// How many, in words.
pub(crate) fn words(live: &shapes::Live) -> String {
    let part = |number: u64, one: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        more => Some(format!("{more} {one}s")),
    };
    let parts = [
        part(live.identity_certificates, "identity certificate"),
        part(live.client_certificates, "client certificate"),
        part(live.tokens, "token"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// The same in words, with what it proves and what it does not.
pub(crate) fn text(receipt: &shapes::Receipt, list_checked: bool) -> Text {
    let mut text = Text::new().then(Ink::Strong, receipt.id.as_str()).then(
        Ink::Plain,
        format!(
            " was ended at revision {}, {}\ndied: {}",
            receipt.revision,
            receipt.ended_at,
            words(&receipt.died)
        ),
    );
    for at in &receipt.audiences {
        text = text.then(Ink::Plain, format!("\n\n{}: {}", at.audience, words(&at.died)));
        if at.verifiers.is_empty() {
            let nobody =
                format!("\n  no verifier checks for it: all of it is dead by expiry at {}", at.last_expiry);
            text = text.then(Ink::Plain, nobody);
        }
        for one in &at.verifiers {
            text = text.then(Ink::Plain, format!("\n  {}", stands(one, at)));
        }
    }
    let proves = if list_checked {
        "\n\nThis proves that the log holds the end, which credentials the broker counted as alive under it, and what verifiers \
         signed that they refuse. "
    } else {
        "\n\nThis proves that the log holds the end, and what verifiers signed that they refuse; single credentials only with \
         the list. "
    };
    text.then(Ink::Plain, proves)
        .then(Ink::Plain, "It does not prove that an application behind a verifier obeyed.")
}

fn stands(one: &shapes::ReceiptVerifier, at: &shapes::ReceiptAudience) -> String {
    let who = one
        .identity
        .as_ref()
        .map_or_else(|| one.verifier.clone(), |identity| format!("{} ({identity})", one.verifier));
    let from = one.from.as_deref().unwrap_or("-");
    match one.state {
        "confirmed" => format!("{who}: confirmed, {from}"),
        "refuses-from" => format!("{who}: did not confirm; refuses everything by itself from {from}"),
        _ => format!(
            "{who}: does not follow; what it may still accept is dead by expiry at {}",
            at.last_expiry
        ),
    }
}

/// How far a receipt is.
pub(crate) fn progress(far: &v1::ReceiptProgress) -> String {
    let audience = |at: &v1::ReceiptAudience| {
        let mut parts = vec![format!("{} confirmed", at.confirmed)];
        if at.awaited > 0 {
            parts.push(format!("{} awaited", at.awaited));
        }
        if at.not_following > 0 {
            parts.push(format!("{} not following", at.not_following));
        }
        format!("{}: {}", at.audience, parts.join(", "))
    };
    if far.audiences.is_empty() {
        return "listing what died".to_owned();
    }
    far.audiences.iter().map(audience).collect::<Vec<_>>().join("; ")
}
