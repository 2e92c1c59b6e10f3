//! For tests alone: the file of summaries, and whatever becomes of it.

use super::*;

/// Catches up, and finds in the file what the log's own summaries are.
async fn are_right(rig: &Rig) {
    go_on(&rig.broker, &mut false, u64::MAX).await.unwrap();
    let (log, summaries) = (all(rig).await, &rig.broker.audit.summaries);
    assert_eq!(summaries.standing().unwrap(), 6);
    for (bundle, events) in (0..).zip(log.chunks_exact(usize::try_from(BUNDLE).unwrap())) {
        let entries: Vec<Entry> = events.iter().map(|(entry, _)| entry.clone()).collect();
        assert_eq!(summaries.at(bundle).unwrap(), Some(Summary::of(bundle, &entries).unwrap()));
    }
}

/// The broker after somebody did this to the file while it was down: it has caught up, and nothing is wrong.
async fn harmed(rig: Rig, path: &Path, harm: impl FnOnce(&Path)) -> Rig {
    harm(path);
    let rig = restarted(rig, path.parent().unwrap());
    assert_eq!(rig.broker.audit.summaries.count(), 0, "none counts before it was compared");
    are_right(&rig).await;
    rig
}

#[tokio::test]
async fn summaries_survive_a_restart_and_whatever_became_of_their_file() {
    let cut = |at: usize| move |path: &Path| fs::write(path, &fs::read(path).unwrap()[..at]).unwrap();
    let flip = |at: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    };
    let swap = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.rotate_left(SIZE);
        fs::write(path, bytes).unwrap();
    };
    let grow = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.extend_from_within(..SIZE + 9);
        fs::write(path, bytes).unwrap();
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summaries");
    let mut rig = grown(11, Some(folder.path())).await;
    are_right(&rig).await;
    rig = harmed(rig, &path, |_| ()).await;
    rig = harmed(rig, &path, cut(0)).await;
    rig = harmed(rig, &path, cut(3 * SIZE - 1)).await;
    rig = harmed(rig, &path, flip(2 * SIZE + 40)).await;
    rig = harmed(rig, &path, flip(6 * SIZE - 1)).await;
    rig = harmed(rig, &path, swap).await;
    rig = harmed(rig, &path, grow).await;
    harmed(rig, &path, |path| fs::remove_file(path).unwrap()).await;
    // The log of another broker, or a store that was put back and went on in another way.
    are_right(&grown(12, Some(folder.path())).await).await;
}

#[tokio::test]
async fn summaries_of_this_log_are_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let rig = grown(11, Some(folder.path())).await;
    go_on(&rig.broker, &mut false, u64::MAX).await.unwrap();
    let path = folder.path().join("summaries");
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let rig = restarted(rig, folder.path());
    go_on(&rig.broker, &mut false, u64::MAX).await.unwrap();
    assert_eq!(rig.broker.audit.summaries.count(), 6);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written, "nothing was written anew");
}

#[tokio::test]
async fn summaries_of_another_era_count_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    go_on(&grown(11, Some(folder.path())).await.broker, &mut false, u64::MAX).await.unwrap();
    assert_eq!(Summaries::open(folder.path(), ERA, &SECRET).unwrap().standing().unwrap(), 6);
    assert_eq!(Summaries::open(folder.path(), Era::new(2), &SECRET).unwrap().standing().unwrap(), 0);
    let guessed = Summaries::open(folder.path(), ERA, &Digest::new([4; 32])).unwrap();
    assert_eq!(guessed.standing().unwrap(), 0, "nobody makes any up without the secret");
}

#[tokio::test]
async fn a_summary_that_is_damaged_while_the_broker_runs_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, path) = (grown(11, Some(folder.path())).await, folder.path().join("summaries"));
    let mut compared = false;
    go_on(&rig.broker, &mut compared, u64::MAX).await.unwrap();
    let log = all(&rig).await;
    fs::write(&path, vec![0; 6 * SIZE]).unwrap();
    let filter = Filter { concerns: vec![id("vendor:v5")], ..Filter::default() };
    holds(&rig, &log, &filter).await;
    assert!(rig.broker.audit.summaries.are_doubted());
    go_on(&rig.broker, &mut compared, u64::MAX).await.unwrap();
    are_right(&rig).await;
}
