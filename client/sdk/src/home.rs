//! The folder that an identity lives in. `identity.toml` holds all of it and is replaced as one, so that key and
//! certificate always fit; `next-key.pem` holds the key that an enrolment or a renewal is under way for;
//! `lock` is held by whoever enrols or renews. Beside them lies `log.toml`, the newest checkpoint of the broker's log.
//!
//! INVARIANT (stored before asked): a key is in its folder before the broker hears of it, and a second attempt takes
//! the same one. A broker answers the same key again, and takes another key for somebody else's.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use daypass_credential::{Name, NodeId, Revision, Timestamp};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Address, Error, Identity, KnownLog, PrivateKey, files,
    identity::Held,
    log::{self, Memory},
    pem, tls,
};

/// The folder that an identity lives in: for its owner alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The home in this folder, which may be yet to come.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The home of one of several instances of the same application, beside the others in this folder. Every instance is
    /// enrolled by itself and has a key of its own; how many there may be is the application's to say, and one more is
    /// refused with the reason `instance-cap`. So give an instance a name that it keeps over restarts (`worker-3`, not
    /// the number of a process): it finds its identity again instead of needing another.
    #[must_use]
    pub fn instance(folder: impl AsRef<Path>, name: &Name) -> Self {
        Self::at(folder.as_ref().join(name.as_str()))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who lives here.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`] if nobody does; [`Error::Files`]; [`Error::BadInput`] if the file was damaged.
    pub fn identity(&self) -> Result<Identity, Error> {
        let path = self.identity_path();
        let Some(bytes) = files::read(&path)?.map(Zeroizing::new) else {
            return Err(Error::NotEnrolled { home: self.folder.clone() });
        };
        let text = std::str::from_utf8(&bytes).ok();
        let stored = text.and_then(|text| toml::from_str::<Stored>(text).ok());
        // Why it cannot be read is not repeated: the message would quote the file, and a key is in it.
        let identity = stored.and_then(|stored| stored.identity(self));
        identity.ok_or_else(|| {
            Error::BadInput(format!(
                "`{}` is damaged: enrol anew, into another folder (an old copy of it may be from before a renewal, \
                 and would get the identity suspended)",
                path.display()
            ))
        })
    }

    /// What is known here of the log of this identity's broker; none before the first call to it.
    ///
    /// # Errors
    /// [`Error::Files`]; [`Error::BadInput`] if the file was damaged.
    pub fn known_log(&self, identity: &Identity) -> Result<Option<KnownLog>, Error> {
        log::read(&self.folder, &identity.root_fingerprint())
    }

    /// Where the newest checkpoint of the log of the broker with this root is kept.
    pub(crate) fn memory(&self, root: &CertificateDer<'_>) -> Memory {
        Memory::Home { folder: self.folder.clone(), root: tls::fingerprint(root) }
    }

    /// Is there somebody already?
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn is_taken(&self) -> Result<bool, Error> {
        Ok(files::read(&self.identity_path())?.map(Zeroizing::new).is_some())
    }

    /// Makes the folder, and waits until nobody else enrols or renews in it. Two renewals at once, each with a key of
    /// its own, would look to the broker like a stolen certificate.
    pub(crate) async fn alone(&self) -> Result<File, Error> {
        files::make_private_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let held = tokio::task::spawn_blocking(move || files::hold(&path)).await;
        let held = held.unwrap_or(Err(Error::Unable("wait for a lock")))?;
        // Whoever wrote here before and was killed may have left a key behind.
        files::sweep(&[&self.identity_path(), &self.next_key_path()])?;
        Ok(held)
    }

    /// Moves the identity in; the key that it was waiting for is no longer a next one.
    pub(crate) fn keep(&self, identity: &Identity) -> Result<(), Error> {
        let text = Stored::of(identity).text()?;
        files::write_private(&self.identity_path(), text.as_bytes())?;
        files::remove(&self.next_key_path())
    }

    /// The key to ask with: the one given, or the one of an attempt that was broken off, or a new one. One that the
    /// identity `held` has by now is left from an attempt that did succeed, and is no next one.
    pub(crate) fn next_key(
        &self,
        given: Option<PrivateKey>,
        held: Option<&PrivateKey>,
    ) -> Result<PrivateKey, Error> {
        let path = self.next_key_path();
        let same = |a: &PrivateKey, b: &PrivateKey| a.public_der() == b.public_der();
        let pending =
            files::read(&path)?.map(Zeroizing::new).map(|pem| PrivateKey::from_pem(&pem)).transpose()?;
        let pending = pending.filter(|pending| !held.is_some_and(|held| same(held, pending)));
        let key = match (given, pending) {
            // The broker may have answered that attempt, and answers no other key.
            (Some(given), Some(pending)) if !same(&given, &pending) => {
                return Err(Error::BadInput(format!(
                    "an enrolment with another key was broken off in `{}`: run it again without a key of yours, to go \
                     on with it, or choose another folder",
                    self.folder.display()
                )));
            }
            (_, Some(pending)) => return Ok(pending),
            (Some(given), None) => given,
            (None, None) => PrivateKey::generate()?,
        };
        files::write_private(&path, key.to_pem().as_bytes())?;
        Ok(key)
    }

    /// Is there a key of an attempt that was broken off?
    pub(crate) fn awaits_answer(&self) -> Result<bool, Error> {
        Ok(files::read(&self.next_key_path())?.map(Zeroizing::new).is_some())
    }

    /// For a key that the broker will not have: the next attempt makes another.
    pub(crate) fn forget_next_key(&self) -> Result<(), Error> {
        files::remove(&self.next_key_path())
    }

    fn identity_path(&self) -> PathBuf {
        self.folder.join("identity.toml")
    }

    fn next_key_path(&self) -> PathBuf {
        self.folder.join("next-key.pem")
    }
}

/// What `identity.toml` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    subject: NodeId,
    broker: String,
    server_name: String,
    revision: u64,
    expires_at: u64,
    root: String,
    certificate: String,
    key: Zeroizing<String>,
}

impl Stored {
    fn of(identity: &Identity) -> Self {
        Self {
            version: VERSION,
            subject: identity.subject.clone(),
            broker: identity.broker.to_string(),
            server_name: identity.broker.server_name().to_str().into_owned(),
            revision: identity.held.revision.get(),
            expires_at: identity.held.expires_at.as_secs(),
            root: pem::certificates_to_pem(std::slice::from_ref(&identity.root)),
            certificate: pem::certificates_to_pem(&identity.held.chain()),
            key: identity.key.to_pem(),
        }
    }

    fn text(&self) -> Result<Zeroizing<String>, Error> {
        let body = toml::to_string_pretty(self)
            .map(Zeroizing::new)
            .map_err(|_| Error::Unable("write the identity down"))?;
        Ok(Zeroizing::new(format!(
            "# A Daypass identity. It holds a private key: keep it to yourself.\n{}",
            *body
        )))
    }

    fn identity(self, home: &Home) -> Option<Identity> {
        if self.version != VERSION {
            return None;
        }
        let broker: Address = self.broker.parse().ok()?;
        let mut chain = pem::certificates_from_pem(self.certificate.as_bytes()).ok()?.into_iter();
        let root: Vec<CertificateDer<'static>> = pem::certificates_from_pem(self.root.as_bytes()).ok()?;
        let held = Held {
            leaf: chain.next()?,
            above: chain.collect(),
            revision: Revision::new(self.revision),
            expires_at: Timestamp::from_secs(self.expires_at),
        };
        let root = root.into_iter().next()?;
        Some(Identity {
            subject: self.subject,
            broker: broker.with_server_name(&self.server_name).ok()?,
            memory: home.memory(&root),
            root,
            key: PrivateKey::from_pem(self.key.as_bytes()).ok()?,
            held,
        })
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn identity() -> Identity {
        let certificate = |n| CertificateDer::from(vec![n; 300]);
        Identity {
            subject: "application:sync".parse().unwrap(),
            broker: "127.0.0.1:7443".parse::<Address>().unwrap().with_server_name("localhost").unwrap(),
            root: certificate(1),
            key: PrivateKey::generate().unwrap(),
            held: Held {
                leaf: certificate(2),
                above: vec![certificate(3)],
                revision: Revision::new(7),
                expires_at: Timestamp::from_secs(900),
            },
            memory: Memory::Here(Default::default()),
        }
    }

    #[test]
    fn an_identity_reads_back_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("sync"));
        files::make_private_folder(home.folder()).unwrap();
        assert!(matches!(home.identity(), Err(Error::NotEnrolled { .. })));
        let key = home.next_key(None, None).unwrap();
        let identity = Identity { key, ..identity() };
        home.keep(&identity).unwrap();

        let again = home.identity().unwrap();
        assert_eq!(
            (again.subject(), again.broker(), again.root()),
            (identity.subject(), identity.broker(), identity.root())
        );
        assert_eq!((again.held, again.key.public_der()), (identity.held, identity.key.public_der()));

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.folder()), 0o700);
        assert_eq!(mode(&home.identity_path()), 0o600);
        assert_eq!(fs::read_dir(home.folder()).unwrap().count(), 1, "no next key is left");
    }

    #[test]
    fn a_second_attempt_takes_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let next = |given| home.next_key(given, None).unwrap().public_der();
        let first = next(None);
        assert_eq!(fs::metadata(home.next_key_path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(next(None), first);
        let given = PrivateKey::generate().unwrap();
        assert!(matches!(home.next_key(Some(given.clone()), None), Err(Error::BadInput(_))));
        assert_eq!(next(None), first, "a key that the broker may know is not lost");
        home.forget_next_key().unwrap();
        assert_eq!(next(Some(given.clone())), given.public_der());
        assert_eq!(next(Some(given.clone())), given.public_der());
        assert_eq!(next(None), given.public_der());
        home.forget_next_key().unwrap();
        assert_ne!(next(None), given.public_der());
    }

    #[test]
    fn a_key_that_is_held_by_now_is_no_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let kept = home.next_key(None, None).unwrap();
        let next = home.next_key(None, Some(&kept)).unwrap();
        assert_ne!(next.public_der(), kept.public_der());
        let again = home.next_key(None, Some(&kept)).unwrap();
        assert_eq!(again.public_der(), next.public_der());
    }

    #[tokio::test]
    async fn what_a_killed_writer_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("sync"));
        drop(home.alone().await.unwrap());
        for left in [".identity.toml.71.0", ".next-key.pem.71.12", ".identity.toml.bak", "note"] {
            fs::write(home.folder().join(left), "x").unwrap();
        }
        drop(home.alone().await.unwrap());
        let left = fs::read_dir(home.folder()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, [".identity.toml.bak", "lock", "note"]);
    }

    #[test]
    fn a_damaged_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::write(home.identity_path(), "key = \"hunter2\"\nversion = 1\n").unwrap();
        let error = home.identity().unwrap_err();
        assert!(matches!(error, Error::BadInput(_)));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
