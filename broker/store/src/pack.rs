//! Packs: how a run of consecutive events lies in one value. Sixteen small events to a value cost a quarter of one
//! value each. A record is the change's id, the length of its event, and the event's exact bytes; the id stands apart
//! so that collecting ids parses no JSON.

use bytes::{Buf, BufMut, Bytes};
use daypass_core::ChangeId;
use daypass_credential::Revision;

use crate::{MAX_VALUE, committer::Numbered};

/// What stands before an event: 16 bytes of id, 4 of length.
const HEADER: usize = 20;

/// One event as it was read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: ChangeId,
    pub(crate) event: Bytes,
}

/// A value that is no pack.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a run of events")]
pub(crate) struct Malformed;

/// Packs entries into values of at most [`MAX_VALUE`], each with the revision of its first event. An event is at most
/// half of that, so that each fits.
pub(crate) fn pack(entries: &[Numbered]) -> impl Iterator<Item = (Revision, Vec<u8>)> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let first = rest.first()?.revision;
        let (run, after) = rest.split_at_checked(run_length(rest))?;
        rest = after;
        let mut value = Vec::with_capacity(run.iter().map(size).sum());
        for entry in run {
            value.put_slice(entry.id.as_bytes());
            value.put_u32(u32::try_from(entry.event.len()).ok()?);
            value.put_slice(&entry.event);
        }
        Some((first, value))
    })
}

/// Takes a value apart again.
pub(crate) fn unpack(mut value: Bytes) -> impl Iterator<Item = Result<Record, Malformed>> {
    std::iter::from_fn(move || {
        if value.is_empty() {
            return None;
        }
        let record = record(&mut value);
        if record.is_err() {
            value.clear();
        }
        Some(record)
    })
}

fn record(value: &mut Bytes) -> Result<Record, Malformed> {
    let mut id = [0; 16];
    value.try_copy_to_slice(&mut id).map_err(|_| Malformed)?;
    let length = value.try_get_u32().ok().and_then(|length| usize::try_from(length).ok()).ok_or(Malformed)?;
    if length > value.len() {
        return Err(Malformed);
    }
    Ok(Record { id: ChangeId::new(id), event: value.split_to(length) })
}

/// How many of these fit into one value; at least one.
fn run_length(entries: &[Numbered]) -> usize {
    let mut bytes = 0;
    let fitting = entries.iter().take_while(|entry| {
        bytes += size(entry);
        bytes <= MAX_VALUE
    });
    fitting.count().max(1)
}

const fn size(entry: &Numbered) -> usize {
    HEADER + entry.event.len()
}

#[cfg(test)]
mod tests {
    use daypass_core::event::MAX_EVENT;
    use daypass_credential::Timestamp;

    use super::*;

    fn entries(sizes: &[usize]) -> Vec<Numbered> {
        let entry = |(n, size): (usize, &usize)| Numbered {
            revision: Revision::new(n as u64 + 1),
            id: ChangeId::new([n as u8; 16]),
            at: Timestamp::ZERO,
            resets_time: false,
            event: vec![n as u8; *size].into(),
        };
        sizes.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn packs_are_full_but_no_larger_than_a_value() {
        let entries = entries(&[500; 40]);
        let packs: Vec<_> = pack(&entries).collect();
        let firsts: Vec<u64> = packs.iter().map(|(first, _)| first.get()).collect();
        assert_eq!(firsts, [1, 16, 31]);
        assert!(packs.iter().all(|(_, value)| value.len() <= MAX_VALUE));
    }

    #[test]
    fn events_read_back_as_packed() {
        let entries = entries(&[0, 1, MAX_EVENT, MAX_EVENT, 700]);
        let packed: Vec<_> = pack(&entries).collect();
        let records: Vec<_> =
            packed.into_iter().flat_map(|(_, v)| unpack(v.into())).map(Result::unwrap).collect();
        let expected: Vec<_> = entries.into_iter().map(|e| Record { id: e.id, event: e.event }).collect();
        assert_eq!(records, expected);
    }

    #[test]
    fn what_is_cut_short_is_malformed() {
        let (_, value) = pack(&entries(&[10])).next().unwrap();
        for length in 1..value.len() {
            let short = Bytes::copy_from_slice(&value[..length]);
            assert_eq!(unpack(short).collect::<Vec<_>>(), [Err(Malformed)]);
        }
    }
}
