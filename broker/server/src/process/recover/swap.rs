//! Where the stores lie, and how they change places.
//!
//! INVARIANT (one of the two): at every instant a whole store is in the store's place, the old one or the new one. The
//! two change places in one step; the old one is held meanwhile, so that no broker begins to serve it. What a recovery
//! that broke off left is told apart by what the stores themselves say, and no old one is ever removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use daypass_core::event::Previous;
use daypass_credential::Era;
use daypass_store::Sled;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::{
    command::Failure,
    durable::sync_folder_of,
    start::{Begun, begun, options, store_path},
};
use crate::config::Config;

/// Where everything lies.
pub(super) struct Places {
    pub(super) store: PathBuf,
    /// Where the new store is made: whatever is found there is not whole, or was never in use.
    pub(super) building: PathBuf,
    /// Where the new store waits to be exchanged, and the old one lies right after that.
    aside: PathBuf,
}

impl Places {
    pub(super) fn of(config: &Config) -> Self {
        let at = |name| config.data_dir.join(name);
        Self { store: store_path(config), building: at("store.recovering"), aside: at("store.recovered") }
    }

    /// Where the store of an era is kept: under the first name that is free.
    pub(super) fn kept(&self, era: Era) -> PathBuf {
        let first = self.store.with_added_extension(format!("era-{era}"));
        let more = (2_u32..).map(|n| self.store.with_added_extension(format!("era-{era}-{n}")));
        let mut names = std::iter::once(first.clone()).chain(more);
        names.find(|name| fs::symlink_metadata(name).is_err()).unwrap_or(first)
    }

    /// Finishes or removes what an earlier recovery left when it broke off. The store is open meanwhile, so that no other
    /// recovery is under way.
    pub(super) async fn tidy(&self, config: &Config, now: &Begun) -> Result<(), Failure> {
        remove(&self.building)?;
        remove(&self.building.with_added_extension("new"))?;
        if !is_there(&self.aside)? {
            return Ok(());
        }
        let strange = |source| {
            let text = format!(
                "`{}` is there, and is neither the store before this one nor one made for it: move it away and keep it",
                self.aside.display()
            );
            Failure::Use(text, source)
        };
        let store =
            Sled::open(&self.aside, options(config)).map_err(|error| strange(Some(Box::new(error))))?;
        let found = begun(&store, config).await?;
        drop(store);
        if now.previous == Some(found.era) {
            rename(&self.aside, &self.kept(found.era))
        } else if found.previous == Some(now.era) {
            // It never was in the store's place: nothing was ever served from it.
            remove(&self.aside)
        } else {
            Err(strange(None))
        }
    }

    /// Puts the new store in the place of the old one, which is closed by now; the answer is where that is kept.
    pub(super) fn exchange(&self, previous: &Previous) -> Result<PathBuf, Failure> {
        let held = Sled::hold(&self.store).map_err(|error| Failure::work("nothing was changed", error))?;
        if held.durable().is_some_and(|durable| durable > previous.head.size) {
            let text =
                "nothing was changed: a broker served this store meanwhile; stop it, and run this again";
            return Err(Failure::Work(text.to_owned(), None));
        }
        rename(&self.building, &self.aside)?;
        let failed = |error| {
            let what = "nothing was changed: the file system does not exchange two names in one step";
            Failure::work(what, io::Error::from(error))
        };
        renameat_with(CWD, &self.aside, CWD, &self.store, RenameFlags::EXCHANGE).map_err(failed)?;
        sync_folder_of(&self.store).map_err(|error| Failure::work("cannot make it durable", error))?;
        let kept = self.kept(previous.era);
        let renamed = rename(&self.aside, &kept);
        drop(held);
        // It stands aside until the next recovery gives it its name.
        Ok(if renamed.is_ok() { kept } else { self.aside.clone() })
    }
}

fn is_there(path: &Path) -> Result<bool, Failure> {
    path.try_exists().map_err(|error| Failure::work(format!("cannot look at `{}`", path.display()), error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::work(format!("cannot remove `{}`", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Renames, durably.
fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    let renamed = fs::rename(from, to).and_then(|()| sync_folder_of(to));
    renamed.map_err(|error| Failure::work(format!("cannot rename `{}`", from.display()), error))
}
