//! A disk whose power can be cut: a file system in user space that knows of each file and folder what was made
//! durable, and on a cut drops or tears all else. It can be full, read-only, slow, or fail its syncs as well.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by tests, each of which uses a part"
)]

mod fuse;
mod model;
mod random;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use fuser::{BackgroundSession, Config, MountOption};
use tempfile::TempDir;

pub(crate) use self::{fuse::Faults, model::Damage, random::Random};
use self::{
    fuse::{Served, Switch},
    model::Disk,
};

/// What the mount table calls such a disk.
const SOURCE: &str = "daypass-power";

/// A disk, mounted. Dropping it unmounts it.
pub(crate) struct PowerDisk {
    folder: TempDir,
    switch: Arc<Switch>,
    mounted: Option<BackgroundSession>,
    read_only: bool,
}

impl PowerDisk {
    /// An empty disk; none where nothing can be mounted, if that is allowed.
    pub(crate) fn mount() -> Option<Self> {
        sweep();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("disk")).unwrap();
        let mut disk = Self { folder, switch: Switch::on(Disk::new()), mounted: None, read_only: false };
        match disk.attach() {
            Ok(()) => Some(disk),
            Err(error) => {
                crate::support::left_out("what mounts a file system (root with /dev/fuse)", &error);
                None
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// A folder beside it that no power cut touches.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// Cuts the power now.
    pub(crate) fn cut(&self) {
        self.switch.cut();
    }

    /// Cuts the power after this many further changes and syncs.
    pub(crate) fn cut_after(&self, changes: u64) {
        self.switch.cut_after(changes);
    }

    /// Waits until the power is cut; false if that lasts too long.
    pub(crate) fn off_within(&self, patience: Duration) -> bool {
        self.switch.off_within(patience)
    }

    /// Orders faults, from now on.
    pub(crate) fn order(&self, faults: Faults) {
        self.switch.lock().faults = faults;
    }

    /// How many bytes all files take.
    pub(crate) fn bytes(&self) -> usize {
        self.switch.lock().disk.bytes()
    }

    /// How many syncs were answered well since the power came.
    pub(crate) fn syncs(&self) -> u64 {
        self.switch.lock().syncs
    }

    /// After a cut: the power comes again. Tells how many sectors and names had not been synced.
    /// Whoever had files open has to be gone.
    pub(crate) fn restart(&mut self, damage: Damage, random: &mut Random) -> usize {
        self.cut();
        self.detach();
        let (unsynced, left) = {
            let state = self.switch.lock();
            (state.disk.unsynced(), state.disk.after_cut(damage, random))
        };
        self.switch = Switch::on(left);
        self.attach().unwrap();
        unsynced
    }

    /// Mounts it anew, for reading alone or for writing again. Nothing is lost by this.
    pub(crate) fn remount(&mut self, read_only: bool) {
        self.detach();
        let disk = self.switch.lock().disk.clone();
        self.switch = Switch::on(disk);
        self.read_only = read_only;
        self.attach().unwrap();
    }

    fn attach(&mut self) -> io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(SOURCE.to_owned()), MountOption::DefaultPermissions];
        config.mount_options.extend(self.read_only.then_some(MountOption::RO));
        let served = Served(Arc::clone(&self.switch));
        self.mounted = Some(fuser::spawn_mount(served, self.path(), &config)?);
        Ok(())
    }

    fn detach(&mut self) {
        drop(self.mounted.take());
        if mounts().contains(&self.path()) {
            // Somebody still has a file open: it goes from the table at once, and ends with the last of them.
            unmount(&self.path());
        }
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        // Whoever waits for the disk gets an error instead.
        self.cut();
        self.detach();
    }
}

/// Takes away what a test that was killed left in the mount table: nobody serves it any more.
fn sweep() {
    for path in mounts() {
        if fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotConnected) {
            unmount(&path);
        }
    }
}

fn unmount(path: &Path) {
    let done = Command::new("umount").arg("--lazy").arg(path).status();
    assert!(done.is_ok_and(|status| status.success()), "`{}` stays mounted", path.display());
}

/// Where such disks are mounted.
fn mounts() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let ours = table.lines().filter_map(|line| line.strip_prefix(SOURCE)?.trim_start().split(' ').next());
    ours.map(PathBuf::from).collect()
}
