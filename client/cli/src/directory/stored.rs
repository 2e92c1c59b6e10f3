//! Objects as they stand: in the shape for programs, and one as the file that `put` takes.

use daypass_proto::v1;

use super::manifest::Manifest;
use crate::{failure::Failure, shapes::Stored};

pub(super) fn shape(stored: v1::StoredObject) -> Result<Stored, Failure> {
    let unknown = |why: String| Failure::Internal(format!("`{}` cannot be shown: {why}", stored.id));
    Ok(Stored {
        revision: stored.revision,
        cut: (stored.cut > 0).then_some(stored.cut),
        life: life(stored.life),
        effective_life: life(stored.effective_life),
        object: stored.object.map(Manifest::from_wire).transpose().map_err(unknown)?,
        id: stored.id,
    })
}

fn life(number: i32) -> &'static str {
    match v1::Life::try_from(number) {
        Ok(v1::Life::Open) => "open",
        Ok(v1::Life::Suspended) => "suspended",
        Ok(v1::Life::Ended) => "ended",
        Ok(v1::Life::Unspecified) | Err(_) => "unknown",
    }
}

/// As a file that `put` takes, with what cannot be written in comments above.
pub(super) fn text(stored: &Stored) -> Result<String, Failure> {
    let body =
        toml::to_string_pretty(&stored.object).map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(format!(
        "# {}: {}, written at revision {}{}\n{body}",
        stored.id,
        lives(stored),
        stored.revision,
        cut(stored)
    ))
}

fn lives(stored: &Stored) -> String {
    if stored.life == stored.effective_life {
        stored.life.to_owned()
    } else {
        format!("{}, but {} by what is above it", stored.life, stored.effective_life)
    }
}

/// When it was cut, if it was.
pub(super) fn cut(stored: &Stored) -> String {
    stored.cut.map(|cut| format!(", cut at revision {cut}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor(life: v1::Life) -> Stored {
        let vendor = v1::Vendor { name: "acme".into(), parent: String::new(), owner: "dana".into() };
        shape(v1::StoredObject {
            id: "vendor:acme".into(),
            object: Some(v1::Object { kind: Some(v1::object::Kind::Vendor(vendor)) }),
            revision: 7,
            cut: 0,
            life: v1::Life::Open.into(),
            effective_life: life.into(),
        })
        .unwrap()
    }

    #[test]
    fn what_get_prints_put_takes() {
        let text = text(&vendor(v1::Life::Open)).unwrap();
        assert!(text.starts_with("# vendor:acme: open, written at revision 7\n"), "{text}");
        assert_eq!(Manifest::parse(&text).unwrap().id(), "vendor:acme");
    }

    #[test]
    fn a_child_of_what_was_ended_says_so() {
        assert!(text(&vendor(v1::Life::Ended)).unwrap().contains("open, but ended by what is above it"));
    }

    #[test]
    fn an_object_has_one_shape() {
        assert_eq!(
            serde_json::to_value(vendor(v1::Life::Open)).unwrap(),
            serde_json::json!({
                "id": "vendor:acme", "revision": 7, "life": "open", "effective_life": "open",
                "object": {"kind": "vendor", "name": "acme", "owner": "dana"}
            })
        );
    }
}
