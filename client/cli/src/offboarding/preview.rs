//! What an end would reach: the thing itself, and how many of each kind rest on it. Only admins and auditors may list
//! the directory; others are told that they are not told.

use std::collections::BTreeSet;

use daypass_credential::{NodeId, NodeKind, Revision};
use daypass_proto::v1::{self, object::Kind};
use daypass_sdk::{Connection, Death, Directory, Error, RecordKind};

use crate::{
    console::Console,
    failure::Failure,
    paint::{Ink, Text},
    progress::Progress,
    shapes,
};

/// Looks at what would be ended. What this identity may not know is left open, and does not stop it.
pub(super) async fn of(
    id: &NodeId,
    connection: &Connection,
    console: &Console,
) -> Result<shapes::EndPreview, Failure> {
    if id.kind == NodeKind::Credential {
        return credential(id, connection).await;
    }
    let directory = Directory::over(connection.clone());
    let stored = told(directory.object(id).await)?;
    let what = stored.as_ref().and_then(|stored| describe(stored.object.as_ref()?));
    let rests = match id.kind {
        NodeKind::Enrollment => Some(Vec::new()),
        _ => told(count(id, &directory, console).await)?,
    };
    Ok(shapes::EndPreview {
        id: id.to_string(),
        life: stored.map(|stored| word(stored.effective_life())),
        what,
        rests_on_it: rests,
    })
}

/// None where this identity may not know.
fn told<T>(answer: Result<T, Error>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Refused(refusal))
            if matches!(
                refusal.reason.as_str(),
                "unknown-node" | "not-allowed" | "wrong-caller" | "bad-request"
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn credential(id: &NodeId, connection: &Connection) -> Result<shapes::EndPreview, Failure> {
    let number = id.name.as_str().parse().map(Revision::new).map_err(|_| {
        Failure::bad(format!("`{id}` is no credential"))
            .then("a credential is known by its number: credential:4711")
    })?;
    let record = told(connection.credential(number).await)?;
    Ok(shapes::EndPreview {
        id: id.to_string(),
        life: record.as_ref().map(|record| match record.death {
            None => "alive",
            Some(Death::Expiry) => "expired",
            Some(Death::Cut { .. }) => "dead",
        }),
        what: record.as_ref().map(|record| {
            let kind = match record.kind {
                RecordKind::Identity => "an identity certificate, with all that was minted with it,",
                RecordKind::Certificate => "a client certificate, with every token bound to it,",
                RecordKind::Token => "an access token",
            };
            format!("{kind} of {}", record.subject)
        }),
        rests_on_it: None,
    })
}

/// How many open objects of each kind rest on it, in the order in which they rest on one another.
async fn count(id: &NodeId, directory: &Directory, console: &Console) -> Result<Vec<shapes::Count>, Error> {
    let _progress = Progress::start(console, "looking at what rests on it", None);
    let mut dead = BTreeSet::from([id.to_string()]);
    let mut counts = Vec::new();
    for kind in [NodeKind::Vendor, NodeKind::Contract, NodeKind::Application, NodeKind::Identity] {
        let objects: Vec<_> = directory
            .all(kind)
            .await?
            .into_iter()
            .filter(|stored| stored.life() != v1::Life::Ended)
            .filter_map(|stored| Some((stored.id, above(stored.object?))))
            .collect();
        counts.push(shapes::Count { kind: kind.as_str(), count: spread(&mut dead, &objects) });
    }
    counts.retain(|count| count.count > 0);
    Ok(counts)
}

/// Adds whatever rests on what is dead, however deep; the answer is how many that are.
fn spread(dead: &mut BTreeSet<String>, objects: &[(String, Vec<String>)]) -> usize {
    let before = dead.len();
    loop {
        let size = dead.len();
        for (id, above) in objects {
            if above.iter().any(|node| dead.contains(node)) {
                dead.insert(id.clone());
            }
        }
        if dead.len() == size {
            return size - before;
        }
    }
}

/// What an object rests on directly.
fn above(object: v1::Object) -> Vec<String> {
    let node = |kind: &str, name: String| (!name.is_empty()).then(|| format!("{kind}:{name}"));
    let nodes = match object.kind {
        Some(Kind::Vendor(vendor)) => vec![node("vendor", vendor.parent)],
        Some(Kind::Contract(contract)) => {
            vec![node("vendor", contract.vendor), node("contract", contract.parent)]
        }
        Some(Kind::Application(application)) => {
            vec![node("vendor", application.vendor), node("contract", application.contract)]
        }
        Some(Kind::Identity(identity)) => vec![Some(identity.subject)],
        Some(Kind::Person(_) | Kind::Audience(_) | Kind::Verifier(_)) | None => Vec::new(),
    };
    nodes.into_iter().flatten().collect()
}

fn describe(object: &v1::Object) -> Option<String> {
    Some(match object.kind.as_ref()? {
        Kind::Vendor(vendor) if vendor.parent.is_empty() => {
            format!("a vendor; {} answers for it", vendor.owner)
        }
        Kind::Vendor(vendor) => format!("a vendor under {}; {} answers for it", vendor.parent, vendor.owner),
        Kind::Contract(contract) => {
            format!("the contract {} of vendor {}", contract.reference, contract.vendor)
        }
        Kind::Application(application) => {
            let at: Vec<_> = application.entitlements.iter().map(|held| held.audience.as_str()).collect();
            format!(
                "an application of vendor {} ({}), entitled at {}",
                application.vendor,
                application.purpose,
                if at.is_empty() { "no audience".into() } else { at.join(", ") }
            )
        }
        Kind::Person(_) => "a person; what they own stays, and needs another owner".into(),
        Kind::Audience(audience) => {
            format!("an audience with {} scopes; every credential for it dies", audience.scopes.len())
        }
        Kind::Verifier(verifier) => format!("a verifier for {}", verifier.audiences.join(", ")),
        Kind::Identity(identity) => format!("an enrolled instance of {}", identity.subject),
    })
}

const fn word(life: v1::Life) -> &'static str {
    match life {
        v1::Life::Open => "open",
        v1::Life::Suspended => "suspended",
        v1::Life::Ended => "ended",
        v1::Life::Unspecified => "unknown",
    }
}

/// The same in words.
pub(super) fn text(preview: &shapes::EndPreview) -> Text {
    let mut text = Text::new().then(Ink::Strong, preview.id.as_str());
    let what = preview.what.as_deref().unwrap_or("what it is, is not told to you");
    text = text.then(Ink::Plain, format!(": {what}"));
    if let Some(life) = preview.life {
        text = text.then(Ink::Plain, format!("\nits life: {life}"));
    }
    text.then(Ink::Bad, format!("\n{}", reach(preview)))
}

fn reach(preview: &shapes::EndPreview) -> String {
    match (&preview.rests_on_it, preview.id.starts_with("credential:")) {
        (_, true) => "it dies, and whatever is bound to it".into(),
        (None, false) => {
            "whatever rests on it dies with it; how much that is, only admins and auditors are told".into()
        }
        (Some(counts), false) if counts.is_empty() => "nothing else in the directory rests on it".into(),
        (Some(counts), false) => {
            let parts: Vec<_> = counts.iter().map(|count| plural(count.kind, count.count)).collect();
            format!("with it die {}, and every credential of theirs", parts.join(", "))
        }
    }
}

fn plural(kind: &str, count: usize) -> String {
    match (kind, count) {
        ("identity", 1) => "1 enrolled instance".into(),
        ("identity", count) => format!("{count} enrolled instances"),
        (kind, 1) => format!("1 {kind}"),
        (kind, count) => format!("{count} {kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rests_on_the_dead_is_dead_however_deep() {
        let object = |id: &str, above: &[&str]| {
            (id.to_owned(), above.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let mut dead = BTreeSet::from(["vendor:a".to_owned()]);
        // Listed by name, so that a child may well stand before its parent.
        let vendors =
            [object("vendor:b", &["vendor:c"]), object("vendor:c", &["vendor:a"]), object("vendor:x", &[])];
        assert_eq!(spread(&mut dead, &vendors), 2);
        let applications = [object("application:p", &["vendor:b"]), object("application:q", &["vendor:x"])];
        assert_eq!(spread(&mut dead, &applications), 1);
        assert!(!dead.contains("application:q"));
    }

    #[test]
    fn what_is_not_told_is_said_to_be_so() {
        let mut preview =
            shapes::EndPreview { id: "vendor:a".into(), life: None, what: None, rests_on_it: None };
        let words = text(&preview).to_string();
        assert!(
            words.contains("is not told to you") && words.contains("only admins and auditors"),
            "{words}"
        );
        preview.rests_on_it = Some(vec![
            shapes::Count { kind: "application", count: 2 },
            shapes::Count { kind: "identity", count: 1 },
        ]);
        assert!(
            text(&preview).to_string().contains("with it die 2 applications, 1 enrolled instance, and every")
        );
    }
}
