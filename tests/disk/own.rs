//! The disk itself: what was synced stays, and all else is dropped or torn.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use crate::powerfs::{Damage, Faults, PowerDisk, Random};

fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

/// A file of these bytes, synced with its name.
fn durable(path: &Path, bytes: &[u8]) -> File {
    fs::write(path, bytes).unwrap();
    sync(path);
    sync(path.parent().unwrap());
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[test]
fn what_was_synced_stays_and_all_else_is_dropped() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let (kept, grown) = (disk.path().join("kept"), disk.path().join("grown"));
    let file = durable(&kept, &[1; 5000]);
    file.write_all_at(&[2; 5000], 0).unwrap();
    durable(&grown, b"begin").write_all_at(b"more", 5).unwrap();
    fs::write(disk.path().join("nameless"), "x").unwrap();
    sync(&disk.path().join("nameless"));
    drop(file);
    assert_eq!(fs::read(&kept).unwrap(), [2; 5000], "what is read is what was written");
    assert!(disk.restart(Damage::Drop, &mut Random::new(1)) > 0);
    assert_eq!(fs::read(&kept).unwrap(), [1; 5000]);
    assert_eq!(fs::read(&grown).unwrap(), b"begin");
    assert!(!disk.path().join("nameless").exists(), "the name was not synced, though the file was");
}

#[test]
fn a_sync_of_the_data_alone_keeps_data_and_length() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let path = disk.path().join("file");
    let file = durable(&path, b"");
    file.write_all_at(&[3; 9000], 0).unwrap();
    file.sync_data().unwrap();
    file.set_len(10).unwrap();
    drop(file);
    disk.restart(Damage::Drop, &mut Random::new(1));
    assert_eq!(fs::read(&path).unwrap(), [3; 9000]);
}

#[test]
fn tearing_keeps_some_sectors_whole_and_loses_others() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let path = disk.path().join("file");
    let mut random = Random::new(1);
    let (mut kept, mut lost) = (0, 0);
    for _ in 0..8 {
        let file = durable(&path, &[1; 64 * 512]);
        file.write_all_at(&[2; 64 * 512], 0).unwrap();
        drop(file);
        disk.restart(Damage::Tear, &mut random);
        for sector in fs::read(&path).unwrap().chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn within");
            if sector[0] == 2 { kept += 1 } else { lost += 1 }
        }
    }
    assert!(kept > 50 && lost > 50, "{kept} kept, {lost} lost");
}

#[test]
fn a_rename_happens_or_does_not() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let (old, new) = (disk.path().join("old"), disk.path().join("new"));
    let mut outcomes = [0, 0];
    let mut random = Random::new(2);
    for _ in 0..24 {
        durable(&old, b"old");
        durable(&new, b"new");
        fs::rename(&new, &old).unwrap();
        disk.restart(Damage::Tear, &mut random);
        let happened = fs::read(&old).unwrap() == b"new";
        assert_eq!(happened, !new.exists());
        outcomes[usize::from(happened)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn a_folder_is_there_once_the_one_above_was_synced() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let inner = disk.path().join("outer/inner");
    fs::create_dir_all(&inner).unwrap();
    durable(&inner.join("file"), b"x");
    sync(&disk.path().join("outer"));
    disk.restart(Damage::Drop, &mut Random::new(1));
    assert!(!disk.path().join("outer").exists());
    fs::create_dir_all(&inner).unwrap();
    durable(&inner.join("file"), b"x");
    sync(&disk.path().join("outer"));
    sync(&disk.path());
    disk.restart(Damage::Drop, &mut Random::new(1));
    assert_eq!(fs::read(inner.join("file")).unwrap(), b"x");
}

#[test]
fn after_the_cut_nothing_is_read_written_or_synced() {
    let Some(mut disk) = PowerDisk::mount() else { return };
    let path = disk.path().join("file");
    let file = durable(&path, b"before");
    disk.cut_after(1);
    file.write_all_at(b"unsafe", 0).unwrap();
    assert!(file.sync_all().is_err());
    assert!(disk.off_within(Duration::ZERO));
    assert!(file.write_all_at(b"later", 0).is_err() && fs::read(&path).is_err());
    drop(file);
    disk.restart(Damage::Drop, &mut Random::new(1));
    assert_eq!(fs::read(&path).unwrap(), b"before");
}

#[test]
fn it_can_be_full_read_only_slow_and_fail_its_syncs() {
    let Some(disk) = PowerDisk::mount() else { return };
    let mut file = File::create(disk.path().join("file")).unwrap();
    file.write_all(&[1; 100]).unwrap();
    let order = |faults| disk.order(faults);
    order(Faults { capacity: Some(150), ..Faults::default() });
    assert_eq!(file.write_all(&[1; 100]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(file.write_all_at(&[2; 100], 0).is_ok(), "what is there can be written over");
    order(Faults { read_only: true, ..Faults::default() });
    assert_eq!(file.write_all_at(&[3; 1], 0).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    order(Faults { failing_syncs: true, ..Faults::default() });
    assert!(file.sync_data().is_err());
    order(Faults { slow_syncs: Duration::from_millis(50), ..Faults::default() });
    let begun = Instant::now();
    file.sync_data().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50));
}
