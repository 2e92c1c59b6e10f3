//! Who is known to follow, and for how long.

use super::*;

const HOUR: u64 = 3_600_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn name(n: u64) -> Name {
    format!("api-{n}").parse().unwrap()
}

/// A certificate of an instance that ends an hour after it began.
fn shown(n: u64, from: u64) -> Shown {
    let digest = daypass_credential::Digest::new([0; 32]);
    Shown {
        era: daypass_credential::Era::new(1),
        rev: Revision::new(n),
        lineage: format!("verifier:api identity:api-{n}").parse().unwrap(),
        subject: "verifier:api".parse().unwrap(),
        identity: name(n),
        audience: None,
        key: digest,
        thumbprint: digest,
        not_before: at(from),
        expires: at(from + HOUR),
    }
}

fn acknowledged(revision: u64) -> Acknowledged {
    Acknowledged {
        revision: Revision::new(revision),
        leaf: Hash::empty(),
        applied_at: at(1),
        came_at: at(1),
        key: Vec::new(),
        signature: Vec::new(),
    }
}

#[test]
fn what_is_known_of_an_instance_only_grows() {
    let attendance = Attendance::new(at(0));
    assert!(attendance.of(&name(1)).is_none());
    let mut presence = attendance.enter(&name(1));
    assert!(attendance.of(&name(1)).is_none(), "it does not follow yet");
    presence.follow(&shown(1, 0), true, None, at(0));
    let mut other = attendance.enter(&name(1));
    other.follow(&shown(1, 0), false, None, at(0));
    for revision in [7, 9, 8] {
        other.acknowledged(acknowledged(revision));
        presence.told(Revision::new(revision));
    }
    other.heard(at(20));
    presence.heard(at(10));
    drop(other);
    let instance = attendance.of(&name(1)).unwrap();
    assert_eq!(instance.acknowledged.unwrap().revision, Revision::new(9));
    assert_eq!((instance.heard, instance.told), (Some(at(20)), Revision::new(9)));
    assert_eq!((instance.streams, instance.observing), (1, false), "one of its streams checked something");
    assert_eq!(presence.told_upto(), Revision::new(9));
    drop(presence);
    assert_eq!(attendance.of(&name(1)).unwrap().streams, 0);
}

#[test]
fn whoever_is_over_is_forgotten_and_nobody_else_is() {
    let attendance = Attendance::new(at(0));
    for n in 0..1000 {
        let mut presence = attendance.enter(&name(n));
        presence.follow(&shown(n, 0), false, None, at(0));
    }
    let mut stays = attendance.enter(&name(1));
    stays.follow(&shown(1, 0), false, None, at(HOUR - 1));
    attendance.enter(&name(2)).follow(&shown(2, 5), false, None, at(HOUR - 1));
    let mut heard = attendance.enter(&name(3));
    heard.follow(&shown(3, 0), false, None, at(HOUR - 1));
    heard.heard(at(HOUR - 1));
    drop(heard);
    attendance.enter(&name(4)).follow(&shown(4, HOUR), false, None, at(HOUR));
    let known = |table: &Table| table.instances.len();
    assert_eq!(known(&locked(&attendance.table)), 4, "one follows, one may, one is still fresh, one came");
    attendance.enter(&name(4)).follow(&shown(4, HOUR), false, None, at(HOUR + 900_000));
    assert_eq!(known(&locked(&attendance.table)), 2);
    assert!(locked(&attendance.table).doors.len() == 1);
}

#[tokio::test]
async fn the_fifth_stream_takes_the_place_of_the_first() {
    let attendance = Attendance::new(at(0));
    let mut streams: Vec<_> = (0..=STREAMS).map(|_| attendance.enter(&name(1))).collect();
    let mut first = streams.remove(0);
    first.displaced().await;
    drop(first);
    let mut second = streams.remove(0);
    let displaced = second.displaced();
    let still = tokio::select! {
        biased;
        () = displaced => false,
        () = std::future::ready(()) => true,
    };
    assert!(still);
    attendance.enter(&name(2));
    assert_eq!(locked(&attendance.table).doors.len(), 1);
}

/// A stream that checks something by what it is told.
fn checking(attendance: &Attendance, process: Option<Process>) -> Presence {
    let mut presence = attendance.enter(&name(1));
    presence.follow(&shown(1, 0), false, process, at(0));
    presence.limited(Ttl::seconds(30));
    presence
}

fn confirmed(attendance: &Attendance) -> Option<u64> {
    attendance.of(&name(1)).unwrap().acknowledged.map(|known| known.revision.get())
}

async fn pass(seconds: u64) {
    tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_identity_has_acknowledged_what_all_of_its_open_streams_have() {
    let attendance = Attendance::new(at(0));
    let (old, new) = (checking(&attendance, Some([1; 16])), checking(&attendance, Some([2; 16])));
    new.acknowledged(acknowledged(11));
    assert_eq!(confirmed(&attendance), None, "the old one may know nothing of it");
    old.acknowledged(acknowledged(10));
    assert_eq!(confirmed(&attendance), Some(10));
    old.acknowledged(acknowledged(12));
    assert_eq!(confirmed(&attendance), Some(11));
    let mut watching = attendance.enter(&name(1));
    watching.follow(&shown(1, 0), true, None, at(0));
    assert_eq!(confirmed(&attendance), Some(11), "nothing is checked by that one");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_process_counts_until_it_refuses_by_itself() {
    let attendance = Attendance::new(at(0));
    let old = checking(&attendance, Some([1; 16]));
    old.acknowledged(acknowledged(10));
    pass(5).await;
    old.heard(at(5_000));
    drop(old);
    let new = checking(&attendance, Some([2; 16]));
    new.acknowledged(acknowledged(11));
    pass(29).await;
    new.heard(at(34_000));
    assert_eq!(confirmed(&attendance), Some(10), "the old one was heard 29 s ago");
    assert_eq!(attendance.of(&name(1)).unwrap().heard, Some(at(34_000)));
    pass(1).await;
    assert_eq!(confirmed(&attendance), Some(11));
    drop(new);
    pass(3_600).await;
    assert_eq!(confirmed(&attendance), Some(11), "what was signed stays signed");
}

#[tokio::test(start_paused = true)]
async fn who_closed_without_a_word_counts_for_the_longest_limit_there_is() {
    let attendance = Attendance::new(at(0));
    drop(checking(&attendance, None));
    let new = checking(&attendance, None);
    new.acknowledged(acknowledged(11));
    pass(899).await;
    assert_eq!(confirmed(&attendance), None);
    pass(1).await;
    assert_eq!(confirmed(&attendance), Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_comes_again_is_the_same_one() {
    let attendance = Attendance::new(at(0));
    let first = checking(&attendance, Some([1; 16]));
    first.acknowledged(acknowledged(10));
    let second = checking(&attendance, Some([1; 16]));
    assert_eq!(confirmed(&attendance), Some(10), "what is in force stays in force");
    second.acknowledged(acknowledged(11));
    assert_eq!(confirmed(&attendance), Some(11), "its old stream is not another process");
    drop(first);
    assert_eq!((confirmed(&attendance), attendance.of(&name(1)).unwrap().streams), (Some(11), 1));
}

#[tokio::test(start_paused = true)]
async fn many_processes_are_counted_as_slow_as_the_slowest() {
    let attendance = Attendance::new(at(0));
    for n in 0..100 {
        let presence = checking(&attendance, None);
        presence.acknowledged(acknowledged(100 - n));
    }
    assert_eq!(confirmed(&attendance), Some(1));
    let known = |table: &Table| table.instances[&name(1)].lines.len();
    assert_eq!(known(&locked(&attendance.table)), 16);
    pass(30).await;
    assert_eq!(confirmed(&attendance), Some(100));
}
