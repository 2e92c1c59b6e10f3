//! The summaries of all full bundles, in a file: one after another, each of the same size. They are derived from the log;
//! whatever is odd about the file is thrown away and computed anew.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use daypass_credential::{Digest, Era};

use super::summary::{Probe, SIZE, Seal, Summary};

/// The file, and how much of it counts.
pub(crate) struct Summaries {
    /// None where there is none: then every bundle may match.
    file: Option<File>,
    seal: Seal,
    /// How many are known to be of this log. Those behind are written before this is raised.
    count: AtomicU64,
    doubted: AtomicBool,
}

/// How many summaries are read at once.
pub(super) const CHUNK: u64 = 128;

impl Summaries {
    /// No summaries at all.
    pub(crate) fn none() -> Self {
        let seal = Seal::of(Era::new(0), &Digest::new([0; 32]));
        Self { file: None, seal, count: 0.into(), doubted: false.into() }
    }

    /// Those in this folder, for the log of this era, sealed with this secret; none of them counts until it was compared
    /// with the log.
    pub(crate) fn open(folder: &Path, era: Era, secret: &Digest) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(folder.join("summaries"))?;
        Ok(Self { file: Some(file), seal: Seal::of(era, secret), ..Self::none() })
    }

    /// Are they kept at all?
    pub(super) const fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// How many bundles have theirs.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// How many stand in the file whole, one after another, whether or not they are of this log.
    pub(super) fn standing(&self) -> io::Result<u64> {
        let mut found = 0;
        loop {
            let chunk = self.chunk(found, CHUNK)?;
            let whole = chunk.iter().take_while(|summary| summary.is_some()).count();
            found += u64::try_from(whole).unwrap_or_default();
            if whole < chunk.len() || chunk.is_empty() {
                return Ok(found);
            }
        }
    }

    /// The summary of a bundle as it stands in the file.
    pub(super) fn at(&self, bundle: u64) -> io::Result<Option<Summary>> {
        Ok(self.chunk(bundle, 1)?.pop().flatten())
    }

    /// From now on the first so many count, and nothing is behind them.
    pub(super) fn keep(&self, count: u64) -> io::Result<()> {
        self.count.store(0, Ordering::Release);
        if let Some(file) = self.file.as_ref()
            && file.metadata()?.len() != place(count)
        {
            file.set_len(place(count))?;
        }
        self.doubted.store(false, Ordering::Release);
        self.count.store(count, Ordering::Release);
        Ok(())
    }

    /// Writes the next one.
    pub(super) fn append(&self, summary: &Summary) -> io::Result<()> {
        let count = self.count();
        if let Some(file) = &self.file {
            file.write_all_at(&self.seal.write(summary), place(count))?;
            self.count.store(count + 1, Ordering::Release);
        }
        Ok(())
    }

    /// Which of these bundles may hold what is looked for; fewer than asked where there are fewer summaries. One that
    /// cannot be read may.
    pub(super) fn ask(&self, first: u64, most: u64, probe: &Probe) -> Vec<bool> {
        let wanted = self.count().saturating_sub(first).min(most);
        let Ok(chunk) = self.chunk(first, wanted) else {
            self.doubt();
            return Vec::new();
        };
        let sound =
            u64::try_from(chunk.len()).unwrap_or_default() == wanted && chunk.iter().all(Option::is_some);
        if !sound {
            self.doubt();
        }
        chunk.iter().map(|summary| summary.as_ref().is_none_or(|summary| summary.may_match(probe))).collect()
    }

    /// Somebody found that they are not what they were.
    fn doubt(&self) {
        self.doubted.store(true, Ordering::Release);
    }

    pub(super) fn are_doubted(&self) -> bool {
        self.doubted.load(Ordering::Acquire)
    }

    /// So many from the file, or as many as there are whole; none for one that is no summary of that bundle.
    fn chunk(&self, first: u64, most: u64) -> io::Result<Vec<Option<Summary>>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let mut bytes = vec![0; usize::try_from(most).unwrap_or_default().saturating_mul(SIZE)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, place(first) + u64::try_from(filled).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        let numbered = (first..).zip(bytes.chunks_exact(SIZE));
        Ok(numbered.map(|(bundle, bytes)| self.seal.read(bundle, bytes)).collect())
    }
}

/// Where the summary of a bundle begins.
fn place(bundle: u64) -> u64 {
    bundle.saturating_mul(u64::try_from(SIZE).unwrap_or(u64::MAX))
}
