//! The file that contexts are kept in: `contexts.toml` in the folder of this command. It holds no secret. Whoever
//! changes it holds `contexts.lock` meanwhile, so that two changes at once are both kept.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use daypass_credential::Name;
use daypass_sdk::{Address, write_private};
use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::failure::Failure;

/// Every context that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    version: u32,
    /// The one that is meant where none is named; none for the default home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<Name>,
    #[serde(default, rename = "context", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) named: BTreeMap<Name, Context>,
}

/// Who one is to which broker, by a name of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where the identity lives.
    pub(crate) home: PathBuf,
    /// Where the broker is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<String>,
    /// What its server certificate is called, if not the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_name: Option<String>,
    /// SHA-256 of the broker's root certificate: what it is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<Fingerprint>,
}

impl Contexts {
    /// Is there one of this name?
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.named.contains_key(name)
    }
}

impl Context {
    /// Where the broker is, with the name that its certificate carries.
    pub(crate) fn address(&self) -> Result<Option<Address>, Failure> {
        let Some(broker) = &self.broker else { return Ok(None) };
        let address: Address = broker.parse()?;
        Ok(Some(match &self.server_name {
            Some(name) => address.with_server_name(name)?,
            None => address,
        }))
    }
}

/// The folder that everything of this command lies in by default.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// `$XDG_CONFIG_HOME/daypass`, or `~/.config/daypass`.
    pub(crate) fn of_user() -> Result<Self, Failure> {
        let xdg = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = xdg.or_else(|| std::env::home_dir().map(|user| user.join(".config")));
        let config = config.ok_or_else(|| {
            Failure::bad("there is no home directory").then("name a folder with --home, or set HOME")
        })?;
        Ok(Self(config.join("daypass")))
    }

    #[cfg(test)]
    pub(super) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The home of whoever has no contexts.
    pub(crate) fn default_home(&self) -> PathBuf {
        self.0.join("default")
    }

    /// The home that a context has unless one is named.
    pub(crate) fn home_of(&self, context: &Name) -> PathBuf {
        self.0.join("contexts").join(context.as_str())
    }

    /// What is kept.
    pub(crate) fn read(&self) -> Result<Contexts, Failure> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Contexts { version: VERSION, ..Contexts::default() });
            }
            Err(error) => return Err(unusable(&path, &error.to_string())),
        };
        let contexts: Contexts =
            toml::from_str(&text).map_err(|error| unusable(&path, error.to_string().trim_end()))?;
        if contexts.version != VERSION {
            return Err(unusable(&path, "it was written by another version of daypass"));
        }
        Ok(contexts)
    }

    /// Changes what is kept, with nobody else changing it meanwhile.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Contexts) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _alone = self.lock().map_err(|error| unusable(&self.0, &error.to_string()))?;
        let mut contexts = self.read()?;
        let done = change(&mut contexts)?;
        let text = toml::to_string_pretty(&contexts).map_err(|error| Failure::Internal(error.to_string()))?;
        write_private(&self.path(), text.as_bytes())?;
        Ok(done)
    }

    fn lock(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.0.join("contexts.lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.0.join("contexts.toml")
    }
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::bad(format!("cannot use `{}`: {why}", path.display())).then(
        "mend the file, or move it away and make the contexts anew with `daypass context add NAME --home DIR`",
    )
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temporary.path().join("daypass"));
        assert_eq!(folder.read().unwrap().named.len(), 0);
        let name: Name = "work".parse().unwrap();
        let context = Context {
            home: "/homes/work".into(),
            broker: Some("10.0.0.7:7443".into()),
            server_name: Some("broker.example".into()),
            root: Some("ab".repeat(32).parse().unwrap()),
        };
        folder
            .change(|contexts| {
                contexts.current = Some(name.clone());
                contexts.named.insert(name.clone(), context.clone());
                Ok(())
            })
            .unwrap();
        let read = folder.read().unwrap();
        assert_eq!((read.current, read.named.get(&name)), (Some(name), Some(&context)));
        let address = context.address().unwrap().unwrap();
        assert_eq!(address.server_name().to_str(), "broker.example");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_with_a_way_out() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(temporary.path());
        for bad in [
            "version = 2\n",
            "version = 1\nfuture = true\n",
            "version = ",
            "version = 1\ncurrent = \"No!\"\n",
        ] {
            fs::write(folder.path(), bad).unwrap();
            let failure = folder.read().unwrap_err();
            assert!(failure.message().contains("contexts.toml"), "{failure:?}");
            assert!(failure.next().is_some());
            assert!(folder.change(|_| Ok(())).is_err(), "nothing is overwritten");
            assert_eq!(fs::read_to_string(folder.path()).unwrap(), bad);
        }
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(temporary.path());
        let changed = folder.change(|contexts| {
            contexts.current = Some("x".parse().unwrap());
            Err::<(), _>(Failure::bad("no"))
        });
        assert!(changed.is_err());
        assert_eq!(folder.read().unwrap().current, None);
    }
}
