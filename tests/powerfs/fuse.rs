//! The disk as the kernel sees it: each request under one lock, with the faults that were ordered.
//!
//! Files are opened for direct I/O, so that the kernel keeps nothing of them: what is here is all there is.

use std::{
    ffi::OsStr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::model::{Disk, Inode, Stat};

/// The kernel keeps nothing.
const AT_ONCE: Duration = Duration::ZERO;

/// What goes wrong, for as long as it is ordered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// No file grows once all take this many bytes together. As with a quota, nobody is told beforehand.
    pub(crate) capacity: Option<usize>,
    /// Nothing is written.
    pub(crate) read_only: bool,
    /// Every sync fails, and makes nothing durable.
    pub(crate) failing_syncs: bool,
    /// How long a sync takes.
    pub(crate) slow_syncs: Duration,
}

/// The disk and its power switch.
pub(crate) struct Switch {
    state: Mutex<State>,
    went_off: Condvar,
}

pub(crate) struct State {
    pub(crate) disk: Disk,
    pub(crate) faults: Faults,
    /// How many more changes and syncs there are before the power goes.
    left: Option<u64>,
    off: bool,
    /// How many syncs were answered well.
    pub(crate) syncs: u64,
}

impl Switch {
    pub(crate) fn on(disk: Disk) -> Arc<Self> {
        let state = State { disk, faults: Faults::default(), left: None, off: false, syncs: 0 };
        Arc::new(Self { state: Mutex::new(state), went_off: Condvar::new() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power now.
    pub(crate) fn cut(&self) {
        self.lock().off = true;
        self.went_off.notify_all();
    }

    /// Cuts it after this many further changes and syncs.
    pub(crate) fn cut_after(&self, changes: u64) {
        self.lock().left = Some(changes);
    }

    /// Waits until it is cut; false if that lasts too long.
    pub(crate) fn off_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while !state.off {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            state = self.went_off.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The disk for a request that only looks.
    fn look(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.lock();
        if state.off { Err(Errno::EIO) } else { Ok(state) }
    }

    /// The disk for a request that changes something. After a cut none does.
    fn change(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.count()?;
        if state.faults.read_only {
            return Err(Errno::EROFS);
        }
        Ok(state)
    }

    /// Counts towards the cut.
    fn count(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.look()?;
        if let Some(left) = &mut state.left {
            if *left == 0 {
                state.off = true;
                self.went_off.notify_all();
                return Err(Errno::EIO);
            }
            *left -= 1;
        }
        Ok(state)
    }

    fn sync(&self, work: impl FnOnce(&mut Disk) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut state = self.count()?;
        if state.faults.failing_syncs {
            return Err(Errno::EIO);
        }
        work(&mut state.disk)?;
        state.syncs += 1;
        Ok(())
    }
}

impl State {
    /// Is there room for a file to grow to this length?
    fn room(&self, inode: u64, len: usize) -> Result<(), Errno> {
        let now = self.disk.stat(inode)?.size;
        match self.faults.capacity {
            Some(capacity) if len > now && self.disk.bytes() + (len - now) > capacity => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }
}

/// What the kernel talks to.
pub(crate) struct Served(pub(crate) Arc<Switch>);

impl Served {
    fn made(&self, parent: INodeNo, name: &OsStr, inode: Inode) -> Result<FileAttr, Errno> {
        let mut state = self.0.change()?;
        if state.faults.capacity.is_some_and(|capacity| state.disk.bytes() >= capacity) {
            return Err(Errno::ENOSPC);
        }
        let number = state.disk.make(parent.0, name, inode)?;
        state.disk.stat(number).map(attr)
    }

    /// Answers once the sync was done, in a thread of its own if that lasts.
    fn answer_sync(
        &self,
        reply: ReplyEmpty,
        work: impl FnOnce(&mut Disk) -> Result<(), Errno> + Send + 'static,
    ) {
        let delay = self.0.lock().faults.slow_syncs;
        let switch = Arc::clone(&self.0);
        let answer = move || empty(reply, switch.sync(work));
        if delay.is_zero() {
            return answer();
        }
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            answer();
        });
    }
}

fn attr(stat: Stat) -> FileAttr {
    let size = u64::try_from(stat.size).unwrap();
    let never = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(stat.inode),
        size,
        blocks: size.div_ceil(512),
        atime: never,
        mtime: never,
        ctime: never,
        crtime: never,
        kind: if stat.folder { FileType::Directory } else { FileType::RegularFile },
        perm: stat.mode,
        nlink: 1,
        uid: stat.uid,
        gid: stat.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn mode(asked: u32, umask: u32) -> u16 {
    u16::try_from(asked & !umask & 0o7777).unwrap()
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attr) => reply.entry(&AT_ONCE, &attr, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Filesystem for Served {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(
            reply,
            self.0.look().and_then(|state| {
                let inode = state.disk.lookup(parent.0, name)?;
                state.disk.stat(inode).map(attr)
            }),
        );
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.look().and_then(|state| state.disk.stat(ino.0)) {
            Ok(stat) => reply.attr(&AT_ONCE, &attr(stat)),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || {
            let mut state = self.0.change()?;
            if let Some(size) = size {
                state.room(ino.0, at(size))?;
                state.disk.set_len(ino.0, at(size))?;
            }
            let inode = state.disk.inode_mut(ino.0)?;
            inode.mode = mode.map_or(inode.mode, |mode| self::mode(mode, 0));
            (inode.uid, inode.gid) = (uid.unwrap_or(inode.uid), gid.unwrap_or(inode.gid));
            state.disk.stat(ino.0)
        };
        match set() {
            Ok(stat) => reply.attr(&AT_ONCE, &attr(stat)),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, asked: u32, umask: u32, reply: ReplyEntry) {
        let inode = Inode::folder(mode(asked, umask), req.uid(), req.gid());
        entry(reply, self.made(parent, name, inode));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.0.change().and_then(|mut state| state.disk.unbind(parent.0, name)));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(req, parent, name, reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name.to_owned()), (newparent.0, newname.to_owned()));
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        empty(reply, self.0.change().and_then(|mut state| state.disk.rename(from, to, replace)));
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        entry(
            reply,
            self.0.change().and_then(|mut state| {
                state.disk.bind(newparent.0, newname, ino.0)?;
                state.disk.stat(ino.0).map(attr)
            }),
        );
    }

    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.0.look() {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        asked: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let inode = Inode::file(mode(asked, umask), req.uid(), req.gid());
        match self.made(parent, name, inode) {
            Ok(attr) => {
                let flags = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&AT_ONCE, &attr, Generation(0), FileHandle(0), flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap();
        let read =
            self.0.look().and_then(|state| state.disk.read(ino.0, at(offset), size).map(<[u8]>::to_vec));
        match read {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.0.change().and_then(|mut state| {
            state.room(ino.0, at(offset) + data.len())?;
            state.disk.write(ino.0, at(offset), data)
        });
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(errno) => reply.error(errno),
        }
    }

    /// Closing a file makes nothing durable.
    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.answer_sync(reply, move |disk| disk.sync_file(ino.0));
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.answer_sync(reply, move |disk| disk.sync_folder(ino.0));
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = match self.0.look().and_then(|state| state.disk.entries(ino.0)) {
            Ok(entries) => entries,
            Err(errno) => return reply.error(errno),
        };
        for (place, (name, stat)) in entries.iter().enumerate().skip(at(offset)) {
            let kind = attr(*stat).kind;
            if reply.add(INodeNo(stat.inode), u64::try_from(place + 1).unwrap(), kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let (blocks, files) = (1 << 28, 1 << 20);
        reply.statfs(blocks, blocks, blocks, files, files, 4096, 255, 4096);
    }
}
