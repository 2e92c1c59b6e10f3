//! Opening a store that was begun: what its first event fixed has to agree with the configuration.

use std::{ffi::OsStr, fs, path::Path, sync::Arc, time::Duration};

use daypass_core::{Action, Actor, ChangeId, Event};
use daypass_credential::{Era, Revision, Timestamp};
use daypass_issuer::{KeyEncryptionKey, Realm};
use daypass_store::{Change, Lane, Options, Sled, Store};
use zeroize::Zeroizing;

use super::command::Failure;
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    entropy::{Entropy, SystemEntropy},
    notary::{self, Notary, StartError, Worker},
};

/// What the first event fixed for the life of the log.
pub(crate) struct Begun {
    pub(crate) era: Era,
    /// The era that this one took the place of.
    pub(crate) previous: Option<Era>,
    pub(crate) realm: Realm,
}

/// Where the store lies in the data directory.
pub(crate) fn store_path(config: &Config) -> std::path::PathBuf {
    config.data_dir.join("store")
}

/// The mark of a store that was put back from a backup which may not be the newest.
pub(crate) fn restored_mark(config: &Config) -> std::path::PathBuf {
    config.data_dir.join("restored")
}

/// Where the notary keeps what it knows of the log.
pub(crate) fn notary_place(config: &Config) -> notary::Place {
    notary::Place { folder: config.data_dir.join("notary"), anchor: config.anchor_file() }
}

/// Refuses a store that was put back, until somebody has begun a new era or vouched for it.
pub(crate) fn not_restored(config: &Config) -> Result<(), Failure> {
    let mark = restored_mark(config);
    let failed = |error| Failure::work(format!("cannot look at `{}`", mark.display()), error);
    if !mark.try_exists().map_err(failed)? {
        return Ok(());
    }
    Err(Failure::Older(format!(
        "the store was put back from a backup (`{}`), and what came after that is not in it: run `daypassd recover`, which \
         begins a new era; or, if nothing came after the backup, vouch for that with `daypassd restore --newest`",
        mark.display()
    )))
}

/// How the store is opened.
pub(crate) fn options(config: &Config) -> Options {
    Options { cache_bytes: config.limits.store_cache_mib.saturating_mul(1024 * 1024), ..Options::default() }
}

/// Opens the store.
pub(crate) fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let path = store_path(config);
    let sled = Sled::open(&path, options(config)).map_err(|error| {
        let hint = match error {
            daypass_store::OpenError::Missing(_) => "there is no store yet: run `daypassd init` first",
            _ => "cannot open the store",
        };
        Failure::work(hint, error)
    })?;
    Ok(Arc::new(sled))
}

/// Holds the log to what was signed of it.
pub(crate) async fn open_notary(
    config: &Config,
    subject: &notary::Subject<'_>,
    store: Arc<dyn Store>,
) -> Result<(Notary, Worker), Failure> {
    let place = notary_place(config);
    let folder = place.anchor.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        // A disk that is not mounted must not pass for one without an anchor.
        let text = format!("`anchor_file`: there is no folder `{}`", folder.display());
        return Err(Failure::Use(text, None));
    }
    let interval = Duration::from_millis(config.notary.interval.as_millis());
    let opened = notary::open(place, subject, store, interval).await;
    opened.map_err(|error| match error {
        StartError::NotTheNewest(why) => Failure::Older(why),
        other @ (StartError::Files(_) | StartError::Log(_)) => Failure::work("cannot look at the log", other),
    })
}

/// Reads the key that all keys are sealed with.
pub(crate) fn key_encryption_key(path: &Path) -> Result<KeyEncryptionKey, Failure> {
    let what = || format!("cannot use the key file `{}`", path.display());
    let bytes = fs::read(path).map(Zeroizing::new).map_err(|error| Failure::work(what(), error))?;
    only_ours(path)?;
    KeyEncryptionKey::parse(&bytes).map_err(|error| Failure::work(what(), error))
}

/// Refuses a secret file that others can read.
fn only_ours(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).map_err(|error| Failure::work("cannot look at the key file", error))?;
    if meta.mode() & others(path, std::env::var_os("CREDENTIALS_DIRECTORY").as_deref()) == 0 {
        return Ok(());
    }
    let text = format!("the key file `{}` can be read by others: run `chmod 600` on it", path.display());
    Err(Failure::Use(text, None))
}

/// The bits by which others than the owner read this file. A credential that the service manager hands to this process
/// alone may carry an access list that names the process's user; the group's bits then say what the list may grant at the
/// most, and nothing of a group.
fn others(path: &Path, credentials: Option<&OsStr>) -> u32 {
    let handed = credentials.filter(|folder| !folder.is_empty()).map(Path::new);
    if handed.is_some_and(|folder| path.parent() == Some(folder)) { 0o007 } else { 0o077 }
}

/// What the first event says, if the configuration agrees with it.
pub(crate) async fn begun(store: &dyn Store, config: &Config) -> Result<Begun, Failure> {
    let failed = |error| Failure::work("cannot read the log", error);
    let entries = store.log(Revision::ZERO, 1).await.map_err(failed)?;
    let first = entries.first().and_then(|entry| Event::from_bytes(&entry.event).ok());
    let Some(Action::Initialized { era, issuer, trust_domain, previous }) = first.map(|event| event.action)
    else {
        return Err(Failure::Work("the log does not begin as a broker's does".to_owned(), None));
    };
    let differ = |field: &str, fixed: &str, now: &str| {
        let text =
            format!("`{field}` is `{now}` in the configuration, but `{fixed}` since init: it cannot change");
        Err(Failure::Use(text, None))
    };
    if issuer != config.issuer() {
        return differ("issuer", &issuer, &config.issuer());
    }
    if trust_domain != config.trust_domain {
        return differ("trust_domain", &trust_domain, &config.trust_domain);
    }
    let previous = previous.map(|previous| previous.era);
    Ok(Begun { era, previous, realm: Realm { issuer, domain: config.trust_domain()?, era } })
}

/// Records that an operator vouches for the clock.
pub(crate) async fn accept_clock(config: &Config) -> Result<Revision, Failure> {
    let store = open_store(config)?;
    begun(&*store, config).await?;
    let previous: Timestamp = store.head().borrow().at;
    let now = SystemClock.wall();
    let entropy = SystemEntropy::new();
    let id = <dyn Entropy>::bytes(&entropy).map_err(|error| Failure::work("no random bytes", error))?;
    let event = Event::new(now, ChangeId::new(id), Actor::Broker, Action::ClockAccepted { previous });
    let change = Change { event, expect: Vec::new(), private: Vec::new() };
    store.commit(change, Lane::Normal).await.map_err(|error| Failure::work("cannot record it", error))
}
