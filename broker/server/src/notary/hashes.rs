//! The hashes of the tree on disk: a file for each level of tiles, one hash after the other, so that any tile is a slice
//! of a file. They are derived from the log, and made anew from it where they do not fit.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
};

use daypass_log::{Edge, Hash, Root, Tile, TileSource, TilesError};

/// How many levels of tiles there are (C2SP tlog-tiles, for the largest log that there may be).
pub(super) const LEVELS: usize = 7;
/// How many hashes a full tile has.
pub(super) const WIDTH: u64 = 256;

/// The files, open to be read and written. What lies beyond the size that somebody asks for does not count.
pub(crate) struct Hashes {
    levels: [File; LEVELS],
}

/// How many hashes of a level a tree of this size has.
const fn count(level: usize, size: u64) -> u64 {
    // Seven levels of eight bits each: the shift is below 64.
    size >> (8 * level as u32)
}

impl Hashes {
    /// The files in this folder, made where they are missing.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let open = |level: usize| {
            let mut file = OpenOptions::new();
            file.read(true).write(true).create(true).truncate(false).mode(0o600);
            file.open(folder.join(level.to_string()))
        };
        let levels = [open(0)?, open(1)?, open(2)?, open(3)?, open(4)?, open(5)?, open(6)?];
        // The names have to be there when the first head says that the hashes are.
        File::open(folder)?.sync_all()?;
        Ok(Self { levels })
    }

    /// Have the files all the hashes of a tree of this size?
    pub(super) fn hold(&self, size: u64) -> io::Result<bool> {
        for (level, file) in self.levels.iter().enumerate() {
            if file.metadata()?.len() / LENGTH < count(level, size) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Cuts off whatever does not belong to a tree of this size: a torn tail, or hashes that no head counts.
    pub(super) fn cut(&self, size: u64) -> io::Result<()> {
        for (level, file) in self.levels.iter().enumerate() {
            let wanted = count(level, size) * LENGTH;
            if file.metadata()?.len() > wanted {
                file.set_len(wanted)?;
            }
        }
        Ok(())
    }

    /// Writes hashes of a level behind those of a tree of this size.
    pub(super) fn add(&self, level: usize, size: u64, hashes: &[Hash]) -> io::Result<()> {
        let file = self.levels.get(level).ok_or(io::ErrorKind::InvalidInput)?;
        file.write_all_at(&Tile::encode(hashes), count(level, size) * LENGTH)
    }

    /// Makes a level durable.
    pub(super) fn sync(&self, level: usize) -> io::Result<()> {
        self.levels.get(level).ok_or(io::ErrorKind::InvalidInput)?.sync_data()
    }

    /// The tree of this size, by its right edge.
    pub(super) fn root_at(&self, size: u64) -> Result<Root, TilesError<io::Error>> {
        Ok(Edge::restore(size, self)?.root())
    }
}

/// How many bytes a hash takes.
const LENGTH: u64 = Hash::LEN as u64;

impl TileSource for Hashes {
    type Error = io::Error;

    fn tile(&self, tile: Tile) -> io::Result<Vec<Hash>> {
        let file = self.levels.get(usize::from(tile.level())).ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = vec![0; usize::from(tile.width()) * Hash::LEN];
        file.read_exact_at(&mut bytes, tile.index() * WIDTH * LENGTH)?;
        tile.decode(&bytes).map_err(io::Error::other)
    }
}
