//! What an export is held against: the log's key, and what is known of the log already.

use std::{convert::Infallible, path::Path, str::FromStr};

use daypass_credential::Revision;
use daypass_log::{Checkpoint, Root, VerifierKey, export::Fault};
use daypass_sdk::{Home, KnownLog};

use crate::{
    console,
    context::{Place, Said},
    diagnostics::instant,
    failure::Failure,
};

/// What was said to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: only the signature counts.
    Nothing,
    /// What this checkpoint says: a note, or the file that it is in.
    Checkpoint(String),
}

impl FromStr for Known {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "none" { Self::Nothing } else { Self::Checkpoint(text.to_owned()) })
    }
}

/// What an export is held against, and where it is from.
#[derive(Debug, Clone)]
pub(crate) struct Against {
    pub(crate) key: VerifierKey,
    /// Where the key is from, in words.
    pub(crate) key_from: String,
    pub(super) known: Option<Root>,
    /// Was it given, and so has to be held against?
    pub(super) known_given: bool,
    /// What is known, and where that is from, in words.
    pub(super) known_from: String,
}

impl Against {
    /// By what was said; the home is looked into only for what was not.
    pub(crate) fn find(
        key: Option<VerifierKey>,
        known: Option<&Known>,
        said: &Said,
    ) -> Result<Self, Failure> {
        let mut against = match key {
            Some(key) => Self::by_key(key),
            None => {
                let place = Place::find(said)?;
                place.check()?;
                Self::by_home(&place)?
            }
        };
        match known {
            None => {}
            Some(Known::Nothing) => (against.known, against.known_from) = (None, NOTHING.to_owned()),
            Some(Known::Checkpoint(text)) => {
                let root = read(text, &against.key)?;
                (against.known, against.known_given) = (Some(root), true);
                against.known_from = format!("revision {}, by the checkpoint that was given", root.size);
            }
        }
        Ok(against)
    }

    /// By what a log has shown here already.
    pub(super) fn by_log(log: &KnownLog, home: &Home) -> Self {
        Self {
            key: log.key().clone(),
            key_from: format!("as kept in {}", home.folder().display()),
            known: Some(log.root()),
            known_given: false,
            known_from: format!("revision {}, seen {}", log.revision(), instant(log.seen_at())),
        }
    }

    pub(super) fn by_key(key: VerifierKey) -> Self {
        let known_from = NOTHING.to_owned();
        Self { key, key_from: "as given".to_owned(), known: None, known_given: false, known_from }
    }

    fn by_home(place: &Place) -> Result<Self, Failure> {
        let advice =
            "name the log's key with --key: `daypass context show` prints it where the broker is known";
        let identity = place.home.identity().map_err(|error| Failure::from(error).then(advice))?;
        let log = place.home.known_log(&identity)?;
        let log = log.ok_or_else(|| {
            let home = place.home.folder().display();
            Failure::bad(format!("no log was seen by `{home}` yet, so that its key is not known"))
                .then(advice)
        })?;
        Ok(Self::by_log(&log, &place.home))
    }

    /// A proof shows the tree of one size: of what is known, it can contradict that alone.
    pub(super) fn other_history(&self, shown: Root) -> Result<Option<Fault>, Failure> {
        let Some(known) = self.known else { return Ok(None) };
        if known.size == shown.size {
            return Ok((known != shown).then(|| Fault::OtherHistory { known: last(known) }));
        }
        if self.known_given {
            let text = format!(
                "the proof is of revision {} and the checkpoint of another size, {}: whether one log has both is not shown by \
                 a proof",
                shown.size, known.size
            );
            return Err(Failure::bad(text).then("leave --known out, or check an export"));
        }
        Ok(None)
    }
}

/// The root in a note, or in the file that a note is in; the log's key has to have signed it.
fn read(text: &str, key: &VerifierKey) -> Result<Root, Failure> {
    let note =
        if text.contains('\n') { text.to_owned() } else { console::read(Path::new(text))?.to_string() };
    // A shell takes the last line's end away.
    let note = format!("{}\n", note.trim_end_matches('\n'));
    let signed = Checkpoint::open(note.as_bytes(), std::slice::from_ref(key));
    let signed = signed.map_err(|error| {
        Failure::bad(format!("the checkpoint that is to be known does not count: {error}"))
            .then("take one that this log has signed, or another --key")
    })?;
    Ok(signed.checkpoint().root())
}

/// The last revision in a tree.
pub(super) const fn last(root: Root) -> Revision {
    Revision::new(root.size)
}

const NOTHING: &str = "nothing: only the signature counts";

#[cfg(test)]
mod tests {
    use daypass_log::Hash;

    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_proof_from_another_history_of_the_known_size_is_told() {
        let key = VerifierKey::new("broker.example/log", [7; 32]).unwrap();
        let root = |size, entry: &[u8]| Root { size, hash: Hash::leaf(entry) };
        let (one, other, longer) = (root(2, b"1"), root(2, b"2"), root(3, b"1"));
        let held = |known, known_given| {
            let against = Against { known: Some(known), known_given, ..Against::by_key(key.clone()) };
            against.other_history(one)
        };
        assert_eq!(held(one, true).unwrap(), None);
        for given in [true, false] {
            assert_eq!(held(other, given).unwrap(), Some(Fault::OtherHistory { known: Revision::new(2) }));
        }
        // What was not asked for is not held against it, and what was is not passed over.
        assert_eq!(held(longer, false).unwrap(), None);
        assert_eq!(held(longer, true).unwrap_err().exit(), Exit::BadInput);
    }
}
