//! Which identity is meant: by a folder, by a context, or by default; and that it is the one that is remembered.

use std::path::PathBuf;

use daypass_credential::{Digest, Name};
use daypass_sdk::{Error, Home};

use super::{Context, DEFAULT, Fingerprint, Folder};
use crate::failure::Failure;

/// Where the identity lives, and what the context that named it remembers.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) home: Home,
    pub(crate) context: Option<(Name, Context)>,
}

/// What was said about it on the command line or in the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) home: Option<PathBuf>,
    pub(crate) context: Option<Name>,
}

impl Place {
    /// A folder counts more than a context, and a context that is named more than the one in use.
    pub(crate) fn find(said: &Said) -> Result<Self, Failure> {
        match &said.home {
            Some(home) => Ok(Self { home: Home::at(home), context: None }),
            None => Self::by_context(said.context.as_ref(), &Folder::of_user()?),
        }
    }

    pub(super) fn by_context(named: Option<&Name>, folder: &Folder) -> Result<Self, Failure> {
        let mut contexts = folder.read()?;
        let Some(name) = named.cloned().or(contexts.current.take()).filter(|name| name.as_str() != DEFAULT)
        else {
            return Ok(Self { home: Home::at(folder.default_home()), context: None });
        };
        let context = contexts.named.remove(&name).ok_or_else(|| unknown(&name))?;
        Ok(Self { home: Home::at(&context.home), context: Some((name, context)) })
    }

    /// Refuses an identity of another broker than the context remembers.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.home.identity() {
            Ok(identity) => self.demand(&identity.root_fingerprint(), "the identity in its home"),
            // Whoever needs an identity says that there is none, or that it is damaged.
            Err(Error::NotEnrolled { .. } | Error::BadInput(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a root other than the one that the context remembers.
    pub(crate) fn demand(&self, root: &Digest, whose: &str) -> Result<(), Failure> {
        let Some((name, Context { root: Some(remembered), .. })) = &self.context else { return Ok(()) };
        let root = Fingerprint::from(*root);
        if root == *remembered {
            return Ok(());
        }
        Err(Failure::OtherRoot(format!(
            "context `{name}` is for the broker with root sha256 {remembered}, and {whose} is for another, with root \
             sha256 {root}"
        )))
    }
}

pub(super) fn unknown(name: &Name) -> Failure {
    Failure::bad(format!("there is no context `{name}`")).then(format!(
        "`daypass context list` shows those that there are; `daypass enroll --context {name} …` makes one"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(home: &str, root: Option<&str>) -> Context {
        Context {
            home: home.into(),
            broker: None,
            server_name: None,
            root: root.map(|root| root.parse().unwrap()),
        }
    }

    #[test]
    fn a_folder_counts_more_than_a_context_and_a_named_one_more_than_the_one_in_use() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(temporary.path());
        let (work, test): (Name, Name) = ("work".parse().unwrap(), "test".parse().unwrap());
        let home = |named: Option<&Name>| Place::by_context(named, &folder).unwrap().home.folder().to_owned();
        assert_eq!(home(None), temporary.path().join("default"));
        folder
            .change(|contexts| {
                contexts.named.insert(work.clone(), context("/work", None));
                contexts.named.insert(test.clone(), context("/test", None));
                contexts.current = Some(work.clone());
                Ok(())
            })
            .unwrap();
        assert_eq!(home(None), PathBuf::from("/work"));
        assert_eq!(home(Some(&test)), PathBuf::from("/test"));
        assert_eq!(home(Some(&"default".parse().unwrap())), temporary.path().join("default"));
        assert!(Place::by_context(Some(&"none".parse().unwrap()), &folder).is_err());
        let said = Said { home: Some("/said".into()), context: Some(test) };
        assert_eq!(Place::find(&said).unwrap().home.folder(), PathBuf::from("/said"));
    }

    #[test]
    fn another_root_than_the_remembered_one_is_refused() {
        let place = |root: Option<&str>| Place {
            home: Home::at("/x"),
            context: Some(("work".parse().unwrap(), context("/x", root))),
        };
        let (ours, other) = (Digest::new([0xab; 32]), Digest::new([0xcd; 32]));
        let remembered = "ab".repeat(32);
        assert!(place(Some(&remembered)).demand(&ours, "it").is_ok());
        assert!(place(None).demand(&other, "it").is_ok(), "nothing is remembered yet");
        let failure = place(Some(&remembered)).demand(&other, "it").unwrap_err();
        assert_eq!(failure.exit().code(), 6);
        assert!(failure.message().contains(&"cd".repeat(32)), "{failure:?}");
        assert!(failure.next().is_some());
    }
}
