//! What is known of a log that is not served: for whoever puts a store back, or begins a new era in its place.

use std::{fs, io, path::Path};

use daypass_credential::Era;
use daypass_log::{Checkpoint, Root, VerifierKey};

use super::{Place, anchor, head, key};
use crate::process::durable;

/// The anchor's checkpoint, if it is of this era and one of these keys signed it.
pub(crate) fn anchored(
    place: &Place,
    era: Era,
    keys: &[VerifierKey],
) -> Result<Option<Root>, anchor::AnchorError> {
    let kept = anchor::read(&place.anchor)?;
    let ours = kept.filter(|kept| kept.says.era() == Some(era) && Checkpoint::open(&kept.note, keys).is_ok());
    Ok(ours.map(|kept| kept.says.root()))
}

/// The trees of an era that may have been signed, and what of it cannot be used. Nobody looks at signatures: the keys may
/// be lost.
pub(crate) fn trees(
    place: &Place,
    issuer: &str,
    era: Era,
    previous: Option<Era>,
) -> (Vec<Root>, Vec<String>) {
    let (mut trees, mut unusable) = (Vec::new(), Vec::new());
    let other = |of: Option<Era>| of.is_none() || (of != Some(era) && of != previous);
    match anchor::read(&place.anchor) {
        Ok(None) => {}
        Ok(Some(kept)) if kept.says.origin() != key::origin(issuer) => {
            unusable.push(format!("the anchor `{}` is of another log", place.anchor.display()));
        }
        Ok(Some(kept)) if other(kept.says.era()) => {
            unusable.push(later(&format!("the anchor `{}`", place.anchor.display()), kept.says.era()));
        }
        Ok(Some(kept)) => trees.extend((kept.says.era() == Some(era)).then(|| kept.says.root())),
        Err(error) => unusable.push(error.to_string()),
    }
    match head::read(&place.folder) {
        Ok(None) => {}
        Ok(Some(head)) if other(Some(head.era)) => {
            unusable.push(later(&format!("`{}`", place.folder.display()), Some(head.era)));
        }
        Ok(Some(head)) => trees.extend((head.era == era).then_some(head.root)),
        Err(error) => unusable.push(error.to_string()),
    }
    (trees, unusable)
}

/// Whoever takes up the store of an era that was followed by another has to hear what that costs.
fn later(what: &str, era: Option<Era>) -> String {
    let era = era.map_or_else(|| "none".to_owned(), |era| era.to_string());
    format!(
        "{what} is of era {era}, which this store knows nothing of: if that took the place of this one, find its store, for \
         what was ended in it is open again here"
    )
}

/// Puts aside whatever would keep the era `now`, which took the place of `before`, from being served: all but what it
/// supersedes, and what is its own, for a broker may have begun to serve it already. The answer is what could not be put
/// aside.
pub(crate) fn put_aside(place: &Place, issuer: &str, before: Era, now: Era) -> Vec<String> {
    let mut stays = Vec::new();
    let stands = match anchor::read(&place.anchor) {
        Ok(None) => true,
        Ok(Some(kept)) => {
            kept.says.origin() == key::origin(issuer) && [Some(before), Some(now)].contains(&kept.says.era())
        }
        Err(_) => false,
    };
    if !stands {
        let aside = place.anchor.with_added_extension(format!("before-{now}"));
        let moved = fs::rename(&place.anchor, aside).and_then(|()| durable::sync_folder_of(&place.anchor));
        stays.extend(said(&place.anchor, moved));
    }
    let stands = match head::read(&place.folder) {
        Ok(head) => head.is_none_or(|head| [before, now].contains(&head.era)),
        Err(_) => false,
    };
    if !stands {
        // It is made anew from the log.
        stays.extend(said(&place.folder, fs::remove_dir_all(&place.folder)));
    }
    stays
}

fn said(path: &Path, done: io::Result<()>) -> Option<String> {
    let error = done.err()?;
    Some(format!(
        "`{}` is in the way of the new era, and cannot be put aside ({error}): move it away",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use daypass_log::Frontier;

    use super::*;

    const ISSUER: &str = "https://t.example";

    fn root(size: u64) -> Root {
        let mut tree = Frontier::new();
        (0..size).for_each(|_| tree.append(b"x"));
        tree.root()
    }

    /// The files of a log that got to 7 and anchored 5, in two eras.
    fn place(folder: &Path, anchored: Era, noted: Era) -> Place {
        let place = Place { folder: folder.join("notary"), anchor: folder.join("anchor") };
        let says = Checkpoint::new(&key::origin(ISSUER), root(5), anchored).unwrap();
        fs::write(&place.anchor, format!("{says}\n\u{2014} t.example/log AAAA\n")).unwrap();
        fs::create_dir_all(&place.folder).unwrap();
        head::write(&place.folder, &head::Head { era: noted, root: root(7) }).unwrap();
        place
    }

    const BEFORE: Era = Era::new(1);
    const OLD: Era = Era::new(2);
    const NEW: Era = Era::new(3);

    #[test]
    fn an_era_is_known_by_both_files_and_what_is_not_of_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let known = |anchored, noted| {
            let (trees, unusable) = trees(&place(folder.path(), anchored, noted), ISSUER, OLD, Some(BEFORE));
            (trees.iter().map(|tree| tree.size).collect::<Vec<_>>(), unusable.len())
        };
        assert_eq!(known(OLD, OLD), (vec![5, 7], 0));
        assert_eq!(known(BEFORE, OLD), (vec![7], 0), "what is superseded is nothing to speak of");
        assert_eq!(known(Era::new(9), Era::new(9)), (vec![], 2));
        let (_, said) = trees(&place(folder.path(), NEW, NEW), ISSUER, OLD, Some(BEFORE));
        assert!(
            said.iter().all(|why| why.contains(&format!("is of era {NEW}, which this store"))),
            "{said:?}"
        );
        let place = place(folder.path(), OLD, OLD);
        assert_eq!(trees(&place, "https://u.example", OLD, None).1.len(), 1);
        fs::write(&place.anchor, "no checkpoint").unwrap();
        fs::write(place.folder.join("head"), "no head").unwrap();
        assert_eq!(trees(&place, ISSUER, OLD, None).1.len(), 2);
        fs::remove_file(&place.anchor).unwrap();
        fs::remove_dir_all(&place.folder).unwrap();
        assert_eq!(trees(&place, ISSUER, OLD, None), (vec![], vec![]));
    }

    #[test]
    fn what_is_superseded_stays_and_all_else_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let there = place(folder.path(), OLD, OLD);
        assert_eq!(put_aside(&there, ISSUER, OLD, NEW), Vec::<String>::new());
        assert!(there.anchor.exists() && there.folder.exists());
        let there = place(folder.path(), BEFORE, BEFORE);
        assert_eq!(put_aside(&there, ISSUER, OLD, NEW), Vec::<String>::new());
        assert!(!there.anchor.exists() && !there.folder.exists());
        assert!(folder.path().join(format!("anchor.before-{NEW}")).exists(), "an anchor is never removed");
        let there = place(folder.path(), OLD, OLD);
        fs::write(&there.anchor, "no checkpoint").unwrap();
        fs::write(there.folder.join("head"), "no head").unwrap();
        assert_eq!(put_aside(&there, ISSUER, OLD, NEW), Vec::<String>::new());
        assert!(!there.anchor.exists() && !there.folder.exists());
        assert_eq!(put_aside(&there, ISSUER, OLD, NEW), Vec::<String>::new(), "again is nothing");
    }

    #[test]
    fn what_a_broker_wrote_that_serves_the_new_era_already_stays() {
        let folder = tempfile::tempdir().unwrap();
        let there = place(folder.path(), NEW, NEW);
        assert_eq!(put_aside(&there, ISSUER, OLD, NEW), Vec::<String>::new());
        assert!(there.anchor.exists() && there.folder.exists());
    }

    #[test]
    fn an_anchor_counts_for_its_era_and_with_its_signature_alone() {
        let folder = tempfile::tempdir().unwrap();
        let there = place(folder.path(), OLD, OLD);
        let strange = VerifierKey::new(&key::origin(ISSUER), [7; 32]).unwrap();
        assert_eq!(anchored(&there, OLD, &[strange]).unwrap(), None);
        assert_eq!(anchored(&there, NEW, &[]).unwrap(), None);
    }
}
