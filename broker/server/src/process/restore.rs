//! Restoring a backup where there is no store. A store put back has forgotten what came after the backup, so that it is
//! marked, and not served, unless it is shown or vouched for that nothing did.
//!
//! INVARIANT (marked before there): the mark is durable before the store takes its name, so that whoever finds the store
//! finds the mark as well.

use std::{fs, io, os::unix::net::UnixStream, path::Path};

use daypass_core::Body;
use daypass_credential::{Era, NodeKind, Revision};
use daypass_log::{Frontier, Root, VerifierKey};
use daypass_store::{Check, Options, Reader, RestoreError, Sled, Store};

use super::{
    backup::{Summary, check_file, opened, unusable},
    command::Failure,
    durable::{self, sync_folder_of},
    operator,
    progress::Progress,
    start::{Begun, begun, key_encryption_key, notary_place, options, restored_mark, store_path},
};
use crate::{config::Config, keys::Cabinet, notary};

/// What the operator says of the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// Nothing was recorded after it was made.
    pub(crate) newest: bool,
    /// The key file is lost: what is restored is only to be recovered from.
    pub(crate) without_keys: bool,
}

/// What was restored.
pub(crate) struct Restored {
    made: Summary,
    era: Era,
    state: State,
}

/// How the store that was put back stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The anchor shows that the backup ends where the newest checkpoint does.
    ShownNewest,
    /// The operator vouches that nothing came after it.
    VouchedNewest,
    /// Perhaps it is older than what was given out; then this is the last revision known.
    Older(Option<u64>),
}

/// Takes the mark away, durably.
pub(super) fn unmark(config: &Config) -> Result<(), Failure> {
    let mark = restored_mark(config);
    let failed = |error| Failure::work(format!("cannot remove `{}`", mark.display()), error);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder_of(&mark)).map_err(failed),
    }
}

/// Makes this configuration's store from the backup at `from`. The store is there whole, or not at all.
pub(crate) async fn restore(config: &Config, from: &Path, vouched: Vouched) -> Result<Restored, Failure> {
    let path = store_path(config);
    refuse_what_is_there(&path, config)?;
    let checked = check_file(from)?;
    let part = config.data_dir.join("store.restoring");
    let failed = |error| Failure::work(format!("cannot write `{}`", part.display()), error);
    durable::folder(&config.data_dir).map_err(failed)?;
    if part.try_exists().map_err(failed)? {
        fs::remove_dir_all(&part).map_err(failed)?;
    }
    let restored = async {
        let (begun, found) = restore_at(config, from, &part, vouched).await?;
        let state = judge(vouched, &found)?;
        match state {
            State::Older(_) => set_mark(config, begun.era, found.root.size)?,
            State::ShownNewest | State::VouchedNewest => unmark(config)?,
        }
        Ok((begun.era, state))
    };
    match restored.await {
        Ok((era, state)) => {
            fs::rename(&part, &path).map_err(failed)?;
            sync_folder_of(&path).map_err(failed)?;
            Ok(Restored { made: Summary { done: "restored", ..checked }, era, state })
        }
        Err(failure) => {
            let _gone = fs::remove_dir_all(&part);
            Err(failure)
        }
    }
}

/// Takes the operator's word that nothing was recorded after the backup that was put back here.
pub(crate) fn vouch(config: &Config) -> Result<(), Failure> {
    let mark = restored_mark(config);
    let failed = |error| Failure::work(format!("cannot look at `{}`", mark.display()), error);
    if mark.try_exists().map_err(failed)? && store_path(config).try_exists().map_err(failed)? {
        return unmark(config);
    }
    let text =
        "no store was put back here that waits for that; name the backup that is to be restored with --from";
    Err(Failure::Use(text.to_owned(), None))
}

/// Restoring replaces nothing: neither a store that is in use, nor one that stands still.
fn refuse_what_is_there(path: &Path, config: &Config) -> Result<(), Failure> {
    if !path.try_exists().map_err(|error| Failure::work("cannot look at the store", error))? {
        return Ok(());
    }
    let live = UnixStream::connect(operator::path(config)).is_ok();
    let why = if live { "a broker is running on it: stop that first, then move" } else { "move" };
    let text = format!(
        "there is a store at `{}`, and a backup is never restored over one; {why} it away, and keep it until you are sure",
        path.display()
    );
    Err(Failure::Use(text, None))
}

/// The log that was restored, and what the anchor knows of it.
struct Found {
    root: Root,
    known: Option<Root>,
    /// The log's own root at the size that is known.
    there: Root,
}

/// Restores, and looks at the result as a broker does at its start.
async fn restore_at(
    config: &Config,
    from: &Path,
    part: &Path,
    vouched: Vouched,
) -> Result<(Begun, Found), Failure> {
    let kek = if vouched.without_keys { None } else { Some(key_encryption_key(&config.key_file)?) };
    let root = write(config, from, part)?;
    let (store, begun) = sound(config, part).await?;
    let keys = audit_keys(&store, &begun.realm.issuer).await?;
    let known = notary::anchored(&notary_place(config), begun.era, &keys).map_err(|error| {
        let text = "nothing was restored: move the anchor away, and keep it, if it cannot be put back";
        Failure::work(text, error)
    })?;
    let there = match known {
        Some(known) if known.size <= root.size => root_at(&store, known.size).await?,
        _ => Root::empty(),
    };
    if let Some(kek) = kek {
        Cabinet::open(&store, kek, begun.realm.clone()).await.map_err(|_| other_keys(config))?;
    }
    Ok((begun, Found { root, known, there }))
}

/// Writes the store; the answer is its log's root.
fn write(config: &Config, from: &Path, part: &Path) -> Result<Root, Failure> {
    let reader = Reader::open(opened(from)?).map_err(unusable)?;
    let mut progress = Progress::new("restored", reader.header().revision, "events");
    let mut tree = Frontier::new();
    let frames = reader.inspect(|frame| {
        if let Ok(frame) = frame {
            tree.append(&frame.event);
        }
    });
    let written = Sled::restore(part, options(config), frames, |at: Revision| progress.at(at.get()));
    written.map_err(|error| match error {
        RestoreError::Backup(error) => unusable(error),
        other => Failure::work("cannot restore", other),
    })?;
    Ok(tree.root())
}

/// The log's root at a size that it has.
async fn root_at(store: &dyn Store, size: u64) -> Result<Root, Failure> {
    let failed = |error| Failure::work("cannot read the log", error);
    let mut tree = Frontier::new();
    while tree.size() < size {
        let page = usize::try_from(size - tree.size()).unwrap_or(usize::MAX).min(1024);
        let entries = store.log(Revision::new(tree.size()), page).await.map_err(failed)?;
        if entries.is_empty() {
            return Err(Failure::Work("the log breaks off".to_owned(), None));
        }
        entries.iter().for_each(|entry| tree.append(&entry.event));
    }
    Ok(tree.root())
}

/// A store that was just made, opened and found to be what a broker's is.
pub(super) async fn sound(config: &Config, path: &Path) -> Result<(Sled, Begun), Failure> {
    let whole = Options { check: Check::Whole, ..options(config) };
    let store = Sled::open(path, whole);
    let store = store.map_err(|error| Failure::work("the store that was made does not open", error))?;
    let begun = begun(&store, config).await?;
    Ok((store, begun))
}

fn other_keys(config: &Config) -> Failure {
    let text = format!(
        "the key file `{}` does not open the keys in this backup: it needs the one that was in use when it was made; \
         if that is lost, restore with --without-keys, and then `daypassd recover`",
        config.key_file.display()
    );
    Failure::Use(text, None)
}

async fn audit_keys(store: &dyn Store, issuer: &str) -> Result<Vec<VerifierKey>, Failure> {
    let failed = |error| Failure::work("cannot read the keys", error);
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(NodeKind::Key, after.as_ref(), 256).await.map_err(failed)?;
        let Some(last) = page.last() else { return Ok(keys) };
        after = Some(last.node.id().name);
        keys.extend(page.iter().filter_map(|stored| match &stored.node.body {
            Body::Key(key) => notary::log_key(issuer, key),
            _ => None,
        }));
    }
}

/// How does what was restored stand to what is known? A signature is believed before an operator is.
fn judge(vouched: Vouched, found: &Found) -> Result<State, Failure> {
    let beyond = found.known.filter(|known| *known != found.there);
    match (found.known, beyond) {
        (Some(known), _) if known == found.root => Ok(shown(vouched)),
        (_, Some(known)) if vouched.newest => Err(Failure::Older(format!(
            "the log went on after this backup: it ends at revision {}, and a checkpoint of revision {} was signed; restore \
             it without --newest, and then `daypassd recover`",
            found.root.size, known.size
        ))),
        (_, None) if vouched.newest => Ok(State::VouchedNewest),
        (_, beyond) => Ok(State::Older(beyond.map(|known| known.size))),
    }
}

/// Without its keys even the newest store cannot be served.
const fn shown(vouched: Vouched) -> State {
    if vouched.without_keys { State::Older(None) } else { State::ShownNewest }
}

fn set_mark(config: &Config, era: Era, revision: u64) -> Result<(), Failure> {
    let mark = restored_mark(config);
    let failed = |error| Failure::work(format!("cannot write `{}`", mark.display()), error);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let text = format!("{}\n", serde_json::json!({ "era": era, "revision": revision }));
    durable::new_file(&mark, text.as_bytes()).map_err(failed)
}

impl Restored {
    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let mut json = self.made.json();
        if let Some(object) = json.as_object_mut() {
            object.insert("era".to_owned(), self.era.to_string().into());
            object.insert("recover_first".to_owned(), matches!(self.state, State::Older(_)).into());
        }
        json
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let text = format!("{}era {}\n", self.made.text(), self.era);
        let events = self.made.events;
        match self.state {
            State::ShownNewest => {
                format!("{text}The anchor shows that the log ended there. Next: daypassd serve\n")
            }
            State::VouchedNewest => {
                format!("{text}As you say, nothing was recorded after it. Next: daypassd serve\n")
            }
            State::Older(known) => {
                let known = known.map(|known| format!("A checkpoint of revision {known} was signed.\n"));
                let known = known.unwrap_or_default();
                format!("{text}{known}{}", FORGOTTEN.replace("{}", &events.to_string()))
            }
        }
    }
}

/// What whoever restores has to know.
const FORGOTTEN: &str = "\
Whatever was recorded after revision {} is forgotten: what was ended then would be alive again. So it is not served as it is.
Next: daypassd recover --admin NAME --admin-key FILE.pub
  begins a new era: nothing given out before counts, vendors are suspended until each is confirmed
Only if nothing was recorded after the backup, vouch for that: daypassd restore --newest
";
