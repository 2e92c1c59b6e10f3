//! The first five minutes: a real broker process, an example company, credentials that are used and then ended, each
//! step timed. All of it is gone afterwards, unless it is to be kept.

mod caller;
mod receipt;
mod service;
mod steps;
mod tour;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use daypass_sdk::{Address, make_private_folder};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    steps::{Outcome, Steps},
    tour::Tour,
};
use crate::{broker_process::Site, console::Console, example, failure::Failure};

/// See the whole thing work: a broker, an example company, credentials used, refused and ended.
///
/// Starts a broker process in a temporary folder, loads two vendors with contracts, owners, applications and
/// audiences, enrols an application and a verifier, mints a client certificate and a token, and uses both against a
/// small service that asks the broker about them. Then it is refused a scope, ends the vendor, and is refused by
/// service and broker. Nothing is left behind, unless --keep says where.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Wish {
    /// Leave everything in DIR, which must be empty or new, and say how to go on from there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  daypass quickstart
  daypass quickstart -o json
  daypass quickstart --keep ./tryout";

pub(crate) async fn run(wish: Wish, console: &Console) -> Result<(), Failure> {
    let ground = Ground::new(wish.keep)?;
    let site = Site::prepare(ground.folder().join("broker"))?;
    let kept = ground.kept();
    let mut steps = Steps::new(console);
    let mut tour = Tour::new(ground.folder(), &site);
    let walked = tokio::select! {
        walked = tour.walk(&mut steps) => walked,
        () = interrupted() => Err(Failure::Interrupted),
    };
    // Whatever happened, no process is left behind.
    let (broker, left) = tour.leave().await;
    let ended = match walked.and(left) {
        Ok(()) => steps.take("clean-up", ground.leave(&site, broker.as_ref())).await,
        Err(failure) => {
            if let Some(tail) = site.log_tail() {
                console.say(format_args!("the end of the broker's log:\n{tail}"));
            }
            Err(failure)
        }
    };
    steps.finish(ended.is_ok())?;
    if let (Ok(()), Some(folder), false) = (&ended, kept, console.is_json()) {
        console.say(go_on(&folder, &site));
    }
    ended
}

/// Ends when somebody wants this process to.
pub(crate) async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without the signals the process ends at once, as is the default.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The folder that everything happens in.
#[derive(Debug)]
enum Ground {
    /// Gone with the last of this.
    Temporary(TempDir),
    /// To be kept.
    Kept(PathBuf),
}

impl Ground {
    fn new(keep: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(folder) = keep else {
            return example::temporary_folder("daypass-quickstart-").map(Self::Temporary);
        };
        make_private_folder(&folder)?;
        let folder = folder
            .canonicalize()
            .map_err(|error| Failure::bad(format!("`{}`: {error}", folder.display())))?;
        let empty = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none());
        if !empty {
            return Err(Failure::bad(format!("`{}` is not empty: name a new folder", folder.display())));
        }
        Ok(Self::Kept(folder))
    }

    fn kept(&self) -> Option<PathBuf> {
        match self {
            Self::Temporary(_) => None,
            Self::Kept(folder) => Some(folder.clone()),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }

    async fn leave(self, site: &Site, broker: Option<&Address>) -> Result<Outcome<()>, Failure> {
        match self {
            Self::Temporary(folder) => {
                let path = folder.path().display().to_string();
                folder
                    .close()
                    .map_err(|error| Failure::Internal(format!("cannot remove `{path}`: {error}")))?;
                Ok(Outcome::done((), "nothing is left"))
            }
            Self::Kept(folder) => {
                example::write_down(&folder.join("example"))?;
                // The identities know the broker by its port: from now on it is that one.
                if let Some(broker) = broker {
                    site.configure(&broker.to_string())?;
                }
                Ok(Outcome::done((), format!("kept in {}", folder.display())))
            }
        }
    }
}

/// How to go on with what was kept.
fn go_on(folder: &Path, site: &Site) -> String {
    let (folder, configuration) = (folder.display(), site.configuration());
    format!(
        "to go on:\n  daypassd serve --config {}\n  daypass --home {folder}/admin list vendor\n  \
         daypass --home {folder}/admin put -f {folder}/example/01-person-lee.toml",
        configuration.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_temporary_folder_is_gone_afterwards() {
        let ground = Ground::new(None).unwrap();
        let path = ground.folder().to_owned();
        let site = Site::prepare(path.join("broker")).unwrap();
        ground.leave(&site, None).await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_kept_folder_begins_empty_and_stays() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("kept");
        let ground = Ground::new(Some(path.clone())).unwrap();
        let site = Site::prepare(path.join("broker")).unwrap();
        ground.leave(&site, Some(&"127.0.0.1:7443".parse().unwrap())).await.unwrap();
        assert!(fs::read_to_string(site.configuration()).unwrap().contains("\"127.0.0.1:7443\""));
        assert!(path.join("example/03-vendor-harbor.toml").is_file());
        assert!(Ground::new(Some(path)).is_err(), "it is no longer empty");
    }
}
