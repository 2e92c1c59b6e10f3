//! What a disk holds: beside the present content of every file and folder, what of it a power cut would leave.
//!
//! The rules are the strictest that the manual pages allow. A file's bytes and length are durable once that file was
//! synced, and by nothing else. A name is durable once its folder was synced; syncing the file does not do. Modes and
//! owners count as durable at once: nothing here rests on them. A rename happens or does not, never by half, and
//! changes of names survive independently of one another, as nothing promises their order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
};

use fuser::Errno;

use super::random::Random;

/// The number of the root folder.
pub(crate) const ROOT: u64 = 1;
/// What is kept or lost as one.
const SECTOR: usize = 512;

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// All of it is gone.
    Drop,
    /// Each sector and each change of a name is kept, or not.
    Tear,
}

/// All files and folders.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    inodes: HashMap<u64, Inode>,
    next: u64,
    /// Changes of names that no sync of their folder has made durable.
    changes: Vec<Change>,
}

/// A file or folder, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Inode {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// The sectors written since the last sync.
    dirty: BTreeSet<usize>,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    now: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

/// A name in a folder.
type Place = (u64, OsString);

#[derive(Debug, Clone)]
enum Change {
    Bound(Place, u64),
    Unbound(Place),
    Moved { from: Place, to: Place, inode: u64 },
}

impl Change {
    fn touches(&self, folder: u64) -> bool {
        match self {
            Self::Bound(place, _) | Self::Unbound(place) => place.0 == folder,
            Self::Moved { from, to, .. } => from.0 == folder || to.0 == folder,
        }
    }
}

/// What `stat` tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) inode: u64,
    pub(crate) folder: bool,
    pub(crate) size: usize,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Inode {
    pub(crate) fn file(mode: u16, uid: u32, gid: u32) -> Self {
        Self { mode, uid, gid, kind: Kind::File(File::default()) }
    }

    pub(crate) fn folder(mode: u16, uid: u32, gid: u32) -> Self {
        Self { mode, uid, gid, kind: Kind::Folder(Folder::default()) }
    }
}

impl File {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if self.now.len() < end {
            self.grow(end);
        }
        self.now[offset..end].copy_from_slice(data);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    fn set_len(&mut self, len: usize) {
        if len < self.now.len() {
            self.now.truncate(len);
        } else {
            self.grow(len);
        }
    }

    /// The bytes between are zero, and are written like any other.
    fn grow(&mut self, len: usize) {
        self.dirty.extend(self.now.len() / SECTOR..len.div_ceil(SECTOR));
        self.now.resize(len, 0);
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(&self.now, &mut self.durable, sector);
        }
    }

    fn unsynced(&self) -> usize {
        self.dirty.len() + usize::from(self.now.len() < self.durable.len())
    }

    fn after_cut(&self, damage: Damage, share: u64, random: &mut Random) -> Vec<u8> {
        let mut left = self.durable.clone();
        if damage == Damage::Drop {
            return left;
        }
        if random.percent(50) {
            left.resize(self.now.len(), 0);
        }
        for sector in &self.dirty {
            if random.percent(share) {
                copy_sector(&self.now, &mut left, *sector);
            }
        }
        left
    }
}

/// As much of the sector as both hold.
fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let begin = sector * SECTOR;
    let end = (begin + SECTOR).min(from.len()).min(to.len());
    if begin < end {
        to[begin..end].copy_from_slice(&from[begin..end]);
    }
}

impl Disk {
    pub(crate) fn new() -> Self {
        let root = Inode::folder(0o755, 0, 0);
        Self { inodes: HashMap::from([(ROOT, root)]), next: ROOT + 1, changes: Vec::new() }
    }

    pub(crate) fn inode_mut(&mut self, inode: u64) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&inode).ok_or(Errno::ENOENT)
    }

    pub(crate) fn stat(&self, inode: u64) -> Result<Stat, Errno> {
        let found = self.inodes.get(&inode).ok_or(Errno::ENOENT)?;
        let (folder, size) = match &found.kind {
            Kind::File(file) => (false, file.now.len()),
            Kind::Folder(_) => (true, 0),
        };
        Ok(Stat { inode, folder, size, mode: found.mode, uid: found.uid, gid: found.gid })
    }

    pub(crate) fn lookup(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.folder(folder)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(crate) fn entries(&self, folder: u64) -> Result<Vec<(OsString, Stat)>, Errno> {
        let entries = self.folder(folder)?.now.iter();
        entries.map(|(name, inode)| Ok((name.clone(), self.stat(*inode)?))).collect()
    }

    /// A new file or folder under this name.
    pub(crate) fn make(&mut self, folder: u64, name: &OsStr, inode: Inode) -> Result<u64, Errno> {
        let number = self.next;
        self.bind(folder, name, number)?;
        self.next += 1;
        self.inodes.insert(number, inode);
        Ok(number)
    }

    /// One more name for a file.
    pub(crate) fn bind(&mut self, folder: u64, name: &OsStr, inode: u64) -> Result<(), Errno> {
        let entries = &mut self.folder_mut(folder)?.now;
        if entries.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        entries.insert(name.to_owned(), inode);
        self.changes.push(Change::Bound((folder, name.to_owned()), inode));
        Ok(())
    }

    pub(crate) fn unbind(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        let inode = self.lookup(folder, name)?;
        self.empty_if_folder(inode)?;
        self.folder_mut(folder)?.now.remove(name);
        self.changes.push(Change::Unbound((folder, name.to_owned())));
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: Place, to: Place, replace: bool) -> Result<(), Errno> {
        let inode = self.lookup(from.0, &from.1)?;
        if let Ok(there) = self.lookup(to.0, &to.1) {
            if !replace {
                return Err(Errno::EEXIST);
            }
            self.empty_if_folder(there)?;
        }
        self.folder_mut(to.0)?.now.insert(to.1.clone(), inode);
        self.folder_mut(from.0)?.now.remove(&from.1);
        self.changes.push(Change::Moved { from, to, inode });
        Ok(())
    }

    pub(crate) fn read(&self, inode: u64, offset: usize, size: usize) -> Result<&[u8], Errno> {
        let now = &self.file(inode)?.now;
        let begin = offset.min(now.len());
        Ok(&now[begin..(begin + size).min(now.len())])
    }

    pub(crate) fn write(&mut self, inode: u64, offset: usize, data: &[u8]) -> Result<(), Errno> {
        self.file_mut(inode)?.write(offset, data);
        Ok(())
    }

    pub(crate) fn set_len(&mut self, inode: u64, len: usize) -> Result<(), Errno> {
        self.file_mut(inode)?.set_len(len);
        Ok(())
    }

    pub(crate) fn sync_file(&mut self, inode: u64) -> Result<(), Errno> {
        self.file_mut(inode)?.sync();
        Ok(())
    }

    /// Makes the names in a folder durable, and what a rename did elsewhere with them.
    pub(crate) fn sync_folder(&mut self, folder: u64) -> Result<(), Errno> {
        self.folder(folder)?;
        let (here, elsewhere) = self.changes.drain(..).partition(|change| change.touches(folder));
        self.changes = elsewhere;
        let here: Vec<Change> = here;
        here.iter().for_each(|change| self.settle(change));
        Ok(())
    }

    /// How many bytes all files take.
    pub(crate) fn bytes(&self) -> usize {
        self.inodes
            .values()
            .map(|inode| if let Kind::File(file) = &inode.kind { file.now.len() } else { 0 })
            .sum()
    }

    /// How many sectors and names a power cut might lose.
    pub(crate) fn unsynced(&self) -> usize {
        let files = self.inodes.values().filter_map(|inode| match &inode.kind {
            Kind::File(file) => Some(file.unsynced()),
            Kind::Folder(_) => None,
        });
        files.sum::<usize>() + self.changes.len()
    }

    /// The disk as a power cut leaves it.
    pub(crate) fn after_cut(&self, damage: Damage, random: &mut Random) -> Self {
        let mut left = self.clone();
        // Some cuts lose nearly all, some nearly nothing: both ends find what the middle does not.
        let share = [10, 50, 90][usize::try_from(random.between(0, 3)).unwrap()];
        for change in std::mem::take(&mut left.changes) {
            if damage == Damage::Tear && random.percent(share) {
                left.settle(&change);
            }
        }
        let mut numbers: Vec<u64> = left.inodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            match &mut left.inodes.get_mut(&number).unwrap().kind {
                Kind::Folder(folder) => folder.now = folder.durable.clone(),
                Kind::File(file) => {
                    file.now = file.after_cut(damage, share, random);
                    file.durable = file.now.clone();
                    file.dirty.clear();
                }
            }
        }
        left.forget_nameless();
        left
    }

    /// Makes one change of a name durable.
    fn settle(&mut self, change: &Change) {
        let mut durable = |(folder, name): &Place, inode: Option<u64>| {
            let Ok(folder) = self.folder_mut(*folder) else { return };
            match inode {
                Some(inode) => folder.durable.insert(name.clone(), inode),
                None => folder.durable.remove(name),
            };
        };
        match change {
            Change::Bound(place, inode) => durable(place, Some(*inode)),
            Change::Unbound(place) => durable(place, None),
            Change::Moved { from, to, inode } => {
                durable(from, None);
                durable(to, Some(*inode));
            }
        }
    }

    fn forget_nameless(&mut self) {
        let (mut named, mut ahead) = (BTreeSet::new(), vec![ROOT]);
        while let Some(next) = ahead.pop() {
            if named.insert(next)
                && let Ok(folder) = self.folder(next)
            {
                ahead.extend(folder.now.values());
            }
        }
        self.inodes.retain(|number, _| named.contains(number));
    }

    fn empty_if_folder(&self, inode: u64) -> Result<(), Errno> {
        let full = self.folder(inode).is_ok_and(|folder| !folder.now.is_empty());
        if full { Err(Errno::ENOTEMPTY) } else { Ok(()) }
    }

    fn folder(&self, inode: u64) -> Result<&Folder, Errno> {
        match self.inodes.get(&inode).map(|inode| &inode.kind) {
            Some(Kind::Folder(folder)) => Ok(folder),
            Some(Kind::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn folder_mut(&mut self, inode: u64) -> Result<&mut Folder, Errno> {
        match &mut self.inode_mut(inode)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn file(&self, inode: u64) -> Result<&File, Errno> {
        match self.inodes.get(&inode).map(|inode| &inode.kind) {
            Some(Kind::File(file)) => Ok(file),
            Some(Kind::Folder(_)) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn file_mut(&mut self, inode: u64) -> Result<&mut File, Errno> {
        match &mut self.inode_mut(inode)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Folder(_) => Err(Errno::EISDIR),
        }
    }
}
