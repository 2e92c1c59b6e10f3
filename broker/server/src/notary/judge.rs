//! Does the log go on from what was known of it? Decided from what is told, without reading anything.

use daypass_credential::Era;
use daypass_log::{CheckpointError, Root};

/// What is known of a log: by the anchor, or by the notary's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known<'a> {
    /// Which log; none where only this broker can have written it.
    pub(super) origin: Option<&'a str>,
    /// Its life.
    pub(super) era: Option<Era>,
    /// Size and root.
    pub(super) root: Root,
}

/// The log that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log<'a> {
    pub(super) origin: &'a str,
    pub(super) era: Era,
    /// The life that this one took the place of.
    pub(super) previous: Option<Era>,
    /// Its newest revision.
    pub(super) size: u64,
}

/// What comes of comparing the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was known: this is where it begins.
    Begins,
    /// The log is what was known, and perhaps more.
    Continues,
    /// Known was the era that this log took the place of.
    Superseded,
    /// Known was another log.
    Foreign,
    /// Known was another era of this log, which may well be a later one.
    OtherEra { known: Option<Era> },
    /// This log's key did not sign it.
    Forged(CheckpointError),
    /// The log ends before what was known.
    Shorter { known: u64, found: u64 },
    /// The log was another one at this size.
    Differs { at: u64 },
}

/// Judges. `signed` says whether this log's key signed what is known; `there` is the log's own root at that size.
pub(super) fn judge<E>(
    known: Option<&Known<'_>>,
    log: &Log<'_>,
    signed: impl FnOnce() -> Result<(), CheckpointError>,
    there: impl FnOnce(u64) -> Result<Root, E>,
) -> Result<Verdict, E> {
    let Some(known) = known else { return Ok(Verdict::Begins) };
    if known.origin.is_some_and(|origin| origin != log.origin) {
        return Ok(Verdict::Foreign);
    }
    if known.era != Some(log.era) {
        let before = known.era.is_some() && known.era == log.previous;
        return Ok(if before { Verdict::Superseded } else { Verdict::OtherEra { known: known.era } });
    }
    if let Err(error) = signed() {
        return Ok(Verdict::Forged(error));
    }
    let size = known.root.size;
    if size > log.size {
        return Ok(Verdict::Shorter { known: size, found: log.size });
    }
    Ok(if there(size)? == known.root { Verdict::Continues } else { Verdict::Differs { at: size } })
}

#[cfg(test)]
mod tests {
    use daypass_log::{Frontier, NoteError};

    use super::*;

    const OURS: Log<'static> =
        Log { origin: "t.example/log", era: Era::new(7), previous: Some(Era::new(6)), size: 10 };

    /// The tree over `size` leaves, each of this byte.
    fn root(size: u64, byte: u8) -> Root {
        let mut frontier = Frontier::new();
        (0..size).for_each(|_| frontier.append(&[byte]));
        frontier.root()
    }

    fn known(era: u64, root: Root) -> Known<'static> {
        Known { origin: Some(OURS.origin), era: Some(Era::new(era)), root }
    }

    fn judged(known: Option<&Known<'_>>, signed: Result<(), CheckpointError>) -> Verdict {
        judge(known, &OURS, || signed, |size| Ok::<_, ()>(root(size, 1))).unwrap()
    }

    #[test]
    fn a_log_goes_on_from_what_was_known_or_not() {
        for (root, verdict) in [
            (root(0, 1), Verdict::Continues),
            (root(1, 1), Verdict::Continues),
            (root(10, 1), Verdict::Continues),
            (root(11, 1), Verdict::Shorter { known: 11, found: 10 }),
            (root(10, 2), Verdict::Differs { at: 10 }),
            (root(1, 2), Verdict::Differs { at: 1 }),
        ] {
            assert_eq!(judged(Some(&known(7, root)), Ok(())), verdict);
        }
        assert_eq!(judged(None, Ok(())), Verdict::Begins);
    }

    #[test]
    fn only_the_era_before_is_superseded() {
        let beyond = root(99, 2);
        assert_eq!(judged(Some(&known(6, beyond)), Ok(())), Verdict::Superseded);
        let other = |era: u64| Verdict::OtherEra { known: Some(Era::new(era)) };
        assert_eq!(judged(Some(&known(5, beyond)), Ok(())), other(5));
        assert_eq!(judged(Some(&known(8, beyond)), Ok(())), other(8));
        let without = Known { era: None, ..known(7, beyond) };
        assert_eq!(judged(Some(&without), Ok(())), Verdict::OtherEra { known: None });
        let first = Log { previous: None, ..OURS };
        let judged = judge(Some(&without), &first, || Ok(()), |size| Ok::<_, ()>(root(size, 1)));
        assert_eq!(judged, Ok(Verdict::OtherEra { known: None }), "no era is none before");
    }

    #[test]
    fn another_logs_and_a_forged_checkpoint_are_told_apart() {
        let other = Known { origin: Some("u.example/log"), ..known(7, root(1, 1)) };
        assert_eq!(judged(Some(&other), Ok(())), Verdict::Foreign);
        let error = CheckpointError::Note(NoteError::Untrusted);
        assert_eq!(judged(Some(&known(7, root(1, 1))), Err(error.clone())), Verdict::Forged(error));
        let unnamed = Known { origin: None, ..known(7, root(1, 1)) };
        assert_eq!(judged(Some(&unnamed), Ok(())), Verdict::Continues);
    }

    #[test]
    fn a_log_that_cannot_be_read_is_no_log_that_fits() {
        let known = known(7, root(1, 1));
        assert_eq!(judge(Some(&known), &OURS, || Ok(()), |_| Err("disk")), Err("disk"));
    }
}
