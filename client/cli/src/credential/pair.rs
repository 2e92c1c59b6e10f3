//! A key and its certificate in a folder, replaced by others in a way that survives a crash.
//!
//! INVARIANT (written down before touched): what is to replace them, and what is to be ended then, is durably in
//! `.rotation.toml` before the first file of the pair is touched. Whoever finds that file goes on from there: doing any
//! part of it again changes nothing.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use daypass_credential::{NodeId, Revision, Timestamp};
use daypass_sdk::{
    ClientCertificate, Error, Identity, Token, certificates_to_pem, make_private_folder, write_private,
    write_public,
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{context::Fingerprint, failure::Failure, leftovers};

/// A folder with `key.pem` and `cert.pem` in it.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    folder: PathBuf,
}

impl Pair {
    /// The pair in this folder, which is made if there is none.
    pub(super) fn to_be_in(folder: &Path) -> Result<Self, Failure> {
        if !folder.is_dir() {
            make_private_folder(folder)?;
        }
        let pair = Self { folder: folder.to_owned() };
        leftovers::sweep(&[&pair.key(), &pair.certificate(), &pair.journal()]);
        Ok(pair)
    }

    /// The pair in this folder, which has to be there.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, Failure> {
        if !folder.join(CERTIFICATE).is_file() {
            return Err(Failure::bad(format!("there is no {CERTIFICATE} in `{}`", folder.display())).then(
                "name the folder that `daypass cert --audience NAME --out DIR` wrote to, or begin with that",
            ));
        }
        Self::to_be_in(folder)
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    fn journal(&self) -> PathBuf {
        self.folder.join(".rotation.toml")
    }

    /// Writes a new pair. Nothing rests on what was there before.
    pub(super) fn write(&self, minted: &ClientCertificate) -> Result<(), Failure> {
        if self.rotation()?.is_some() {
            return Err(Failure::bad(format!("a rotation was broken off in `{}`", self.folder.display()))
                .then(format!("`daypass credential rotate --cert {}` finishes it", self.folder.display())));
        }
        write_private(&self.key(), minted.key().to_pem().as_bytes())?;
        Ok(write_public(&self.certificate(), certificates_to_pem(&minted.chain()).as_bytes())?)
    }

    /// Keeps other rotations in this folder waiting, for as long as the answer lives.
    pub(super) fn alone(&self) -> Result<File, Failure> {
        let failed = |source| Error::Files { path: self.folder.clone(), source };
        let folder = File::open(&self.folder).map_err(failed)?;
        folder.lock().map_err(failed)?;
        Ok(folder)
    }

    /// The rotation that was broken off here, if one was.
    pub(super) fn rotation(&self) -> Result<Option<Rotation>, Failure> {
        let path = self.journal();
        let Some(text) = own(&path)? else { return Ok(None) };
        // Why it cannot be read is not repeated: the message would quote the file, and a key is in it.
        toml::from_str(&text).map(Some).map_err(|_| {
            Failure::bad(format!("`{}` is damaged", path.display())).then(
                "remove it, look with `daypass credential show --cert` whether the pair is alive, and rotate again",
            )
        })
    }

    /// Writes down what is to be done.
    pub(super) fn begin(&self, rotation: &Rotation) -> Result<(), Failure> {
        let text = toml::to_string(rotation).map(Zeroizing::new);
        let text = text.map_err(|_| Failure::Internal("the rotation cannot be written down".into()))?;
        Ok(write_private(&self.journal(), text.as_bytes())?)
    }

    /// Puts the new files in place: all of what was written down.
    pub(super) fn replace(&self, rotation: &Rotation) -> Result<(), Failure> {
        write_private(&self.key(), rotation.key.as_bytes())?;
        write_public(&self.certificate(), rotation.certificate.as_bytes())?;
        if let Some(token) = &rotation.token {
            write_private(&token.file, token.text.as_bytes())?;
        }
        Ok(())
    }

    /// There is nothing left to be done.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let path = self.journal();
        let gone = fs::remove_file(&path).and_then(|()| File::open(&self.folder)?.sync_all());
        Ok(gone.map_err(|source| Error::Files { path, source })?)
    }
}

/// Reads a file of ours, if it is there. What it says is carried out without a question, so that it has to be a plain
/// file that this user, and nobody else, can have written.
fn own(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let failed = |source| Failure::from(Error::Files { path: path.to_owned(), source });
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(not_ours(path)),
        Err(error) => return Err(failed(error.into())),
    };
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o077 != 0 {
        return Err(not_ours(path));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST_JOURNAL).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

fn not_ours(path: &Path) -> Failure {
    Failure::bad(format!("`{}` is not this user's alone, and is not followed", path.display()))
        .then("find out who made it, and remove it")
}

/// A key, a certificate with its CA, a token and some words.
const LONGEST_JOURNAL: u64 = 64 * 1024;

/// A replacement that is under way.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// Whose it is, and at the broker with which root: nobody else goes on with it.
    subject: NodeId,
    root: Fingerprint,
    /// To be ended once the new one is in place.
    old: u64,
    pub(super) revision: u64,
    pub(super) expires_at: Timestamp,
    pub(super) bound_by: String,
    pub(super) audience: String,
    key: Zeroizing<String>,
    certificate: String,
    pub(super) token: Option<RotatedToken>,
}

/// A token that goes with it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotatedToken {
    pub(super) file: PathBuf,
    pub(super) revision: u64,
    pub(super) expires_at: Timestamp,
    text: Zeroizing<String>,
}

impl Rotation {
    pub(super) fn new(owner: &Identity, old: Revision, audience: String, new: &ClientCertificate) -> Self {
        Self {
            subject: owner.subject().clone(),
            root: owner.root_fingerprint().into(),
            old: old.get(),
            revision: new.revision.get(),
            expires_at: new.expires_at,
            bound_by: new.bound_by.clone(),
            audience,
            key: new.key().to_pem(),
            certificate: certificates_to_pem(&new.chain()),
            token: None,
        }
    }

    /// A token goes into this file with it, wherever the next attempt is made from.
    pub(super) fn with_token(mut self, file: &Path, token: &Token) -> Result<Self, Failure> {
        let absolute = std::path::absolute(file);
        let file = absolute.map_err(|error| Failure::bad(format!("`{}`: {error}", file.display())))?;
        self.token = Some(RotatedToken {
            file,
            revision: token.revision.get(),
            expires_at: token.expires_at,
            text: Zeroizing::new(format!("{}\n", token.reveal())),
        });
        Ok(self)
    }

    /// Refuses to go on as somebody else, or at another broker: there the old number is another credential.
    pub(super) fn demand(&self, owner: &Identity) -> Result<(), Failure> {
        if self.subject == *owner.subject() && self.root == owner.root_fingerprint().into() {
            return Ok(());
        }
        let begun = format!("`{}` at the broker with root sha256 {}", self.subject, self.root);
        Err(Failure::OtherRoot(format!("the rotation that was broken off here is that of {begun}"))
            .then("choose that identity: --context NAME or --home DIR"))
    }

    pub(super) fn old(&self) -> NodeId {
        NodeId::credential(Revision::new(self.old))
    }
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotation")
            .field("old", &self.old)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

const CERTIFICATE: &str = "cert.pem";

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(folder: &Path) -> Rotation {
        Rotation {
            subject: "application:sync".parse().unwrap(),
            root: daypass_credential::Digest::new([7; 32]).into(),
            old: 16,
            revision: 18,
            expires_at: Timestamp::from_secs(900),
            bound_by: "scope".into(),
            audience: "billing".into(),
            key: Zeroizing::new("new key".into()),
            certificate: "new certificate".into(),
            token: Some(RotatedToken {
                file: folder.join("token.txt"),
                revision: 19,
                expires_at: Timestamp::from_secs(900),
                text: Zeroizing::new("new token".into()),
            }),
        }
    }

    #[test]
    fn a_rotation_that_broke_off_anywhere_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at(CERTIFICATE), "old certificate").unwrap();
        let pair = Pair::in_folder(folder.path()).unwrap();
        assert!(pair.rotation().unwrap().is_none());
        pair.begin(&rotation(folder.path())).unwrap();
        // Killed after the first of the files.
        fs::write(at("key.pem"), "new key").unwrap();
        let again = Pair::in_folder(folder.path()).unwrap();
        for _ in 0..2 {
            let left = again.rotation().unwrap().unwrap();
            assert_eq!(left.old().to_string(), "credential:16");
            again.replace(&left).unwrap();
        }
        again.finish().unwrap();
        for (name, text) in
            [("key.pem", "new key"), (CERTIFICATE, "new certificate"), ("token.txt", "new token")]
        {
            assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn a_damaged_journal_is_refused_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CERTIFICATE), "x").unwrap();
        fs::write(folder.path().join(".rotation.toml"), "key = \"hunter2\"").unwrap();
        let failure = Pair::in_folder(folder.path()).unwrap().rotation().unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter2"));
        assert!(failure.next().is_some());
    }

    #[test]
    fn secrets_are_not_printed_by_accident() {
        let text = format!("{:?}", rotation(Path::new("/x")));
        assert!(!text.contains("new key") && !text.contains("new token"), "{text}");
    }

    #[test]
    fn a_journal_that_somebody_else_can_have_written_is_not_followed() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let pair = Pair::to_be_in(folder.path()).unwrap();
        assert!(pair.rotation().unwrap().is_none());
        pair.begin(&rotation(folder.path())).unwrap();
        assert!(pair.rotation().unwrap().is_some());
        fs::set_permissions(pair.journal(), fs::Permissions::from_mode(0o620)).unwrap();
        assert!(pair.rotation().unwrap_err().message().contains("not this user's alone"));
        fs::set_permissions(pair.journal(), fs::Permissions::from_mode(0o600)).unwrap();
        let aside = folder.path().join("aside");
        fs::rename(pair.journal(), &aside).unwrap();
        symlink(&aside, pair.journal()).unwrap();
        assert!(pair.rotation().unwrap_err().message().contains("not this user's alone"));
    }
}
